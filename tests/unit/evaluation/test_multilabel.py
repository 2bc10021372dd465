import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score

from tcmstruct.evaluation.multilabel import (
    auroc,
    best_threshold,
    calibration_error,
    first_suggestion,
    interval,
    macro_auroc,
    macro_f1,
    micro_auroc,
    micro_f1,
)

RNG = np.random.default_rng(0)
TRUTH = (RNG.random((60, 4)) < [0.1, 0.3, 0.5, 0.2]).astype(float)
SCORES = np.round(TRUTH * 0.4 + RNG.random((60, 4)), 1)  # rounded: ties


def test_the_same_as_scikit_learn():
    assert auroc(TRUTH[:, 0], SCORES[:, 0]) == pytest.approx(roc_auc_score(TRUTH[:, 0], SCORES[:, 0]))
    assert macro_auroc(TRUTH, SCORES) == pytest.approx(roc_auc_score(TRUTH, SCORES, average="macro"))
    assert micro_auroc(TRUTH, SCORES) == pytest.approx(roc_auc_score(TRUTH.ravel(), SCORES.ravel()))
    said = SCORES > 0.7
    assert macro_f1(TRUTH, said) == pytest.approx(f1_score(TRUTH, said, average="macro"))
    assert micro_f1(TRUTH, said) == pytest.approx(f1_score(TRUTH, said, average="micro"))


def test_labels_with_one_outcome_count_nowhere_and_unknown_ones_neither():
    truth = np.column_stack([TRUTH, np.zeros(60), np.full(60, np.nan)])
    scores = np.column_stack([SCORES, SCORES[:, :2]])
    assert macro_auroc(truth, scores) == pytest.approx(macro_auroc(TRUTH, SCORES))
    assert np.isnan(macro_auroc(truth[:, 4:], scores[:, 4:]))
    half = TRUTH.copy()
    half[:30, 1] = np.nan
    each = [auroc(TRUTH[30 * (j == 1) :, j], SCORES[30 * (j == 1) :, j]) for j in range(4)]
    assert macro_auroc(half, SCORES) == pytest.approx(np.mean(each))


def test_no_other_threshold_has_a_better_f1():
    chosen = best_threshold(TRUTH, SCORES)
    best = max(micro_f1(TRUTH, t <= SCORES) for t in np.unique(SCORES))
    assert best == pytest.approx(micro_f1(TRUTH, chosen <= SCORES))


def test_true_probabilities_are_calibrated_and_bold_ones_are_not():
    p = RNG.random((4000, 2))
    truth = (RNG.random((4000, 2)) < p).astype(float)
    assert calibration_error(truth, p) < 0.03 < 0.15 < calibration_error(truth, (p > 0.5).astype(float))


def test_the_first_suggestion_is_the_likeliest():
    truth, p = np.array([[1.0, 0], [0, 1], [np.nan, np.nan]]), np.array([[0.9, 0.2], [0.7, 0.1], [0.5, 0.5]])
    assert first_suggestion(truth, p)[0] == 0.5


def test_intervals_draw_groups_as_one():
    values = np.repeat(RNG.random(20), 10)
    alone = interval(lambda rows: values[rows].mean(), np.arange(200), 300)
    together = interval(lambda rows: values[rows].mean(), np.repeat(np.arange(20), 10), 300)
    assert together.high - together.low > 2 * (alone.high - alone.low)
    assert alone.value == together.value == pytest.approx(values.mean())


def test_pairs_of_two_folds_are_not_compared():
    truth, scores, folds = np.array([0.0, 1, 0, 1]), np.array([0.6, 0.7, 0.1, 0.2]), np.array([0, 0, 1, 1])
    assert auroc(truth, scores, folds) == 1.0 and auroc(truth, scores) < 1.0
    assert macro_auroc(truth[:, None], scores[:, None], folds) == micro_auroc(truth[:, None], scores[:, None], folds) == 1.0
