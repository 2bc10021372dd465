"""All figures of a report, in the parts of its page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tcmstruct.errors import SchemaError
from tcmstruct.report.cells import Cells
from tcmstruct.report.figures import association, confidence, departments, trends
from tcmstruct.report.figures.drawing import Figure
from tcmstruct.report.figures.fields import choice, findings
from tcmstruct.report.figures.numbers import number
from tcmstruct.report.tally import OTHER_DEPTS, Tally
from tcmstruct.report.veil import Veil
from tcmstruct.schema.pack import PACK_DIR, read_pack, shipped

MOST_FIELDS, MOST_TRENDS = 200, 80
"""Fields that get figures of their own; the table of coverage and the tables of `convert` hold all."""


@dataclass(slots=True)
class Part:
    """Figures that stand together.

    Attributes:
        key: of the page's section: values, departments, pairs, months or confidence.
        groups: (schema pack or "", figures).
    """

    key: str
    groups: list[tuple[str, list[Figure]]] = field(default_factory=list)

    @property
    def wide(self) -> bool:
        """Whether its figures stand under each other."""
        return self.key in ("departments", "pairs")

    @property
    def figures(self) -> list[Figure]:
        return [figure for _, figures in self.groups for figure in figures]


def parts_of(tally: Tally, packs: Sequence[tuple[str, Sequence[str]]], threshold: float | None, veil: Veil) -> dict[str, Part]:
    """Draws everything.

    Args:
        tally: of the records.
        packs: (schema pack, its fields that were seen), as the page orders them.
        threshold: of review, or None where the manifest names none.
        veil: how values and departments are shown, and whether small counts are.

    Returns:
        Part's key → part; no figure of any has the key of another.
    """
    cells = Cells(veil.identified)
    parts = {
        "values": Part("values", _values(tally, packs, cells, veil)),
        "departments": Part("departments", [("", _departments(tally, packs, cells, veil))]),
        "pairs": Part("pairs", [("", _pairs(tally, cells))]),
        "months": Part("months", _months(tally, packs, cells, veil)),
        "confidence": Part("confidence", [("", _confidence(tally, threshold, cells))]),
    }
    _tell_apart(parts.values())
    return parts


def _values(tally: Tally, packs: Sequence[tuple[str, Sequence[str]]], cells: Cells, veil: Veil) -> list[tuple[str, list[Figure]]]:
    allowed = _ranges(pack for pack, _ in packs)
    out, room = [], MOST_FIELDS
    for pack, names in packs:
        names, room = names[:room], max(0, room - len(names))
        yes_no = [(name, tally.fields[name]) for name in names if tally.fields[name].yes_no]
        figures = [findings(pack, yes_no, tally.records, cells)] if yes_no else []
        for name in names:
            one = tally.fields[name]
            if one.numeric:
                figures.append(number(name, one, allowed.get(name), cells))
            elif not one.yes_no:
                figures.append(choice(name, one, tally.records, cells, veil.beside))
        if figures:
            out.append((pack, figures))
    return out


def _departments(tally: Tally, packs: Sequence[tuple[str, Sequence[str]]], cells: Cells, veil: Veil) -> list[Figure]:
    ordered = sorted(tally.depts.items(), key=lambda kv: (kv[0] == OTHER_DEPTS, -kv[1].records, kv[0]))
    depts = [(veil.beside("科室", name) if name else "未注明", one) for name, one in ordered]
    found = departments.coverage([(pack, names[:MOST_FIELDS]) for pack, names in packs], depts, cells)
    return [found] if found else []


def _pairs(tally: Tally, cells: Cells) -> list[Figure]:
    drawn = (association.together(name, one, cells) for name, one in tally.pairs.fields.items())
    return [figure for figure in drawn if figure]


def _months(tally: Tally, packs: Sequence[tuple[str, Sequence[str]]], cells: Cells, veil: Veil) -> list[tuple[str, list[Figure]]]:
    if not tally.months.visits:
        return []
    out, room = [("", [trends.visits(tally.months, cells)])], MOST_TRENDS
    for pack, names in packs:
        drawn = [figure for name in names[:room] if (figure := trends.trend(name, tally.fields[name], tally.months, cells, veil.beside))]
        room = max(0, room - len(drawn))
        if drawn:
            out.append((pack, drawn))
    return out


def _confidence(tally: Tally, threshold: float | None, cells: Cells) -> list[Figure]:
    out = [confidence.histogram("confidence-values", "字段值置信度 confidence of field values", tally.confidence.bins, threshold)]
    if tally.mention_confidence.n:
        out.append(confidence.histogram("confidence-mentions", "标注置信度 confidence of mentions", tally.mention_confidence.bins))
    review = confidence.to_review(list(tally.fields.items()), cells)
    return [*out, review] if review else out


def _ranges(packs: Iterable[str]) -> Mapping[str, tuple[float, float]]:
    """Field → range that its shipped pack allows. Of a hospital's own packs an output holds no more than the names."""
    out = {}
    known = set(shipped())
    for pack in packs:
        if pack not in known:
            continue
        try:
            fields = read_pack(PACK_DIR / f"{pack}.toml")[0].fields
        except SchemaError:  # a page is made all the same
            continue
        out.update({name: (spec.range[0], spec.range[1]) for name, spec in fields.items() if spec.range})
    return out


def _tell_apart(parts: Iterable[Part]) -> None:
    """Gives the later of two figures of one key a number."""
    taken: set[str] = set()
    for part in parts:
        for place, (pack, figures) in enumerate(part.groups):
            part.groups[place] = (pack, [_renamed(figure, taken) for figure in figures])


def _renamed(figure: Figure, taken: set[str]) -> Figure:
    key, number = figure.key, 1
    while key.casefold() in taken:
        number += 1
        key = f"{figure.key}~{number}"
    taken.add(key.casefold())
    if key == figure.key:
        return figure
    marks = [(f'"t-{figure.key} d-{figure.key}"', f'"t-{key} d-{key}"'), *((f'id="{m}-{figure.key}"', f'id="{m}-{key}"') for m in "td")]
    svg = figure.svg
    for before, after in marks:
        svg = svg.replace(type(svg)(before), type(svg)(after), 1)
    return replace(figure, key=key, svg=svg)
