"""What record-level heads are compared with: TF-IDF of characters with logistic regression, and answers that read nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import TfidfVectorizer

from tcmstruct.training.term_scores import TermScores, regression


def tfidf_labels(texts: Sequence[str], truth: np.ndarray, train: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """(len(asked), L) scores (log-odds) of `texts[asked]`: one regression a label over n-grams of 1–3 characters, rare outcome weighted."""
    return TermScores.fitted([texts[i] for i in train], truth[train]).scores([texts[i] for i in asked])


def prior_labels(truth: np.ndarray, train: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """The share of each label in training, for everyone alike: the majority's answer."""
    share = np.clip(np.nanmean(truth[train], axis=0), 1e-4, 1 - 1e-4)
    return np.tile(np.log(share / (1 - share)), (len(asked), 1))


def tfidf_pairs(premises: Sequence[str], candidates: Sequence[str], follows: np.ndarray, train: np.ndarray, asked: np.ndarray,
                candidate_alone: bool = False) -> np.ndarray:
    """(len(asked),) log-odds that a candidate follows: TF-IDF of the premise, of the candidate, and their products.

    Args:
        candidate_alone: look at no premise; what this gets right is an artefact of the questions (Gururangan et al. 2018).
    """
    vectors = TfidfVectorizer(analyzer="char", ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    vectors.fit([premises[i] + candidates[i] for i in train])

    def features(rows: np.ndarray) -> csr_matrix:
        candidate = vectors.transform([candidates[i] for i in rows])
        if candidate_alone:
            return candidate
        premise = vectors.transform([premises[i] for i in rows])
        both = premise.multiply(candidate)
        return hstack([premise, candidate, both * 10, csr_matrix(both.sum(1)) * 10]).tocsr()

    return regression().fit(features(train), follows[train]).decision_function(features(asked))
