"""Tag scores → mentions. Axes: T characters, K tags (O, B-0, I-0, B-1, I-1 …), S statuses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Span:
    """A run of tags of one label: label number, characters [start, end), probability, status number and its probability."""

    label: int
    start: int
    end: int
    probability: float
    status: int
    status_probability: float


def log_softmax(scores: np.ndarray) -> np.ndarray:
    """Along the last axis, in float32."""
    shifted = scores - scores.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def best_tags(scores: np.ndarray) -> np.ndarray:
    """(T, K) log-probabilities → (T,) the most probable sequence in which an I follows a B or I of its label.

    Where every character's own best tag gives a legal sequence, that is the answer; only around breaks is the sequence
    searched (Viterbi).
    """
    tags = scores.argmax(-1)
    previous = np.concatenate([[0], tags[:-1]])
    inside = (tags > 0) & (tags % 2 == 0)
    broken = np.flatnonzero(inside & (previous != tags) & (previous != tags - 1))
    if len(broken) == 0:
        return tags
    # Search a stretch between two O's; it is exact if what legality cost inside is no more than what changing either O
    # would cost (the margin to its second best tag); else the stretch grows to the next O.
    others = np.partition(scores, -2, axis=-1)[:, -2]
    margin = np.where(tags == 0, scores[:, 0] - others, -1.0)
    done = 0
    for position in broken.tolist():
        if position < done:
            continue
        left = right = position
        while True:
            while left > 0 and tags[left - 1] != 0:
                left -= 1
            while right < len(tags) and tags[right] != 0:
                right += 1
            path = _viterbi(scores[left:right])
            inside_stretch = np.arange(right - left)
            cost = float((scores[left:right].max(-1) - scores[left:right][inside_stretch, path]).sum())
            grow_left = left > 0 and margin[left - 1] < cost
            grow_right = right < len(tags) and margin[right] < cost
            if not grow_left and not grow_right:
                break
            left, right = left - grow_left, right + grow_right
        tags[left:right] = path
        done = right
    return tags


@dataclass(frozen=True)
class Transitions:
    """A CRF's scores of neighbouring tags, illegal ones far below zero: first (K,), moves (K, K) from × to, last (K,)."""

    first: np.ndarray
    moves: np.ndarray
    last: np.ndarray


def best_paths(scores: Sequence[np.ndarray], transitions: Transitions) -> list[np.ndarray]:
    """The CRF's best sequence (Viterbi) of each of several texts at once: (T, K) scores each → (T,) tags each.

    Each text's path is computed from its own scores only, element by element: company changes nothing.
    """
    if not scores:
        return []
    packed = _Packed(scores)
    moves = np.ascontiguousarray(transitions.moves.T.astype(np.float32))  # to × from
    back = np.zeros(packed.scores.shape, np.int8)
    total = transitions.first.astype(np.float32) + packed.scores[0]
    for t in range(1, len(back)):
        n = packed.alive[t]
        ways = total[:n, None, :] + moves
        came = ways.argmax(2)
        back[t, :n] = came
        total[:n] = np.take_along_axis(ways, came[:, :, None], 2)[:, :, 0] + packed.scores[t, :n]
    paths = np.zeros(back.shape[:2], np.int64)
    here = (total + transitions.last.astype(np.float32)).argmax(1)
    rows = np.arange(len(here))
    for t in range(len(back) - 1, -1, -1):
        n = packed.alive[t]
        paths[t, :n] = here[:n]
        here[:n] = back[t, rows[:n], here[:n]]
    return packed.unpack(paths)


def posteriors(scores: Sequence[np.ndarray], transitions: Transitions) -> list[np.ndarray]:
    """The CRF's probability of each tag at each place (forward–backward): (T, K) scores each → (T, K) each."""
    if not scores:
        return []
    packed = _Packed(scores)
    own = np.exp(packed.scores - packed.scores.max(2, keepdims=True))
    moves = np.exp(transitions.moves).astype(np.float32)
    last = np.exp(transitions.last).astype(np.float32)
    forward = own.copy()
    forward[0] *= np.exp(transitions.first).astype(np.float32)
    forward[0] /= forward[0].sum(1, keepdims=True)
    for t in range(1, len(own)):
        n = packed.alive[t]
        # summed element by element: a matrix product's rounding may depend on how many texts stand beside this one
        step = (forward[t - 1, :n, :, None] * moves).sum(1) * own[t, :n]
        forward[t, :n] = step / step.sum(1, keepdims=True)
    backward = np.broadcast_to(last, own.shape[1:]).copy()
    joint = forward  # becomes forward · backward in place
    for t in range(len(own) - 1, -1, -1):
        n = packed.alive[t]
        product = forward[t, :n] * backward[:n]
        to_come = (own[t, :n] * backward[:n])[:, None, :]
        joint[t, :n] = product / product.sum(1, keepdims=True)
        earlier = (moves * to_come).sum(2)
        backward[:n] = earlier / earlier.max(1, keepdims=True)
    return packed.unpack(joint)


class _Packed:
    """Texts side by side, longest first: scores (T, N, K), and how many texts are longer than t."""

    def __init__(self, scores: Sequence[np.ndarray]) -> None:
        self._order = sorted(range(len(scores)), key=lambda i: -len(scores[i]))
        self._lengths = [len(scores[i]) for i in self._order]
        longest = max(1, self._lengths[0])
        self.scores = np.zeros((longest, len(scores), scores[0].shape[1]), np.float32)
        for column, i in enumerate(self._order):
            self.scores[: len(scores[i]), column] = scores[i]
        self.alive = np.searchsorted(-np.array(self._lengths), -np.arange(longest), side="left").tolist()

    def unpack(self, values: np.ndarray) -> list[np.ndarray]:
        out: list[np.ndarray] = [values[:0, 0]] * len(self._order)
        for column, i in enumerate(self._order):
            out[i] = values[: self._lengths[column], column]
        return out


def _viterbi(scores: np.ndarray) -> np.ndarray:
    """Legal best sequence of a stretch that stands between O's (or the ends of the text)."""
    length, n_tags = scores.shape
    inside = np.arange(2, n_tags, 2)
    back = np.zeros((length, n_tags), np.int64)
    total = scores[0].copy()
    total[inside] = -np.inf
    for t in range(1, length):
        best = int(total.argmax())
        came = np.full(n_tags, best)
        value = np.full(n_tags, total[best])
        from_begin = total[inside - 1] >= total[inside]
        came[inside] = np.where(from_begin, inside - 1, inside)
        value[inside] = np.maximum(total[inside - 1], total[inside])
        back[t] = came
        total = value + scores[t]
    path = np.empty(length, np.int64)
    path[-1] = total.argmax()
    for t in range(length - 1, 0, -1):
        path[t - 1] = back[t, path[t]]
    return path


def spans(tag_log_p: np.ndarray, tags: np.ndarray, status_scores: np.ndarray | None = None) -> list[Span]:
    """Mentions of one readout, in text order, without overlap.

    Args:
        tag_log_p: (T, K) log-probability of each tag.
        tags: (T,) a legal sequence of tags (`best_tags`, `best_paths`).
        status_scores: (T, S) scores before the softmax; None gives status 0 with probability 1.

    Returns:
        Spans whose probability is that of the weakest link: the least sure tag from the first character to the one
        after the last (which must not continue the mention).
    """
    starts = np.flatnonzero(tags % 2 == 1)
    if len(starts) == 0:
        return []
    length = len(tags)
    # a mention ends where the tag is not the I of its label
    outside = np.flatnonzero(np.concatenate([(tags == 0) | (tags % 2 == 1), [True]]))
    ends = outside[np.searchsorted(outside, starts, side="right")]
    own = np.concatenate([tag_log_p[np.arange(length), tags], [0.0]])
    borders = np.stack([starts, ends], 1).ravel()
    probability = np.exp(np.minimum.reduceat(own, borders)[::2])
    inner = ends < length
    goes_on = np.exp(tag_log_p[ends[inner], tags[starts[inner]] + 1])
    probability[inner] = np.minimum(probability[inner], 1 - goes_on)
    if status_scores is None:
        status, status_p = np.zeros(len(starts), np.int64), np.ones(len(starts))
    else:
        padded = np.concatenate([status_scores, np.zeros((1, status_scores.shape[1]), status_scores.dtype)])
        mean = np.add.reduceat(padded, borders, axis=0)[::2] / (ends - starts)[:, None]
        all_p = np.exp(log_softmax(mean))
        status, status_p = all_p.argmax(1), all_p.max(1)
    columns = zip((tags[starts] // 2).tolist(), starts.tolist(), ends.tolist(), probability.tolist(), status.tolist(), status_p.tolist(),
                  strict=True)
    return [Span(*row) for row in columns]


def greedy_spans(tag_scores: np.ndarray, status_scores: np.ndarray | None = None) -> list[Span]:
    """Mentions of a readout without CRF: (T, K) scores → spans of the best legal sequence."""
    log_p = log_softmax(tag_scores)
    return spans(log_p, best_tags(log_p), status_scores)


def hint_spans(tag_scores: np.ndarray, labels: Sequence[int]) -> list[Span]:
    """Mentions of some labels of a readout that only hints: every character's own best tag, an I without its B begins one."""
    tags = tag_scores.argmax(-1)
    wanted = np.zeros(tag_scores.shape[1], bool)
    for label in labels:
        wanted[1 + 2 * label : 3 + 2 * label] = True
    tags[~wanted[tags]] = 0
    if not tags.any():
        return []
    previous = np.concatenate([[0], tags[:-1]])
    inside = (tags > 0) & (tags % 2 == 0)
    tags = np.where(inside & (previous != tags) & (previous != tags - 1), tags - 1, tags)
    # hints are few: only their characters, and the one after each, need probabilities
    log_p = np.zeros_like(tag_scores)
    here = tags > 0
    here[1:] |= tags[:-1] > 0
    log_p[here] = log_softmax(tag_scores[here])
    return spans(log_p, tags)


def label_probability(tag_scores: np.ndarray) -> np.ndarray:
    """(T, K) scores → (T, labels) probability that each character belongs to each label, by its B or I tag."""
    p = np.exp(log_softmax(tag_scores))
    return p[:, 1::2] + p[:, 2::2]
