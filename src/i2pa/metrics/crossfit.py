"""What plain features of two posts say about which wins, learnt and judged on different users.

Arrays in, arrays out. The model is antisymmetric: swapping the two posts swaps the answer, so no
column order can help it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

FOLDS = 10
_BLOCK = 128
TOLERANCE = 1e-8
"""Newton's steps end when the loss falls by less than this share of itself."""
MOST_PAIRS_TO_FIT = 200_000
"""A few dozen coefficients need no more; of more pairs a seeded choice is fitted."""


def cross_fitted(
    design: Floats, users: Ints, weight: Floats, inside: Bools, *, seed: int
) -> Floats:
    """Out-of-fold log odds [n] that the winner wins; NaN outside `inside`.

    `design` [n, d] is features of the winner less features of the loser. Users (numbers [n]) are
    dealt to FOLDS folds at random by `seed`; each fold is judged by weights fitted to the others.
    Raises ValueError for fewer than two users.
    """
    names, unit = np.unique(users[inside], return_inverse=True)
    if len(names) < 2:
        raise ValueError("cross-fitting needs two users")
    rng = np.random.default_rng(seed)
    fold = (rng.permutation(len(names)) % min(FOLDS, len(names)))[unit]
    rows = np.flatnonzero(inside)
    found = np.full(len(users), np.nan)
    start = None
    for held_out in range(fold.max() + 1):
        train = rows[fold != held_out]
        if len(train) > MOST_PAIRS_TO_FIT:
            train = rng.choice(train, MOST_PAIRS_TO_FIT, replace=False)
        test = rows[fold == held_out]
        # Folds share most pairs: the first one's optimum is a start near every other's.
        w = fit(design[train], weight[train], start)
        start = w if start is None else start
        found[test] = design[test] @ w
    return found


def fit(design: Floats, weight: Floats, start: Floats | None = None) -> Floats:
    """Coefficients [d] with the least Σ weight · ln(1 + exp(-design · w)) + |w|²/2.

    Logistic regression on differences, winner less loser, without an intercept; the penalty is a
    standard normal prior on each coefficient. Newton's method with halving steps, from `start`
    or 0; the loss is convex, so the start does not matter.
    """
    w = np.zeros(design.shape[1]) if start is None else start
    loss = _loss(design, weight, w)
    for _ in range(50):
        right = 1 / (1 + np.exp(np.clip(design @ w, -30, 30)))
        gradient = w - design.T @ (weight * right)
        curvature = weight * right * (1 - right)
        hessian = _gram(design, curvature) + np.eye(len(w))
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while _loss(design, weight, w - size * step) > loss and size > 1e-6:
            size /= 2
        w = w - size * step
        before, loss = loss, _loss(design, weight, w)
        if before - loss < TOLERANCE * max(1.0, before):
            break
    return w


def _gram(design: Floats, weight: Floats) -> Floats:
    """Weighted Gram matrix Σ weight · x xᵀ [d, d] of rows x of `design` [n, d].

    In blocks: they stay in cache, and are small enough that BLAS starts no threads, which on a busy
    machine wait for each other (ten times slower there than this).
    """
    whole = len(design) // _BLOCK * _BLOCK
    blocks = design[:whole].reshape(-1, _BLOCK, design.shape[1])
    weighted = blocks * weight[:whole].reshape(-1, _BLOCK, 1)
    rest = design[whole:]
    gram: Floats = (blocks.transpose(0, 2, 1) @ weighted).sum(axis=0)
    return gram + rest.T @ (rest * weight[whole:, None])


def _loss(design: Floats, weight: Floats, w: Floats) -> float:
    return float(weight @ np.logaddexp(0.0, -(design @ w)) + 0.5 * w @ w)


def one_hot(values: Ints, size: int) -> Floats:
    """Columns [n, size] of 0 and 1; a value below 0 gives a row of 0."""
    hot = np.zeros((len(values), size))
    known = values >= 0
    hot[np.flatnonzero(known), values[known]] = 1.0
    return hot


def scaled(difference: Floats, inside: Bools) -> Floats:
    """Differences [n, d] in units of their root mean square among `inside`, so one prior suits."""
    size = np.sqrt((difference[inside] ** 2).mean(axis=0))
    return difference / np.where(size > 0, size, 1.0)
