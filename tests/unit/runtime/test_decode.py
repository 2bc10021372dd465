"""Decoding against an exhaustive search."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tcmstruct.runtime.decode import Transitions, best_paths, best_tags, greedy_spans, log_softmax, posteriors


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
    found = greedy_spans(one_hot([0, 1, 2, 1, 0, 3, 4, 4, 1], 5))
    assert [(s.label, s.start, s.end) for s in found] == [(0, 1, 3), (0, 3, 4), (1, 5, 8), (0, 8, 9)]
    assert all(s.probability > 0.99 for s in found)


def test_a_mention_may_begin_at_the_first_and_end_at_the_last_character():
    assert [(s.start, s.end) for s in greedy_spans(one_hot([1, 2, 2], 3))] == [(0, 3)]


def test_no_mention_gives_no_span():
    assert greedy_spans(one_hot([0, 0, 0], 3)) == []


def test_an_i_without_a_beginning_is_repaired():
    found = greedy_spans(one_hot([0, 2, 2, 0], 3))
    assert len(found) <= 1 and all(s.start == 1 for s in found)


def test_status_is_that_of_the_whole_mention_and_confidence_falls_with_doubt():
    status = np.zeros((4, 4), np.float32)
    status[1], status[2] = [3, 0, 0, 0], [0, 5, 0, 0]
    sure = greedy_spans(one_hot([0, 1, 2, 0], 3), status)[0]
    assert sure.status == 1 and 0.5 < sure.status_probability < 0.9
    assert greedy_spans(one_hot([0, 1, 2, 0], 3, 2.0), status)[0].probability < sure.probability


def crf(seed, n_labels=1):
    rng = np.random.default_rng(seed)
    k = 1 + 2 * n_labels
    moves = rng.normal(0, 1, (k, k))
    for inside in range(2, k, 2):
        moves[[i for i in range(k) if i not in (inside, inside - 1)], inside] = -1e4
    first = rng.normal(0, 1, k)
    first[2::2] = -1e4
    return Transitions(first, moves, rng.normal(0, 1, k))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.lists(st.integers(1, 6), min_size=1, max_size=4))
def test_crf_paths_and_posteriors_equal_the_sum_over_all_sequences(seed, lengths):
    transitions = crf(seed)
    rng = np.random.default_rng(seed + 1)
    texts = [rng.normal(0, 2, (n, 3)).astype(np.float32) for n in lengths]
    together = best_paths(texts, transitions), posteriors(texts, transitions)
    for text, path, posterior in zip(texts, *together, strict=True):
        everything = {}
        for tags in itertools.product(range(3), repeat=len(text)):
            everything[tags] = (transitions.first[tags[0]] + transitions.last[tags[-1]] + sum(text[i, t] for i, t in enumerate(tags))
                                + sum(transitions.moves[a, b] for a, b in itertools.pairwise(tags)))
        assert everything[tuple(path)] == pytest.approx(max(everything.values()), abs=1e-3)
        weights = np.exp(np.array(list(everything.values())) - max(everything.values()))
        expected = np.zeros((len(text), 3))
        for tags, w in zip(everything, weights / weights.sum(), strict=True):
            for i, t in enumerate(tags):
                expected[i, t] += w
        assert np.allclose(posterior, expected, atol=1e-4)


def test_company_changes_no_byte_of_paths_and_posteriors():
    transitions = crf(3, 2)
    rng = np.random.default_rng(0)
    texts = [rng.normal(0, 2, (n, 5)).astype(np.float32) for n in (40, 7, 100, 1, 33, 100)]
    for one, path, posterior in zip(texts, best_paths(texts, transitions), posteriors(texts, transitions), strict=True):
        assert np.array_equal(best_paths([one], transitions)[0], path)
        assert np.array_equal(posteriors([one], transitions)[0], posterior)
