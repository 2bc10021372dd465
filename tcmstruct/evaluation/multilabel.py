"""Scores of answers that are several labels at once: how well they are ranked, decided, and how far a probability can be believed.

Axes: D records, L labels. A label of a record that is not known is NaN in the truth and counts nowhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tcmstruct.evaluation.bootstrap import estimate
from tcmstruct.evaluation.calibration import calibrate
from tcmstruct.evaluation.results import Estimate


def auroc(truth: np.ndarray, scores: np.ndarray, folds: np.ndarray | None = None) -> float:
    """Area under the ROC curve of one label, as the share of pairs that are ranked right (Mann and Whitney 1947); ties count half.

    Args:
        truth: (D,) 0 or 1.
        scores: (D,).
        folds: (D,) of cross-validation: only pairs of one fold are compared. Each fold's head has an offset of its own, which falls
            where its test fold's share of the label rises, so that pairs of two folds make a good head look bad (Parker et al. 2007).

    Returns:
        NaN where one of the two outcomes does not occur.
    """
    right = pairs = 0.0
    for fold in [slice(None)] if folds is None else [folds == f for f in np.unique(folds)]:
        positive, own = truth[fold] > 0.5, scores[fold]
        n_positive, n_negative = int(positive.sum()), int((~positive).sum())
        if n_positive and n_negative:
            _, place, counts = np.unique(own, return_inverse=True, return_counts=True)
            rank = (np.cumsum(counts) - (counts - 1) / 2)[place]
            right += rank[positive].sum() - n_positive * (n_positive + 1) / 2
            pairs += n_positive * n_negative
    return float(right / pairs) if pairs else float("nan")


def macro_auroc(truth: np.ndarray, scores: np.ndarray, folds: np.ndarray | None = None) -> float:
    """Mean over the labels that have both outcomes; (D, L) both; folds (D,) as for `auroc`."""
    each = []
    for t, s in zip(truth.T, scores.T, strict=True):
        known = ~np.isnan(t)
        if known.any():
            each.append(auroc(t[known], s[known], None if folds is None else folds[known]))
    each = [one for one in each if not np.isnan(one)]
    return float(np.mean(each)) if each else float("nan")


def micro_auroc(truth: np.ndarray, scores: np.ndarray, folds: np.ndarray | None = None) -> float:
    """Of all (record, label) pairs at once."""
    known = ~np.isnan(truth)
    return auroc(truth[known], scores[known], None if folds is None else np.broadcast_to(folds[:, None], truth.shape)[known])


def micro_f1(truth: np.ndarray, said: np.ndarray) -> float:
    """F1 of all (record, label) decisions at once; said (D, L) of bool."""
    known = ~np.isnan(truth)
    positive, said = truth[known] > 0.5, said[known]
    return _f1((positive & said).sum(), positive.sum(), said.sum())


def macro_f1(truth: np.ndarray, said: np.ndarray) -> float:
    """Mean F1 of the labels that occur in the truth; (D, L) both."""
    each = []
    for t, s in zip(truth.T, said.T, strict=True):
        known = ~np.isnan(t)
        positive = t[known] > 0.5
        if positive.any():
            each.append(_f1((positive & s[known]).sum(), positive.sum(), s[known].sum()))
    return float(np.mean(each)) if each else float("nan")


def _f1(credit: float, gold: float, said: float) -> float:
    return float(2 * credit / (gold + said)) if gold + said else float("nan")


def best_threshold(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """The one probability above which answers have the best micro-F1 on these records, for all labels of a task alike.

    One a task, not one a label: a label with a handful of cases has no threshold of its own that would hold elsewhere.
    """
    known = ~np.isnan(truth)
    p, positive = probabilities[known], truth[known] > 0.5
    order = np.argsort(-p, kind="stable")
    credit, said = np.cumsum(positive[order]), np.arange(1, len(p) + 1)
    f1 = 2 * credit / (positive.sum() + said)
    last = np.append(p[order][:-1] != p[order][1:], True)  # equal probabilities are answered alike
    return float(p[order][np.argmax(np.where(last, f1, -1.0))])


def calibration_error(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Expected calibration error of all (record, label) probabilities (bins of equal size)."""
    known = ~np.isnan(truth)
    return calibrate(probabilities[known], truth[known] > 0.5).ece


def first_suggestion(truth: np.ndarray, probabilities: np.ndarray) -> tuple[float, float]:
    """(share right, calibration error) of the likeliest label of each record: what a reader sees first."""
    rows = ~np.isnan(truth).all(axis=1)
    best = probabilities[rows].argmax(1)
    right = truth[rows][np.arange(len(best)), best] > 0.5
    return float(right.mean()), calibrate(probabilities[rows].max(1), right).ece


def interval(score: Callable[[np.ndarray], float], groups: np.ndarray, n_boot: int = 500, seed: int = 0) -> Estimate:
    """The score with its 95 % percentile interval over resampled groups of records.

    Args:
        score: takes the rows of a resample.
        groups: (D,) group of each record; copies of a record, and questions on it, are drawn together.
    """
    rows_of = [np.nonzero(groups == g)[0] for g in np.unique(groups)]
    rng = np.random.default_rng(seed)
    drawn = [score(np.concatenate([rows_of[g] for g in rng.integers(0, len(rows_of), len(rows_of))])) for _ in range(n_boot)]
    return estimate(score(np.arange(len(groups))), np.array(drawn))


def mean_over(scores: Sequence[float]) -> tuple[float, float]:
    """(mean, standard deviation) over seeds; 0 for a single one."""
    return float(np.mean(scores)), float(np.std(scores, ddof=1)) if len(scores) > 1 else 0.0
