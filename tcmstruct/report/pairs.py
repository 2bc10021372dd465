"""How often a syndrome and a sign of tongue or pulse stand in the same record, and by how much that differs from chance."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tcmstruct.report.counters import values_of

SYNDROME_TYPE = "证候"
SYNDROME_SYSTEM = "GB/T 16751.2-2021"
"""Only names of the standard are counted, never the words of a record: the report shows no free text."""
SYNDROME_FIELDS = frozenset(("证候", "证型", "辨证", "辨证分型", "中医证候", "中医证型"))
"""Fields of own packs that say a syndrome."""
SIGNS = "舌苔脉"
"""First characters of the fields of tongue and pulse."""
MAX_SYNDROMES, MAX_FIELDS, MAX_VALUES = 300, 12, 64
MIN_CELL = 5
"""Records below which a cell has no statistics."""
MIN_EXPECTED, SURE_EXPECTED = 1.0, 5.0
"""Expected records below which there is no residual, and below which it is marked as rough (Cochran 1954)."""
Z = 1.959964
"""Quantile of the normal distribution for 95 %."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A syndrome and a sign, within the records that state any of both kinds.

    Attributes:
        n: records with both.
        share: of the records with the syndrome, those with the sign.
        interval: 95 % interval of `share` (Wilson 1927).
        lift: share over the share of the sign in all of these records; 1 is chance.
        expected: records with both if the two had nothing to do with each other.
        residual: adjusted standardised residual (Haberman 1973), about normal where there is no association; None where
            fewer than `MIN_EXPECTED` records are expected, rough where fewer than `SURE_EXPECTED` are.
    """

    syndrome: str
    sign: str
    n: int
    share: float
    interval: tuple[float, float]
    lift: float
    expected: float
    residual: float | None


@dataclass(slots=True)
class SignTally:
    """A field of tongue or pulse beside the syndromes: n records state both kinds."""

    n: int = 0
    syndromes: Counter[str] = field(default_factory=Counter)
    signs: Counter[str] = field(default_factory=Counter)
    both: Counter[tuple[str, str]] = field(default_factory=Counter)

    def cell(self, syndrome: str, sign: str) -> Cell | None:
        """The statistics of a cell; None where it holds fewer than `MIN_CELL` records."""
        n, row, column = self.both[syndrome, sign], self.syndromes[syndrome], self.signs[sign]
        if n < MIN_CELL:
            return None
        expected = row * column / self.n
        return Cell(syndrome, sign, n, n / row, wilson(n, row), n / expected, expected, residual(n, row, column, self.n))


@dataclass(slots=True)
class Pairs:
    """Syndromes against every field of tongue and pulse.

    Attributes:
        stated: records with a syndrome of the standard.
        uncoded: records whose syndromes are in other words than the standard's; they are not in the tables.
        capped: a syndrome, field or sign beyond what is kept was left out.
    """

    stated: int = 0
    uncoded: int = 0
    capped: bool = False
    fields: dict[str, SignTally] = field(default_factory=dict)
    _syndromes: set[str] = field(default_factory=set)

    def add(self, record: Mapping[str, Any]) -> None:
        """Counts a parsed line of `records.jsonl`."""
        found, uncoded = syndromes_of(record)
        self.uncoded += uncoded and not found
        syndromes = {one for one in found if self._kept(self._syndromes, one, MAX_SYNDROMES)}
        fields = record.get("fields")
        if not syndromes or not isinstance(fields, Mapping):
            return
        self.stated += 1
        for name, value in fields.items():
            if name[:1] not in SIGNS or not isinstance(value, Mapping):
                continue
            if name not in self.fields and len(self.fields) >= MAX_FIELDS:
                self.capped = True
                continue
            tally = self.fields.setdefault(name, SignTally())
            signs = {one for one in values_of(value.get("value")) if self._kept(tally.signs, one, MAX_VALUES)}
            if signs:
                tally.n += 1
                tally.syndromes.update(syndromes)
                tally.signs.update(signs)
                tally.both.update((syndrome, sign) for syndrome in syndromes for sign in signs)

    def _kept(self, known: Any, key: str, most: int) -> bool:
        if key not in known:
            if len(known) >= most:
                self.capped = True
                return False
            if isinstance(known, set):
                known.add(key)
        return True


def syndromes_of(record: Mapping[str, Any]) -> tuple[set[str], bool]:
    """The standard's names of the syndromes that a record states, and whether it states one in other words."""
    found, uncoded = set(), False
    for mention in record.get("entities") or ():
        if isinstance(mention, Mapping) and mention.get("type") == SYNDROME_TYPE:
            codes = [code for code in mention.get("codes") or () if isinstance(code, Mapping)]
            found.update(str(code["name"]) for code in codes if code.get("system") == SYNDROME_SYSTEM and code.get("name"))
            uncoded |= not codes
    fields = record.get("fields")
    for name in SYNDROME_FIELDS.intersection(fields if isinstance(fields, Mapping) else ()):
        if isinstance(fields[name], Mapping):
            found.update(values_of(fields[name].get("value")))
    return found, uncoded


def wilson(k: int, n: int, z: float = Z) -> tuple[float, float]:
    """Score interval of a share k / n (Wilson 1927)."""
    share = k / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, middle - half), min(1.0, middle + half)


def residual(n: int, row: int, column: int, whole: int) -> float | None:
    """Adjusted standardised residual of a cell (Haberman 1973); None where it means nothing."""
    expected = row * column / whole
    spread = expected * (1 - row / whole) * (1 - column / whole)
    return (n - expected) / math.sqrt(spread) if expected >= MIN_EXPECTED and spread > 0 else None
