"""The errors one by one. Cases hold record text: write them only where asked, for the owner's eyes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tcmstruct.evaluation.documents import Document, pair_documents, space_of
from tcmstruct.evaluation.matching import Span, align
from tcmstruct.evaluation.values import same_value
from tcmstruct.record import FieldValue, StructuredRecord

KINDS: dict[str, str] = {
    "missed": "漏标 a gold mention that no predicted one touches",
    "spurious": "多标 a predicted mention that touches no gold one",
    "border": "边界 the type is right, the offsets are not",
    "type": "类型 the offsets are right, the type is not",
    "border+type": "边界与类型 they overlap, and neither is right",
    "status": "状态 type and offsets are right, the status is not",
    "field_missed": "字段漏填 a gold value, no predicted one",
    "field_spurious": "字段多填 a predicted value, no gold one",
    "field_value": "字段值错 both have a value, not the same",
}
"""Kind of error → what it means."""


@dataclass(frozen=True, slots=True)
class ErrorCase:
    """One error.

    Attributes:
        id: of the record. kind: one of `KINDS`. name: entity type or field.
        gold, pred: what each side says ("" where it says nothing).
        start, end: the span shown, in code points: the gold one, or the predicted one where gold has none.
        before, span, after: the words around and in it.
    """

    id: str
    kind: str
    name: str
    gold: str
    pred: str
    start: int
    end: int
    before: str = ""
    span: str = ""
    after: str = ""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def list_errors(gold: Sequence[StructuredRecord], pred: Sequence[StructuredRecord], *, context: int = 20,
                raw_types: bool = False, count_all: bool = False) -> list[ErrorCase]:
    """Every error of the prediction, in gold order and by place.

    Args:
        context: characters shown on either side of the span.
        raw_types: as in `evaluate`.
        count_all: as in `evaluate`.

    Raises:
        InputRefused: as in `evaluate`.
    """
    pairing = pair_documents(gold, pred, space_of(gold, raw_types, count_all))
    return [case for document in pairing.documents for case in errors_of(document, context)]


def errors_of(document: Document, context: int = 0) -> list[ErrorCase]:
    """The errors of one document, by place."""
    cases = []
    pairs = align(document.gold, document.pred)
    gold_left = set(range(len(document.gold))) - {pair.gold for pair in pairs}
    pred_left = set(range(len(document.pred))) - {pair.pred for pair in pairs}
    for pair in pairs:
        gold, pred = document.gold[pair.gold], document.pred[pair.pred]
        kind = _kind(gold, pred)
        if kind:
            cases.append(_case(document, kind, gold.type, _say(gold, document.text), _say(pred, document.text),
                               gold.start, gold.end, context))
    for i in gold_left:
        span = document.gold[i]
        cases.append(_case(document, "missed", span.type, _say(span, document.text), "", span.start, span.end, context))
    for j in pred_left:
        span = document.pred[j]
        cases.append(_case(document, "spurious", span.type, "", _say(span, document.text), span.start, span.end,
                           context))
    for name in {**document.gold_fields, **document.pred_fields}:
        case = _field_case(document, name, context)
        if case:
            cases.append(case)
    return sorted(cases, key=lambda case: (case.start, case.end, case.kind, case.name, case.pred))


def _kind(gold: Span, pred: Span) -> str | None:
    same_bounds, same_type = (gold.start, gold.end) == (pred.start, pred.end), gold.type == pred.type
    if same_bounds and same_type:
        return "status" if gold.status and gold.status != pred.status else None
    return "type" if same_bounds else "border" if same_type else "border+type"


def _field_case(document: Document, name: str, context: int) -> ErrorCase | None:
    gold, pred = document.gold_fields.get(name), document.pred_fields.get(name)
    if gold and pred and same_value(gold, pred):
        return None
    kind = "field_value" if gold and pred else "field_missed" if gold else "field_spurious"
    shown = gold or pred
    start, end = (x if isinstance(x, int) and x >= 0 else 0 for x in (shown.start, shown.end))
    return _case(document, kind, name, _value(gold), _value(pred), start, end, context)


def _case(document: Document, kind: str, name: str, gold: str, pred: str, start: int, end: int,
          context: int) -> ErrorCase:
    text = document.text
    return ErrorCase(document.id, kind, name, gold, pred, start, end, text[max(0, start - context) : start],
                     text[start:end], text[end : end + context])


def _say(span: Span, text: str) -> str:
    return " ".join(part for part in (span.type, text[span.start : span.end], span.status) if part)


def _value(value: FieldValue | None) -> str:
    if value is None:
        return ""
    return ";".join(map(str, value.value)) if isinstance(value.value, list) else str(value.value)
