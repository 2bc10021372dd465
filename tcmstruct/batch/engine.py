"""Where chunks are structured: in this process, or in worker processes. Results come in input order either way."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from tcmstruct.batch.chunks import ChunkResult, structure_chunk
from tcmstruct.emr.rows import Reject
from tcmstruct.errors import TcmstructError
from tcmstruct.record import Record, StructuredRecord
from tcmstruct.runtime.memory import peak_resident_bytes


class Structures(Protocol):
    """What a batch needs of a structurer (`tcmstruct.pipeline.Structurer`)."""

    def structure_many(self, records: Sequence[Record]) -> Sequence[StructuredRecord]: ...


Factory = Callable[[], Structures]
"""Makes a structurer; has to be picklable where worker processes are used."""

Chunk = list[Record | Reject]
CHUNKS_AHEAD = 2
"""Chunks in flight per worker: one being worked on, one waiting, so that no worker waits for the reader."""


@dataclass(frozen=True, slots=True)
class Described:
    """What the structurer says about itself, for the manifest and the tables.

    Attributes:
        model, schema: fingerprints.
        packs: schema pack → names of its fields, in their order; {} where the structurer does not tell.
        review_threshold: confidence of a field's value below which it is marked for review.
        photo_models: name of a model that looks at photographs → fingerprint; {} where none is looked at.
        backend: what computes the text model (`runtime.choice.Choice`); {} where the structurer does not tell.
    """

    model: str = ""
    schema: str = ""
    packs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    review_threshold: float | None = None
    photo_models: Mapping[str, str] = field(default_factory=dict)
    backend: Mapping[str, Any] = field(default_factory=dict)


def describe(structurer: Any) -> Described:
    """Asks a structurer; one that tells nothing (a plain callable) is described by nothing."""
    packs: dict[str, list[str]] = {}
    for name, one in getattr(getattr(structurer, "schema", None), "fields", {}).items():
        packs.setdefault(one.department, []).append(name)
    return Described(getattr(structurer, "model_fingerprint", ""), getattr(structurer, "schema_fingerprint", ""), packs,
                     getattr(structurer, "review_below", {}).get("field"), getattr(structurer, "photo_models", {}),
                     getattr(structurer, "backend", {}))


def memory_of(structurer: Any) -> dict[str, Any]:
    """This process's number and largest resident set, and what the structurer's tagger tells of its batches, if it does."""
    told = getattr(getattr(structurer, "tagger", None), "memory", dict)()
    return {"pid": os.getpid(), "peak_bytes": peak_resident_bytes(), **told}


def _structured(structurer: Structures, chunk: Chunk) -> ChunkResult:
    result = structure_chunk(structurer.structure_many, chunk)
    result.memory = memory_of(structurer)
    return result


def run_here(factory: Factory, chunks: Iterator[Chunk]) -> Iterator[tuple[ChunkResult, Described]]:
    """One chunk after the other in this process."""
    structurer = factory()
    described = describe(structurer)
    yield ChunkResult(), described
    for chunk in chunks:
        yield _structured(structurer, chunk), described


def run_in_workers(factory: Factory, chunks: Iterator[Chunk], workers: int) -> Iterator[tuple[ChunkResult, Described]]:
    """Chunks spread over processes, at most `CHUNKS_AHEAD` per worker taken ahead of the results.

    Raises:
        TcmstructError: a worker ended (the system took its memory back, or it was killed), or the structurer
            cannot be made.
    """
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _start, (factory,))
    waiting: deque[Future[tuple[ChunkResult, Described] | _Refusal]] = deque()
    try:
        for chunk in chunks:
            with _interrupts_held():  # a submit may start a process, which inherits the mask
                waiting.append(pool.submit(_work, chunk))
            if len(waiting) >= CHUNKS_AHEAD * workers:
                yield _unpack(waiting.popleft())
        while waiting:
            yield _unpack(waiting.popleft())
    except BrokenProcessPool:  # met when a chunk is handed in or when its result is fetched
        raise TcmstructError("a worker process ended before its work was done, most likely for want of memory",
                             code="worker_lost", hint="use fewer with --workers, or give a --memory-limit") from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Ctrl-C waits, so that it meets the parent alone and not a child that is still loading its modules."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@dataclass(frozen=True, slots=True)
class _Refusal:
    """A TcmstructError on its way home; the classes themselves do not all survive pickling."""

    what: str
    code: str
    where: str
    hint: str
    exit_code: int


_factory: Factory | None = None
_structurer: Structures | None = None


def _start(factory: Factory) -> None:
    global _factory
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means
    _factory = factory


def _work(chunk: Chunk) -> tuple[ChunkResult, Described] | _Refusal:
    global _structurer
    try:
        if _structurer is None:
            assert _factory is not None
            _structurer = _factory()
        return _structured(_structurer, chunk), describe(_structurer)
    except TcmstructError as error:
        return _Refusal(error.what, error.code, error.where, error.hint, error.exit_code)


def _unpack(future: Future[tuple[ChunkResult, Described] | _Refusal]) -> tuple[ChunkResult, Described]:
    outcome = future.result()
    if isinstance(outcome, _Refusal):
        error = TcmstructError(outcome.what, code=outcome.code, where=outcome.where, hint=outcome.hint)
        error.exit_code = outcome.exit_code
        raise error
    return outcome
