"""A chunk of records through the structurer: one bad record costs itself, never its neighbours.

What comes back is small and ready to write (JSON lines, counts), so that it travels cheaply between processes.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import orjson

from tcmstruct.batch.counts import Counts
from tcmstruct.emr.rows import Reject
from tcmstruct.errors import RecordRejected, TcmstructError
from tcmstruct.record import Record, StructuredRecord
from tcmstruct.runtime.memory import CHUNK_CHARS

StructureMany = Callable[[Sequence[Record]], Sequence[StructuredRecord]]
"""Records in, one result for each, in order. May raise `RecordRejected` for a record it cannot use."""

BATCH_CODES: dict[str, str] = {
    "structuring_failed": "the program failed on this record; the reason names the kind and place of the fault",
    "out_of_memory": "the record did not fit into memory even alone",
    "result_invalid": "an offset of the result does not point at its evidence in the text",
    "worker_died": "the process that structured this record ended, alone and again: the record is set aside",
}
"""Codes that the batch gives a record that was read well (docs/formats.md)."""

T = TypeVar("T")


@dataclass(slots=True)
class ChunkResult:
    """What became of a chunk.

    Attributes:
        lines: the JSON lines of its structured records, in order.
        rejects: in order.
        counts: over its records.
        memory: what the process that structured it has held so far (`engine.memory_of`).
    """

    lines: bytes = b""
    rejects: list[Reject] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    memory: Mapping[str, Any] = field(default_factory=dict)

    def add(self, other: ChunkResult) -> None:
        """Puts what follows this chunk after it."""
        self.lines += other.lines
        self.rejects += other.rejects
        self.counts.add(other.counts)
        self.memory = other.memory or self.memory


def chunked(items: Iterable[T], first: int, size: int, chars: int = CHUNK_CHARS) -> Iterator[list[T]]:
    """Lists of up to `size` items, the first of up to `first`: something is ready soon, then batches are full.

    Args:
        chars: characters of the texts of a list at most, unless it is of one item.
    """
    chunk: list[T] = []
    take, held = min(first, size), 0
    for item in items:
        length = len(item.text) if isinstance(item, Record) else 0
        if chunk and held + length > chars:
            yield chunk
            chunk, held, take = [], 0, size
        chunk.append(item)
        held += length
        if len(chunk) == take:
            yield chunk
            chunk, held, take = [], 0, size
    if chunk:
        yield chunk


def structure_chunk(structure_many: StructureMany, items: Sequence[Record | Reject]) -> ChunkResult:
    """Structures the records of a chunk; rejects that the reader made pass through in their places.

    Raises:
        TcmstructError: the structurer itself is unusable (a model file, the schema); not a fault of a record.
    """
    result = ChunkResult()
    counts, lines = result.counts, []
    outcomes = iter(_structure(structure_many, [item for item in items if isinstance(item, Record)]))
    for item in items:
        outcome = next(outcomes) if isinstance(item, Record) else item
        if isinstance(outcome, Reject):
            result.rejects.append(outcome)
            counts.rejects[outcome.code] += 1
            continue
        structured, line = outcome
        lines.append(line)
        if structured.warnings:
            counts.warned += 1
            counts.warnings.update(structured.warnings)
        else:
            counts.ok += 1
        counts.fields.update(structured.fields.keys())
        for name in structured.extra:
            counts.add_extra(name)
        counts.review += sum(value.review for value in structured.fields.values())
        counts.photos.update(named=bool(item.image), used=structured.tongue is not None)
    result.lines = b"".join(lines)
    return result


def _structure(structure_many: StructureMany, records: Sequence[Record],
               ) -> list[tuple[StructuredRecord, bytes] | Reject]:
    """One outcome per record. Where the whole fails it is halved until the record at fault stands alone."""
    if not records:
        return []
    try:
        results = structure_many(records)
        if [r.id for r in results] != [r.id for r in records]:
            raise AssertionError("the structurer must answer each record in its place")
        return [_finished(record, result) for record, result in zip(records, results, strict=True)]
    except TcmstructError as error:
        if not isinstance(error, RecordRejected):
            raise
        rejected = (error.code, error.what)
    except MemoryError:
        rejected = ("out_of_memory", BATCH_CODES["out_of_memory"])
    except Exception as error:  # whatever it is: the batch goes on without this record, and says where it failed
        rejected = ("structuring_failed", fault_place(error))
    if len(records) == 1:
        return [Reject(*rejected, records[0].where, records[0].id)]
    middle = len(records) // 2
    return _structure(structure_many, records[:middle]) + _structure(structure_many, records[middle:])


def _finished(record: Record, result: StructuredRecord) -> tuple[StructuredRecord, bytes] | Reject:
    """The result with what the reader knew, checked against the text, and its line."""
    text, length = record.text, len(record.text)
    true = (result.text == text
            and all(text[f.start : f.end] == f.evidence for f in result.fields.values() if f.source != "image")
            and all(0 <= m.start < m.end <= length for m in result.entities))
    if not true:
        return Reject("result_invalid", BATCH_CODES["result_invalid"], record.where, record.id)
    result.warnings = (*getattr(record, "warnings", ()), *result.warnings)
    result.extra = result.extra or record.extra
    result.dept = result.dept or record.dept
    return result, dump_line(result.to_dict())


def dump_line(value: object) -> bytes:
    """One JSON line, keys in their given order: the same value gives the same bytes."""
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY)


def fault_place(error: BaseException) -> str:
    """Kind and place of an unexpected fault; its message may hold record text and stays out."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" in {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"
