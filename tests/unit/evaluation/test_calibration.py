import numpy as np
import pytest

from tcmstruct.evaluation.calibration import calibrate, review_value


def test_ece_and_brier_by_hand():
    c = calibrate(np.array([.2, .2, .8, .8]), np.array([False, False, True, False]), n_bins=2)
    assert [(b.n, b.confidence, b.accuracy) for b in c.bins] == [(2, pytest.approx(.2), 0), (2, pytest.approx(.8), .5)]
    assert c.ece == pytest.approx((2 * .2 + 2 * .3) / 4)
    assert c.brier == pytest.approx((.04 + .04 + .04 + .64) / 4)


def test_distinct_confidences_fill_bins_of_equal_mass():
    c = calibrate(np.linspace(0, 1, 50), np.ones(50, bool))
    assert [b.n for b in c.bins] == [5] * 10


def test_the_order_of_equal_confidences_does_not_matter():
    confidence, right = np.repeat([.3, .6, .9], [40, 33, 27]), np.arange(100) % 3 > 0
    order = np.random.default_rng(0).permutation(100)
    assert calibrate(confidence, right).ece == pytest.approx(calibrate(confidence[order], right[order]).ece)
    assert len(calibrate(confidence, right).bins) == 3


def test_a_calibrated_system_has_a_small_error_and_an_overconfident_one_a_large_one():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0, 1, 20_000)
    right = rng.uniform(0, 1, 20_000) < confidence
    assert calibrate(confidence, right).ece < .015
    assert calibrate(confidence ** .2, right).ece > .2


def test_one_prediction():
    c = calibrate(np.array([.7]), np.array([True]))
    assert (c.n, c.ece) == (1, pytest.approx(.3))


def test_review():
    r = review_value(np.array([True, True, False, False, False]), np.array([False, True, True, True, False]))
    assert (r.coverage, r.precision_accepted) == (.6, pytest.approx(2 / 3))
    assert (r.precision_flagged, r.errors_caught) == (.5, .5)
    assert review_value(np.array([True]), np.array([True])).errors_caught is None
