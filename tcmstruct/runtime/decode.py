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


def spans(tag_scores: np.ndarray, status_scores: np.ndarray | None = None) -> list[Span]:
    """Mentions of one readout, in text order, without overlap.

    Args:
        tag_scores: (T, K) scores before the softmax.
        status_scores: (T, S) scores before the softmax; None gives status 0 with probability 1.

    Returns:
        Spans whose probability is that of the weakest link: the least sure tag from the first character to the one
        after the last (which must not continue the mention).
    """
    log_p = log_softmax(tag_scores)
    tags = best_tags(log_p)
    starts = np.flatnonzero(tags % 2 == 1)
    if len(starts) == 0:
        return []
    length = len(tags)
    own = log_p[np.arange(length), tags]
    # a mention ends where the tag is not the I of its label
    changes = np.concatenate([np.flatnonzero((tags[1:] != tags[:-1]) | (tags[1:] % 2 == 1)) + 1, [length]])
    next_change = changes[np.searchsorted(changes, starts, side="right")]
    out: list[Span] = []
    status_log_p = None if status_scores is None else status_scores
    for start, change in zip(starts.tolist(), next_change.tolist(), strict=True):
        tag = int(tags[start])
        end = change
        if end < length and tags[end] == tag + 1:  # B was followed by its I's: the run of I's ends later
            end = int(changes[np.searchsorted(changes, end, side="right")])
        probability = own[start:end].min()
        if end < length:
            probability = min(probability, np.log1p(-min(0.9999999, float(np.exp(log_p[end, tag + 1])))))
        status, status_p = 0, 1.0
        if status_log_p is not None:
            mean = log_softmax(status_log_p[start:end].mean(0))
            status = int(mean.argmax())
            status_p = float(np.exp(mean[status]))
        out.append(Span((tag - 1) // 2, start, end, float(np.exp(probability)), status, status_p))
    return out


def tag_share(tag_log_p: np.ndarray, start: int, end: int, labels: Sequence[int]) -> float:
    """Mean probability that characters [start, end) belong to any of `labels`, by B or I tags."""
    columns = [c for label in labels for c in (1 + 2 * label, 2 + 2 * label)]
    return float(np.exp(tag_log_p[start:end][:, columns]).sum(-1).mean())
