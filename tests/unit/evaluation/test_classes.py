"""F1 of one class of several, by hand-made answers."""

import numpy as np
import pytest

from tcmstruct.evaluation.classes import expected_f1, macro_f1

TRUTH = np.array([0, 0, 0, 1, 1, 2])


def test_macro_f1_is_the_mean_over_classes_that_occur():
    said = np.array([0, 0, 1, 1, 1, 0])  # class 0: 2 of 3 and 3; class 1: 2 of 2 and 3; class 2: none
    assert macro_f1(TRUTH, said) == pytest.approx((4 / 6 + 4 / 5 + 0) / 3)
    assert macro_f1(TRUTH[:5], np.array([0, 0, 0, 1, 2])) == pytest.approx((1 + 2 / 3) / 2)


def test_expected_f1_of_sure_answers_is_macro_f1():
    said = np.array([0, 2, 1, 1, 1, 2])
    assert expected_f1(TRUTH, np.eye(3)[said]) == pytest.approx(macro_f1(TRUTH, said))


def test_expected_f1_moves_with_every_probability():
    unsure = np.full((6, 3), 1 / 3)
    better = unsure.copy()
    better[0] = (0.5, 0.25, 0.25)
    assert (better.argmax(1) == unsure.argmax(1)).all() and expected_f1(TRUTH, better) > expected_f1(TRUTH, unsure)
