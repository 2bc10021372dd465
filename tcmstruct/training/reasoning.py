"""Pairs of the reasoning in a record: findings → pathogenesis, and case → syndrome, each true or drawn from another case.

A candidate is true of its own case, and false of other cases whose conclusions name some, but not all, of its organs and factors
(肝, 气虚, 湿 …): near misses. It is the same words both times, so that the candidate alone tells nothing (the benchmark's row of that
name holds it). Cases meet within a fold: what is asked was never seen in training, right or wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tcmstruct.training.cases import Case

ELEMENTS = frozenset("心肝脾肺肾胃胆肠膀胱胞宫气血阴阳津精神表里虚实寒热火风痰饮湿燥暑瘀毒滞郁水")
"""Characters of organs and factors: those that a wrong candidate shares with the right one make it a near miss."""
MARKERS: dict[str, str] = {"relation": "。病机：", "inference": "。证候："}
"""Task → what stands between the case and the candidate, in the words of a chart, which the encoder knows."""


@dataclass(frozen=True, slots=True)
class ReasoningPair:
    """A question: does `candidate` follow from `premise`?

    Attributes:
        case: number of the case.
        premise: the findings, or the case's text without its answer.
        candidate: a part of a pathogenesis, or a syndrome.
        follows: whether the case's author drew it.
    """

    case: int
    premise: str
    candidate: str
    follows: bool


def draw_pairs(cases: Sequence[Case], premises: Sequence[str], own: Sequence[Sequence[str]], folds: np.ndarray, *,
               n_wrong: int = 3, seed: int = 0) -> list[ReasoningPair]:
    """Every case's own candidates, each put before up to `n_wrong` other cases as well.

    Args:
        premises: (N) texts.
        own: (N) candidates that are true; none for a case that is not asked.
        folds: (N,) of `case_splits.folds_of`.
    """
    rng = np.random.default_rng(seed)
    out: list[ReasoningPair] = []
    for fold in np.unique(folds):
        members = [i for i in np.nonzero(folds == fold)[0] if own[i]]
        named = {i: frozenset().union(*(_elements(c) for c in own[i])) for i in members}
        for i in members:
            for candidate in own[i]:
                out.append(ReasoningPair(i, premises[i], candidate, True))
                wanted = _elements(candidate)
                near = [j for j in members if j != i and candidate not in own[j] and named[j] & wanted and not wanted <= named[j]]
                for drawn in rng.permutation(len(near))[:n_wrong]:
                    out.append(ReasoningPair(near[drawn], premises[near[drawn]], candidate, False))
    return out


def relation_pairs(cases: Sequence[Case], texts: Sequence[str], folds: np.ndarray, **draw: int) -> list[ReasoningPair]:
    """Findings → part of the pathogenesis. Where a case names its findings they are the premise, else its text without the answer."""
    premises = ["；".join(case.findings) if case.findings else text for case, text in zip(cases, texts, strict=True)]
    return draw_pairs(cases, premises, [case.pathogenesis for case in cases], folds, **draw)


def inference_pairs(cases: Sequence[Case], texts: Sequence[str], folds: np.ndarray, **draw: int) -> list[ReasoningPair]:
    """Case → syndrome, for the cases that note their reasoning."""
    own = [(case.said["syndrome"],) if case.pathogenesis and "syndrome" in case.said else () for case in cases]
    return draw_pairs(cases, texts, own, folds, **draw)


def _elements(candidate: str) -> frozenset[str]:
    return ELEMENTS & frozenset(candidate)
