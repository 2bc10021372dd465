"""A pool of Ray actors, for a hospital that has a Ray cluster: `convert --engine ray`. The journal stays with the driver."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import cycle
from typing import Any

import ray
from ray.exceptions import RayActorError

from tcmstruct.batch.engine import Chunk, Factory, describe, structured
from tcmstruct.batch.pool import Answer, WorkerDied, pool_engine
from tcmstruct.batch.processes import Refusal
from tcmstruct.errors import TcmstructError


class Worker:
    """An actor with a structurer of its own."""

    def __init__(self, factory: Factory) -> None:
        self._factory, self._structurer = factory, None

    def work(self, chunk: Chunk) -> Answer | Refusal:
        try:
            if self._structurer is None:
                self._structurer = self._factory()
            return structured(self._structurer, chunk), describe(self._structurer)
        except TcmstructError as error:
            return Refusal.of(error)


class RayPool:
    """Actors of the cluster that RAY_ADDRESS names, or of one on this machine."""

    def __init__(self, factory: Factory, workers: int) -> None:
        self._started = not ray.is_initialized()
        if self._started:
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it reports home by default
            ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR",
                     **({} if "RAY_ADDRESS" in os.environ else {"num_cpus": workers + 1}))
        self._factory, self._workers = factory, workers
        self._begin()

    def submit(self, chunk: Chunk) -> Callable[[], Answer]:
        handed = next(self._turn).work.remote(chunk)
        return lambda: _answer(handed)

    def revive(self) -> None:
        self._end()
        self._begin()

    def close(self) -> None:
        self._end()
        if self._started:
            ray.shutdown()

    def _begin(self) -> None:
        actor = ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0)(Worker)
        self._actors = [actor.remote(self._factory) for _ in range(self._workers)]
        self._turn = cycle(self._actors)

    def _end(self) -> None:
        for actor in self._actors:
            ray.kill(actor)


run_in_ray = pool_engine(RayPool)


def _answer(handed: Any) -> Answer:
    try:
        outcome = ray.get(handed)
    except RayActorError:
        raise WorkerDied from None
    if isinstance(outcome, Refusal):
        raise outcome.error()
    return outcome
