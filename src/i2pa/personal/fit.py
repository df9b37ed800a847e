"""A person's taste as a shift of the score: pairwise logistic loss, shrunk to the base model.

score = a · base + taste, where the base is the saved model's own score in logits and the taste is
linear in the embedding. Both have Gaussian priors, a at 1 and the taste at nothing, so that little
data changes little (Bradley and Terry 1952, maximum a posteriori). The optimum is found by
Newton's method in the few directions that the person's pictures span, in milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from i2pa.metrics.calibration import probability
from i2pa.models.head import LinearHead

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]

SPREADS = (0.5, 1.0, 2.0)
"""Standard deviations of the taste over pictures, in logits, to choose from."""

# How far a, the weight of the base model, may be expected from 1; below 0 it is reversed.
_BASE_SPREAD = 4.0
# The base model alone never turns round: its order is what a taste is compared with.
_LEAST_BASE = 1e-3
# Up to this many pictures the directions span all differences, so this drops nothing.
_MOST_DIRECTIONS = 128
_NEWTON_STEPS = 50
_HALVINGS = 30
_CLOSE = 1e-6


@dataclass(frozen=True)
class Space:
    """Pictures in the directions that they span.

    `base` [n] is the base model's score in logits and `axes` [n, r] the embedding, both centred;
    `axes` have a mean square of 1 a picture. `directions` [d, r] turn a centred embedding into
    `axes`; `centre` [d] and `base_head` [d + bias], in logits, do the centring.
    """

    base: Floats
    axes: Floats
    directions: Floats
    centre: Floats
    base_head: LinearHead


@dataclass(frozen=True)
class Taste:
    """score = `base_weight` · base + axes · `along` [r]; `spread` is the prior's."""

    spread: float
    base_weight: float
    along: Floats

    def score(self, space: Space) -> Floats:
        """Scores [n], in logits, 0 for the average picture."""
        return self.base_weight * space.base + space.axes @ self.along

    def head(self, space: Space) -> LinearHead:
        """The same score as a head on raw embeddings."""
        weights = self.base_weight * space.base_head.weights + space.directions @ self.along
        return LinearHead(weights, -float(space.centre @ weights))


def space_of(embeddings: Floats, head: LinearHead, temperature: float) -> Space:
    """Embeddings [n, d] of the pictures, with one scale for all features.

    Scaling each feature by its own deviation found made-up tastes (brightness, colours, contrast,
    shape, from 20 to 50 pictures a side) no better, and whitening, up to 100 a side, found them
    worse.
    """
    centre = embeddings.mean(axis=0)
    centred = embeddings - centre
    scale = np.sqrt((centred**2).sum(axis=1).mean()) or 1.0
    left, sizes, right = np.linalg.svd(centred / scale, full_matrices=False)
    kept = np.flatnonzero(sizes > 1e-9 * max(sizes[0], 1e-9))[:_MOST_DIRECTIONS]
    logits = LinearHead(head.weights / temperature, head.bias / temperature)
    return Space(
        base=centred @ logits.weights,
        axes=left[:, kept] * sizes[kept],
        directions=right[kept].T / scale,
        centre=centre,
        base_head=logits,
    )


def fit_taste(space: Space, winner: Ints, loser: Ints, p: Floats, spread: float) -> Taste:
    """The most probable taste, given that `winner` [m] beats `loser` [m] with probability `p` [m].

    Minimises the mean cross-entropy of sigmoid(score difference) + |taste|² / (2 k spread²) +
    (a - 1)² / (2 k 4²), where k is the number of pictures: pairs that share pictures tell less
    than as many independent ones. With spread 0 only a is fitted, and stays above 0.
    """
    rows = np.union1d(winner, loser)
    first, second = np.searchsorted(rows, winner), np.searchsorted(rows, loser)
    columns = space.axes[rows] if spread else space.axes[rows, :0]
    design = np.concatenate([space.base[rows, None], columns], axis=1)
    prior = np.zeros(design.shape[1])
    prior[0] = 1.0
    precision = np.full(design.shape[1], 1 / (spread or 1.0) ** 2)
    precision[0] = 1 / _BASE_SPREAD**2
    precision /= len(rows)

    def loss(at: Floats) -> tuple[float, Floats]:
        scores = design @ at
        logits = scores[first] - scores[second]
        off = at - prior
        fit = np.mean(np.logaddexp(0.0, logits) - p * logits)
        return float(fit + precision @ off**2 / 2), logits

    at = prior
    best, logits = loss(at)
    for _ in range(_NEWTON_STEPS):
        predicted = probability(logits, 1.0)
        pull = _by_row(first, second, (predicted - p) / len(p), len(rows))
        slope = design.T @ pull + precision * (at - prior)
        bend = _curvature(design, first, second, predicted * (1 - predicted) / len(p))
        step = np.linalg.solve(bend + np.diag(precision), slope)
        for _ in range(_HALVINGS):
            now, there = loss(at - step)
            if now <= best:
                break
            step = step / 2
        else:
            break
        at, best, logits = at - step, now, there
        if np.abs(step).max() < _CLOSE:
            break
    if not spread:
        return Taste(0.0, max(float(at[0]), _LEAST_BASE), np.zeros(space.axes.shape[1]))
    return Taste(spread, float(at[0]), at[1:])


def _by_row(first: Ints, second: Ints, values: Floats, n: int) -> Floats:
    """Dᵀ values, where D [m, n] takes the scores of pictures to the differences of pairs."""
    return np.bincount(first, values, n).astype(float) - np.bincount(second, values, n)


def _curvature(design: Floats, first: Ints, second: Ints, weight: Floats) -> Floats:
    """(D design)ᵀ diag(weight) (D design), by the smaller way: by pictures, or by pairs."""
    n = len(design)
    if n * n > len(first) * design.shape[1]:
        apart = design[first] - design[second]
        by_pairs: Floats = apart.T @ (apart * weight[:, None])
        return by_pairs
    one_way = np.bincount(first * n + second, weight, n * n).reshape(n, n)
    across = one_way + one_way.T
    by_pictures: Floats = design.T @ ((np.diag(across.sum(axis=1)) - across) @ design)
    return by_pictures
