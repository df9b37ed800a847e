"""Where a score stands among the scores of a named reference set: percentile and level."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

LEVELS = ("poor", "bad", "fair", "good", "excellent")
LEVEL_CUTS = (5.0, 25.0, 75.0, 95.0)
PERCENTILE_RANGE = (0.1, 99.9)


def weighted_quantiles(
    scores: npt.NDArray[np.float64], weights: npt.NDArray[np.float64], n: int
) -> npt.NDArray[np.float64]:
    """`n` quantiles, evenly spaced from 0 to 1, of `scores` [m] with `weights` [m] > 0.

    Each score sits at the middle of its share of the weight; the ends are the extreme scores.
    """
    order = np.argsort(scores, kind="stable")
    share = weights[order] / weights.sum()
    middles = np.cumsum(share) - share / 2
    return np.interp(np.linspace(0, 1, n), middles, scores[order])


def percentile(
    scores: npt.ArrayLike, quantiles: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """100 × the interpolated mid-rank of each score in rising `quantiles`, in [0.1, 99.9]."""
    scores = np.atleast_1d(np.asarray(scores, dtype=np.float64))
    last = len(quantiles) - 1
    left = np.searchsorted(quantiles, scores, side="left")
    right = np.searchsorted(quantiles, scores, side="right")
    below, above = np.clip(left - 1, 0, last), np.clip(left, 0, last)
    gap = quantiles[above] - quantiles[below]
    part = np.divide(scores - quantiles[below], gap, out=np.zeros_like(scores), where=gap > 0)
    rank = np.where(right > left, (left + right - 1) / 2, below + np.clip(part, 0, 1))
    return np.clip(100 * rank / last, *PERCENTILE_RANGE)


def level(percentile: float) -> str:
    """The paper's five levels as bands of the percentile, cut at 5, 25, 75 and 95."""
    return LEVELS[int(np.searchsorted(LEVEL_CUTS, percentile, side="right"))]
