"""Counts what a batch produced in one pass and in memory that does not grow with the number of records."""

from __future__ import annotations

import heapq
import json
import math
import random
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tcmstruct.report.charts import N_BINS

MAX_KEYS = 512
"""Distinct keys that a counter keeps (values of a field, departments, codes); further ones are counted as others."""
MAX_FIELDS = 2000
"""Fields that get a tally of their own."""
MAX_KEY_LENGTH = 80
"""Characters of a value that a counter keeps."""
N_FIELD_BINS = 10
CONFLICT_KEYS = ("field", "text", "image", "confidence")
MAX_CONFLICTS = 50
"""Conflicts of photograph and text that the report lists one by one."""


class Capped:
    """A counter of at most `MAX_KEYS` keys; what comes after is counted together in `others`."""

    __slots__ = ("counts", "others")

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.others = 0

    def add(self, key: str) -> None:
        if len(key) > MAX_KEY_LENGTH:
            key = key[:MAX_KEY_LENGTH] + "…"
        if key in self.counts or len(self.counts) < MAX_KEYS:
            self.counts[key] += 1
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
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            clipped = min(1.0, max(0.0, value))
            self.bins[min(len(self.bins) - 1, int(clipped * len(self.bins)))] += 1
            self.n += 1
            self.total += clipped

    @property
    def mean(self) -> float | None:
        return self.total / self.n if self.n else None


@dataclass(slots=True)
class FieldTally:
    """One field over the batch."""

    n: int = 0
    review: int = 0
    values: Capped = field(default_factory=Capped)
    confidence: Confidence = field(default_factory=lambda: Confidence([0] * N_FIELD_BINS))

    @property
    def yes_no(self) -> bool:
        """Whether nothing but 有 and 无 was seen."""
        return bool(self.values.counts) and self.values.counts.keys() <= {"有", "无"}


@dataclass(slots=True)
class DeptTally:
    """One department over the batch."""

    records: int = 0
    values: int = 0
    review: int = 0
    warned: int = 0


@dataclass(slots=True)
class Tally:
    """Everything the report says about the records.

    Attributes:
        n_sample_low, n_sample_any: records kept for display, by lowest confidence and at random (seeded).
        photos: records whose photograph was used.
        contested: (id, field, text, photo, confidence) of the first conflicts of photo and text, at most `MAX_CONFLICTS`.
        has_text: whether any record carries its text.
    """

    n_sample_low: int = 40
    n_sample_any: int = 10
    seed: int = 0
    records: int = 0
    warned: int = 0
    values: int = 0
    review: int = 0
    records_with_review: int = 0
    conflicts: int = 0
    photos: int = 0
    contested: list[tuple[str, ...]] = field(default_factory=list)
    has_text: bool = False
    characters: int = 0
    confidence: Confidence = field(default_factory=lambda: Confidence([0] * N_BINS))
    mention_confidence: Confidence = field(default_factory=lambda: Confidence([0] * N_BINS))
    fields: dict[str, FieldTally] = field(default_factory=dict)
    unlisted_values: int = 0
    depts: dict[str, DeptTally] = field(default_factory=dict)
    types: Capped = field(default_factory=Capped)
    statuses: Capped = field(default_factory=Capped)
    warnings: Capped = field(default_factory=Capped)
    sources: Capped = field(default_factory=Capped)
    models: Capped = field(default_factory=Capped)
    schemas: Capped = field(default_factory=Capped)
    _low: list[tuple[float, int, str]] = field(default_factory=list)
    _any: list[tuple[int, str]] = field(default_factory=list)
    _random: random.Random | None = None

    def add(self, row: int, line: str, record: Mapping[str, Any]) -> None:
        """Counts one parsed line of `records.jsonl`."""
        self.records += 1
        text = record.get("text")
        if isinstance(text, str) and text:
            self.has_text = True
            self.characters += len(text)
        lowest, review = self._add_fields(_mapping(record.get("fields")))
        for mention in _items(record.get("entities")):
            self.types.add(str(mention.get("type", "")))
            if mention.get("status"):
                self.statuses.add(str(mention["status"]))
            self.mention_confidence.add(mention.get("confidence"))
        warnings = record.get("warnings") or ()
        for code in {warning_code(w) for w in warnings}:
            self.warnings.add(code)
        self.warned += bool(warnings)
        self.records_with_review += bool(review)
        self.photos += isinstance(record.get("tongue"), Mapping)
        found = conflicts(record)
        self.conflicts += len(found)
        room = MAX_CONFLICTS - len(self.contested)
        self.contested += [(str(record.get("id", "")), *("；".join(values_of(one.get(key))) for key in CONFLICT_KEYS))
                           for one in found[:room] if isinstance(one, Mapping)]
        self._add_dept(str(record.get("dept") or ""), len(_mapping(record.get("fields"))), review, bool(warnings))
        for name, counter in (("model", self.models), ("schema", self.schemas)):
            if record.get(name):
                counter.add(str(record[name]))
        self._sample(row, lowest, line)

    def _add_fields(self, fields: Mapping[str, Any]) -> tuple[float, int]:
        lowest, review = 2.0, 0
        for name, value in fields.items():
            if not isinstance(value, Mapping):
                continue
            self.values += 1
            flagged = bool(value.get("review"))
            review += flagged
            confidence = value.get("confidence")
            self.confidence.add(confidence)
            if isinstance(confidence, int | float):
                lowest = min(lowest, confidence)
            self.sources.add(str(value.get("source") or "text"))
            tally = self.fields.get(name)
            if tally is None:
                if len(self.fields) >= MAX_FIELDS:
                    self.unlisted_values += 1
                    continue
                tally = self.fields[name] = FieldTally()
            tally.n += 1
            tally.review += flagged
            tally.confidence.add(confidence)
            for one in values_of(value.get("value")):
                tally.values.add(one)
        self.review += review
        return lowest, review

    def _add_dept(self, name: str, values: int, review: int, warned: bool) -> None:
        if name not in self.depts and len(self.depts) >= MAX_KEYS:
            name = "…"
        dept = self.depts.setdefault(name, DeptTally())
        dept.records += 1
        dept.values += values
        dept.review += review
        dept.warned += warned

    def _sample(self, row: int, lowest: float, line: str) -> None:
        """Keeps the lowest confidences (heap) and a uniform sample (reservoir, algorithm R of Vitter 1985)."""
        if self.n_sample_low:
            item = (-lowest, -row, line)
            if len(self._low) < self.n_sample_low:
                heapq.heappush(self._low, item)
            elif item > self._low[0]:
                heapq.heapreplace(self._low, item)
        if self._random is None:
            self._random = random.Random(self.seed)
        if len(self._any) < self.n_sample_any:
            self._any.append((row, line))
        elif self.n_sample_any and (at := self._random.randrange(self.records)) < self.n_sample_any:
            self._any[at] = (row, line)

    def sample(self) -> list[tuple[int, dict[str, Any]]]:
        """(row, record) of the records kept: lowest confidence first, then the random ones; none twice."""
        low = [(-row, line) for _, row, line in sorted(self._low, reverse=True)]
        rows = {row for row, _ in low}
        rest = sorted(item for item in self._any if item[0] not in rows)
        return [(row, json.loads(line)) for row, line in (*low, *rest)]


@dataclass(slots=True)
class RejectTally:
    """Rejects by code."""

    n: int = 0
    codes: Capped = field(default_factory=Capped)
    reasons: dict[str, str] = field(default_factory=dict)
    places: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reject: Mapping[str, Any]) -> None:
        """Counts one line of `rejects.jsonl`; keeps the first reason and the first places of each code."""
        self.n += 1
        code = str(reject.get("code") or "unknown")
        self.codes.add(code)
        if code not in self.codes.counts:
            return
        reason = reject.get("reason") or reject.get("message") or reject.get("what") or reject.get("error") or ""
        self.reasons.setdefault(code, str(reason)[:300])
        places = self.places.setdefault(code, [])
        if len(places) < 5 and (place := reject.get("where") or reject.get("id")):
            places.append(str(place)[:120])


def count(lines: Iterable[tuple[int, str, Mapping[str, Any]]], tally: Tally) -> Tally:
    """Adds every line to a tally, one at a time, and returns it."""
    for row, line, record in lines:
        tally.add(row, line, record)
    return tally


def values_of(value: object) -> list[str]:
    """The single values of a field's value as text: several stay several, 6.0 is 6."""
    if value is None:
        return []
    if isinstance(value, list | tuple):
        return [one for part in value for one in values_of(part)]
    if isinstance(value, float) and value.is_integer():
        return [str(int(value))]
    return [str(value)]


def warning_code(warning: object) -> str:
    """Code of a warning: the `code` of an object, else what stands before the first colon."""
    if isinstance(warning, Mapping):
        return str(warning.get("code") or "unknown")
    return str(warning).split(":", 1)[0].split("：", 1)[0].strip()


def conflicts(record: Mapping[str, Any]) -> list[Any]:
    """Conflicts between text and photograph that a record carries."""
    found = _mapping(record.get("tongue")).get("conflicts")
    return list(found) if isinstance(found, list | tuple) else []


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _items(value: object) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list | tuple) else []
