"""How sure the model is: of all values, and field by field."""

from __future__ import annotations

from collections.abc import Sequence

from tcmstruct.report.cells import Cells, percent, share
from tcmstruct.report.figures.drawing import Drawing, Figure, bar_rows
from tcmstruct.report.tally import FieldTally

MOST = 25
"""Fields in the figure of what is to be reviewed."""
_LEFT, _RIGHT, _TALL = 50, 16, 140


def histogram(key: str, title: str, bins: Sequence[int], threshold: float | None = None) -> Figure:
    """Confidences in equal bins over [0, 1]; the review threshold as a broken line."""
    drawing = Drawing(420)
    n, total, most = len(bins), sum(bins), max(1, *bins)
    top = drawing.heading(title, f"n {total:,}" + (f" · 复核阈值 review threshold {threshold:.2f}" if threshold is not None else ""))
    width, floor = drawing.width - _LEFT - _RIGHT, top + _TALL
    for part in (0.5, 1.0):
        drawing.line([(_LEFT, floor - _TALL * part), (drawing.width - _RIGHT, floor - _TALL * part)])
        drawing.text(_LEFT - 6, floor - _TALL * part + 4, f"{most * part:,.0f}", "muted", 11, "end")
    rows = []
    for i, count in enumerate(bins):
        label = f"{i / n:.2f}–{(i + 1) / n:.2f}"
        if count:
            part, tall = percent(count, total), max(1.5, _TALL * count / most)
            rows.append((label, f"{count:,}", part))
            drawing.rect(_LEFT + (i + 0.06) * width / n, floor - tall, width / n * 0.88, tall, "bar", f"{label}: {count:,} ({part})")
    drawing.line([(_LEFT, floor), (_LEFT + width, floor)], "axis")
    if threshold is not None:
        drawing.line([(_LEFT + width * threshold, top - 4), (_LEFT + width * threshold, floor)], "cut", 1.5)
    for tick in (0, 0.25, 0.5, 0.75, 1):
        drawing.text(_LEFT + width * tick, floor + 16, str(tick), "muted", 11, "middle")
    told = f"{total:,} 个；低于 0.5 的占 {percent(sum(bins[: n // 2]), total)}。 {percent(sum(bins[: n // 2]), total)} below 0.5."
    return Figure(key, title, title, drawing.svg(floor + 26, key, title, told), ("置信度 confidence", "个数 n", "占比 share"), rows)


def to_review(fields: Sequence[tuple[str, FieldTally]], cells: Cells) -> Figure | None:
    """Fields by the share of their values that are marked for review, the largest first; None where none is."""
    known = [(name, tally) for name, tally in fields if not cells.one(tally.n).small]
    known.sort(key=lambda one: (-share(one[1].review, one[1].n), -one[1].n, one[0]))
    if not known:
        return None
    drawing = Drawing(420)
    title = "各字段待复核比例 share to review by field"
    bars, rows = [], []
    for name, tally in known:
        cell = cells.parts((tally.review, tally.n - tally.review))[0]
        told = cell.of(tally.n)
        mean = tally.confidence.mean
        rows.append((name, f"{tally.n:,}", cell.text, told, "–" if mean is None else f"{mean:.3f}"))
        if cell.n:
            bars.append((name, share(cell.drawn, tally.n), "flag", told, f"{name}: {cell.text} / {tally.n:,} ({told})"))
    if not bars:
        return None
    top = bar_rows(drawing, drawing.heading(title, "其余字段见下表 the others stand in the table"), bars[:MOST], told=70)
    svg = drawing.svg(top + 8, "review-by-field", title, "；".join(f"{bar[0]} {bar[3]}" for bar in bars[:5]))
    return Figure("review-by-field", title, title, svg,
                  ("字段 field", "有值 n", "待复核 to review", "占比 share", "平均置信度 mean confidence"), rows)
