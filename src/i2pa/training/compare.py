"""Recipes side by side on the same pairs: gains user by user, and what is left of the best of many.

Numbers that cross-validation gave; how they came about, tables and files stay out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from i2pa.metrics.accuracy import Accuracy, accuracy_of_users, pairwise_accuracy
from i2pa.metrics.intervals import standard_error


@dataclass(frozen=True)
class OutOfFold:
    """What recipes that never saw a pair's user say of it; arrays are [n], a value a pair.

    `user` names whose it is, `fold` which fold left it out. `delta` is the difference of scores,
    winner's less loser's, standardised where scores have a spread; `nats` what the winner's
    probability costs, -ln P. `inner` [folds] are the mean-of-users accuracies of each fold's model
    on users held out of its own learning: recipes may be chosen by it without a look at `delta`.
    `without_picture` pairs are not among the n, for want of a readable picture; `broken` are the
    places, among those readable at first, of the ones whose picture broke before it was judged.
    """

    user: tuple[str, ...]
    fold: tuple[int, ...]
    delta: tuple[float, ...]
    nats: tuple[float, ...]
    inner: tuple[float, ...]
    without_picture: int = 0
    broken: tuple[int, ...] = ()

    @property
    def accuracy(self) -> Accuracy:
        """Pooled and mean of users, with intervals from draws of users."""
        return pairwise_accuracy(np.array(self.delta), np.array(self.user))

    @property
    def log_loss(self) -> float:
        """Mean of users of -ln P(the winner wins); ln 2 = .693 is a coin's."""
        index = np.unique(self.user, return_inverse=True)[1]
        return float((np.bincount(index, self.nats) / np.bincount(index)).mean())


@dataclass(frozen=True)
class Gain:
    """By how much one recipe's mean of users is above another's on the same pairs.

    `error` is the standard error of the users' differences.
    """

    value: float
    error: float

    @property
    def is_clear(self) -> bool:
        """Whether it exceeds one standard error: a rule for choosing, no proof."""
        return self.value > self.error

    def __str__(self) -> str:
        return f"{self.value:+.3f} ± {self.error:.3f}"


def gain(of: OutOfFold, over: OutOfFold) -> Gain:
    """The paired difference in accuracy, user by user. Raises ValueError for other pairs."""
    if of.user != over.user:
        raise ValueError("the two were not measured on the same pairs")
    user = np.array(of.user)
    mine, theirs = (accuracy_of_users(np.array(one.delta), user)[1] for one in (of, over))
    return Gain(float((mine - theirs).mean()), standard_error(mine - theirs))


def chosen_within(rows: Sequence[OutOfFold]) -> tuple[OutOfFold, tuple[int, ...]]:
    """Let each fold choose the row that its own inner validation likes best, the first of equals.

    Gives what those say of the users left out, and which row [folds] it was: the honest estimate of
    "try them all and keep the best", where the best row's own figure is the maximum of noise.
    """
    choice = np.argmax([row.inner for row in rows], axis=0)
    fold = np.array(rows[0].fold)
    delta, nats = (
        np.array([getattr(row, name) for row in rows])[choice[fold], np.arange(len(fold))]
        for name in ("delta", "nats")
    )
    inner = tuple(float(rows[row].inner[k]) for k, row in enumerate(choice))
    made = replace(rows[0], delta=tuple(delta.tolist()), nats=tuple(nats.tolist()), inner=inner)
    return made, tuple(choice.tolist())


def chance_of_best(rows: Sequence[OutOfFold], over: OutOfFold) -> float:
    """How often the best of `rows` would gain as much by chance, in its standard errors.

    Were no row better than `over`, each user's differences would have either sign alike. All signs
    are tried (all rows' of a user turn together, as they share its pairs), or 4,096 of them drawn;
    the share whose best row has a t as large as the real best one's is the answer.
    """
    user = np.array(over.user)
    base = accuracy_of_users(np.array(over.delta), user)[1]
    moved = np.stack([accuracy_of_users(np.array(row.delta), user)[1] - base for row in rows])
    n = moved.shape[1]
    if n <= 12:
        signs = 1 - 2 * (np.arange(2**n)[:, None] >> np.arange(n) & 1)
    else:
        signs = np.random.default_rng(0).choice([-1, 1], (4096, n))
        signs[0] = 1
    mean = signs @ moved.T / n
    # A user's square does not turn with its sign; a row like the base everywhere has no t.
    variance = ((moved**2).mean(axis=1) - mean**2) / (n - 1)
    # Where all users moved alike nothing is left to chance; where none moved there is no gain.
    t = np.where(np.abs(mean) < 1e-12, 0.0, np.copysign(np.inf, mean))
    np.divide(mean, np.sqrt(np.maximum(variance, 0)), out=t, where=variance > 1e-15)
    best = t.max(axis=1)
    return float((best >= best[0] - 1e-9).mean())
