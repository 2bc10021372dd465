"""The figures that follow a number field's announcement, in the field's own unit, and why one does not count."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tcmstruct.schema.lexicon import PUNCTUATION, SEMICOLON, SENTENCE
from tcmstruct.schema.numerals import numbers
from tcmstruct.schema.pack import FieldSpec

OUT_OF_RANGE, UNIT_MISSING, BELOW = "out_of_range", "unit_missing", "below"
_TO = "-~～—－–至到"
_HALF = "半"
_LONGEST_FIGURE = 12


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure in the text.

    Attributes:
        value: in the unit of the field.
        end: behind the figure and its unit.
        refusal: OUT_OF_RANGE, UNIT_MISSING or BELOW where it does not count, else None.
    """

    value: float
    start: int
    end: int
    refusal: str | None = None


def figures(text: str, end: int, spec: FieldSpec) -> Iterator[Figure]:
    """The figures after an announcement that ends at `end`, up to the one that answers it; of a range both ends.

    A figure out of range is passed over: in 体温最高2次38.5℃ the second one answers. In 1-2周 the unit is that of both; 1岁半 and
    半年 count halves.
    """
    low, high = spec.range or (float("-inf"), float("inf"))
    found = _found(text, end, min(len(text), end + spec.after + _LONGEST_FIGURE), spec)
    last = end
    for number, (figure, at, to) in enumerate(found):
        if at - last > spec.after or any(PUNCTUATION.get(char) in (SENTENCE, SEMICOLON) for char in text[end:at]):
            return
        unit = _unit(text, to, spec)
        joined = to < len(text) and text[to] in _TO
        behind = _unit(text, found[number + 1][2], spec) if unit is None and joined and number + 1 < len(found) else unit
        half = unit is not None and text.startswith(_HALF, to + len(unit))
        value = (figure + 0.5 * half) * spec.units.get(behind or "", 1.0)
        value = value if value == figure else round(value, 2)
        within, named = low <= value <= high, behind is not None or not spec.unit_required
        small = spec.below is not None and value < spec.below
        refusal = OUT_OF_RANGE if not within else UNIT_MISSING if not named else BELOW if small else None
        yield Figure(value, at, to + len(unit or "") + half, refusal)
        if within and not joined:
            return
        last = to + 2


def _found(text: str, start: int, end: int, spec: FieldSpec) -> list[tuple[float, int, int]]:
    """Figures as (value, start, end); 半 is one where a unit follows, and no figure stands before it (3天半)."""
    found = list(numbers(text, start, end))
    at = text.find(_HALF, start, end)
    while at >= 0:
        if _unit(text, at + 1, spec) is not None and not any(to == at for _, _, to in found):
            found.append((0.5, at, at + 1))
        at = text.find(_HALF, at + 1, end)
    return sorted(found, key=lambda one: one[1])


def _unit(text: str, at: int, spec: FieldSpec) -> str | None:
    return next((unit for unit in spec.units if text.startswith(unit, at)), None)
