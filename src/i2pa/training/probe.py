"""The linear ranking head: logistic pair loss on frozen embeddings, with cross-validated ℓ2.

Solved to the optimum in seconds, since the loss is convex and each picture is embedded once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize

from i2pa.errors import DataError
from i2pa.metrics.accuracy import accuracy_of_users
from i2pa.metrics.calibration import log_loss
from i2pa.metrics.thurstone import normal_log_loss, standardised
from i2pa.models.ranker import spread_of
from i2pa.training.embeddings import Vectors
from i2pa.training.head import fit_by_loss
from i2pa.training.losses import HARD, PairLoss
from i2pa.training.pairset import Floats, Ints, PairSet


@dataclass(frozen=True)
class Head:
    """score = embedding · weights + bias, with weights float64 [d].

    `spread`, where there is one, gives raw spreads in the same way. `clock` [20] is what the
    features of time weighed beside it, which no score has; None where they took no part.
    """

    weights: Floats
    bias: float
    spread: Head | None = None
    clock: Floats | None = None

    def score(self, embeddings: Vectors) -> Floats:
        """Scores [n] of embeddings [n, d]."""
        return embeddings @ self.weights + self.bias

    def spreads(self, embeddings: Vectors) -> Floats | None:
        """Spreads [n] > 0 of the scores, where the head knows them."""
        if self.spread is None:
            return None
        found: Floats = spread_of(torch.from_numpy(self.spread.score(embeddings))).numpy()
        return found


@dataclass(frozen=True)
class Fold:
    """Training pairs of one fold, and the pairs held out; `held_out` indexes the whole set."""

    train: PairSet
    held_out: Ints


@dataclass(frozen=True)
class CrossValidation:
    """Out-of-fold results of one ℓ2.

    `delta` [n] are the out-of-fold score differences of the pairs `held_out` [n], standardised
    where the heads know spreads; `scores` [rows] those of the pictures in them, NaN elsewhere.
    `accuracy` is the mean of users.
    """

    l2: float
    accuracy: float
    log_loss: float
    held_out: Ints
    delta: Floats
    scores: Floats


def fit_head(embeddings: Vectors, pairs: PairSet, l2: float, loss: PairLoss = HARD) -> Head:
    """The head with the least weighted mean loss of the pairs + ℓ2/2 |w|².

    By default ln(1 + exp(-(f(winner) - f(loser)))): paper, section 3, with P̄ = 1. Embeddings are
    standardised over the pictures in `pairs` first, and w refers to those units, so that one ℓ2
    suits every backbone; the average picture scores 0. Weights are normalised to sum 1.
    """
    rows = np.unique(np.concatenate([pairs.winner, pairs.loser]))
    z = embeddings[rows]
    mean, deviation = z.mean(axis=0), z.std(axis=0)
    deviation[deviation < 1e-6] = np.inf
    # In place: these are most of what is in memory.
    z -= mean
    z /= deviation
    winner = np.searchsorted(rows, pairs.winner)
    loser = np.searchsorted(rows, pairs.loser)
    if loss is not HARD or pairs.clock is not None:
        fitted = fit_by_loss(z, winner, loser, pairs, l2, loss)
        spread = None
        if fitted.spread is not None:
            raw = fitted.spread / deviation
            spread = Head(raw, fitted.offset - float(mean @ raw))
        weights = fitted.score / deviation
        clock = None if pairs.clock is None else fitted.clock
        return Head(weights, -float(mean @ weights), spread, clock)
    weight = pairs.weight / pairs.weight.sum()

    def logistic(w: Floats) -> tuple[float, Floats]:
        scores = z @ w
        delta = scores[winner] - scores[loser]
        pull = -weight * np.exp(-np.logaddexp(0.0, delta))
        by_row = np.bincount(winner, pull, len(rows)) - np.bincount(loser, pull, len(rows))
        value = weight @ np.logaddexp(0.0, -delta) + l2 / 2 * w @ w
        return float(value), z.T @ by_row + l2 * w

    solution = minimize(
        logistic, np.zeros(z.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 1000}
    )
    weights = solution.x / deviation
    return Head(weights, -float(mean @ weights))


def folds_by_user(pairs: PairSet, folds: int, seed: int) -> Iterator[Fold]:
    """Leave groups of users out, so that every pair is scored by a head that never saw its user.

    Raises DataError where all pairs are of one user.
    """
    users = np.unique(pairs.user)
    check_users(len(users))
    order = np.random.default_rng(seed).permutation(len(users))
    fold_of_user = np.empty(len(users), np.int64)
    fold_of_user[order] = np.arange(len(users)) % min(folds, len(users))
    fold = fold_of_user[np.searchsorted(users, pairs.user)]
    for k in range(fold.max() + 1):
        yield Fold(pairs.at(np.flatnonzero(fold != k)), np.flatnonzero(fold == k))


def check_users(users: int) -> None:
    """Raise DataError where pairs of so many users leave none to hold out."""
    if users < 2:
        raise DataError(
            "all pairs to learn from are of one user or of none that is named, so no user can be "
            "held out to choose ℓ2 and measure accuracy",
            remedy="add pairs of more users, or split anew where the part train has but one",
        )


def folds_by_picture(pairs: PairSet, folds: int, seed: int) -> Iterator[Fold]:
    """Leave groups of pictures out: for graded pictures, which have no users.

    Held out are the pairs with both pictures left out; pairs with one of them are used by neither.
    """
    rows = np.unique(np.concatenate([pairs.winner, pairs.loser]))
    order = np.random.default_rng(seed).permutation(len(rows))
    fold_of_row = np.empty(len(rows), np.int64)
    fold_of_row[order] = np.arange(len(rows)) % folds
    winner = fold_of_row[np.searchsorted(rows, pairs.winner)]
    loser = fold_of_row[np.searchsorted(rows, pairs.loser)]
    for k in range(folds):
        train, held_out = (winner != k) & (loser != k), (winner == k) & (loser == k)
        if train.any() and held_out.any():
            yield Fold(pairs.at(np.flatnonzero(train)), np.flatnonzero(held_out))


def judged(delta: Floats, spreads: Floats | None, pairs: PairSet) -> Floats:
    """Score differences [n] of pairs; with spreads [rows] of all pictures, standardised."""
    if spreads is None:
        return delta
    return standardised(delta, spreads[pairs.winner], spreads[pairs.loser])


def cross_validate(
    embeddings: Vectors,
    pairs: PairSet,
    folds: list[Fold],
    l2: float,
    loss: PairLoss = HARD,
    *,
    per_user: bool = True,
) -> CrossValidation:
    """Score every held-out pair by a head fitted without it; accuracy is the mean of users.

    `per_user` lets users count alike in what heads are fitted to and in the log loss, else pairs.
    """
    delta = np.full(len(pairs), np.nan)
    scores = np.full(len(embeddings), np.nan)
    for fold in folds:
        head = fit_head(embeddings, fold.train.weighed(per_user=per_user), l2, loss)
        fold_scores = head.score(embeddings)
        held_out = pairs.at(fold.held_out)
        delta[fold.held_out] = judged(
            held_out.delta(fold_scores), head.spreads(embeddings), held_out
        )
        rows = np.union1d(held_out.winner, held_out.loser)
        scores[rows] = fold_scores[rows]
    tested = np.flatnonzero(~np.isnan(delta))
    if not len(tested):
        raise DataError("too few pictures to cross-validate on", remedy="give more pairs")
    held_out = pairs.at(tested).weighed(per_user=per_user)
    _, means, _ = accuracy_of_users(delta[tested], held_out.user)
    link_loss = normal_log_loss if loss.spread else log_loss
    nats = link_loss(delta[tested], np.ones(len(tested)), held_out.weight, 1.0)
    return CrossValidation(l2, float(means.mean()), nats, tested, delta[tested], scores)
