"""Syndromes beside tongue and pulse: what is written together more often than chance would have it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tcmstruct.report.cells import Cells
from tcmstruct.report.figures.drawing import Drawing, Figure, legend, slug
from tcmstruct.report.pairs import MIN_CELL, SURE_EXPECTED, Cell, SignTally

MOST_ROWS, MOST_COLUMNS = 14, 10
STRONG = 3.0
"""Adjusted residual from which a cell is marked: by chance one in some 370."""
LABEL, COLUMN, ROW = 150, 62, 36
HEAD = ("证候 syndrome", "征象 sign", "病历 n", "占该证候 share of the syndrome", "95% 区间 interval", "提升度 lift", "校正残差 residual")
CAUTION = "一起写到，不等于临床关联 written together: not a finding"
"""Goes with the figure wherever it is taken; the page says why."""


def together(name: str, tally: SignTally, cells: Cells) -> Figure | None:
    """Counts of syndromes by the signs of one field; statistics only where a cell holds `MIN_CELL` records or more.

    Returns:
        The figure; None where no cell does.
    """
    rows, columns = _top(tally.syndromes, MOST_ROWS), _top(tally.signs, MOST_COLUMNS)
    found = [cell for row in rows for column in columns if (cell := tally.cell(row, column))]
    if not found:
        return None
    rows = [row for row in rows if any(cell.syndrome == row for cell in found)]
    columns = [column for column in columns if any(cell.sign == column for cell in found)]
    at = {(cell.syndrome, cell.sign): cell for cell in found}
    drawing = Drawing(max(440, LABEL + COLUMN * len(columns) + 16))
    title = f"证候 × {name} syndromes and {name}"
    top = legend(drawing, drawing.heading(title, f"同时写到两者的病历 records that state both：{tally.n:,}"),
                 [("多于偶然 more than chance", "bar"), ("少于偶然 less", "flag"), (f"● |残差| ≥ {STRONG:g}", "")])
    for i, column in enumerate(columns):
        drawing.text(LABEL + COLUMN * (i + 0.5), top + 10, column, anchor="middle", bold=True, size=12, room=COLUMN - 4)
    top += 18
    for row in rows:
        drawing.text(LABEL - 8, top + 16, row, anchor="end", room=LABEL - 14)
        drawing.text(LABEL - 8, top + 30, f"n {tally.syndromes[row]:,}", "muted", 11, "end")
        for i, column in enumerate(columns):
            _draw(drawing, LABEL + COLUMN * i, top, at.get((row, column)), cells.one(tally.both[row, column]).text, f"{row} × {column}")
        top += ROW
    found.sort(key=lambda cell: (-abs(cell.residual or 0), -cell.n))
    strong = sum(abs(cell.residual or 0) >= STRONG for cell in found)
    told = f"{len(found)} 格有 {MIN_CELL} 份以上，{strong} 格标出。 {len(found)} cells with {MIN_CELL} records or more, {strong} marked."
    drawing.text(10, top + 16, CAUTION, "muted", 11)
    key = slug(f"syndromes-{name}")
    svg = drawing.svg(top + 26, key, title, told)
    return Figure(key, title, f"{name} 证候 " + " ".join(rows), svg, HEAD, [_row(cell) for cell in found])


def _draw(drawing: Drawing, x: float, top: float, cell: Cell | None, told: str, name: str) -> None:
    if cell is None:
        drawing.rect(x + 1, top + 1, COLUMN - 2, ROW - 2, "soft", f"{name}: {told}", opacity=0.6)
        drawing.text(x + COLUMN / 2, top + 22, told, "muted", 11, "middle")
        return
    more = cell.lift >= 1
    depth = min(1.0, abs(cell.residual) / 8) if cell.residual is not None else 0.0
    residual = "" if cell.residual is None else f" · 残差 residual {cell.residual:+.1f}"
    drawing.rect(x + 1, top + 1, COLUMN - 2, ROW - 2, "bar" if more else "flag", f"{name}: {cell.n:,} · ×{cell.lift:.2f}{residual}",
                 opacity=0.06 + 0.4 * depth)
    strong = cell.residual is not None and abs(cell.residual) >= STRONG
    drawing.text(x + COLUMN / 2, top + 16, f"{cell.n:,}" + (" ●" if strong else ""), size=13, anchor="middle", bold=strong)
    drawing.text(x + COLUMN / 2, top + 30, f"×{cell.lift:.2f}", "ink", 11, "middle")


def _row(cell: Cell) -> tuple[str, ...]:
    low, high = cell.interval
    return (cell.syndrome, cell.sign, f"{cell.n:,}", f"{cell.share:.1%}", f"{low:.1%} – {high:.1%}", f"{cell.lift:.2f}",
            "–" if cell.residual is None else f"{cell.residual:+.2f}" + ("*" if cell.expected < SURE_EXPECTED else ""))


def _top(counts: Counter[str], most: int) -> Sequence[str]:
    return [key for key, n in sorted(counts.items(), key=lambda kv: (-kv[1], kv[0]))[:most] if n >= MIN_CELL]
