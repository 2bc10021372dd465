"""Visits by month, and what was written in each, from the date that the input's own columns give."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

DATE_COLUMNS: tuple[str, ...] = (
    "就诊日期", "就诊时间", "就诊日期时间", "visit_datetime", "visit_date", "挂号日期", "接诊日期", "接诊时间", "门诊日期",
    "入院日期", "入院时间", "入院日期时间", "admission_date", "住院日期", "记录日期", "记录时间", "记录日期时间", "日期", "date")
"""Columns that say when a visit was, the surest first; a date of birth or discharge says something else."""
MAX_MONTHS = 600
MAX_SERIES = 60_000
"""Counters of (field, value, month) that are kept."""

_DATE = re.compile(r"\s*((?:19|20)\d\d)(?:\s*[-/.年]\s*(\d{1,2})(?!\d)|(\d\d)\d\d(?!\d))")


def month_of(extra: Mapping[str, object]) -> tuple[str, str] | None:
    """(column, "2025-03") of the first date column that holds a date: 2025-03-07, 2025/3/7, 2025年3月7日, 20250307, with a time or not."""
    for column in DATE_COLUMNS:
        found = _DATE.match(str(extra[column])) if column in extra else None
        if found:
            month = int(found[2] or found[3])
            if 1 <= month <= 12:
                return column, f"{found[1]}-{month:02}"
    return None


@dataclass(slots=True)
class Months:
    """Counts by month.

    Attributes:
        visits: month → records.
        columns: date column → records that were dated by it.
        stated: (field, month) → records that state the field.
        values: (field, value, month) → records, the first `MAX_SERIES` keys.
        capped: there were more months or more keys.
    """

    visits: Counter[str] = field(default_factory=Counter)
    columns: Counter[str] = field(default_factory=Counter)
    stated: Counter[tuple[str, str]] = field(default_factory=Counter)
    values: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    capped: bool = False

    def add(self, extra: Mapping[str, object]) -> str | None:
        """Counts a visit; its month, or None where it has no date or too many months were seen."""
        found = month_of(extra)
        if found is None:
            return None
        column, month = found
        if month not in self.visits and len(self.visits) >= MAX_MONTHS:
            self.capped = True
            return None
        self.visits[month] += 1
        self.columns[column] += 1
        return month

    def add_value(self, month: str, name: str, values: Iterable[str]) -> None:
        """Counts a field's single values, each once, in a month that `add` gave."""
        self.stated[name, month] += 1
        for value in values:
            key = (name, value, month)
            if key in self.values or len(self.values) < MAX_SERIES:
                self.values[key] += 1
            else:
                self.capped = True

    def span(self) -> list[str]:
        """Every month from the first to the last, those without visits too."""
        if not self.visits:
            return []
        (year, month), (last_year, last_month) = (map(int, one.split("-")) for one in (min(self.visits), max(self.visits)))
        first, last = year * 12 + month - 1, last_year * 12 + last_month - 1
        return [f"{at // 12}-{at % 12 + 1:02}" for at in range(first, last + 1)]
