"""F1 of answers that are one class of several."""

from __future__ import annotations

import numpy as np


def macro_f1(truth: np.ndarray, said: np.ndarray) -> float:
    """Mean F1 over the classes that occur in the truth.

    Args:
        truth, said: (N,) class numbers.
    """
    scores = [2 * ((truth == c) & (said == c)).sum() / max(1, (truth == c).sum() + (said == c).sum()) for c in np.unique(truth)]
    return float(np.mean(scores))


def expected_f1(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Macro-F1 with probabilities in the place of answers: less noisy than F1 on few questions, and no plateau."""
    return float(np.mean([2 * probabilities[truth == c, c].sum() / ((truth == c).sum() + probabilities[:, c].sum())
                          for c in np.unique(truth)]))
