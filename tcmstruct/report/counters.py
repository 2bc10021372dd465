"""Counters of bounded size: what a report holds does not grow with the number of records."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

MAX_KEYS = 512
"""Distinct keys that a counter keeps (values of a field, departments, codes); further ones are counted as others."""
MAX_KEY_LENGTH = 80
"""Characters of a value that a counter keeps."""
MAX_DISTINCT = 2048
"""Distinct figures that are kept as they are; where more come, all are kept to fewer significant digits."""
PER_DAY = "次/日"
"""Unit of a frequency once it is a number."""

_FREQUENCY = re.compile(r"(\d{1,4})-(\d{1,4})/(\d{1,4})")


class Capped:
    """A counter of at most `MAX_KEYS` keys; what comes after is counted together in `others`."""

    __slots__ = ("counts", "others")

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.others = 0

    def add(self, key: str) -> None:
        counts = self.counts
        if key in counts:  # nearly always, and in a report over a million records this line runs a hundred million times
            counts[key] += 1
            return
        if len(key) > MAX_KEY_LENGTH:
            key = key[:MAX_KEY_LENGTH] + "…"
        if key in counts or len(counts) < MAX_KEYS:
            counts[key] += 1
        else:
            self.others += 1

    def top(self, n: int | None = None) -> list[tuple[str, int]]:
        """The n commonest keys, ties in the keys' order."""
        return sorted(self.counts.items(), key=lambda kv: (-kv[1], kv[0]))[:n]

    def rest(self, n: int) -> int:
        """Occurrences outside the n commonest keys."""
        return self.others + sum(self.counts.values()) - sum(count for _, count in self.top(n))


@dataclass(slots=True)
class Confidence:
    """Histogram and sum of confidences in [0, 1]; a value without one is only counted."""

    bins: list[int]
    n: int = 0
    total: float = 0.0

    def add(self, value: object) -> None:
        if type(value) is not float or not 0.0 <= value < 1.0:
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                return
            value = min(1.0, max(0.0, value))
        bins = self.bins
        bins[int(value * len(bins)) if value < 1.0 else -1] += 1
        self.n += 1
        self.total += value

    @property
    def mean(self) -> float | None:
        return self.total / self.n if self.n else None


@dataclass(slots=True)
class Numbers:
    """Figures of one field in one unit, for their distribution.

    Clinical figures have few distinct values (a temperature some ninety), which are counted exactly. Past `MAX_DISTINCT` they are kept
    to three significant digits (an error of at most 0.5 %), then to two, then to one.

    Attributes:
        counts: figure → how often.
        digits: significant digits that are kept; None while all are exact.
    """

    counts: Counter[float] = field(default_factory=Counter)
    n: int = 0
    digits: int | None = None

    def add(self, value: float) -> None:
        """Counts a figure; one that is not finite is left out."""
        if not math.isfinite(value):
            return
        self.n += 1
        self.counts[_rounded(value, self.digits)] += 1
        while len(self.counts) > MAX_DISTINCT and self.digits != 1:
            self.digits = 3 if self.digits is None else self.digits - 1
            coarser: Counter[float] = Counter()
            for one, count in self.counts.items():
                coarser[_rounded(one, self.digits)] += count
            self.counts = coarser

    def quantiles(self, shares: Sequence[float]) -> list[float]:
        """Quantiles by linear interpolation between order statistics (type 7 of Hyndman and Fan 1996, numpy's default)."""
        ordered = sorted(self.counts.items())
        return [_at(ordered, (self.n - 1) * share) for share in shares]

    def outside(self, low: float, high: float) -> int:
        """How many lie outside [low, high]."""
        return sum(count for value, count in self.counts.items() if not low <= value <= high)


def values_of(value: object) -> list[str]:
    """The single values of a field's value as text: several stay several, 6.0 is 6."""
    if type(value) is str:
        return [value]
    if value is None:
        return []
    if isinstance(value, list | tuple):
        return [one for part in value for one in values_of(part)]
    if isinstance(value, float) and value.is_integer():
        return [str(int(value))]
    return [str(value)]


def number_of(value: object, unit: object) -> tuple[float, str] | None:
    """A field's value as (figure, unit) where it is one: 38.6 ℃, or "2-3/1" (2 to 3 times in 1 day) as the 2.5 in its middle."""
    if isinstance(value, int | float):
        return None if isinstance(value, bool) else (float(value), str(unit or ""))
    if isinstance(value, str) and value[:1].isdigit() and (found := _FREQUENCY.fullmatch(value)):
        low, high, days = map(int, found.groups())
        return ((low + high) / 2 / days, PER_DAY) if days else None
    return None


def _rounded(value: float, digits: int | None) -> float:
    return value if digits is None else float(f"{value:.{digits}g}")


def _at(ordered: Sequence[tuple[float, int]], place: float) -> float:
    """The figure at a place of the sorted figures, counted from 0; between two of them it is between."""
    whole = math.floor(place)
    seen = 0
    for number, (value, count) in enumerate(ordered):
        seen += count
        if seen > whole:
            following = value if seen > whole + 1 or number + 1 == len(ordered) else ordered[number + 1][0]
            return value + (following - value) * (place - whole)
    raise ValueError("no figures")
