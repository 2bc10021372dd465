"""Scores predicted records against gold records."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tcmstruct.errors import UsageError
from tcmstruct.evaluation.bootstrap import Bootstrap, difference, estimate
from tcmstruct.evaluation.calibration import calibrate, review_value
from tcmstruct.evaluation.documents import Document, pair_documents, space_of
from tcmstruct.evaluation.listing import KINDS, errors_of
from tcmstruct.evaluation.matching import SCHEMES, Pair, Span, match
from tcmstruct.evaluation.results import (
    Calibration,
    Difference,
    EvaluationResult,
    FieldScores,
    GroupScores,
    Review,
    StatusScores,
)
from tcmstruct.evaluation.values import evidence_overlaps, same_value
from tcmstruct.record import StructuredRecord

MIN_GOLD = 5
RARE = 2
TYPE_SCHEMES = ("strict", "exact", "type")
"""Schemes that pair within one type, so that types add up to the whole."""


def evaluate(gold: Sequence[StructuredRecord], pred: Sequence[StructuredRecord], *,
             train: Sequence[StructuredRecord] | None = None, against: Sequence[StructuredRecord] | None = None,
             raw_types: bool = False, count_all: bool = False, min_gold: int = MIN_GOLD, n_boot: int = 1000,
             seed: int = 0) -> EvaluationResult:
    """Compares predictions with gold, mention by mention and field by field.

    Records are paired by id. A gold record without a prediction counts as missed in whole; a prediction without a
    gold record does not count; both are said in `warnings`. Only types and fields that gold annotates count.

    Args:
        gold: annotated records.
        pred: predictions on the same texts.
        train: records whose mentions were trained on; gives scores by how often a surface stands there.
        against: a second system's predictions on the same texts; gives paired differences `pred - against`.
        raw_types: compare types as they stand, without the mapping of `labels.GOLD_TYPES`.
        count_all: gold annotates every type of the guide and every field, so that what it never holds is spurious.
        min_gold: gold values a field must have to enter macro-F1.
        n_boot: resamples of the documents; 0 leaves intervals and p out.
        seed: of the resamples.

    Returns:
        The figures, without any record text.

    Raises:
        InputRefused: an id twice, a text that differs, offsets or confidences out of range, no id in common.
        UsageError: `n_boot` or `min_gold` below what makes sense.
    """
    if n_boot < 0 or min_gold < 1:
        raise UsageError(f"n_boot {n_boot} and min_gold {min_gold}, allowed are n_boot ≥ 0 and min_gold ≥ 1")
    space = space_of(gold, raw_types, count_all)
    pairing = pair_documents(gold, pred, space)
    documents, warnings, notes = pairing.documents, list(pairing.warnings), list(pairing.notes)
    surfaces = None
    if train is not None:
        surfaces = _surfaces(train)
        warnings += _leaks(documents, train)
    tally = _tally(documents, surfaces)
    boot = Bootstrap(len(documents), n_boot, seed)

    differences: dict[str, Difference] = {}
    if against is not None:
        other = pair_documents(gold, against, space, side="against")
        warnings += [f"against: {line}" for line in other.warnings]
        notes += [f"against: {line}" for line in other.notes]
        differences = _differences(boot, tally, _tally(other.documents, None), min_gold)
    for name, values in (("entities", tally.entity_confidence), ("fields", tally.field_confidence)):
        if values and all(confidence == 1 for confidence, _ in values):
            notes.append(f"{name}: every confidence is 1, so calibration says nothing and is left out")
    if space.types and not any(d.pred for d in documents) and any(record.entities for record in pred):
        warnings.append("no predicted type is one that gold annotates: "
                        + ", ".join(sorted({m.type for r in pred for m in r.entities})) + " against "
                        + ", ".join(sorted(space.types)))

    errors = Counter(case.kind for document in documents for case in errors_of(document))
    return EvaluationResult(
        n_records=len(documents),
        n_missing=len(pairing.missing),
        n_extra=pairing.extra,
        settings={"types": sorted(space.types), "types_mapped": space.mapped and bool(space.types),
                  "count_all": count_all, "macro_min_gold": min_gold, "rare_at_most": RARE, "n_boot": n_boot,
                  "seed": seed, "level": 0.95},
        entities={scheme: boot.score(tally.entities[scheme]) for scheme in SCHEMES} if space.types else {},
        by_type={name: {scheme: boot.score(tally.types[name, scheme]) for scheme in TYPE_SCHEMES}
                 for name in tally.type_names()},
        status=_status(boot, tally),
        mentions={name: boot.score(tally.mentions[name]) for name in MENTION_CLASSES} if surfaces is not None else {},
        fields=_fields(boot, tally, min_gold),
        groups=_groups(boot, tally, documents, min_gold),
        calibration=_calibration(tally),
        review=_review(tally),
        differences=differences,
        error_counts={kind: errors[kind] for kind in KINDS if errors[kind]},
        warnings=tuple(warnings),
        notes=tuple(notes),
    )


MENTION_CLASSES = {
    "seen": lambda n: n > 0,
    "unseen": lambda n: n == 0,
    "rare": lambda n: n <= RARE,
    "frequent": lambda n: n > RARE,
}
"""Class of a mention → whether a surface that stands n times among the training mentions belongs to it."""


@dataclass(slots=True)
class _Tally:
    """Counts of D documents: (D, 3) arrays of credit, gold, predicted; (D, 2) arrays of hits, cases."""

    entities: dict[str, np.ndarray]
    types: dict[tuple[str, str], np.ndarray]
    mentions: dict[str, np.ndarray]
    fields: dict[str, np.ndarray]
    all_fields: np.ndarray
    evidence: dict[str, np.ndarray]
    status: np.ndarray
    confusion: Counter[tuple[str, str]] = field(default_factory=Counter)
    entity_confidence: list[tuple[float, bool]] = field(default_factory=list)
    field_confidence: list[tuple[float, bool]] = field(default_factory=list)
    review: list[tuple[bool, bool]] = field(default_factory=list)

    def type_names(self) -> list[str]:
        """Types, most frequent in gold first."""
        totals = {name: counts[:, 1:].sum(axis=0) for (name, _), counts in self.types.items()}
        return sorted(totals, key=lambda name: (*-totals[name], name))

    def field_names(self) -> list[str]:
        """Fields, most frequent in gold first."""
        totals = {name: counts[:, 1:].sum(axis=0) for name, counts in self.fields.items()}
        return sorted(totals, key=lambda name: (*-totals[name], name))

    def macro_tables(self, min_gold: int) -> list[np.ndarray]:
        return [self.fields[name] for name in self.field_names() if self.fields[name][:, 1].sum() >= min_gold]


def _tally(documents: Sequence[Document], surfaces: Counter[str] | None) -> _Tally:
    n = len(documents)
    tally = _Tally({scheme: np.zeros((n, 3)) for scheme in SCHEMES}, defaultdict(lambda: np.zeros((n, 3))),
                   defaultdict(lambda: np.zeros((n, 3))), defaultdict(lambda: np.zeros((n, 3))), np.zeros((n, 3)),
                   defaultdict(lambda: np.zeros((n, 2))), np.zeros((n, 2)))
    for d, document in enumerate(documents):
        pairs = match(document.gold, document.pred)
        _count_entities(tally, d, document, pairs)
        _count_status(tally, d, document)
        _count_fields(tally, d, document)
        if surfaces is not None:
            _count_surfaces(tally, d, document, pairs["strict"], surfaces)
    return tally


def _count_entities(tally: _Tally, d: int, document: Document, pairs: Mapping[str, list[Pair]]) -> None:
    for scheme, found in pairs.items():
        tally.entities[scheme][d] = sum(pair.credit for pair in found), len(document.gold), len(document.pred)
    for scheme in TYPE_SCHEMES:
        for pair in pairs[scheme]:
            tally.types[document.gold[pair.gold].type, scheme][d, 0] += pair.credit
        for column, spans in ((1, document.gold), (2, document.pred)):
            for span in spans:
                tally.types[span.type, scheme][d, column] += 1
    right = {pair.pred for pair in pairs["strict"]}
    tally.entity_confidence += [(span.confidence, j in right) for j, span in enumerate(document.pred)]


def _count_status(tally: _Tally, d: int, document: Document) -> None:
    """Statuses of mentions whose type and offsets agree; right ones are paired first, the rest in sorted order."""
    predicted: dict[tuple[int, int, str], Counter[str]] = defaultdict(Counter)
    for span in document.pred:
        predicted[span[:3]][span.status] += 1
    golds = [span for span in document.gold if span.status]
    left: list[Span] = []
    pairs: list[tuple[str, str]] = []
    for span in golds:
        if predicted[span[:3]][span.status]:
            predicted[span[:3]][span.status] -= 1
            pairs.append((span.status, span.status))
        else:
            left.append(span)
    for span in left:
        others = sorted((+predicted[span[:3]]).elements())
        if others:
            predicted[span[:3]][others[0]] -= 1
            pairs.append((span.status, others[0]))
    tally.confusion.update(pairs)
    tally.status[d] = sum(gold == pred for gold, pred in pairs), len(pairs)


def _count_fields(tally: _Tally, d: int, document: Document) -> None:
    for name, value in document.gold_fields.items():
        tally.fields[name][d, 1] += 1
        found = document.pred_fields.get(name)
        if found is not None and same_value(value, found):
            tally.fields[name][d, 0] += 1
            tally.evidence[name][d] = evidence_overlaps(value, found), 1
    for name, value in document.pred_fields.items():
        tally.fields[name][d, 2] += 1
        right = bool(tally.fields[name][d, 0])
        tally.field_confidence.append((float(value.confidence), right))
        tally.review.append((bool(value.review), right))
    touched = {*document.gold_fields, *document.pred_fields}
    tally.all_fields[d] = sum((tally.fields[name][d] for name in touched), np.zeros(3))


def _count_surfaces(tally: _Tally, d: int, document: Document, pairs: Sequence[Pair], surfaces: Counter[str]) -> None:
    def count(column: int, span: Span) -> None:
        seen = surfaces[document.text[span.start : span.end]]
        for name, belongs in MENTION_CLASSES.items():
            tally.mentions[name][d, column] += belongs(seen)

    for pair in pairs:
        count(0, document.gold[pair.gold])
    for column, spans in ((1, document.gold), (2, document.pred)):
        for span in spans:
            count(column, span)


def _surfaces(train: Sequence[StructuredRecord]) -> Counter[str]:
    return Counter(mention.slice(record.text) for record in train for mention in record.entities)


def _leaks(documents: Sequence[Document], train: Sequence[StructuredRecord]) -> list[str]:
    texts = {record.text for record in train if record.text}
    shared = sum(document.text in texts for document in documents)
    warning = f"{shared} of {len(documents)} gold texts stand in the training file: the figures are too kind"
    return [warning] if shared else []


def _status(boot: Bootstrap, tally: _Tally) -> StatusScores | None:
    n = int(tally.status[:, 1].sum())
    if not n:
        return None
    confusion: dict[str, dict[str, int]] = {}
    for (gold, pred), count in sorted(tally.confusion.items()):
        confusion.setdefault(gold, {})[pred] = count
    return StatusScores(boot.rate(tally.status), n, confusion)


def _fields(boot: Bootstrap, tally: _Tally, min_gold: int) -> FieldScores | None:
    if not tally.all_fields[:, 1].sum():
        return None
    tables = tally.macro_tables(min_gold)
    names = tally.field_names()
    total = sum(tally.evidence.values(), np.zeros((len(tally.all_fields), 2)))
    return FieldScores(boot.score(tally.all_fields), estimate(*boot.macro(tables)), min_gold, len(tables),
                       boot.rate(total), {name: boot.score(tally.fields[name]) for name in names},
                       {name: boot.rate(tally.evidence[name]) for name in names})


def _groups(boot: Bootstrap, tally: _Tally, documents: Sequence[Document],
            min_gold: int) -> dict[str, dict[str, GroupScores]]:
    """Scores of parts of the documents. Macro-F1 takes the fields with enough gold values in the part itself."""
    has_entities = any(document.gold for document in documents)
    has_fields = bool(tally.all_fields[:, 1].sum())
    dimensions = {name for document in documents for name in document.groups}
    groups: dict[str, dict[str, GroupScores]] = {}
    for dimension in sorted(dimensions, key=("dept", "style", "source").index):
        names = Counter(document.groups.get(dimension, "") for document in documents)
        for name, size in sorted(names.items(), key=lambda item: (-item[1], item[0])):
            rows = np.array([document.groups.get(dimension, "") == name for document in documents])
            tables = [t for t in tally.fields.values() if t[rows, 1].sum() >= min_gold]
            groups.setdefault(dimension, {})[name] = GroupScores(
                size,
                {scheme: boot.score(tally.entities[scheme], rows) for scheme in SCHEMES} if has_entities else {},
                boot.rate(tally.status, rows) if tally.status[rows, 1].any() else None,
                boot.score(tally.all_fields, rows) if has_fields else None,
                estimate(*boot.macro(tables, rows)) if tables else None)
    return groups


def _calibration(tally: _Tally) -> dict[str, Calibration]:
    out = {}
    for name, values in (("entities", tally.entity_confidence), ("fields", tally.field_confidence)):
        if values and any(confidence != 1 for confidence, _ in values):
            confidence, right = zip(*values, strict=True)
            out[name] = calibrate(np.array(confidence), np.array(right, dtype=bool))
    return out


def _review(tally: _Tally) -> Review | None:
    if not any(flagged for flagged, _ in tally.review):
        return None
    flagged, right = zip(*tally.review, strict=True)
    return review_value(np.array(flagged, dtype=bool), np.array(right, dtype=bool))


def _differences(boot: Bootstrap, pred: _Tally, against: _Tally, min_gold: int) -> dict[str, Difference]:
    """Paired differences of F1 under every scheme, status accuracy, and field micro- and macro-F1."""
    figures: dict[str, list[tuple[float, np.ndarray]]] = {}
    for tally in (pred, against):
        for scheme, counts in tally.entities.items():
            if counts[:, 1].any():
                figures.setdefault(f"entities_{scheme}_f1", []).append(boot.macro([counts]))
        if pred.status[:, 1].any() and against.status[:, 1].any():
            hits = tally.status[:, [0, 1, 1]]  # credit / cases / cases: F1 is then the accuracy
            figures.setdefault("status_accuracy", []).append(boot.macro([hits]))
        if tally.all_fields[:, 1].any():
            figures.setdefault("fields_micro_f1", []).append(boot.macro([tally.all_fields]))
            tables = tally.macro_tables(min_gold)
            if tables:
                figures.setdefault("fields_macro_f1", []).append(boot.macro(tables))
    return {name: difference(a, b, a_draws, b_draws) for name, ((a, a_draws), (b, b_draws)) in figures.items()}
