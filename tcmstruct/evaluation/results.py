"""What an evaluation says, as plain data. None of it holds record text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval.

    Attributes:
        value: in [0, 1] (differences in [-1, 1]); None where it is not defined (no gold and no prediction).
        low, high: ends of the document-level bootstrap percentile interval; None without resamples, and where one
            document alone holds all counts (its spread would be a false zero).
    """

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """Precision, recall and F1 with the counts they come from.

    Attributes:
        credit: matched items (halves under the scheme `partial`).
        n_gold, n_pred: items in gold and in the prediction.
    """

    credit: float
    n_gold: int
    n_pred: int
    precision: Estimate
    recall: Estimate
    f1: Estimate


@dataclass(frozen=True, slots=True)
class StatusScores:
    """Status of the mentions whose type and offsets are right and whose gold states a status.

    Attributes:
        accuracy: share with the right status.
        n: such mentions.
        confusion: gold status → predicted status → count; "" is a prediction without one.
    """

    accuracy: Estimate
    n: int
    confusion: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class FieldScores:
    """Values of fields; a value counts where it is the gold one.

    Attributes:
        micro: over all values.
        macro_f1: mean F1 of the fields with at least `macro_min_gold` gold values.
        macro_fields: how many fields those are.
        evidence_overlap: share of right values whose evidence shares a character with the gold evidence.
        by_field: field → score, most frequent in gold first.
        evidence_by_field: field → the share above for this field.
    """

    micro: Score
    macro_f1: Estimate
    macro_min_gold: int
    macro_fields: int
    evidence_overlap: Estimate
    by_field: Mapping[str, Score]
    evidence_by_field: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True)
class GroupScores:
    """The main figures of the records of one department, style or source."""

    n_records: int
    entities: Mapping[str, Score]
    status_accuracy: Estimate | None
    fields: Score | None
    macro_f1: Estimate | None


@dataclass(frozen=True, slots=True)
class Bin:
    """Predictions of similar confidence: how many, mean confidence, share that is right."""

    n: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """Whether confidence means what it says.

    Attributes:
        ece: expected calibration error, Σ n_b/n · |accuracy_b - confidence_b| over bins of equal mass.
        brier: mean squared distance of confidence from right (1) or wrong (0).
    """

    n: int
    ece: float
    brier: float
    confidence: float
    accuracy: float
    bins: tuple[Bin, ...]


@dataclass(frozen=True, slots=True)
class Review:
    """What the review flag of field values buys.

    Attributes:
        coverage: share of predicted values that are not flagged.
        precision_accepted, precision_flagged: share of right values among the unflagged and the flagged ones.
        errors_caught: share of the wrong predicted values that are flagged.
    """

    n: int
    coverage: float
    precision_accepted: float | None
    precision_flagged: float | None
    errors_caught: float | None


@dataclass(frozen=True, slots=True)
class Difference:
    """One figure of two systems on the same records; `difference` is pred minus against."""

    pred: float | None
    against: float | None
    difference: Estimate
    p: float | None


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """All figures of one evaluation.

    Attributes:
        n_records: gold records. n_missing: of these, without a prediction. n_extra: predictions without gold.
        settings: label space, thresholds, resamples and seed.
        entities: scheme → score (`matching.SCHEMES`); empty where gold annotates no mentions.
        by_type: type → scheme (strict, exact, type) → score.
        status: None where no mention matched that has a gold status.
        mentions: seen, unseen, rare, frequent → strict score, by how often the surface stands in the training file.
        fields: None where gold annotates no fields.
        groups: dimension (dept, style, source) → name → scores.
        calibration: "entities" and "fields" where predictions carry confidences.
        differences: figure → paired difference, where a second system was given.
        error_counts: kind of error → count (`listing.list_errors`).
        warnings: what endangers the figures. notes: what was left out by design.
        inputs: role → name, sha256 and number of records of the file (set by the recipe).
    """

    n_records: int
    n_missing: int
    n_extra: int
    settings: Mapping[str, Any]
    entities: Mapping[str, Score]
    by_type: Mapping[str, Mapping[str, Score]]
    status: StatusScores | None
    mentions: Mapping[str, Score]
    fields: FieldScores | None
    groups: Mapping[str, Mapping[str, GroupScores]]
    calibration: Mapping[str, Calibration]
    review: Review | None
    differences: Mapping[str, Difference]
    error_counts: Mapping[str, int]
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    inputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; figures that are not defined are None."""
        return asdict(self)
