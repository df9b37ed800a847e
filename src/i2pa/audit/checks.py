"""One question put to a pair list and its answer: a number, its interval, a verdict in words.

Knows arrays and numbers; which questions are asked is the business of the other modules.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from i2pa.audit.pairlist import Bools, Floats, PairList
from i2pa.metrics.accuracy import pairwise_correct
from i2pa.metrics.intervals import Interval, bootstrap_clusters

Verdict = Literal[
    "leaks",
    "no sign of a leak",
    "too few to tell",
    "keeps the rule",
    "breaks the rule",
    "not a rule of this list",
    "well spread",
    "few users dominate",
]
LEAKS: Verdict = "leaks"
CLEAN: Verdict = "no sign of a leak"
TOO_FEW: Verdict = "too few to tell"
KEPT: Verdict = "keeps the rule"
BROKEN: Verdict = "breaks the rule"
NO_RULE: Verdict = "not a rule of this list"
SPREAD: Verdict = "well spread"
DOMINATED: Verdict = "few users dominate"

FEWEST_USERS = 10
"""With fewer (of equal size), a bootstrap over users is too narrow to be trusted."""
WIDEST = 0.05
"""An interval that reaches further than this beyond 50 %, or to each side, settles nothing."""
FEW = 3
"""How many of those at fault a report names; JSON names all."""
FITTED_WIDER = 1.3
"""How much wider than its bootstrap interval a cross-fitted accuracy scatters without any leak.

The bootstrap holds the fits still, and folds share most of their pairs. Measured on 150 lists of
2,000 pairs of 200 users, and 150 of 500 pairs of 50 users, whose winners were drawn at random.
"""

Unit = Literal["share of pairs", "share", "pairs", "pictures", "users", "0 to 1"]


@dataclass(frozen=True)
class Check:
    """One answer. `value` is in `unit`, `low` and `high` end its 95 % interval where it has one.

    `n` pairs (pictures, for checks of pictures) and `users` were looked at; `users` is None where
    they are unknown. `mean_of_users` weighs users alike where `value` weighs pairs alike.
    `says` is the answer as a sentence. `found` names what is wrong, such as every picture in two
    parts.
    """

    name: str
    title: str
    value: float
    low: float | None
    high: float | None
    n: int
    users: int | None
    verdict: Verdict
    unit: Unit
    says: str
    mean_of_users: Interval | None = None
    found: tuple[str, ...] = ()

    @property
    def first_found(self) -> str:
        """The first few of `found` in words; empty where there is nothing."""
        more = len(self.found) - FEW
        named = "; ".join(self.found[:FEW])
        return f"{named}; and {more:,} more" if more > 0 else named


@dataclass(frozen=True)
class Skipped:
    """A check that could not be made, and what it lacks."""

    name: str
    why: str


@dataclass(frozen=True)
class Share:
    """The share of pairs in one class that a rule gets right, with its interval."""

    label: str
    n: int
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Table:
    """Shares by class, to draw or print; no verdict, since many classes mean chance findings."""

    name: str
    title: str
    rows: tuple[Share, ...]


def share_right(
    pairs: PairList, delta: Floats, inside: Bools, *, draws: int, seed: int
) -> tuple[Interval, Interval, int, float]:
    """Pooled and mean-of-users share of pairs `inside` [n] that `delta` [n] > 0 gets right.

    Weighted by the pairs' weights, ties half; intervals resample users (pairs, without users).
    Also how many users (or pairs) there are, and how many of equal weight they come to.
    """
    users, weight = pairs.users[inside], pairs.weight[inside]
    _, index = np.unique(users, return_inverse=True)
    totals: Floats = np.bincount(index, weight).astype(np.float64)
    sums: Floats = np.bincount(index, pairwise_correct(delta[inside]) * weight).astype(np.float64)
    sums, totals = sums[totals > 0], totals[totals > 0]
    pooled, mean = bootstrap_clusters(sums, totals, draws=draws, seed=seed)
    return pooled, mean, len(totals), effective_number(totals)


def effective_number(sizes: Floats) -> float:
    """How many users of equal size `sizes` [u] come to: 1 / Σ share² (inverse Simpson index)."""
    return float(sizes.sum() ** 2 / (sizes**2).sum())


def leak_check(
    pairs: PairList,
    name: str,
    title: str,
    delta: Floats,
    inside: Bools,
    *,
    both_ways: bool,
    draws: int,
    seed: int,
) -> Check:
    """How often `delta` [n] > 0 names the winner among the pairs `inside`, as a Check.

    `both_ways`: a rule fixed beforehand leaks below 50 % as well (its opposite is right); a
    cross-fitted one does not.
    """
    pooled, mean, n_users, effective = share_right(pairs, delta, inside, draws=draws, seed=seed)
    return Check(
        name=name,
        title=title,
        value=pooled.value,
        low=pooled.low,
        high=pooled.high,
        n=int(inside.sum()),
        users=n_users if pairs.clustered else None,
        verdict=leak_verdict(pooled, effective, both_ways),
        unit="share of pairs",
        says=f"{title}: right in {percent(pooled)} of pairs",
        mean_of_users=mean if pairs.clustered else None,
    )


def leak_verdict(accuracy: Interval, users: float, both_ways: bool) -> Verdict:
    """'leaks' where the interval leaves out 50 %; 'no sign' where it hugs 50 %; else 'too few'.

    `users` is the effective number of units resampled; under FEWEST_USERS nothing is said. A fitted
    accuracy (not `both_ways`) must clear 50 % by FITTED_WIDER times its lower half-width.
    """
    if users < FEWEST_USERS:
        return TOO_FEW
    wider = 1.0 if both_ways else FITTED_WIDER
    if accuracy.value - wider * (accuracy.value - accuracy.low) > 0.5:
        return LEAKS
    if both_ways and accuracy.high < 0.5:
        return LEAKS
    narrow = accuracy.high - accuracy.low <= 2 * WIDEST
    near = accuracy.high <= 0.5 + WIDEST and (not both_ways or accuracy.low >= 0.5 - WIDEST)
    return CLEAN if narrow and near else TOO_FEW


def percent(interval: Interval) -> str:
    """As '54.67 % [54.23, 55.10]'."""
    return f"{100 * interval.value:.2f} % [{100 * interval.low:.2f}, {100 * interval.high:.2f}]"
