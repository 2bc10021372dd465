import numpy as np
import pytest

from tcmstruct.evaluation.bootstrap import Bootstrap, difference, estimate


def test_scores_are_ratios_of_sums():
    score = Bootstrap(2, 0, 0).score(np.array([[1, 2, 1], [2, 2, 4.0]]))
    assert (score.precision.value, score.recall.value) == (3 / 5, 3 / 4)
    assert score.f1.value == pytest.approx(2 / 3)
    assert score.f1.low is None


@pytest.mark.parametrize(("counts", "expected"), [
    ([0, 0, 0], (None, None, None)), ([0, 3, 0], (0, 0, 0)), ([0, 0, 3], (0, 0, 0)),
])
def test_nothing_on_one_side_is_zero_and_on_both_undefined(counts, expected):
    score = Bootstrap(1, 10, 0).score(np.array([counts], dtype=float))
    assert (score.precision.value, score.recall.value, score.f1.value) == expected


def test_the_interval_is_the_percentile_interval_of_resampled_documents():
    rng = np.random.default_rng(3)
    gold = rng.integers(1, 9, 60)
    counts = np.stack([rng.binomial(gold, .8), gold, gold], axis=1).astype(float)
    score = Bootstrap(60, 2000, 1).score(counts)
    slow = []
    for _ in range(2000):  # the same thing, document by document
        rows = counts[rng.integers(0, 60, 60)]
        slow.append(rows[:, 0].sum() / rows[:, 1].sum())
    low, high = np.quantile(slow, [.025, .975])
    assert (score.recall.low, score.recall.high) == (pytest.approx(low, abs=.01), pytest.approx(high, abs=.01))
    assert score.recall.low < score.recall.value < score.recall.high


def test_counts_of_one_document_alone_have_no_interval():
    counts = np.array([[3, 4, 5], [0, 0, 0.0]])
    assert Bootstrap(2, 50, 0).score(counts).f1.low is None
    assert Bootstrap(2, 50, 0).rate(counts[:, :2]).low is None
    assert Bootstrap(2, 50, 0).score(counts[::-1] + counts).f1.low == pytest.approx(2 / 3)


def test_a_seed_fixes_the_draws():
    counts = np.random.default_rng(0).integers(1, 5, (30, 3)).astype(float)
    assert Bootstrap(30, 100, 5).score(counts) == Bootstrap(30, 100, 5).score(counts)
    assert Bootstrap(30, 100, 5).score(counts) != Bootstrap(30, 100, 6).score(counts)


def test_a_group_takes_its_own_rows_only():
    counts = np.array([[1, 1, 1], [0, 1, 1.0]])
    rows = np.array([True, False])
    assert Bootstrap(2, 20, 0).score(counts, rows).f1.value == 1
    assert Bootstrap(2, 20, 0).rate(counts[:, :2], rows).value == 1


def test_macro_is_the_mean_of_f1_over_tables_that_a_resample_touches():
    a, b = np.array([[1, 1, 1], [0, 0, 0.0]]), np.array([[0, 0, 0], [0, 1, 0.0]])
    point, draws = Bootstrap(2, 200, 0).macro([a, b])
    assert point == .5
    assert set(draws) == {0, .5, 1}


def test_difference_and_its_p():
    rng = np.random.default_rng(0)
    better, same = rng.normal(.1, .02, 1000), rng.normal(0, .02, 1000)
    clear = difference(.9, .8, .8 + better, np.full(1000, .8))
    assert clear.difference.value == pytest.approx(.1)
    assert clear.difference.low > 0
    assert clear.p == pytest.approx(2 / 1001)
    unclear = difference(.8, .8, .8 + same, np.full(1000, .8))
    assert unclear.p > .5
    assert difference(.8, .8, np.full(9, .8), np.full(9, .8)).p == 1
    assert difference(float("nan"), .8, same, same).difference.value is None


def test_undefined_draws_are_left_out():
    drawn = estimate(.5, np.array([.4, np.nan, .6]))
    assert .4 <= drawn.low <= drawn.high <= .6
    assert estimate(float("nan"), np.array([.5])).value is None
