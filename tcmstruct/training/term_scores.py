"""What a record's n-grams say of its outcomes: TF-IDF of characters, one logistic regression an outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

STRENGTH = 10.0
"""C of the regressions; not searched."""
_SURE = 10.0


def regression() -> LogisticRegression:
    """One outcome's; the rare answer weighs as much as the frequent one."""
    return LogisticRegression(C=STRENGTH, class_weight="balanced", solver="liblinear", max_iter=300)


@dataclass(frozen=True)
class TermScores:
    """Attributes:
        vectors: fitted on the training texts, n-grams of one to three characters.
        outcomes: a regression for each outcome, or the log-odds of one that is always or never so.
    """

    vectors: TfidfVectorizer
    outcomes: tuple[LogisticRegression | float, ...]

    @classmethod
    def fitted(cls, texts: Sequence[str], truth: np.ndarray) -> TermScores:
        """Learns from texts and what is known of them: truth (N, L) of 0, 1 and NaN."""
        vectors = TfidfVectorizer(analyzer="char", ngram_range=(1, 3), min_df=2, sublinear_tf=True)
        x = vectors.fit_transform(texts)
        outcomes: list[LogisticRegression | float] = []
        for own in truth.T:
            known = np.nonzero(~np.isnan(own))[0]
            values = np.unique(own[known])
            outcomes.append(regression().fit(x[known], own[known]) if len(values) == 2 else _SURE if 1.0 in values else -_SURE)
        return cls(vectors, tuple(outcomes))

    def scores(self, texts: Sequence[str]) -> np.ndarray:
        """(N, L) log-odds."""
        y = self.vectors.transform(texts)
        return np.stack([np.full(len(texts), one) if isinstance(one, float) else one.decision_function(y) for one in self.outcomes], 1)

    @property
    def n_numbers(self) -> int:
        """Weights of all regressions."""
        return len(self.vectors.vocabulary_) * len(self.outcomes)
