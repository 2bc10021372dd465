"""Whether a confidence of 0.9 is right nine times out of ten."""

from __future__ import annotations

import numpy as np

from tcmstruct.evaluation.results import Bin, Calibration, Review

N_BINS = 10


def calibrate(confidence: np.ndarray, right: np.ndarray, n_bins: int = N_BINS) -> Calibration:
    """Expected calibration error and Brier score.

    Bins hold about equally many predictions (Nguyen and O'Connor 2015; equal-width bins, as in Guo et al. 2017, leave
    most bins of a confident system empty). Equal confidences always share a bin, so the order of the predictions does
    not matter.

    Args:
        confidence: (n,) in [0, 1], n ≥ 1.
        right: (n,) of bool.
    """
    _, group, size = np.unique(confidence, return_inverse=True, return_counts=True)
    middle_rank = np.cumsum(size) - (size + 1) / 2
    bin_of = np.minimum((middle_rank / len(confidence) * n_bins).astype(int), n_bins - 1)[group]
    bins = []
    for b in np.unique(bin_of):
        inside = bin_of == b
        bins.append(Bin(int(inside.sum()), float(confidence[inside].mean()), float(right[inside].mean())))
    ece = sum(b.n * abs(b.accuracy - b.confidence) for b in bins) / len(confidence)
    return Calibration(len(confidence), float(ece), float(np.mean((confidence - right) ** 2)),
                       float(confidence.mean()), float(right.mean()), tuple(bins))


def review_value(flagged: np.ndarray, right: np.ndarray) -> Review:
    """Coverage and precision at the review threshold that set the flags; both arrays (n,) of bool, n ≥ 1."""
    return Review(len(right), float(np.mean(~flagged)), _mean(right[~flagged]), _mean(right[flagged]),
                  _mean(flagged[~right]))


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None
