"""Counts what a batch produced in one pass and in memory that does not grow with the number of records."""

from __future__ import annotations

import heapq
import json
import random
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tcmstruct.report.charts import N_BINS
from tcmstruct.report.counters import Capped, Confidence, Numbers, number_of, values_of
from tcmstruct.report.months import Months
from tcmstruct.report.pairs import Pairs

MAX_FIELDS = 2000
"""Fields that get a tally of their own."""
MAX_DEPTS = 128
OTHER_DEPTS = "…"
"""Departments beyond `MAX_DEPTS` together."""
MAX_UNITS = 4
"""Units of one field that are told apart."""
N_FIELD_BINS = 10
CONFLICT_KEYS = ("field", "text", "image", "confidence")
MAX_CONFLICTS = 50
"""Conflicts of photograph and text that the report lists one by one."""


@dataclass(slots=True)
class FieldTally:
    """One field over the batch.

    Attributes:
        n: records that state it.
        several: records that state more than one value.
        values: single value → records.
        numbers: unit → figures, for a field whose values are numbers or frequencies.
    """

    n: int = 0
    review: int = 0
    several: int = 0
    values: Capped = field(default_factory=Capped)
    numbers: dict[str, Numbers] = field(default_factory=dict)
    confidence: Confidence = field(default_factory=lambda: Confidence([0] * N_FIELD_BINS))

    @property
    def yes_no(self) -> bool:
        """Whether nothing but 有 and 无 was seen."""
        return bool(self.values.counts) and self.values.counts.keys() <= {"有", "无"}

    @property
    def numeric(self) -> bool:
        """Whether its values are figures."""
        return bool(self.numbers) and 2 * sum(one.n for one in self.numbers.values()) > self.n

    def add(self, value: object, unit: object) -> list[str]:
        """Counts a value; its single values, each once."""
        self.n += 1
        figure = number_of(value, unit)
        if figure is not None and (figure[1] in self.numbers or len(self.numbers) < MAX_UNITS):
            self.numbers.setdefault(figure[1], Numbers()).add(figure[0])
        values = values_of(value)
        if len(values) > 1:
            values = list(dict.fromkeys(values))
        self.several += len(values) > 1
        for one in values:
            self.values.add(one)
        return values


@dataclass(slots=True)
class DeptTally:
    """One department over the batch; fields: records that state each."""

    records: int = 0
    values: int = 0
    review: int = 0
    warned: int = 0
    fields: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Tally:
    """Everything the report says about the records.

    Attributes:
        n_sample_low, n_sample_any: records kept for display, by lowest confidence and at random (seeded).
        photos: records whose photograph was used.
        contested: (id, field, text, photo, confidence) of the first conflicts of photo and text, at most `MAX_CONFLICTS`.
        has_text: whether any record carries its text.
        pairs: syndromes beside signs of tongue and pulse.
        months: visits and values by month, where the input's columns say when.
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
    pairs: Pairs = field(default_factory=Pairs)
    months: Months = field(default_factory=Months)
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
        fields = _mapping(record.get("fields"))
        lowest, review = self._add_fields(fields, self.months.add(_mapping(record.get("extra"))))
        self.pairs.add(record)
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
        self._add_dept(str(record.get("dept") or ""), fields, review, bool(warnings))
        for name, counter in (("model", self.models), ("schema", self.schemas)):
            if record.get(name):
                counter.add(str(record[name]))
        self._sample(row, lowest, line)

    def _add_fields(self, fields: Mapping[str, Any], month: str | None) -> tuple[float, int]:
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
            tally.review += flagged
            tally.confidence.add(confidence)
            values = tally.add(value.get("value"), value.get("unit"))
            if month is not None:
                self.months.add_value(month, name, values)
        self.review += review
        return lowest, review

    def _add_dept(self, name: str, fields: Mapping[str, Any], review: int, warned: bool) -> None:
        if name not in self.depts and len(self.depts) >= MAX_DEPTS:
            name = OTHER_DEPTS
        dept = self.depts.setdefault(name, DeptTally())
        dept.records += 1
        dept.values += len(fields)
        dept.fields.update(one for one in fields if one in self.fields)
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
