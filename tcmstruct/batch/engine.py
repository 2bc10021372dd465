"""What structures chunks: an engine. This one works in this process; `pool` drives others. Results come in input order from all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from tcmstruct.batch.chunks import ChunkResult, structure_chunk
from tcmstruct.emr.rows import Reject
from tcmstruct.record import Record, StructuredRecord
from tcmstruct.runtime.memory import peak_resident_bytes


class Structures(Protocol):
    """What a batch needs of a structurer (`tcmstruct.pipeline.Structurer`)."""

    def structure_many(self, records: Sequence[Record]) -> Sequence[StructuredRecord]: ...


Factory = Callable[[], Structures]
"""Makes a structurer; has to be picklable where worker processes are used."""

Chunk = list[Record | Reject]


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

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


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


def structured(structurer: Structures, chunk: Chunk) -> ChunkResult:
    """What becomes of a chunk in this process."""
    result = structure_chunk(structurer.structure_many, chunk)
    result.memory = memory_of(structurer)
    return result


@dataclass(frozen=True, slots=True)
class Done:
    """A chunk that has been structured.

    Attributes:
        chunk: its rows; [] for a word of the structurer before the first chunk.
        result: what became of them.
        told: the structurer that did it.
    """

    chunk: Chunk
    result: ChunkResult
    told: Described


Engine = Callable[[Factory, Iterator[Chunk], int], Iterator[Done]]
"""Factory, chunks, number of processes → what is done, in the order of the input. A new engine is a function of this kind."""


def run_here(factory: Factory, chunks: Iterator[Chunk], workers: int = 1) -> Iterator[Done]:
    """One chunk after the other in this process."""
    structurer = factory()
    told = describe(structurer)
    yield Done([], ChunkResult(), told)
    for chunk in chunks:
        yield Done(chunk, structured(structurer, chunk), told)
