"""Puts gold and prediction of each record side by side, in one label space, and says what was left out."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tcmstruct.errors import InputRefused
from tcmstruct.evaluation.matching import Span
from tcmstruct.evaluation.reading import text_digest
from tcmstruct.labels import GOLD_TYPES
from tcmstruct.record import FieldValue, StructuredRecord

STYLES: Mapping[str, str] = {"医案": "published", "门诊": "outpatient"}
"""Department of a gold record → style of its text; any other department of such a set is in-patient."""

GUIDE_TYPES = frozenset(GOLD_TYPES.values())


@dataclass(frozen=True, slots=True)
class Space:
    """What is counted.

    Attributes:
        mapped: whether types go through `labels.GOLD_TYPES` before they are compared.
        types: entity types that are counted (after mapping).
        fields: fields that are counted; None counts every predicted one.
    """

    mapped: bool
    types: frozenset[str]
    fields: frozenset[str] | None

    def type_of(self, raw: str) -> str | None:
        """The type that is compared, or None where it is not counted."""
        name = GOLD_TYPES.get(raw) if self.mapped else raw
        return name if name in self.types else None


@dataclass(frozen=True, slots=True)
class Document:
    """One record as it is scored. `pred*` are empty where no prediction came."""

    id: str
    text: str
    groups: Mapping[str, str]
    gold: tuple[Span, ...]
    pred: tuple[Span, ...]
    gold_fields: Mapping[str, FieldValue]
    pred_fields: Mapping[str, FieldValue]


@dataclass(slots=True)
class Pairing:
    """The documents of one evaluation.

    Attributes:
        documents: one for each gold record, in gold order.
        missing: ids of gold records without a prediction (they count as missed).
        extra: number of predictions without a gold record (they do not count).
        warnings: what endangers the figures. notes: what was left out by design.
    """

    documents: list[Document]
    missing: list[str]
    extra: int
    warnings: list[str]
    notes: list[str]


def space_of(gold: Sequence[StructuredRecord], raw_types: bool = False, count_all: bool = False) -> Space:
    """The label space that the gold records span.

    Types are mapped through `labels.GOLD_TYPES` where every type of gold is one of the guide's; a set with types of
    its own (the NER sets, or a file of the 23 types) is compared as it stands.

    Args:
        raw_types: never map.
        count_all: gold annotates every type of the guide and every field, so that what gold never holds is spurious.
    """
    found = {mention.type for record in gold for mention in record.entities}
    mapped = not raw_types and found <= GUIDE_TYPES
    types = GUIDE_TYPES if count_all and mapped and found else found
    fields = frozenset(name for record in gold for name in record.fields)
    return Space(mapped, frozenset(types), None if count_all and fields else fields)


def pair_documents(gold: Sequence[StructuredRecord], pred: Sequence[StructuredRecord], space: Space,
                   side: str = "pred") -> Pairing:
    """Pairs records by id and brings both sides into `space`.

    Raises:
        InputRefused: an id twice on one side, a text that differs between the sides, offsets outside of the text,
            a confidence outside of [0, 1], no gold record, or no id in common.
    """
    gold_by_id, pred_by_id = _by_id(gold, "gold"), _by_id(pred, side)
    if not gold_by_id:
        raise InputRefused("gold holds no record", code="empty")
    if not space.types and not any(record.fields for record in gold):
        raise InputRefused("gold holds neither entities nor fields", where="gold", code="not_annotated",
                           hint="give the annotated file first, the predictions second")
    missing = [name for name in gold_by_id if name not in pred_by_id]
    extra = [name for name in pred_by_id if name not in gold_by_id]
    if len(missing) == len(gold_by_id) and pred_by_id:
        raise InputRefused(f"none of the {len(pred_by_id)} ids is in gold ({len(gold_by_id)} ids)", where=side,
                           code="no_common_id", hint="records are paired by id: give both files the same ids")

    warnings: list[str] = []
    if missing:
        warnings.append(f"{len(missing)} of {len(gold_by_id)} gold records have no prediction and count as missed: "
                        f"{_some(missing)}")
    if extra:
        warnings.append(f"{len(extra)} predictions have no gold record and are left out: {_some(extra)}")

    left_out: Counter[str] = Counter()
    unverified = repeated = 0
    documents = []
    styled = any(record.dept in STYLES for record in gold_by_id.values())
    for name, gold_record in gold_by_id.items():
        pred_record = pred_by_id.get(name)
        text, verified = _common_text(gold_record, pred_record, side)
        unverified += not verified
        _check(gold_record, text, "gold")
        gold_spans, gold_repeats = _spans(gold_record, space, Counter())
        pred_spans: tuple[Span, ...] = ()
        pred_fields: dict[str, FieldValue] = {}
        repeated += gold_repeats
        if pred_record is not None:
            _check(pred_record, text, side)
            pred_spans, pred_repeats = _spans(pred_record, space, left_out)
            repeated += pred_repeats
            for field_name, value in pred_record.fields.items():
                if space.fields is None or field_name in space.fields:
                    pred_fields[field_name] = value
                elif space.fields:
                    left_out[f"field {field_name}"] += 1
        documents.append(Document(name, text, _groups(gold_record, styled), gold_spans, pred_spans,
                                  gold_record.fields, pred_fields))

    if unverified:
        warnings.append(f"{unverified} predictions carry neither text nor text_sha256: "
                        "their offsets are taken on trust")
    notes = []
    if repeated:
        notes.append(f"{repeated} mentions stand twice in their record (same type, offsets and status) and count once")
    if left_out:
        notes.append("predicted and not counted, since gold never holds it: "
                     + ", ".join(f"{name} ({n})" for name, n in sorted(left_out.items(), key=lambda x: (-x[1], x[0]))))
    return Pairing(documents, missing, len(extra), warnings, notes)


def _by_id(records: Iterable[StructuredRecord], side: str) -> dict[str, StructuredRecord]:
    by_id: dict[str, StructuredRecord] = {}
    for record in records:
        if record.id in by_id:
            raise InputRefused(f"id {record.id!r} occurs twice", where=side, code="duplicate_id",
                               hint="ids must be unique; they pair gold with predictions")
        by_id[record.id] = record
    return by_id


def _common_text(gold: StructuredRecord, pred: StructuredRecord | None, side: str) -> tuple[str, bool]:
    """The text of both ("" where neither side holds it), and whether they were seen to be the same."""
    if pred is None:
        return gold.text, True
    digests = [text_digest(r.text) if r.text else r.extra.get("text_sha256") for r in (gold, pred)]
    if None not in digests and digests[0] != digests[1]:
        raise InputRefused(f"the text of id {gold.id!r} differs from the gold text", where=side, code="text_differs",
                           hint="offsets can be compared on the same text only: predict on the gold file's own texts")
    return gold.text or pred.text, None not in digests


def _check(record: StructuredRecord, text: str, side: str) -> None:
    limit = len(text) if text else math.inf
    for mention in record.entities:
        whole = all(isinstance(x, int) and not isinstance(x, bool) for x in (mention.start, mention.end))
        if not whole or not 0 <= mention.start < mention.end <= limit:
            raise InputRefused(f"id {record.id!r}: offsets {mention.start!r}–{mention.end!r} of a {mention.type}, "
                               f"allowed is 0 ≤ start < end ≤ {limit}", where=side, code="bad_offsets",
                               hint="offsets count Unicode code points of the raw text")
        _check_confidence(mention.confidence, f"id {record.id!r}, a {mention.type}", side)
    for name, value in record.fields.items():
        place = f"id {record.id!r}, field {name}"
        _check_confidence(value.confidence, place, side)
        items = value.value if isinstance(value.value, list) else [value.value]
        if not all(isinstance(item, str | int | float) for item in items):
            raise InputRefused(f"{place}: a value of type {type(value.value).__name__}, "
                               "allowed are a string, a number, or a list of strings", where=side, code="bad_value",
                               hint="leave a field out where the record does not mention it")


def _check_confidence(confidence: float, place: str, side: str) -> None:
    number = isinstance(confidence, int | float) and not isinstance(confidence, bool)
    if not number or not 0 <= confidence <= 1:
        raise InputRefused(f"{place}: confidence {confidence!r}, allowed is a number from 0 to 1", where=side,
                           code="bad_confidence")


def _spans(record: StructuredRecord, space: Space, left_out: Counter[str]) -> tuple[tuple[Span, ...], int]:
    """The record's mentions in `space`, sorted, each once (with its highest confidence), and how many were repeats."""
    spans: dict[tuple[int, int, str, str], Span] = {}
    repeats = 0
    for mention in record.entities:
        name = space.type_of(mention.type)
        if name is None:
            left_out[f"type {mention.type}"] += 1
            continue
        span = Span(mention.start, mention.end, name, mention.status or "", float(mention.confidence))
        known = spans.get(span.key)
        repeats += known is not None
        if known is None or known.confidence < span.confidence:
            spans[span.key] = span
    return tuple(sorted(spans.values())), repeats


def _groups(record: StructuredRecord, styled: bool) -> dict[str, str]:
    groups = {}
    if record.dept:
        groups["dept"] = record.dept
    if styled and record.dept:
        groups["style"] = STYLES.get(record.dept, "inpatient")
    if record.extra.get("source"):
        groups["source"] = record.extra["source"]
    return groups


def _some(ids: Sequence[str], n: int = 5) -> str:
    return ", ".join(ids[:n]) + (f" and {len(ids) - n} more" if len(ids) > n else "")
