"""Percentile bootstrap over users: pairs of one user are not independent, users nearly are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

CONFIDENCE = 0.95

_MOST_KINDS_AT_ONCE = 2000


@dataclass(frozen=True)
class Interval:
    """An estimate with the low and high end of its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def bootstrap_users(
    means: npt.NDArray[np.float64],
    counts: npt.NDArray[np.int64],
    *,
    draws: int = 2000,
    seed: int = 0,
) -> tuple[Interval, Interval]:
    """Intervals of the pooled mean and of the mean of users.

    `means` [u] and `counts` [u] are each user's mean and number of pairs. Users are drawn with
    replacement `draws` times; the interval spans the 2.5th to 97.5th percentile of the draws.
    With one user both intervals span [0, 1]: nothing is known of other users.
    """
    pooled = float(np.average(means, weights=counts))
    mean = float(means.mean())
    if len(means) == 1:
        return Interval(pooled, 0.0, 1.0), Interval(mean, 0.0, 1.0)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(means), np.full(len(means), 1 / len(means)), size=draws)
    pooled_draws = (drawn @ (means * counts)) / (drawn @ counts)
    mean_draws = drawn @ means / len(means)
    return _interval(pooled, pooled_draws), _interval(mean, mean_draws)


def bootstrap_clusters(
    sums: npt.NDArray[np.float64],
    weights: npt.NDArray[np.float64],
    *,
    draws: int = 2000,
    seed: int = 0,
) -> tuple[Interval, Interval]:
    """Intervals of the pooled weighted mean Σ sums / Σ weights, and of the mean of clusters.

    `sums` [u] and `weights` [u] > 0 are each cluster's (user's) weighted sum and total weight. The
    percentile bootstrap of `bootstrap_users`, for any weights and for very many clusters: clusters
    with equal sums and weights are exchangeable, so their joint count is drawn at once. With one
    cluster both intervals span [0, 1].
    """
    pooled, mean = float(sums.sum() / weights.sum()), float((sums / weights).mean())
    n = len(sums)
    if n == 1:
        return Interval(pooled, 0.0, 1.0), Interval(mean, 0.0, 1.0)
    kinds, counts = np.unique(np.stack([sums, weights], axis=1), axis=0, return_counts=True)
    totals = np.column_stack([kinds, kinds[:, 0] / kinds[:, 1]])
    rng = np.random.default_rng(seed)
    if len(kinds) <= _MOST_KINDS_AT_ONCE:
        found = rng.multinomial(n, counts / n, size=draws) @ totals
    else:
        kind = np.repeat(np.arange(len(kinds)), counts)
        drawn = (kind[rng.integers(n, size=n)] for _ in range(draws))
        found = np.array([np.bincount(k, minlength=len(kinds)) @ totals for k in drawn])
    return _interval(pooled, found[:, 0] / found[:, 1]), _interval(mean, found[:, 2] / n)


def bootstrap_pictures(
    correct: npt.NDArray[np.float64],
    winner: npt.NDArray[np.integer],
    loser: npt.NDArray[np.integer],
    *,
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """Interval of the mean of `correct` [n] over pairs of graded pictures, which have no users.

    Pictures are drawn with replacement; a pair counts as often as its two pictures were drawn
    together, so pairs that share a picture are not taken for independent.
    """
    pictures, index = np.unique(np.concatenate([winner, loser]), return_inverse=True)
    first, second = index[: len(winner)], index[len(winner) :]
    rng = np.random.default_rng(seed)
    means = []
    for _ in range(draws):
        drawn = np.bincount(
            rng.integers(len(pictures), size=len(pictures)), minlength=len(pictures)
        )
        weight = drawn[first] * drawn[second]
        if weight.any():
            means.append(float(np.average(correct, weights=weight)))
    return _interval(float(correct.mean()), np.array(means))


def standard_error(values: npt.NDArray[np.float64]) -> float:
    """Standard error of the mean of one value a user, shape [u]; infinite for a single user."""
    if len(values) < 2:
        return float("inf")
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def _interval(value: float, draws: npt.NDArray[np.float64]) -> Interval:
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(draws, [tail, 100 - tail])
    return Interval(value, float(low), float(high))
