"""The structurer in processes of its own, so that the server answers while records are worked on."""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from tcmstruct.batch.chunks import structure_chunk
from tcmstruct.batch.processes import Refusal, begin_worker, signals_held
from tcmstruct.emr.rows import Reject
from tcmstruct.errors import TcmstructError
from tcmstruct.record import Record, StructuredRecord

T = TypeVar("T")

WORKER_LOST = "worker_lost"


@dataclass(frozen=True, slots=True)
class Job:
    """One record, the bytes of its photograph where it came with one, and the name of the adapter that it asks for."""

    record: Record
    photo: bytes | None = None
    adapter: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a record has no result.

    Attributes:
        code: as in rejects.jsonl (docs/formats.md), or `WORKER_LOST`.
        reason: one sentence, without record text.
    """

    code: str
    reason: str


Answer = bytes | Refused
"""A StructuredRecord as a JSON line, or why there is none."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the structurer says about itself.

    Attributes:
        model, schema: fingerprints.
        fields: {"name", "department", "type", "values", "unit"} of each field of the schema, in its order.
        review_below: confidence below which a value is marked for review.
        adapters: names that a request may give.
    """

    model: str = ""
    schema: str = ""
    fields: tuple[dict[str, Any], ...] = ()
    review_below: float | None = None
    adapters: tuple[str, ...] = ()


@dataclass(slots=True)
class Workers:
    """Processes that hold a structurer each, made when the first work comes.

    Args:
        factory: makes the structurer; picklable where `processes` is not 0.
        processes: 0 works in a thread of this process.
    """

    factory: Callable[[], Any]
    processes: int = 1
    _pool: Executor | None = field(default=None, init=False)
    _facts: Facts | None = field(default=None, init=False)

    @property
    def slots(self) -> int:
        return max(1, self.processes)

    async def facts(self) -> Facts:
        """
        Raises:
            TcmstructError: the structurer cannot be made.
        """
        if self._facts is None:
            self._facts = await self.call(_facts)
        return self._facts

    async def warm(self) -> Facts:
        """Makes every process load its structurer now. Raises as `facts`."""
        return (await asyncio.gather(*(self.call(_facts) for _ in range(self.slots))))[0]

    async def answer(self, jobs: Sequence[Job]) -> list[Answer]:
        """An answer for each job. Where a process is lost, its jobs are tried once more, each alone."""
        try:
            return await self.call(_answer, list(jobs))
        except BrokenProcessPool:
            return [await self._alone(job) for job in jobs]

    async def _alone(self, job: Job) -> Answer:
        try:
            return (await self.call(_answer, [job]))[0]
        except BrokenProcessPool:
            return Refused(WORKER_LOST, "the process that worked on the record ended, most likely for want of memory")

    async def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """`function(structurer, *arguments)` in a worker; function and arguments are picklable."""
        pool = self._pool = self._pool or self._made()
        try:
            with signals_held():  # a submit may start a process, which inherits the mask
                future = pool.submit(_work, function, arguments)
            outcome = await asyncio.wrap_future(future)
        except BrokenProcessPool:
            if self._pool is pool:
                self._pool = None
                pool.shutdown(wait=False)
            raise
        if isinstance(outcome, Refusal):
            raise outcome.error()
        return outcome

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def _made(self) -> Executor:
        if self.processes == 0:
            return ThreadPoolExecutor(1, "structurer", _start, (self.factory, False))
        return ProcessPoolExecutor(self.processes, multiprocessing.get_context("spawn"), _start, (self.factory, True))


_here = threading.local()
"""What a worker holds: its factory, and the structurer once it is made."""


def _start(factory: Callable[[], Any], own_process: bool) -> None:
    _here.factory, _here.structurer = factory, None
    if own_process:
        begin_worker()


def _work(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    try:
        if _here.structurer is None:
            _here.structurer = _here.factory()
        return function(_here.structurer, *arguments)
    except TcmstructError as error:
        return Refusal.of(error)


def _facts(structurer: Any) -> Facts:
    named = getattr(getattr(structurer, "schema", None), "fields", {})
    fields = tuple({"name": name, "department": one.department, "type": getattr(one, "type", "text"),
                    "values": list(getattr(one, "values", ())), "unit": getattr(one, "unit", None)} for name, one in named.items())
    return Facts(getattr(structurer, "model_fingerprint", ""), getattr(structurer, "schema_fingerprint", ""), fields,
                 getattr(structurer, "review_below", {}).get("field"), tuple(_adapters(structurer)))


def _adapters(structurer: Any) -> Sequence[str]:
    return tuple(getattr(getattr(structurer, "shelf", None), "adapters", ()))


def _answer(structurer: Any, jobs: Sequence[Job]) -> list[Answer]:
    """Texts of one adapter together, those with a photograph one by one; the checks are those of the batch."""
    answers: dict[int, Answer] = {}
    together: dict[str | None, list[int]] = {}
    for number, job in enumerate(jobs):
        if job.adapter is not None and job.adapter not in _adapters(structurer):
            answers[number] = Refused("adapter_unknown", "the server has no adapter of that name")
        elif job.photo is None:
            together.setdefault(job.adapter, []).append(number)
        else:
            _structured(_with_photo(structurer, job), jobs, [number], answers)
    for adapter, numbers in together.items():
        _structured(partial(structurer.structure_many, **_named(adapter)), jobs, numbers, answers)
    return [answers[number] for number in range(len(jobs))]


def _with_photo(structurer: Any, job: Job) -> Callable[[Sequence[Record]], list[StructuredRecord]]:
    named = _named(job.adapter)
    return lambda records: [structurer.structure(record.text, job.photo, id=record.id, **named) for record in records]


def _named(adapter: str | None) -> dict[str, str]:
    return {} if adapter is None else {"adapter": adapter}


def _structured(structure_many: Callable[[Sequence[Record]], Sequence[StructuredRecord]], jobs: Sequence[Job],
                numbers: Sequence[int], answers: dict[int, Answer]) -> None:
    items: list[Record | Reject] = [Record(job.record.id, job.record.text, job.record.dept, None, job.record.extra, where=str(number))
                                    for number, job in zip(numbers, [jobs[n] for n in numbers], strict=True)]
    result = structure_chunk(structure_many, items)
    rejected = {int(one.where): Refused(one.code, one.reason) for one in result.rejects}
    lines = iter(result.lines.splitlines(keepends=True))
    for number in numbers:
        answers[number] = rejected[number] if number in rejected else next(lines)
