"""How far a taste may leave the base model, and how it does on pictures it never saw.

Cross-validation within cross-validation: the outer folds measure, the inner ones choose the spread
on what is left, so no pair that counts was seen by the fit or by the choice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from i2pa.metrics.calibration import fit_temperature
from i2pa.personal.choices import Choices
from i2pa.personal.fit import SPREADS, Space, Taste, fit_taste

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]

OUTER_FOLDS = 5
INNER_FOLDS = 4
# Pairs of a fold are few, so small sets are cut up anew several times.
_ROUNDS = ((100, 10), (300, 4))
_FEWEST_ROUNDS = 2

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class HeldOut:
    """Pairs scored by fits that saw neither of their pictures.

    `pair` [k] numbers the pairs, one as often as it was held out; `delta` [k, s] are the score
    differences, in logits, of each of s scorers.
    """

    pair: Ints
    delta: Floats

    @property
    def weight(self) -> Floats:
        """[k], so that each pair counts once."""
        _, index, counts = np.unique(self.pair, return_inverse=True, return_counts=True)
        weight: Floats = 1 / counts[index]
        return weight


@dataclass(frozen=True)
class SpreadTried:
    """What cross-validation saw of one spread: out-of-fold log loss of the pairs, in nats, at its
    own temperature.

    `behind` is how much more that is than of the best spread, and `error` the standard error of
    this difference over groups of pictures.
    """

    spread: float
    log_loss: float
    behind: float
    error: float


def rounds_for(pictures: int) -> int:
    """How often the pictures are cut into folds."""
    return next((rounds for most, rounds in _ROUNDS if pictures <= most), _FEWEST_ROUNDS)


def fold_of(choices: Choices, rows: Ints, folds: int, turn: int, turns: int, seed: int) -> Ints:
    """The fold of each picture in `rows` [m], and -1 of every other one, [n].

    Groups stay whole. Posts are cut into blocks of time, whose bounds shift with the `turn` (of
    `turns`), so that no fold is between the posts it is predicted from; keeps and rejects are
    dealt out at random, as evenly as their groups allow.
    """
    groups, index = np.unique(choices.group[rows], return_inverse=True)
    if choices.place is not None:
        first = np.full(len(groups), np.iinfo(np.int64).max)
        np.minimum.at(first, index, choices.place[rows])
        rank = np.argsort(np.argsort(first)) / len(groups)
        of_group = np.floor(rank * folds + turn / turns).astype(np.int64) % folds
    else:
        rng = np.random.default_rng((seed, turn))
        size = np.bincount(index)
        share = np.bincount(index, choices.side[rows]) / size
        order = np.lexsort((rng.random(len(groups)), share))
        of_group = np.empty(len(groups), np.int64)
        of_group[order] = (np.arange(len(groups)) + rng.integers(folds)) % folds
    fold = np.full(len(choices.group), -1)
    fold[rows] = of_group[index]
    return fold


def splits(choices: Choices, fold: Ints) -> Iterator[tuple[Ints, Ints]]:
    """Pairs to fit on and pairs held out, of each fold; a pair across is in neither."""
    winner, loser = fold[choices.winner], fold[choices.loser]
    for k in range(fold.max() + 1):
        fit = np.flatnonzero((winner != k) & (loser != k) & (winner >= 0) & (loser >= 0))
        held_out = np.flatnonzero((winner == k) & (loser == k))
        if len(fit) and len(held_out):
            yield fit, held_out


def cross_validate(
    space: Space, choices: Choices, folds: Sequence[Ints], spreads: Sequence[float] = SPREADS
) -> HeldOut:
    """Out-of-fold score differences of every spread, over several cuts into folds."""
    pairs, deltas = [np.zeros(0, np.int64)], [np.zeros((0, len(spreads)))]
    for fold in folds:
        for fit, held_out in splits(choices, fold):
            tastes = [_fit(space, choices, fit, spread) for spread in spreads]
            pairs.append(held_out)
            deltas.append(_deltas(space, choices, held_out, tastes))
    return HeldOut(np.concatenate(pairs), np.concatenate(deltas))


def choose_spread(choices: Choices, held_out: HeldOut) -> tuple[SpreadTried, ...]:
    """What was seen of each spread, the chosen one first.

    Chosen is the least spread whose log loss is within one standard error of the best one's: the
    closest to the base model that nothing speaks against.
    """
    weight = held_out.weight / held_out.weight.sum()
    p = choices.p[held_out.pair]
    # At its own temperature each: a taste may order well and be too sure of it.
    sharpness = [1 / fit_temperature(column, p, weight) for column in held_out.delta.T]
    logits = held_out.delta * sharpness
    losses = np.logaddexp(0.0, logits) - p[:, None] * logits
    means = weight @ losses
    best = int(np.argmin(means))
    tried = []
    for column, spread in enumerate(SPREADS):
        gap = losses[:, column] - losses[:, best]
        error = clustered_error(gap, weight, choices, held_out.pair)
        tried.append(
            SpreadTried(spread, float(means[column]), float(means[column] - means[best]), error)
        )
    chosen = next(row for row in tried if row.behind <= row.error)
    return (chosen, *(row for row in tried if row is not chosen))


def clustered_error(values: Floats, weight: Floats, choices: Choices, pair: Ints) -> float:
    """Standard error of the weighted mean of `values` [k] of pairs, over groups of pictures.

    First-order (jackknife-like): each group's share is the sum over the pairs that touch it.
    """
    off = weight * (values - weight @ values)
    first, second = choices.group[choices.winner[pair]], choices.group[choices.loser[pair]]
    within = first == second
    n = int(choices.group.max()) + 1
    share = np.bincount(first, off, n) + np.bincount(second[~within], off[~within], n)
    touched = len(np.union1d(first, second))
    return float(np.sqrt((share**2).sum() * touched / max(touched - 1, 1)))


def measure(space: Space, choices: Choices, seed: int, progress: Progress | None = None) -> HeldOut:
    """Out-of-fold score differences of the chosen taste and of the base model, [k, 2].

    The choice of the spread is made anew in every fold, from the rest alone.
    """
    everything = np.arange(len(choices.group))
    turns = rounds_for(len(everything))
    pairs, deltas = [np.zeros(0, np.int64)], [np.zeros((0, 2))]
    for turn in range(turns):
        fold = fold_of(choices, everything, OUTER_FOLDS, turn, turns, seed)
        for k, (fit, held_out) in enumerate(splits(choices, fold)):
            rows = np.flatnonzero(fold != fold[choices.winner[held_out[0]]])
            inner = fold_of(choices, rows, INNER_FOLDS, turn, turns, seed + 1)
            tried = cross_validate(space, choices, [inner])
            spread = choose_spread(choices, tried)[0].spread if len(tried.pair) else SPREADS[0]
            taste = _fit(space, choices, fit, spread)
            base = _fit(space, choices, fit, 0.0)
            pairs.append(held_out)
            deltas.append(_deltas(space, choices, held_out, (taste, base)))
            if progress:
                progress(turn * OUTER_FOLDS + k + 1, turns * OUTER_FOLDS)
    return HeldOut(np.concatenate(pairs), np.concatenate(deltas))


def final_folds(choices: Choices, seed: int) -> list[Ints]:
    """The cuts into folds that the last choice, on all pictures, is made by."""
    everything = np.arange(len(choices.group))
    turns = rounds_for(len(everything))
    return [fold_of(choices, everything, OUTER_FOLDS, t, turns, seed) for t in range(turns)]


def out_of_fold_scores(space: Space, choices: Choices, fold: Ints, spread: float) -> Floats:
    """Each picture's score [n] by the fit that did not see it; NaN where there is none."""
    scores = np.full(len(choices.group), np.nan)
    winner, loser = fold[choices.winner], fold[choices.loser]
    for k in range(fold.max() + 1):
        fit = np.flatnonzero((winner != k) & (loser != k))
        if len(fit):
            rows = np.flatnonzero(fold == k)
            scores[rows] = _fit(space, choices, fit, spread).score(space)[rows]
    return scores


def _fit(space: Space, choices: Choices, pairs: Ints, spread: float) -> Taste:
    winner, loser = choices.winner[pairs], choices.loser[pairs]
    return fit_taste(space, winner, loser, choices.p[pairs], spread)


def _deltas(space: Space, choices: Choices, pairs: Ints, tastes: Sequence[Taste]) -> Floats:
    scores = np.stack([taste.score(space) for taste in tastes], axis=1)
    difference: Floats = scores[choices.winner[pairs]] - scores[choices.loser[pairs]]
    return difference
