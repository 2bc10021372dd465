"""Visits by month, and how a field's values go from month to month."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby

from tcmstruct.report.cells import Cells
from tcmstruct.report.figures.drawing import Drawing, Figure, legend, slug
from tcmstruct.report.figures.fields import Named
from tcmstruct.report.months import Months
from tcmstruct.report.tally import FieldTally

MOST_PERIODS = 48


def _quarter(month: str) -> str:
    return f"{month[:4]} Q{(int(month[5:]) + 2) // 3}"


def _year(month: str) -> str:
    return month[:4]


SPANS: tuple[tuple[str, Callable[[str], str]], ...] = (("逐月 by month", str), ("逐季 by quarter", _quarter), ("逐年 by year", _year))
"""What time is cut into: words, and the period that a month belongs to."""
MIN_STATED = 20
"""Records that state a field, all together, below which a line would say nothing."""
KINDS = ("first", "second", "third")
_LEFT, _RIGHT, _TALL = 46, 16, 120


def visits(months: Months, cells: Cells) -> Figure:
    """Bars of visits by month; over a long time by quarter or year."""
    word, of, periods = next((cut for cut in _cuts(months) if len(cut[2]) <= MOST_PERIODS), _cuts(months)[-1])
    counts = _summed(months.visits, of)
    drawing = Drawing(720)
    column = " / ".join(name for name, _ in months.columns.most_common(2))
    title = f"就诊数 visits · {word}"
    top = drawing.heading(title, f"日期取自 date from：{column}")
    width, floor, most = drawing.width - _LEFT - _RIGHT, top + _TALL, max(counts.values())
    step = width / len(periods)
    rows = []
    for part in (0.5, 1.0):
        drawing.line([(_LEFT, floor - _TALL * part), (drawing.width - _RIGHT, floor - _TALL * part)])
        drawing.text(_LEFT - 6, floor - _TALL * part + 4, f"{most * part:,.0f}", "muted", 11, "end")
    for i, period in enumerate(periods):
        cell = cells.one(counts[period])
        rows.append((period, cell.text))
        if cell.n:
            tall = max(3.0, _TALL * cell.drawn / most)
            kind = "absent" if cell.small else "bar"
            drawing.rect(_LEFT + i * step + step * 0.1, floor - tall, step * 0.8, tall, kind, f"{period}: {cell.text}")
    _axis(drawing, floor, periods, step)
    note = ("月份过多，后来的未计。", "More months than are kept; later ones are left out.") if months.capped else None
    return Figure("visits-by-month", title, title, drawing.svg(floor + 26, "visits-by-month", title, f"{periods[0]} – {periods[-1]}"),
                  ("时期 period", "病历 records"), rows, note)


def trend(name: str, tally: FieldTally, months: Months, cells: Cells, named: Named) -> Figure | None:
    """Lines of a field's commonest values, by month where the months hold enough, else by quarter or year.

    A finding's line is its share of all visits, a choice's that of the records that state the field. Where fewer than `LIMIT` records
    stand behind a share there is no point. None where a line would say nothing.
    """
    if sum(months.stated[name, month] for month in months.visits) < MIN_STATED or tally.numeric:
        return None
    values = ["有", "无"] if tally.yes_no else [value for value, _ in tally.values.top(len(KINDS))]
    whole = months.visits if tally.yes_no else {month: months.stated[name, month] for month in months.visits}
    cuts = [_Lines(word, periods, _summed(whole, of), [_summed(_of_value(months, name, value), of) for value in values],
                   cells, tally.several or tally.yes_no) for word, of, periods in _cuts(months) if 1 < len(periods) <= MOST_PERIODS]
    if not cuts:
        return None
    lines = next((cut for cut in cuts if cut.dense), cuts[-1])
    periods = lines.periods
    drawing = Drawing(420)
    title = f"{name} · {lines.word}"
    base = "占当期就诊 of all visits" if tally.yes_no else "占写到者 of the records that state it"
    names = [named(name, value) for value in values]
    top = legend(drawing, drawing.heading(title, base), list(zip(names, KINDS, strict=False)), room=90)
    step, floor = (drawing.width - _LEFT - _RIGHT) / len(periods), top + 8 + _TALL
    for part in (0.0, 0.5, 1.0):
        drawing.line([(_LEFT, floor - _TALL * part), (drawing.width - _RIGHT, floor - _TALL * part)])
        drawing.text(_LEFT - 6, floor - _TALL * part + 4, f"{part:.0%}", "muted", 11, "end")
    for told, kind, column in zip(names, KINDS, lines.shares, strict=False):
        points = [None if one is None else (_LEFT + (i + 0.5) * step, floor - _TALL * one) for i, one in enumerate(column)]
        for known, run in groupby(points, key=bool):
            if known and len(path := [point for point in run if point]) > 1:
                drawing.line(path, kind, 2)
        for period, point, one in zip(periods, points, column, strict=True):
            if point is not None and one is not None:
                drawing.dot(*point, kind, f"{period} {told}: {one:.1%}")
    _axis(drawing, floor, periods, step)
    rows = [(period, cells.one(lines.wholes[period]).text, *("–" if column[i] is None else f"{column[i]:.1%}" for column in lines.shares))
            for i, period in enumerate(periods)]
    key = slug(f"trend-{name}")
    return Figure(key, title, name, drawing.svg(floor + 26, key, title, f"{periods[0]} – {periods[-1]}；{'、'.join(names)}"),
                  ("时期 period", f"n {base}", *names), rows)


class _Lines:
    """Shares of values by period, None where it may not be told."""

    def __init__(self, word: str, periods: list[str], wholes: Counter[str], parts: Sequence[Counter[str]], cells: Cells,
                 by_itself: bool) -> None:
        self.word, self.periods, self.wholes = word, periods, wholes
        self.shares = [[_share(part[period], wholes[period], cells, by_itself) for period in periods] for part in parts]

    @property
    def dense(self) -> bool:
        """Whether most periods of the commonest value have a point."""
        return 3 * sum(one is not None for one in self.shares[0]) >= 2 * len(self.periods)


def _cuts(months: Months) -> list[tuple[str, Callable[[str], str], list[str]]]:
    span = months.span()
    return [(word, of, list(dict.fromkeys(map(of, span)))) for word, of in SPANS]


def _of_value(months: Months, name: str, value: str) -> dict[str, int]:
    return {month: months.values[name, value, month] for month in months.visits}


def _share(n: int, whole: int, cells: Cells, by_itself: bool) -> float | None:
    """A share as it may be drawn; that of an only value goes with the rest of its whole."""
    cell = cells.one(n) if by_itself else cells.parts((n, whole - n))[0]
    return None if whole == 0 or cell.sign or cells.one(whole).small else n / whole


def _summed(counts: Mapping[str, int], of: Callable[[str], str]) -> Counter[str]:
    out: Counter[str] = Counter()
    for month, n in counts.items():
        out[of(month)] += n
    return out


def _axis(drawing: Drawing, floor: float, periods: Sequence[str], step: float) -> None:
    drawing.line([(_LEFT, floor), (drawing.width - _RIGHT, floor)], "axis")
    every = -(-len(periods) // max(1, int((drawing.width - _LEFT - _RIGHT) / 58)))
    for i in range(0, len(periods), every):
        drawing.text(_LEFT + (i + 0.5) * step, floor + 16, periods[i], "muted", 11, "middle")
