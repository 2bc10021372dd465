"""Which cases are trained on and which are asked: by the text's hash, texts that copy each other always together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from tcmstruct.text.normalise import normalise
from tcmstruct.training.cases import Case

SHINGLE = 10
"""Characters of a piece of text that copies share; signs and blanks are left out."""
COMMON = 20
"""A piece that stands in more texts than this is a form's own wording and makes no two records copies of each other."""
SHARE = 0.5
"""Share of the shorter text's uncommon pieces that makes two texts near-duplicates."""
LEAST = 8


def near_duplicates(texts: Sequence[str]) -> np.ndarray:
    """(N,) number of each text's group: texts that share much are in one group, and so are their neighbours'."""
    pieces = [_pieces(text) for text in texts]
    held: dict[int, list[int]] = defaultdict(list)
    for i, own in enumerate(pieces):
        for piece in own:
            held[piece].append(i)
    uncommon = np.zeros(len(texts), int)
    shared: dict[tuple[int, int], int] = defaultdict(int)
    for holders in held.values():
        if len(holders) > COMMON:
            continue
        for a, i in enumerate(holders):
            uncommon[i] += 1
            for j in holders[a + 1 :]:
                shared[i, j] += 1
    group = list(range(len(texts)))

    def root(i: int) -> int:
        while group[i] != i:
            group[i] = i = group[group[i]]
        return i

    for (i, j), n in shared.items():
        if n >= LEAST and n >= SHARE * min(uncommon[i], uncommon[j]):
            group[root(i)] = root(j)
    return np.array([root(i) for i in range(len(texts))])


def folds_of(cases: Sequence[Case], groups: np.ndarray, n_folds: int = 5) -> np.ndarray:
    """(N,) fold of each case: the smallest hash of its group's texts modulo `n_folds`; −1 for held-out ones and their copies.

    What is added to the data later moves no case that copies none of it.

    Args:
        groups: of `near_duplicates`.
    """
    least: dict[int, str] = {}
    for case, group in zip(cases, groups, strict=True):
        least[group] = min(case.key, least.get(group, "g"))
    held = {group for case, group in zip(cases, groups, strict=True) if case.held_out}
    return np.array([-1 if group in held else int(least[group], 16) % n_folds for group in groups])


def _pieces(text: str) -> set[int]:
    plain = "".join(c for c in normalise(text) if c.isalnum())
    return {hash(plain[i : i + SHINGLE]) for i in range(max(1, len(plain) - SHINGLE + 1))}
