"""Decoding against an exhaustive search."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tcmstruct.runtime.decode import best_tags, log_softmax, spans


def legal(tags) -> bool:
    return all(t % 2 == 1 or t == 0 or (i and tags[i - 1] in (t, t - 1)) for i, t in enumerate(tags))


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 6), st.integers(1, 2), st.integers(0, 2**31), st.sampled_from([0.5, 2.0, 8.0]))
def test_best_tags_is_the_best_legal_sequence(length, labels, seed, spread):
    scores = log_softmax(np.random.default_rng(seed).normal(0, spread, (length, 1 + 2 * labels)).astype(np.float32))
    got = best_tags(scores.copy())
    assert legal(got)
    best = max(sum(scores[i, t] for i, t in enumerate(tags))
               for tags in itertools.product(range(scores.shape[1]), repeat=length) if legal(tags))
    assert sum(scores[i, t] for i, t in enumerate(got)) == pytest.approx(best, abs=1e-3)


def one_hot(tags, n_tags, strength=9.0):
    return strength * np.eye(n_tags, dtype=np.float32)[np.array(tags)]


def test_spans_read_neighbours_of_one_label_as_two_mentions():
    found = spans(one_hot([0, 1, 2, 1, 0, 3, 4, 4, 1], 5))
    assert [(s.label, s.start, s.end) for s in found] == [(0, 1, 3), (0, 3, 4), (1, 5, 8), (0, 8, 9)]
    assert all(s.probability > 0.99 for s in found)


def test_a_mention_may_begin_at_the_first_and_end_at_the_last_character():
    assert [(s.start, s.end) for s in spans(one_hot([1, 2, 2], 3))] == [(0, 3)]


def test_no_mention_gives_no_span():
    assert spans(one_hot([0, 0, 0], 3)) == []


def test_an_i_without_a_beginning_is_repaired():
    found = spans(one_hot([0, 2, 2, 0], 3))
    assert len(found) <= 1 and all(s.start == 1 for s in found)


def test_status_is_that_of_the_whole_mention_and_confidence_falls_with_doubt():
    status = np.zeros((4, 4), np.float32)
    status[1], status[2] = [3, 0, 0, 0], [0, 5, 0, 0]
    sure = spans(one_hot([0, 1, 2, 0], 3), status)[0]
    assert sure.status == 1 and 0.5 < sure.status_probability < 0.9
    assert spans(one_hot([0, 1, 2, 0], 3, 2.0), status)[0].probability < sure.probability
