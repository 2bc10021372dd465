"""The records of a trial: texts with the mentions that the model found in them, once."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from tcmstruct.record import Mention, StructuredRecord

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """A record as far as a trial reads it.

    Attributes:
        id: as in the file.
        row: place in the file, from 0.
        text: the raw record.
        mentions: what the model found; empty where it was not asked.
    """

    id: str
    row: int
    text: str
    mentions: Sequence[Mention] = ()


def from_line(data: Mapping[str, Any], row: int) -> TrialRecord:
    """A line of `records.jsonl`.

    Raises:
        InputRefused: it is none.
    """
    record = StructuredRecord.from_dict(data, f"row {row + 1}")
    return TrialRecord(record.id, row, record.text, tuple(record.entities))


def sample_of(items: Iterable[T], most: int, seed: int = 0) -> list[T]:
    """At most `most` of the items in their order, each with the same chance (Vitter 1985, algorithm R)."""
    draw = random.Random(seed)
    kept: list[tuple[int, T]] = []
    for number, item in enumerate(items):
        if number < most:
            kept.append((number, item))
        elif (place := draw.randrange(number + 1)) < most:
            kept[place] = (number, item)
    return [item for _, item in sorted(kept, key=lambda one: one[0])]
