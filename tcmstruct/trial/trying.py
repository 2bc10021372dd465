"""Fields on records: how many state them, which values come out, and where their words stand without one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, TypeVar

from tcmstruct.record import FieldValue, Value
from tcmstruct.schema.engine import Schema
from tcmstruct.schema.lexicon import NO
from tcmstruct.schema.why import explain
from tcmstruct.trial.records import TrialRecord

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Hit:
    """A value, and the record (its place in the trial) and words it came from."""

    record: int
    value: FieldValue


@dataclass(frozen=True, slots=True)
class NearMiss:
    """Words of the field in a record that got no value; `reason` and `given` as in `schema.why.Miss`."""

    record: int
    start: int
    end: int
    reason: str
    given: tuple[str, ...] = ()


@dataclass(slots=True)
class FieldTrial:
    """What a field gave.

    Attributes:
        records: how many were read.
        stated: with a value; `denied` of them with 无. The others are 未提及.
        values: each value with its number of records, the most frequent first.
        hits, misses: all of them, in the order of the records; a record is in one of them at most.
    """

    name: str
    type: str
    unit: str | None
    records: int = 0
    denied: int = 0
    hits: list[Hit] = field(default_factory=list)
    misses: list[NearMiss] = field(default_factory=list)

    @property
    def stated(self) -> int:
        return len(self.hits)

    @property
    def values(self) -> list[tuple[str, int]]:
        counts = Counter(one for hit in self.hits for one in shown_values(hit.value.value))
        return sorted(counts.items(), key=lambda one: (-one[1], one[0]))

    @property
    def reasons(self) -> list[tuple[str, int]]:
        return Counter(miss.reason for miss in self.misses).most_common()

    @property
    def figures(self) -> tuple[float, float, float] | None:
        """Least, median and greatest figure of a number field."""
        found = [float(hit.value.value) for hit in self.hits if isinstance(hit.value.value, int | float)]
        return (min(found), median(found), max(found)) if found else None

    def some_hits(self, most: int) -> list[Hit]:
        return spread(self.hits, most, lambda hit: tuple(shown_values(hit.value.value)))

    def some_misses(self, most: int) -> list[NearMiss]:
        return spread(self.misses, most, lambda miss: miss.reason)

    def to_dict(self) -> dict[str, Any]:
        """Counts alone, without a word of a record."""
        return {"name": self.name, "type": self.type, "unit": self.unit, "records": self.records, "stated": self.stated,
                "denied": self.denied, "missing": self.records - self.stated, "values": self.values, "figures": self.figures,
                "near_misses": len(self.misses), "reasons": self.reasons}


def try_fields(schema: Schema, names: Sequence[str], records: Sequence[TrialRecord],
               explained: Sequence[str] | None = None) -> dict[str, FieldTrial]:
    """Reads every record once for all fields.

    Args:
        names: fields of `schema`.
        explained: fields whose near misses are looked for; None: all of `names`.
    """
    trials = {name: FieldTrial(name, schema.fields[name].type, schema.fields[name].unit, len(records)) for name in names}
    for number, record in enumerate(records):
        values, misses = explain(schema, record.text, record.mentions, names, explained)
        for name, value in values.items():
            trials[name].hits.append(Hit(number, value))
            trials[name].denied += NO in shown_values(value.value)
        for name, miss in misses.items():
            trials[name].misses.append(NearMiss(number, miss.start, miss.end, miss.reason, miss.given))
    return trials


def shown_values(value: Value) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else [f"{value:g}" if isinstance(value, float) else str(value)]


def spread(items: Sequence[T], most: int, kind: Callable[[T], Hashable]) -> list[T]:
    """Some of the items so that rare kinds are seen: one of each kind in turn, within a kind evenly spaced; in their order."""
    kinds: dict[Hashable, list[int]] = {}
    for number, item in enumerate(items):
        kinds.setdefault(kind(item), []).append(number)
    share, rest = dict.fromkeys(kinds, 0), min(most, len(items))
    while rest:
        for one, own in kinds.items():
            if rest and share[one] < len(own):
                share[one] += 1
                rest -= 1
    picked = [own[len(own) * step // n] for one, own in kinds.items() if (n := share[one]) for step in range(n)]
    return [items[number] for number in sorted(picked)]
