"""Which predicted mention is counted for which gold mention: one-to-one, by optimal assignment.

Five schemes, from the narrowest to the widest:

=========  ================================================  ==============================
scheme     a pair counts where                               called elsewhere
=========  ================================================  ==============================
strict     type, offsets, and the status that gold states    –
exact      type and offsets                                  "strict" (SemEval, nervaluate)
boundary   offsets, whatever the type                        "exact" (SemEval, nervaluate)
partial    1 for the offsets, ½ for an overlap, any type     "partial"
type       an overlap of the same type                       "type", "ent_type"
=========  ================================================  ==============================

Source: SemEval-2013 Task 9.1 (Segura-Bedmar, Martínez, Herrero-Zazo 2013). There the pairing is left open, and
tools pair greedily in list order, so the score can change with the order of the list. Here the pairing is the one of
greatest total credit (Hungarian method, `scipy.optimize.linear_sum_assignment`), which has one value for any order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment


class Span(NamedTuple):
    """A mention as it is compared: `[start, end)` in code points, type after mapping, status or ""."""

    start: int
    end: int
    type: str
    status: str = ""
    confidence: float = 1.0

    @property
    def key(self) -> tuple[int, int, str, str]:
        return self[:4]


class Pair(NamedTuple):
    """Gold span `gold` is counted for predicted span `pred` (indices) with `credit` in (0, 1]."""

    gold: int
    pred: int
    credit: float


@dataclass(frozen=True, slots=True)
class _Facts:
    """What holds between G gold and P predicted spans of one cluster; arrays of shape (G, P)."""

    overlap: np.ndarray
    same_bounds: np.ndarray
    same_type: np.ndarray
    same_status: np.ndarray
    shared: np.ndarray


SCHEMES: dict[str, Callable[[_Facts], np.ndarray]] = {
    "strict": lambda f: (f.same_bounds & f.same_type & f.same_status).astype(float),
    "exact": lambda f: (f.same_bounds & f.same_type).astype(float),
    "boundary": lambda f: f.same_bounds.astype(float),
    "partial": lambda f: np.where(f.same_bounds, 1.0, 0.5 * f.overlap),
    "type": lambda f: (f.overlap & f.same_type).astype(float),
}


def _kinship(f: _Facts) -> np.ndarray:
    """Prefers equal bounds over equal type over equal status over a large shared part; for the error listing.

    The extra weight of exact and of strict pairs is more than any two other pairs have, so none of them is given up.
    """
    exact = f.same_bounds & f.same_type
    likeness = (1 + 8.0 * f.same_bounds + 4.0 * f.same_type + 2.0 * f.same_status + f.shared
                + 32.0 * exact + 16.0 * (exact & f.same_status))
    return np.where(f.overlap, likeness, 0.0)


def match(gold: Sequence[Span], pred: Sequence[Span]) -> dict[str, list[Pair]]:
    """Pairs the spans of one record under every scheme of `SCHEMES`.

    Args:
        gold: G spans in any order, `start < end`.
        pred: P spans in any order, `start < end`.

    Returns:
        Scheme → pairs; a span stands in at most one pair of a scheme.
    """
    pairs: dict[str, list[Pair]] = {scheme: [] for scheme in SCHEMES}
    for gold_ids, pred_ids in _clusters(gold, pred):
        facts = _compare([gold[i] for i in gold_ids], [pred[j] for j in pred_ids])
        for scheme, credit_of in SCHEMES.items():
            pairs[scheme] += [Pair(gold_ids[i], pred_ids[j], c) for i, j, c in _assign(credit_of(facts))]
    return pairs


def align(gold: Sequence[Span], pred: Sequence[Span]) -> list[Pair]:
    """One pairing of overlapping spans for reading errors: the likest spans are paired; `credit` is the likeness."""
    return [Pair(gold_ids[i], pred_ids[j], c)
            for gold_ids, pred_ids in _clusters(gold, pred)
            for i, j, c in _assign(_kinship(_compare([gold[i] for i in gold_ids], [pred[j] for j in pred_ids])))]


def _clusters(gold: Sequence[Span], pred: Sequence[Span]) -> Iterator[tuple[list[int], list[int]]]:
    """Groups of spans that hang together by overlaps, where both sides have one (keeps the assignments tiny).

    The order inside a group depends on the spans alone, so ties are always broken alike.
    """
    spans = sorted((span.key, side, i) for side, group in enumerate((gold, pred)) for i, span in enumerate(group))
    sides: tuple[list[int], list[int]] = ([], [])
    reach = -1
    for (start, end, _, _), side, index in spans:
        if start >= reach:
            if sides[0] and sides[1]:
                yield sides
            sides = ([], [])
        sides[side].append(index)
        reach = max(reach, end)
    if sides[0] and sides[1]:
        yield sides


def _compare(gold: Sequence[Span], pred: Sequence[Span]) -> _Facts:
    g_start, g_end = (np.array([getattr(s, name) for s in gold])[:, None] for name in ("start", "end"))
    p_start, p_end = (np.array([getattr(s, name) for s in pred])[None, :] for name in ("start", "end"))
    common = np.minimum(g_end, p_end) - np.maximum(g_start, p_start)
    union = np.maximum(g_end, p_end) - np.minimum(g_start, p_start)
    return _Facts(
        overlap=common > 0,
        same_bounds=(g_start == p_start) & (g_end == p_end),
        same_type=np.array([[g.type == p.type for p in pred] for g in gold]),
        same_status=np.array([[not g.status or g.status == p.status for p in pred] for g in gold]),
        shared=np.maximum(common, 0) / union,
    )


def _assign(credit: np.ndarray) -> list[tuple[int, int, float]]:
    """Pairs (row, column, credit) of greatest total credit; pairs without credit are left out."""
    if credit.shape == (1, 1):
        return [(0, 0, float(credit[0, 0]))] if credit[0, 0] > 0 else []
    rows, columns = linear_sum_assignment(credit, maximize=True)
    return [(int(i), int(j), float(credit[i, j])) for i, j in zip(rows, columns, strict=True) if credit[i, j] > 0]
