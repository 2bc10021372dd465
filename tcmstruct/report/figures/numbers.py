"""Figures of numeric fields: histogram and box, with what may be told of the edges."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tcmstruct.report.cells import LIMIT, Cells
from tcmstruct.report.counters import Numbers
from tcmstruct.report.figures.drawing import Drawing, Figure, slug
from tcmstruct.report.tally import FieldTally

MOST_BINS = 16
WIDTH = 420
_LEFT, _RIGHT, _TALL = 44, 16, 130
Bin = tuple[float, float, int]
"""(low, high, n): figures in [low, high), the last bin with its end."""


def number(name: str, tally: FieldTally, allowed: tuple[float, float] | None, cells: Cells) -> Figure:
    """The distribution of a number in its commonest unit.

    Unless `identified`, quantiles are shown that have at least `LIMIT` figures on both sides, the thin ends are one open bin each, and
    the smallest and largest figure, which may be one person's, are not told (top and bottom coding).
    """
    unit, numbers = max(tally.numbers.items(), key=lambda kv: kv[1].n)
    marks = _quantiles(numbers, cells)
    low, high = min(numbers.counts), max(numbers.counts)
    said = cells.one(numbers.n)
    title = f"{name} · 分布 distribution" + (f"（{unit}）" if unit else "")
    facts = [("n", said.text), ("中位数 median", marks["50"]), ("四分位 quartiles", _span(marks["25"], marks["75"]))]
    if cells.identified:
        facts.append(("范围 range", f"{_told(low)} – {_told(high)}"))
    else:
        facts.append(("第 5–95 百分位 percentiles", _span(marks["5"], marks["95"])))
    if allowed is not None:
        facts.append((f"超出 outside {_told(allowed[0])}–{_told(allowed[1])}", cells.one(numbers.outside(*allowed)).text))
    if len(tally.numbers) > 1:
        facts.append(("其他单位 in other units", cells.one(sum(one.n for key, one in tally.numbers.items() if key != unit)).text))
    drawing = Drawing(WIDTH)
    top = drawing.heading(title, " · ".join(f"{name} {value}" for name, value in facts[:3]))
    rows: list[Sequence[str]] = [(key, value) for key, value in facts]
    height = top
    if not said.small:
        shown, points = bins_of(numbers, 2 if cells.identified else LIMIT)
        shown = shown if cells.identified else merged_ends(shown)
        labels = labels_of(shown, points, open_ends=not cells.identified)
        height = _draw(drawing, top, shown, labels, cells)
        if cells.identified and len(shown) > 1:
            height = _box(drawing, height + 14, shown, points, numbers)
        rows += [(f"{label} {unit}".strip(), cells.one(n).text) for label, (_, _, n) in zip(labels, shown, strict=True)]
    told = "；".join(f"{key} {value}" for key, value in facts)
    note = None
    if numbers.digits is not None:
        note = (f"数值种类极多，按 {numbers.digits} 位有效数字计。",
                f"Very many distinct figures: kept to {numbers.digits} significant digits.")
    key = slug(f"number-{name}")
    return Figure(key, title, name, drawing.svg(height + 8, key, title, told), ("量 quantity", "值 value"), rows, note)


def in_short(tally: FieldTally, cells: Cells) -> list[tuple[str, str]]:
    """(figure, what it is): median and quartiles for a line of a table, as far as they may be told."""
    unit, numbers = max(tally.numbers.items(), key=lambda kv: kv[1].n)
    marks = _quantiles(numbers, cells)
    if marks["50"] == "–":
        return []
    return [(f"{marks['50']} {unit}".strip(), "中位 median"), (_span(marks["25"], marks["75"]), "四分位 quartiles")]


def merged_ends(bins: Sequence[Bin]) -> list[Bin]:
    """The bins with thin ones at both ends made one, until the ends hold `LIMIT` figures."""
    out = list(bins)
    while len(out) > 1 and out[0][2] < LIMIT:
        out[:2] = [(out[0][0], out[1][1], out[0][2] + out[1][2])]
    while len(out) > 1 and out[-1][2] < LIMIT:
        out[-2:] = [(out[-2][0], out[-1][1], out[-2][2] + out[-1][2])]
    return out


def nice_step(span: float, most: int) -> float:
    """The smallest of 1, 2, 2.5, 5 times a power of ten that cuts a span into at most `most` pieces."""
    power = 10.0 ** math.floor(math.log10(span / most))
    return next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor * most >= span * (1 - 1e-9))


def _quantiles(numbers: Numbers, cells: Cells) -> dict[str, str]:
    percents = (5, 25, 50, 75, 95)
    found = numbers.quantiles([p / 100 for p in percents])
    beyond = {p: min(p, 100 - p) / 100 * numbers.n for p in percents}
    return {str(p): _told(value) if cells.identified or beyond[p] >= LIMIT else "–" for p, value in zip(percents, found, strict=True)}


def bins_of(numbers: Numbers, each: int) -> tuple[list[Bin], bool]:
    """Equal bins with round edges, so many that one holds about `each` figures; or, of few whole figures, a bin for each of them.

    Returns:
        (bins, whether each is one figure, low = high)
    """
    low, high = min(numbers.counts), max(numbers.counts)
    most = max(3, min(MOST_BINS, numbers.n // each, math.ceil(math.log2(numbers.n)) + 6))
    if low == high or (high - low < most and all(value.is_integer() for value in numbers.counts)):
        steps = range(int(high - low) + 1)
        return [(low + step, low + step, numbers.counts[low + step]) for step in steps], True
    step = nice_step(high - low, most)
    first = math.floor(low / step + 1e-9)
    counts = [0] * max(1, math.ceil(high / step - 1e-9) - first)
    for value, n in numbers.counts.items():
        counts[min(len(counts) - 1, int(value / step - first + 1e-9))] += n
    return [((first + i) * step, (first + i + 1) * step, n) for i, n in enumerate(counts)], False


def labels_of(bins: Sequence[Bin], points: bool, open_ends: bool) -> list[str]:
    """What the bins are called; with open ends the first and the last have no edge on their side."""
    out = [_told(low) if points else f"{_told(low)}–{_told(high)}" for low, high, _ in bins]
    if open_ends and len(bins) > 1:
        out[0] = f"{'≤' if points else '<'} {_told(bins[0][1])}"
        out[-1] = f"≥ {_told(bins[-1][0])}"
    elif open_ends:
        out = ["全部 all"]
    return out


def _draw(drawing: Drawing, top: float, bins: Sequence[Bin], labels: Sequence[str], cells: Cells) -> float:
    step, floor = (drawing.width - _LEFT - _RIGHT) / len(bins), top + _TALL
    most = max(n for _, _, n in bins)
    for part in (0.5, 1.0):
        drawing.line([(_LEFT, floor - _TALL * part), (drawing.width - _RIGHT, floor - _TALL * part)])
        drawing.text(_LEFT - 6, floor - _TALL * part + 4, f"{most * part:,.0f}", "muted", 11, "end")
    for i, (label, (_, _, n)) in enumerate(zip(labels, bins, strict=True)):
        cell, middle = cells.one(n), _LEFT + (i + 0.5) * step
        if cell.n:
            tall = max(3.0, _TALL * cell.drawn / most)
            drawing.rect(middle - step / 2 + 1, floor - tall, max(1.0, step - 2), tall, "absent" if cell.small else "bar",
                         f"{label}: {cell.text}")
        if cell.small and step > 22:
            drawing.text(middle, floor - 7, cell.text, "muted", 11, "middle")
    drawing.line([(_LEFT, floor), (drawing.width - _RIGHT, floor)], "axis")
    every = max(1, math.ceil(max(len(label) for label in labels) * 6.2 / step))
    for i in range(0, len(bins), every):
        drawing.text(_LEFT + (i + 0.5) * step, floor + 15, labels[i], "muted", 11, "middle")
    return floor + 20


def _box(drawing: Drawing, middle: float, bins: Sequence[Bin], points: bool, numbers: Numbers) -> float:
    """Box from quartile to quartile, whiskers to the smallest and largest figure."""
    low, high = bins[0][0], bins[-1][1]

    if bins[0][0] == bins[0][1]:  # a bin for each whole figure, whose middle it is
        low, high = low - 0.5, high + 0.5

    def x(value: float) -> float:
        return _LEFT + (drawing.width - _LEFT - _RIGHT) * (value - low) / (high - low)

    least, first, median, third, most = (x(value) for value in numbers.quantiles((0, 0.25, 0.5, 0.75, 1)))
    drawing.line([(least, middle), (most, middle)], "axis")
    drawing.rect(first, middle - 7, max(1.5, third - first), 14, "bar", opacity=0.45)
    drawing.line([(median, middle - 8), (median, middle + 8)], "first", 2.5)
    return middle + 10


def _span(low: str, high: str) -> str:
    return "–" if low == high == "–" else f"{low} – {high}"


def _told(value: float) -> str:
    return f"{value:,.6g}"
