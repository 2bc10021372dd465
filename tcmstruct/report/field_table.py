"""The table of coverage: every field in a row, with what may be shown of its counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from tcmstruct.report.cells import Cell, Cells, percent
from tcmstruct.report.charts import spark, stacked
from tcmstruct.report.figures.numbers import in_short
from tcmstruct.report.tally import FieldTally, Tally
from tcmstruct.report.veil import Veil

N_TOP = 8
"""Values of a field that the table shows."""


@dataclass(frozen=True, slots=True)
class FieldLine:
    """One field.

    Attributes:
        spark, mean, review: of its confidence; empty, None and "–" where so few records state it that they would tell of one.
        top: its commonest values and how many have them; of a number, what it is like.
    """

    name: str
    n: Cell
    share: str
    bar: Markup
    spark: Markup
    mean: float | None
    review: str
    to_review: bool
    top: list[tuple[str, str]]
    rest: str


def packs_of(groups: Mapping[str, Sequence[str]], tally: Tally) -> list[tuple[str, list[str]]]:
    """Fields that were seen, by schema pack where the manifest names them, most covered first where it does not."""
    used: set[str] = set()
    out = []
    for pack, names in groups.items():
        mine = [name for name in names if name in tally.fields and name not in used]
        used.update(mine)
        if mine:
            out.append((pack, mine))
    rest = sorted((name for name in tally.fields if name not in used), key=lambda name: (-tally.fields[name].n, name))
    return [*out, ("", rest)] if rest else out


def field_lines(packs: Sequence[tuple[str, Sequence[str]]], tally: Tally, veil: Veil) -> list[tuple[str, list[FieldLine]]]:
    """The rows of the table, by pack."""
    cells = Cells(veil.identified)
    return [(pack, [_line(name, tally.fields[name], tally.records, cells, veil) for name in names]) for pack, names in packs]


def _line(name: str, field: FieldTally, records: int, cells: Cells, veil: Veil) -> FieldLine:
    said, absent = cells.stated(field.n, records)
    if field.yes_no:
        yes, no = cells.parts((field.values.counts["有"], field.values.counts["无"]))
        parts = (("有 present", yes, "yes"), ("无 negated", no, "no"), ("未提及 not mentioned", absent, "absent"))
    else:
        parts = (("有值 with a value", said, "yes"), ("未提及 not mentioned", absent, "absent"))
    counted = cells.ordered(field.values.counts.items())
    shown = [cells.one(n) for _, n in counted] if field.several else cells.parts([n for _, n in counted])
    top = [(veil.beside(name, value), cell.text) for (value, _), cell in zip(counted[:N_TOP], shown, strict=False)]
    rest = sum(n for _, n in counted[N_TOP:]) + field.values.others
    if field.numeric:
        top, rest = in_short(field, cells), 0
    thin = said.small
    return FieldLine(name, said, said.of(records), stacked(parts, name),
                     Markup("") if thin else spark(field.confidence.bins, f"{name} 置信度 confidence"),
                     None if thin else field.confidence.mean, "–" if thin else percent(field.review, field.n),
                     bool(field.review) and not thin, top, cells.one(rest).text if rest else "")
