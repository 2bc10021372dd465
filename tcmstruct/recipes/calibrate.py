"""Fits what a confidence means: raw score → share that is right, on labelled records that the model did not learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from sklearn.isotonic import IsotonicRegression

from tcmstruct.evaluation.values import same_value
from tcmstruct.labels import GOLD_TYPES
from tcmstruct.pipeline import Structurer
from tcmstruct.record import Record, StructuredRecord
from tcmstruct.runtime.mentions import Calibration
from tcmstruct.training.data import IGNORE
from tcmstruct.training.photos import balance

MIN_EXAMPLES = 60
"""A group with fewer judged examples is calibrated with its kind (all entities, all fields)."""

RIGHT_OF_ANSWERED = 0.9
"""An attribute is answered where, on held-out photos, so many of the answers are right; but at least half get one. Two
attributes ask for less: at 0.9 the threshold of 齿痕 lies where most photos are, and 舌色, right on 0.88 of all, would drop the last few:
small changes of a photo would carry many across."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One raw confidence and whether what it stood for was right."""

    name: str
    raw: float
    right: bool


def judged(structurer: Structurer, gold: Sequence[StructuredRecord]) -> list[Judged]:
    """Raw confidences of mentions (`entity:LABEL`) and field values (`field:BASIS`) against gold."""
    kept, structurer.mentions.calibration = structurer.mentions.calibration, Calibration()
    try:
        results = structurer.structure_many([Record(g.id, g.text) for g in gold])
    finally:
        structurer.mentions.calibration = kept
    out: list[Judged] = []
    for g, r in zip(gold, results, strict=True):
        true = {(GOLD_TYPES.get(m.type, m.type), m.start, m.end, m.status) for m in g.entities}
        for m in r.entities:
            label = GOLD_TYPES.get(m.type)
            if label and m.confidence < 1:
                out.append(Judged(f"entity:{label}", m.confidence, (label, m.start, m.end, m.status) in true))
        for name, value in r.fields.items():
            right = name in g.fields and same_value(g.fields[name], value)
            out.append(Judged(f"field:{value.basis}", value.confidence, right))
    return out


def fit(examples: Sequence[Judged], knots: int = 12) -> dict[str, dict[str, list[float]]]:
    """Isotonic maps (Zadrozny & Elkan 2002), thinned to `knots` points; keys as in `Judged.name`, and their kinds."""
    groups: dict[str, list[Judged]] = {}
    for e in examples:
        groups.setdefault(e.name, []).append(e)
        groups.setdefault(e.name.split(":")[0], []).append(e)
    return {name: _isotonic(group, knots) for name, group in groups.items() if len(group) >= MIN_EXAMPLES}


def _isotonic(group: Sequence[Judged], knots: int) -> dict[str, list[float]]:
    raw = np.array([e.raw for e in group])
    # a prior of one right and one wrong example at the ends keeps 0 and 1 out of reach
    x = np.concatenate([raw, [raw.min(), raw.max()]])
    y = np.concatenate([[float(e.right) for e in group], [0.0, 1.0]])
    model = IsotonicRegression(y_min=0.01, y_max=0.995, out_of_bounds="clip").fit(x, y)
    # means over bins of equal mass, so that a step of a few examples does not pass for knowledge
    edges = np.unique(np.quantile(raw, np.linspace(0, 1, knots)))
    share = max(10, len(raw) // knots)
    fitted = np.maximum.accumulate([float(model.predict(raw[np.abs(raw - e).argsort()[:share]]).mean()) for e in edges])
    return {"raw": [round(float(e), 5) for e in edges], "calibrated": [round(float(v), 4) for v in fitted]}


def temperature_of(scores: np.ndarray, labels: np.ndarray) -> float:
    """The temperature of least held-out log-loss (Guo et al. 2017); classes weigh alike."""
    known = labels != IGNORE
    s, y = scores[known].astype(np.float64), labels[known]
    weight = balance(y, scores.shape[1]).numpy()[y]

    def log_loss(log_t: float) -> float:
        z = s / np.exp(log_t)
        z = z - z.max(1, keepdims=True)
        return float((weight * (np.log(np.exp(z).sum(1)) - z[np.arange(len(y)), y])).mean())

    return float(np.exp(minimize_scalar(log_loss, bounds=(-4, 4), method="bounded").x))


def threshold_of(confidence: np.ndarray, right: np.ndarray, asked: float = RIGHT_OF_ANSWERED) -> float:
    """The least confidence from which a share `asked` of the answers is right, but never above the median."""
    order = np.argsort(-confidence)
    share = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    enough = np.nonzero(share >= asked)[0]
    last = enough[-1] if len(enough) else 0
    return float(max(0.34, min(confidence[order][last], np.median(confidence))))
