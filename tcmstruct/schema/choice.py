"""From candidates to one value a field: which statement wins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tcmstruct.record import Mention, Value
from tcmstruct.schema.lexicon import NO, YES
from tcmstruct.schema.pack import FieldSpec
from tcmstruct.schema.reader import BOILERPLATE, NOW, OTHER, REPORT, SILENT, Candidate

Choice = tuple[Value, int, int, Mention | None]
"""value, start and end of its evidence, the mention that supports it"""


def choose(found: Sequence[Candidate], spec: FieldSpec) -> Choice | None:
    """The value that wins, or None where nothing is stated."""
    return _BY_TYPE[spec.type](found, spec)


def latest_statements(found: Sequence[Candidate], specs: Sequence[FieldSpec]) -> dict[str, int]:
    """Group of fields (`statement`) → the last sentence that states one of them."""
    latest: dict[str, int] = {}
    for candidate in found:
        group = specs[candidate.field].statement
        if group and candidate.status == YES and candidate.section not in SILENT:
            latest[group] = max(latest.get(group, 0), candidate.sentence)
    return latest


def _yes_no(found: Sequence[Candidate], spec: FieldSpec) -> Choice | None:
    """The last statement; but the fixed examination text never overrides, and within the current picture
    what is affirmed outranks the list of denials."""
    best: Candidate | None = None
    for candidate in found:
        if candidate.status not in (YES, NO) or (candidate.section in SILENT and candidate.mention is None):
            continue
        if best is not None and candidate.status == NO and (
                candidate.section == BOILERPLATE or (best.status == YES and best.section == candidate.section == NOW)):
            continue
        best = candidate
    return None if best is None else (best.status, best.start, best.end, best.mention)


def _stated(found: Sequence[Candidate], spec: FieldSpec) -> list[Candidate]:
    """What is affirmed: the current picture before the history, then what ranks highest."""
    stated = [c for c in found if c.status == YES and c.section not in SILENT]
    if not spec.statement:
        stated = [c for c in stated if c.section == NOW] or stated
    top = max((c.rank for c in stated), default=0)
    return [c for c in stated if c.rank == top]


def _enum(found: Sequence[Candidate], spec: FieldSpec) -> Choice | None:
    stated = _stated(found, spec)
    if spec.finding:
        stated = [c for c in stated if c.mention is not None] or stated
    if spec.agree:
        values: dict[int, set[Value]] = {}
        for c in stated:
            values.setdefault(c.clause, set()).add(c.value)
        stated = [c for c in stated if len(values[c.clause]) == 1]
    if not stated:
        return None
    if spec.keep == "most":
        counts = Counter(c.value for c in stated)
        best = max(stated, key=lambda c: counts[c.value])
    else:
        best = stated[0] if spec.keep == "first" else stated[-1]
    return best.value, best.start, best.end, best.mention


def _several(found: Sequence[Candidate], spec: FieldSpec) -> Choice | None:
    stated = _stated(found, spec)
    if not stated:
        return None
    if spec.merge == "sentence":
        place = (stated[0] if spec.keep == "first" else stated[-1]).sentence
        stated = [c for c in stated if c.sentence == place]
    values = list(dict.fromkeys(str(c.value) for c in stated))
    return values, min(c.start for c in stated), max(c.end for c in stated), stated[-1].mention


def _number(found: Sequence[Candidate], spec: FieldSpec) -> Choice | None:
    stated = [c for c in found if c.section not in (OTHER, REPORT)]
    if not stated:
        return None
    if spec.keep == "max":
        best = max(stated, key=lambda c: float(c.value))
    else:
        best = stated[0] if spec.keep == "first" else stated[-1]
    figure = float(best.value)
    return (int(figure) if figure.is_integer() else figure), best.start, best.end, None


_BY_TYPE = {"yes_no": _yes_no, "enum": _enum, "several": _several, "number": _number, "frequency": _enum}
