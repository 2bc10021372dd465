"""Which records are worth labelling: those that the model is unsure of, that hold what is rare, and that are unlike one another.

Uncertainty sampling over the probabilities of a sequence labeller (Settles and Craven 2008), with maximal marginal relevance against copies
(Carbonell and Goldstein 1998). All from figures of a reading; no torch here.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

SHORT = 50
"""Characters that are added to a record's length, so that a line of ten characters with one doubt does not lead the list."""
WIDTH = 2048
"""Buckets of the pairs of characters by which texts are compared."""
RARE_SHARE = 0.2
"""A type that fewer of the records hold is rare."""
RARE_WEIGHT = 0.5
_TOO_LIKE = 0.95


@dataclass(frozen=True, slots=True)
class Doubt:
    """How unsure a model is of one record.

    Attributes:
        wrong: expected number of mentions that are read and wrong, Σ (1 − confidence).
        missed: expected number of mentions that are not read, Σ p(begins here) where none was read.
        types: of the mentions that are read, or likely enough missed.
        doubted: type → expected number of its errors.
    """

    wrong: float
    missed: float
    n_chars: int
    types: frozenset[str]
    doubted: Mapping[str, float]

    @property
    def density(self) -> float:
        """Expected errors in 100 characters that somebody has to read."""
        return 100 * (self.wrong + self.missed) / (self.n_chars + SHORT)


@dataclass(frozen=True, slots=True)
class Pick:
    """One record that was chosen, and why.

    Attributes:
        number: of the record among those that were given.
        score: at the moment it was chosen.
        likeness: cosine with the most similar one chosen before, or labelled already.
        rare: its types that few records hold.
    """

    number: int
    score: float
    likeness: float
    rare: tuple[str, ...]


def rare_types(doubts: Sequence[Doubt], known: Collection[str] = ()) -> dict[str, float]:
    """Type that fewer than `RARE_SHARE` of the records hold → how rare, 0 to 1; `known` are types that have labels enough."""
    n = max(1, len(doubts))
    counts = Counter(name for doubt in doubts for name in doubt.types)
    return {name: 1 - count / (RARE_SHARE * n) for name, count in counts.items() if count < RARE_SHARE * n and name not in known}


def worth(doubts: Sequence[Doubt], rare: Mapping[str, float]) -> np.ndarray:
    """Doubt of each record, raised where it holds rare types."""
    return np.array([d.density * (1 + RARE_WEIGHT * max((rare.get(t, 0.0) for t in d.types), default=0.0)) for d in doubts])


def choose(texts: Sequence[str], doubts: Sequence[Doubt], count: int, labelled: Sequence[str] = (), seed: int = 0) -> list[Pick]:
    """The `count` records that are best to label together, best first; fewer where the rest is copies.

    Args:
        texts: distinct ones.
        labelled: texts that have labels already: what is like them is worth less.
        seed: breaks ties.
    """
    rare = rare_types(doubts)
    worths = worth(doubts, rare) + 1e-9 * np.random.default_rng(seed).random(len(texts))
    vectors = profiles([*texts, *labelled])
    own, theirs = vectors[: len(texts)], vectors[len(texts) :]
    likeness = (own @ theirs.T).max(1) if len(theirs) else np.zeros(len(texts))
    left = np.ones(len(texts), bool)
    picks: list[Pick] = []
    while len(picks) < count:
        scores = np.where(left & (likeness < _TOO_LIKE), worths * (1 - np.clip(likeness, 0, 1)), -1.0)
        best = int(scores.argmax())
        if scores[best] < 0:
            break
        picks.append(Pick(best, float(scores[best]), float(likeness[best]), tuple(sorted(set(doubts[best].types) & rare.keys()))))
        left[best] = False
        likeness = np.maximum(likeness, own @ own[best])
    return picks


def profiles(texts: Sequence[str]) -> np.ndarray:
    """(N, WIDTH) unit vectors of each text's pairs of characters; what stands in nearly all texts weighs little."""
    counts = np.zeros((len(texts), WIDTH), np.float32)
    for row, text in zip(counts, texts, strict=True):
        squeezed = "".join(text.split())
        for pair, n in Counter(squeezed[i : i + 2] for i in range(len(squeezed) - 1)).items():
            row[zlib.crc32(pair.encode("utf-8", "surrogatepass")) % WIDTH] += n
    counts = np.log1p(counts)
    held = (counts > 0).sum(0)
    counts *= np.log((1 + len(texts)) / (1 + held)) + 0.1
    return counts / np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1e-9)
