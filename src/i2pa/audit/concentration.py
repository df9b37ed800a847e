"""How evenly the pairs are spread over users: few users' pairs say little of anybody else."""

from __future__ import annotations

import numpy as np

from i2pa.audit.checks import DOMINATED, FEWEST_USERS, SPREAD, Check, Skipped, effective_number
from i2pa.audit.pairlist import Floats, Ints, PairList
from i2pa.words import many

TOP = 10


def concentration(pairs: PairList) -> list[Check | Skipped]:
    """Gini of pairs a user, and the share of pairs that the ten largest users hold.

    'few users dominate' where they come to fewer than FEWEST_USERS users of equal size.
    """
    if not pairs.clustered:
        why = "some pairs have no user_id"
        return [Skipped("gini", why), Skipped("top_10_users_share", why)]
    counts = np.bincount(np.unique(pairs.users, return_inverse=True)[1])
    effective = effective_number(counts.astype(np.float64))
    verdict = SPREAD if effective >= FEWEST_USERS else DOMINATED
    top = float(np.sort(counts)[-TOP:].sum() / counts.sum())
    n, users = int(counts.sum()), len(counts)
    of = many(users, "user")
    return [
        Check(
            *("gini", "Gini of pairs a user", gini(counts.astype(np.float64)), None, None),
            *(n, users, verdict, "0 to 1"),
            says=f"{many(n, 'pair')} of {of}: worth {effective:,.1f} users of equal size",
        ),
        Check(
            *("top_10_users_share", "pairs of the ten largest users", top, None, None),
            *(n, users, verdict, "share of pairs"),
            says=f"the ten largest of {of} hold {100 * top:.1f} % of the pairs",
        ),
    ]


def gini(counts: Floats | Ints) -> float:
    """Gini coefficient of positive counts [u]: 0 when all are equal, towards 1 when one has all."""
    ordered = np.sort(np.asarray(counts, dtype=np.float64))
    n = len(ordered)
    rank = np.arange(1, n + 1)
    return float(((2 * rank - n - 1) @ ordered) / (n * ordered.sum()))
