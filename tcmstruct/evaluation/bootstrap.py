"""Uncertainty of a score: documents are drawn anew, with replacement, and the score is computed again.

Documents, not mentions, are the units, since mentions of one record err together. Intervals are percentile intervals
(Efron and Tibshirani 1993, An Introduction to the Bootstrap, ch. 13). Every score here is a ratio of sums of
per-document counts, so a resample is a vector of document weights and all resamples are one matrix product.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tcmstruct.evaluation.results import Difference, Estimate, Score

LEVEL = 0.95


class Bootstrap:
    """Draws of one set of documents; the same draws serve every score and both systems of a comparison.

    Args:
        n_documents: D.
        n_boot: B; 0 gives estimates without intervals.
        seed: of the draws.
    """

    def __init__(self, n_documents: int, n_boot: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        share = np.full(n_documents, 1 / n_documents)
        self._weights = rng.multinomial(n_documents, share, size=n_boot).astype(float)  # (B, D)

    def draws(self, counts: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """Sums of `counts` (D, n) in every resample: (B, n); `rows` (D,) of bool restricts them to a group."""
        if rows is None:
            return self._weights @ counts
        return self._weights[:, rows] @ counts[rows]

    def _total_and_draws(self, counts: np.ndarray, rows: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Sums over the documents, and over every resample; no resamples where one document alone holds everything."""
        own = counts if rows is None else counts[rows]
        draws = self.draws(counts, rows)
        return own.sum(axis=0), draws if np.count_nonzero(own.any(axis=1)) > 1 else draws[:0]

    def score(self, counts: np.ndarray, rows: np.ndarray | None = None) -> Score:
        """Precision, recall and F1 of per-document counts (D, 3): credit, gold, predicted."""
        total, draws = self._total_and_draws(counts, rows)
        precision, recall, f1 = (estimate(point, drawn) for point, drawn in zip(_prf(total), _prf(draws), strict=True))
        return Score(float(total[0]), int(total[1]), int(total[2]), precision, recall, f1)

    def rate(self, counts: np.ndarray, rows: np.ndarray | None = None) -> Estimate:
        """Hits per case of per-document counts (D, 2): hits, cases."""
        total, draws = self._total_and_draws(counts, rows)
        return estimate(_ratio(total[0], total[1]), _ratio(draws[:, 0], draws[:, 1]))

    def macro(self, tables: Sequence[np.ndarray], rows: np.ndarray | None = None) -> tuple[float, np.ndarray]:
        """Mean F1 over several tables of counts (D, 3): the point, and its value in every resample (B,).

        A table that a resample does not touch is left out of that resample's mean.
        """
        if not tables:
            return float("nan"), np.full(len(self._weights), np.nan)
        points = [_prf((t if rows is None else t[rows]).sum(axis=0))[2] for t in tables]
        drawn = [_prf(self.draws(t, rows))[2] for t in tables]
        return float(_mean(np.array(points)[:, None])[0]), _mean(np.array(drawn))


def estimate(point: float | np.ndarray, draws: np.ndarray) -> Estimate:
    """The point with its percentile interval; undefined draws (no gold and no prediction) are left out."""
    value = None if np.isnan(point) else float(point)
    draws = draws[~np.isnan(draws)]
    if value is None or not len(draws):
        return Estimate(value)
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value, float(low), float(high))


def difference(pred: float, against: float, pred_draws: np.ndarray, against_draws: np.ndarray) -> Difference:
    """Paired difference `pred - against` over the same resamples, and its two-sided bootstrap p.

    p = 2 · min(P*(d ≤ 0), P*(d ≥ 0)), at most 1, each share counted with one added to both parts so that no p is 0
    (Davison and Hinkley 1997, Bootstrap Methods and their Application, eq. 4.11).
    """
    d = pred_draws - against_draws
    d = d[~np.isnan(d)]
    if np.isnan(pred) or np.isnan(against):
        return Difference(*(None if np.isnan(x) else float(x) for x in (pred, against)), Estimate(None), None)
    if not len(d):
        return Difference(float(pred), float(against), Estimate(float(pred - against)), None)
    tail = min(np.count_nonzero(d <= 0), np.count_nonzero(d >= 0))
    p = min(1.0, float(2 * (1 + tail) / (1 + len(d))))
    return Difference(float(pred), float(against), estimate(pred - against, d), p)


def _prf(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall, F1 of (…, 3) sums. Nothing predicted where gold holds something is 0, both empty is NaN."""
    credit, gold, pred = np.moveaxis(sums, -1, 0)
    f1 = _ratio(2 * credit, gold + pred)
    either = np.where(np.isnan(f1), np.nan, 0.0)
    return np.where(pred > 0, _ratio(credit, pred), either), np.where(gold > 0, _ratio(credit, gold), either), f1


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=np.asarray(whole) > 0)


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean over axis 0, NaN left out; NaN where all are."""
    return _ratio(np.nansum(values, axis=0), np.count_nonzero(~np.isnan(values), axis=0))
