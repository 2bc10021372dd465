"""What each field says: findings of a pack in one figure, one figure for each choice, one for each number."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tcmstruct.report.cells import Cell, Cells, share
from tcmstruct.report.figures.drawing import Drawing, Figure, bar_rows, legend, slug
from tcmstruct.report.tally import FieldTally

N_BARS = 12
"""Values of a choice that get a bar of their own; the others share one."""
WIDTH = 420
PARTS = ("有 present", "无 negated", "未提及 not mentioned")
PART_KINDS = ("bar", "no", "absent")
Named = Callable[[str, str], str]
"""(field, value) → the value as the page may show it."""


def findings(pack: str, fields: Sequence[tuple[str, FieldTally]], records: int, cells: Cells) -> Figure:
    """有, 无 and 未提及 of every yes/no field of a pack, a row each."""
    title = f"{pack} · 有无类字段 findings" if pack else "有无类字段 findings"
    drawing = Drawing(WIDTH)
    top = legend(drawing, drawing.heading(title), list(zip(PARTS, PART_KINDS, strict=True)))
    rows = []
    for name, tally in fields:
        said, absent = cells.stated(tally.n, records)
        parts = (*cells.parts((tally.values.counts["有"], tally.values.counts["无"])), absent)
        drawing.text(112, top + 14, name, anchor="end", room=104)
        at = 120.0
        for cell, kind, told in zip(parts, PART_KINDS, PARTS, strict=True):
            width = 160 * share(cell.drawn, records) if cell.n else 0.0
            if cell.n:
                drawing.rect(at, top + 3, max(width, 1.5), 14, kind, f"{name} {told}: {cell.text} ({cell.of(records)})")
            at += width
        drawing.text(288, top + 14, f"有 {parts[0].text} · 无 {parts[1].text}", "muted", 12)
        rows.append((name, parts[0].text, parts[0].of(said), parts[1].text, parts[1].of(said), parts[2].text, parts[2].of(records)))
        top += 22
    told = f"{len(fields)} 个有无类字段，{records:,} 份病历。 {len(fields)} findings over {records:,} records."
    key = slug(f"findings-{pack or 'other'}")
    return Figure(key, title, " ".join([pack, *(name for name, _ in fields)]), drawing.svg(top + 10, key, title, told),
                  ("字段 field", PARTS[0], "占提及 of stated", PARTS[1], "占提及 of stated", PARTS[2], "占全部 of all"), rows)


def choice(name: str, tally: FieldTally, records: int, cells: Cells, named: Named) -> Figure:
    """Bars of a choice's values; 无 and 未提及 stand apart below them."""
    values = [(value, n) for value, n in cells.ordered(tally.values.counts.items()) if value != "无"]
    main, rest = values[:N_BARS], values[N_BARS:]
    lumped = sum(n for _, n in rest) + tally.values.others
    denied = tally.values.counts["无"]
    counts = [*(n for _, n in main), lumped, denied]
    shown = [cells.one(n) for n in counts] if tally.several else cells.parts(counts)
    said, absent = cells.stated(tally.n, records)
    lines: list[tuple[str, Cell, str, Cell | int]] = [
        (named(name, value), cell, "bar", said) for (value, _), cell in zip(main, shown, strict=False)]
    if lumped:
        lines.append((f"其他 other ({len(rest)}{'+' if tally.values.others else ''})", shown[-2], "soft", said))
    apart: list[tuple[str, Cell, str, Cell | int]] = [("无 negated", shown[-1], "no", said)] if denied else []
    apart.append(("未提及", absent, "absent", records))
    top_share = max((share(cell.drawn, said.n) for _, cell, _, _ in lines), default=1.0) or 1.0

    drawing = Drawing(WIDTH)
    title = f"{name} · 取值 values"
    below = f"有值 {said.text} / {records:,} 份（{said.of(records)}）" + ("，可多选 several at once" if tally.several else "")
    top = bar_rows(drawing, drawing.heading(title, below), [_bar(line, top_share) for line in lines])
    drawing.line([(10, top + 3.5), (WIDTH - 10, top + 3.5)])
    top = bar_rows(drawing, top + 8, [_bar(line, 1.0) for line in apart])
    rows = [(label, cell.text, cell.of(whole) + (" 全部 of all" if whole is records else "")) for label, cell, _, whole in (*lines, *apart)]
    commonest = "；".join(f"{label} {cell.text}" for label, cell, _, _ in lines[:3])
    key = slug(f"field-{name}")
    return Figure(key, title, name, drawing.svg(top + 8, key, title, f"{below}。 {commonest}"),
                  ("取值 value", "病历 records", "占有值者 of those with a value"), rows)


def _bar(line: tuple[str, Cell, str, Cell | int], most: float) -> tuple[str, float, str, str, str]:
    label, cell, kind, whole = line
    part = cell.of(whole)
    told = cell.text if part == "–" else f"{cell.text} · {part}"
    return label, min(1.0, share(cell.drawn, whole.n if isinstance(whole, Cell) else whole) / most), kind, told, f"{label}: {told}"
