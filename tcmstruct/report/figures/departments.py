"""Which fields are filled in how many of the records of each department."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tcmstruct.report.cells import Cells, share
from tcmstruct.report.figures.drawing import Drawing, Figure
from tcmstruct.report.tally import DeptTally

MOST = 10
"""Departments that get a column; the others share one."""
LABEL, COLUMN, ROW = 132, 92, 22


def coverage(packs: Sequence[tuple[str, Sequence[str]]], depts: Sequence[tuple[str, DeptTally]], cells: Cells) -> Figure | None:
    """A row a field, a column a department: the share of its records that state the field.

    Args:
        packs: (schema pack, its fields that were seen).
        depts: (name as the page shows it, tally), the largest first.
        cells: what may be shown.
    """
    columns = [(name, dept.records, dept.fields) for name, dept in depts[:MOST]]
    if rest := depts[MOST:]:
        together = sum((dept.fields for _, dept in rest), start=Counter())
        columns.append((f"其他 other {len(rest)}", sum(dept.records for _, dept in rest), together))
    if not columns or not any(names for _, names in packs):
        return None
    drawing = Drawing(max(520, LABEL + COLUMN * len(columns) + 16))
    title = "各科室字段填写率 coverage by department"
    top = drawing.heading(title, "写到该字段的病历占比 share of records that state the field")
    sizes = [cells.one(n) for _, n, _ in columns]
    for i, ((name, _, _), size) in enumerate(zip(columns, sizes, strict=True)):
        middle = LABEL + COLUMN * (i + 0.5)
        drawing.text(middle, top + 8, name, anchor="middle", size=12, bold=True, room=COLUMN - 6)
        drawing.text(middle, top + 23, f"n {size.text}", "muted", 11, "middle")
    top += 32
    rows = []
    for pack, names in packs:
        if pack and names:
            drawing.text(10, top + 15, pack, "muted", 12, bold=True)
            top += ROW
        for name in names:
            drawing.text(LABEL - 8, top + 15, name, anchor="end", room=LABEL - 14)
            told = []
            for i, ((dept, n, fields), size) in enumerate(zip(columns, sizes, strict=True)):
                cell = cells.one(fields[name])
                words = "–" if size.small else "<5" if cell.small else cell.of(size)
                drawing.rect(LABEL + COLUMN * i + 1, top + 1, COLUMN - 2, ROW - 2, "bar", f"{dept} · {name}: {words}",
                             opacity=0.0 if size.small else 0.48 * share(cell.drawn, n))
                drawing.text(LABEL + COLUMN * (i + 0.5), top + 15, words if cell.n else "0", "ink" if cell.n else "muted", 12, "middle")
                told.append("–" if size.small else cell.text if cell.small else f"{cell.text}（{cell.of(size)}）")
            rows.append((name, pack, *told))
            top += ROW
    words = f"{len(rows)} 个字段，{len(columns)} 个科室。 {len(rows)} fields by {len(columns)} departments."
    head = ("字段 field", "字段包 pack", *(f"{name}（n {size.text}）" for (name, _, _), size in zip(columns, sizes, strict=True)))
    return Figure("coverage-by-department", title, " ".join([title, *(name for _, names in packs for name in names)]),
                  drawing.svg(top + 10, "coverage-by-department", title, words), head, rows)
