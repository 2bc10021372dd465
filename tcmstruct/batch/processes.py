"""A pool of processes on this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass

from tcmstruct.batch.engine import Chunk, Factory, Structures, describe, structured
from tcmstruct.batch.pool import Answer, WorkerDied, pool_engine
from tcmstruct.errors import TcmstructError


class ProcessPool:
    """Worker processes, each with a structurer of its own."""

    def __init__(self, factory: Factory, workers: int) -> None:
        self._factory, self._workers = factory, workers
        self._pool = self._begin()

    def submit(self, chunk: Chunk) -> Callable[[], Answer]:
        try:
            with signals_held():  # a submit may start a process, which inherits the mask
                future = self._pool.submit(_work, chunk)
        except BrokenProcessPool:
            future = None
        return lambda: _answer(future)

    def revive(self) -> None:
        self.close()
        self._pool = self._begin()

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _begin(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(self._workers, multiprocessing.get_context("spawn"), _start, (self._factory,))


run_in_processes = pool_engine(ProcessPool)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A TcmstructError on its way home; the classes themselves do not all survive pickling."""

    what: str
    code: str
    where: str
    hint: str
    exit_code: int

    @classmethod
    def of(cls, error: TcmstructError) -> Refusal:
        return cls(error.what, error.code, error.where, error.hint, error.exit_code)

    def error(self) -> TcmstructError:
        made = TcmstructError(self.what, code=self.code, where=self.where, hint=self.hint)
        made.exit_code = self.exit_code
        return made


def _answer(future: Future[Answer | Refusal] | None) -> Answer:
    if future is None:
        raise WorkerDied
    try:
        outcome = future.result()
    except BrokenProcessPool:
        raise WorkerDied from None
    if isinstance(outcome, Refusal):
        raise outcome.error()
    return outcome


_PARENTS_OWN = hasattr(signal, "sigwaitinfo")
"""Whether the sender of a signal can be told, as on Linux."""
_HELD = {signal.SIGINT, signal.SIGTERM} if _PARENTS_OWN else {signal.SIGINT}


@contextmanager
def signals_held() -> Iterator[None]:
    """While a worker is started, which inherits the mask: a request to stop meets the parent alone, not a child that is still loading."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _HELD)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def begin_worker() -> None:
    """To be called first in a worker process: it ends with its parent, and by its parent's word alone.

    Ctrl-C reaches all processes of a terminal, and a service manager sends SIGTERM to all of a service: what they mean is the parent's
    to decide. A pool ends what is left of its workers by SIGTERM, so one that the parent sent counts.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if _PARENTS_OWN:
        signal.pthread_sigmask(signal.SIG_BLOCK, _HELD)  # in the threads that follow too
        threading.Thread(target=_obey_parent, daemon=True).start()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _obey_parent() -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(1)


def _end_with_parent() -> None:
    """A parent that is killed can tell its workers nothing; without this they would wait for ever, holding the model."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


_factory: Factory | None = None
_structurer: Structures | None = None


def _start(factory: Factory) -> None:
    global _factory
    begin_worker()
    _factory = factory


def _work(chunk: Chunk) -> Answer | Refusal:
    global _structurer
    try:
        if _structurer is None:
            assert _factory is not None
            _structurer = _factory()
        return structured(_structurer, chunk), describe(_structurer)
    except TcmstructError as error:
        return Refusal.of(error)
