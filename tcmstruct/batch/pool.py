"""The engine over a pool of processes: chunks go out, results come back in order, and a record that kills its process costs itself.

A pool is processes of this machine (`processes`) or actors of Ray (`ray_pool`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Protocol

from tcmstruct.batch.chunks import BATCH_CODES, ChunkResult
from tcmstruct.batch.engine import Chunk, Described, Done, Engine, Factory
from tcmstruct.emr.rows import Reject
from tcmstruct.errors import TcmstructError
from tcmstruct.record import Record

CHUNKS_AHEAD = 2
"""Chunks in flight per worker: one being worked on, one waiting, so that no worker waits for the reader."""

MOST_DEATHS = 50
"""Records that may kill their process before the fault is looked for elsewhere."""

Answer = tuple[ChunkResult, Described]


class WorkerDied(Exception):
    """A process ended before it had answered."""


class Pool(Protocol):
    """Processes that structure chunks."""

    def submit(self, chunk: Chunk) -> Callable[[], Answer]:
        """Hands a chunk in; what is returned waits for its answer.

        Raises (the waiting): WorkerDied, or the TcmstructError that the structurer raised.
        """

    def revive(self) -> None:
        """Puts processes in the place of those that ended; what had been handed in and has no answer yet is lost."""

    def close(self) -> None:
        """Ends the processes."""


def pool_engine(make: Callable[[Factory, int], Pool]) -> Engine:
    """The engine over pools that `make` makes of a factory and a number of processes."""

    def run(factory: Factory, chunks: Iterator[Chunk], workers: int) -> Iterator[Done]:
        return _run(make, factory, chunks, workers)

    return run


def _run(make: Callable[[Factory, int], Pool], factory: Factory, chunks: Iterator[Chunk], workers: int) -> Iterator[Done]:
    """Chunks spread over processes, at most `CHUNKS_AHEAD` per worker taken ahead of the results.

    Where a process ends (the system took its memory back, a fault in a library), the chunk it may have been at is structured again in
    a process of its own and halved until the record at fault stands alone; that one is rejected.

    Raises:
        TcmstructError: the structurer cannot be made, a process ends before it has begun, or too many records end theirs.
    """
    pool, apart = make(factory, workers), _Apart(lambda: make(factory, 1))
    waiting: deque[tuple[Chunk, Callable[[], Answer]]] = deque()
    try:
        for chunk in _and_then_nothing(chunks):
            if chunk is not None:
                waiting.append((chunk, pool.submit(chunk)))
            while waiting and (chunk is None or len(waiting) >= CHUNKS_AHEAD * workers):
                first, answer = waiting.popleft()
                try:
                    result, told = answer()
                except WorkerDied:
                    result, told = apart.structured(first)
                    pool.revive()
                    waiting = deque((later, pool.submit(later)) for later, _ in waiting)
                yield Done(first, result, told)
    finally:
        apart.close()
        pool.close()


def _and_then_nothing(chunks: Iterator[Chunk]) -> Iterator[Chunk | None]:
    yield from chunks
    yield None


class _Apart:
    """One process for chunks under suspicion, so that it is known which of them ends it."""

    def __init__(self, make: Callable[[], Pool]) -> None:
        self._make, self._pool, self._deaths = make, None, 0

    def structured(self, chunk: Chunk) -> Answer:
        """Raises: TcmstructError: the process ends without any record, or too many records end it."""
        with suppress(WorkerDied):
            return self._alive().submit(chunk)()
        self._bury()
        if len(chunk) == 1:
            self._deaths += 1
            if self._deaths > MOST_DEATHS:
                raise _lost(f"{self._deaths} records in a run ended the process they were structured in")
            return _rejected(chunk[0]), self._asked()
        middle = len(chunk) // 2
        result, _ = self.structured(chunk[:middle])
        more, told = self.structured(chunk[middle:])
        result.add(more)
        return result, told

    def close(self) -> None:
        if self._pool is not None:
            self._pool.close()

    def _alive(self) -> Pool:
        if self._pool is None:
            self._pool = self._make()
            self._asked()
        return self._pool

    def _asked(self) -> Described:
        try:
            return self._alive().submit([])()[1]
        except WorkerDied:
            raise _lost("a worker process ended before its work was begun") from None

    def _bury(self) -> None:
        assert self._pool is not None
        self._pool.close()
        self._pool = None


def _rejected(item: Record | Reject) -> ChunkResult:
    """A reader's reject cannot kill a process: it is a record."""
    assert isinstance(item, Record)
    result = ChunkResult(rejects=[Reject("worker_died", BATCH_CODES["worker_died"], item.where, item.id)])
    result.counts.rejects["worker_died"] = 1
    return result


def _lost(what: str) -> TcmstructError:
    return TcmstructError(f"{what}, most likely for want of memory", code="worker_lost",
                          hint="use fewer processes with --workers, or give a --memory-limit")
