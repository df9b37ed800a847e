"""Pairwise accuracy, pooled and as the mean of users, each with an interval over users."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from i2pa.metrics.intervals import Interval, bootstrap_pictures, bootstrap_users
from i2pa.words import many


@dataclass(frozen=True)
class Accuracy:
    """Pairwise accuracy of one scorer on one list of pairs.

    `pooled` weighs every pair alike, `mean_of_users` every user alike; both in [0, 1] with 95 %
    percentile-bootstrap intervals over users (over pictures where `users` is 0, for graded
    pictures). A tie counts one half.
    """

    pairs: int
    users: int
    ties: int
    pooled: Interval
    mean_of_users: Interval

    def __str__(self) -> str:
        return (
            f"{self.pooled} pooled, {self.mean_of_users} mean of users "
            f"({many(self.pairs, 'pair')}, {many(self.users, 'user')}, {many(self.ties, 'tie')})"
        )


def pairwise_correct(delta: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """1 where the winner scores higher (delta > 0), 0 where lower, .5 at a tie; shape [n].

    A pair without a difference (NaN) counts as a tie.
    """
    return 0.5 * (1.0 + np.sign(np.nan_to_num(np.asarray(delta, dtype=np.float64))))


def accuracy_of_users(
    delta: npt.NDArray[np.floating], users: npt.NDArray[np.generic]
) -> tuple[npt.NDArray[np.generic], npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Distinct users (sorted), the pairwise accuracy of each, and how many pairs each has."""
    names, index = np.unique(users, return_inverse=True)
    counts = np.bincount(index)
    return names, np.bincount(index, pairwise_correct(delta)) / counts, counts


def pairwise_accuracy(
    delta: npt.NDArray[np.floating],
    users: npt.NDArray[np.generic],
    *,
    draws: int = 2000,
    seed: int = 0,
) -> Accuracy:
    """Accuracy of score differences `delta` (winner - loser, shape [n]) of pairs by `users` [n].

    Raises ValueError where there is no pair.
    """
    if len(delta) == 0:
        raise ValueError("no pair to measure accuracy on")
    _, means, counts = accuracy_of_users(delta, users)
    pooled, mean_of_users = bootstrap_users(means, counts, draws=draws, seed=seed)
    return Accuracy(len(delta), len(means), _ties(delta), pooled, mean_of_users)


def graded_accuracy(
    delta: npt.NDArray[np.floating],
    winner: npt.NDArray[np.integer],
    loser: npt.NDArray[np.integer],
    *,
    draws: int = 2000,
    seed: int = 0,
) -> Accuracy:
    """As `pairwise_accuracy`, for pairs of graded pictures, which have no users.

    `winner` and `loser` [n] number the pictures; the intervals are over pictures and the mean of
    users is the pooled accuracy. Raises ValueError where there is no pair.
    """
    if len(delta) == 0:
        raise ValueError("no pair to measure accuracy on")
    pooled = bootstrap_pictures(pairwise_correct(delta), winner, loser, draws=draws, seed=seed)
    return Accuracy(len(delta), 0, _ties(delta), pooled, pooled)


def _ties(delta: npt.NDArray[np.floating]) -> int:
    return int((np.nan_to_num(np.asarray(delta, dtype=np.float64)) == 0).sum())
