"""Intervals over seeds, paired differences, and cells of a Markdown table."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

NONE = "–"


def over_seeds(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and half-width of its 95 % interval (Student's t over the seeds); None with fewer than two values.

    Raises:
        ValueError: no value.
    """
    if not values:
        raise ValueError("no value to average")
    mean = statistics.fmean(values)
    if len(values) < 2:
        return mean, None
    from scipy import stats

    return mean, float(stats.t.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / math.sqrt(len(values))


def paired(ours: Mapping[int, float], other: Mapping[int, float]) -> tuple[float, float | None, int] | None:
    """Mean difference ours − other over the seeds that both have, half-width of its 95 % interval, and how many they are."""
    common = sorted(ours.keys() & other.keys())
    if not common:
        return None
    return *over_seeds([ours[s] - other[s] for s in common]), len(common)


def plus_minus(values: Sequence[float], digits: int = 1, factor: float = 1.0) -> str:
    """84.8 ± 0.6; 84.8 (one seed); – for nothing."""
    if not values:
        return NONE
    mean, half = over_seeds([factor * v for v in values])
    return f"{mean:.{digits}f} (one seed)" if half is None else f"{mean:.{digits}f} ± {half:.{digits}f}"


def difference(ours: Mapping[int, float], other: Mapping[int, float], digits: int = 1, factor: float = 1.0) -> str:
    """+0.4 ± 0.2; +0.4 (one seed); – where no seed is common."""
    found = paired({s: factor * v for s, v in ours.items()}, {s: factor * v for s, v in other.items()})
    if found is None:
        return NONE
    mean, half, _ = found
    return f"{mean:+.{digits}f} (one seed)" if half is None else f"{mean:+.{digits}f} ± {half:.{digits}f}"


def estimate(value: Sequence[float | None] | None, factor: float = 100.0) -> str:
    """[value, low, high] → 84.8 [82.7, 87.0]; – where nothing was measured."""
    if value is None or value[0] is None:
        return NONE
    point, low, high = value
    return f"{factor * point:.1f}" + ("" if low is None or high is None else f" [{factor * low:.1f}, {factor * high:.1f}]")


def middle(values: Sequence[float], digits: int = 1) -> str:
    """Median (lowest–highest), or the one value."""
    if not values:
        return NONE
    spread = f" ({min(values):.{digits}f}–{max(values):.{digits}f})" if len(values) > 1 else ""
    return f"{statistics.median(values):.{digits}f}{spread}"


def number(value: float | None, digits: int = 0) -> str:
    return NONE if value is None else f"{value:,.{digits}f}"


def millions(count: float | None) -> str:
    """1,234,567 → 1.2 (a small count with more digits)."""
    if count is None:
        return NONE
    return f"{count / 1e6:.1f}" if count >= 1e7 else f"{count / 1e6:.2f}" if count >= 1e5 else f"{count / 1e6:.3f}"


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """First row is the head, first column is text.

    Raises:
        ValueError: a row has another number of cells than the head.
    """
    head, *body = rows
    for row in body:
        if len(row) != len(head):
            raise ValueError(f"a row of {len(row)} cells under a head of {len(head)}")
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
                     for row in (head, ["---", *["--:"] * (len(head) - 1)], *body))
