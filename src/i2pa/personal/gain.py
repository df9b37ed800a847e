"""What a taste adds to the base model on the same pairs, with its interval and a plain verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from i2pa.metrics.accuracy import pairwise_correct
from i2pa.metrics.calibration import fit_temperature, log_loss
from i2pa.metrics.intervals import CONFIDENCE, Interval
from i2pa.personal.choices import Choices
from i2pa.personal.validate import HeldOut

Floats: TypeAlias = npt.NDArray[np.float64]

Verdict = Literal["adds", "no gain", "not enough data"]

LEAST_EACH = 15
"""Kept, and rejected, pictures without which no verdict is given."""
LEAST_POSTS = 40
LEAST_PAIRS = 30
LEAST_GROUPS = 10
WIDE = 0.10
"""A gain that the interval must exclude before "no gain" is said."""

COIN = 0.5

_DRAWS = 2000
_AT_ONCE = 100


@dataclass(frozen=True)
class Gain:
    """Out-of-fold pairwise accuracy of taste and base model on the same pairs.

    `gain` is the taste's less the base model's. Intervals are 95 % bootstraps over groups of
    pictures (`groups`). `only_taste` and `only_base` are the pairs that one has right and the
    other wrong (a share where cuts into folds disagree). `log_loss_*` in nats, each at a
    temperature of its own.
    """

    pairs: int
    pictures: int
    groups: int
    taste: Interval
    base: Interval
    gain: Interval
    only_taste: float
    only_base: float
    log_loss_taste: float
    log_loss_base: float


def gain_of(choices: Choices, held_out: HeldOut, seed: int) -> Gain | None:
    """The gain of the first of two scorers over the second; None where no clear pair was held out.

    Accuracy is that of clear pairs, log loss that of all.
    """
    clear = choices.clear[held_out.pair]
    if not clear.any():
        return None
    pair, index = np.unique(held_out.pair[clear], return_inverse=True)
    right = pairwise_correct(held_out.delta[clear])
    counts = np.bincount(index)
    means = np.stack([np.bincount(index, column) / counts for column in right.T], axis=1)
    values = np.column_stack([means, means[:, 0] - means[:, 1]])
    winner, loser = choices.winner[pair], choices.loser[pair]
    first, second = choices.group[winner], choices.group[loser]
    taste, base, gain = _bootstrap(values, first, second, seed)
    ahead = right[:, 0] - right[:, 1]
    losses = [_loss(choices, held_out, column) for column in (0, 1)]
    return Gain(
        pairs=len(pair),
        pictures=len(np.union1d(winner, loser)),
        groups=len(np.union1d(first, second)),
        taste=taste,
        base=base,
        gain=gain,
        only_taste=float((np.bincount(index, np.maximum(ahead, 0)) / counts).sum()),
        only_base=float((np.bincount(index, np.maximum(-ahead, 0)) / counts).sum()),
        log_loss_taste=losses[0],
        log_loss_base=losses[1],
    )


def _loss(choices: Choices, held_out: HeldOut, column: int) -> float:
    delta, p = held_out.delta[:, column], choices.p[held_out.pair]
    temperature = fit_temperature(delta, p, held_out.weight)
    return log_loss(delta, p, held_out.weight, temperature)


def _bootstrap(
    values: Floats, first: npt.NDArray[np.int64], second: npt.NDArray[np.int64], seed: int
) -> list[Interval]:
    """Means of the columns of `values` [m, c] over pairs, with intervals over groups of pictures.

    Groups are drawn with replacement; a pair counts as often as its two groups were drawn
    together, and a pair within a group as often as that was drawn.
    """
    groups, index = np.unique(np.concatenate([first, second]), return_inverse=True)
    one, other = index[: len(first)], index[len(first) :]
    rng = np.random.default_rng(seed)
    found = [np.zeros((0, values.shape[1]))]
    for start in range(0, _DRAWS, _AT_ONCE):
        draws = min(_AT_ONCE, _DRAWS - start)
        drawn = rng.multinomial(len(groups), np.full(len(groups), 1 / len(groups)), size=draws)
        weight = drawn[:, one] * np.where(one == other, 1, drawn[:, other])
        some = weight.sum(axis=1) > 0
        found.append(weight[some] @ values / weight[some].sum(axis=1, keepdims=True))
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(np.concatenate(found), [tail, 100 - tail], axis=0)
    return [
        Interval(float(mean), float(down), float(up))
        for mean, down, up in zip(values.mean(axis=0), low, high, strict=True)
    ]


def verdict_on(gain: Gain | None, choices: Choices, base: str) -> tuple[Verdict, str]:
    """The verdict and one sentence; `base` is the base model's name.

    Too little is: under 15 kept or 15 rejected pictures (40 posts), 10 groups or 30 pairs held
    out; an interval that excludes neither no gain nor one of ten points; or a gain over a base
    model so wrong for this person that even a coin is ahead of it.
    """
    lacks = _lacks(gain, choices)
    if gain is None or lacks:
        return "not enough data", f"not enough data: {lacks or _given(choices)}"
    points = 100 * gain.gain.value, 100 * gain.gain.low, 100 * gain.gain.high
    interval = f"{points[0]:+.1f} points [{points[1]:+.1f}, {points[2]:+.1f}]"
    if gain.gain.low > 0 and gain.taste.low <= COIN:
        right = 100 * gain.taste.value, 100 * gain.taste.low, 100 * gain.taste.high
        return "not enough data", (
            f"not enough data: with {_given(choices)} your taste is ahead of {base} ({interval}), "
            f"but at {right[0]:.1f} % [{right[1]:.1f}, {right[2]:.1f}] not shown to beat a coin"
        )
    if gain.gain.low > 0:
        return "adds", f"your taste adds {points[0]:.1f} points [{points[1]:.1f}, {points[2]:.1f}]"
    if gain.gain.high > WIDE:
        half = (gain.gain.high - gain.gain.low) / 2
        more = (half / WIDE) ** 2
        times = f"; about {more:.1f} times as much might tell" if more > 1 else ""
        return "not enough data", (
            f"not enough data: {_given(choices)} leave the gain at {interval}, so neither none nor "
            f"one of {100 * WIDE:.0f} points is excluded{times}"
        )
    return "no gain", f"no gain shown ({interval}): using {base} is as good"


def _lacks(gain: Gain | None, choices: Choices) -> str:
    given, kept = len(choices.side), int(choices.side.sum())
    if choices.place is not None and given < LEAST_POSTS:
        return f"{given:,} posts with a picture that pair; at least {LEAST_POSTS} needed"
    if choices.place is None and min(kept, given - kept) < LEAST_EACH:
        return f"{_given(choices)}; at least {LEAST_EACH} of each needed"
    if choices.groups < LEAST_GROUPS:
        groups = "1 group" if choices.groups == 1 else f"{choices.groups:,} groups"
        return (
            f"{_given(choices)} are {groups} of bursts, look-alikes or sessions; "
            f"at least {LEAST_GROUPS} needed"
        )
    pairs = 0 if gain is None else gain.pairs
    if pairs < LEAST_PAIRS:
        return (
            f"{_given(choices)} give {pairs:,} clear pairs to measure on; at least "
            f"{LEAST_PAIRS} needed"
        )
    return ""


def _given(choices: Choices) -> str:
    kept = int(choices.side.sum())
    if choices.place is not None:
        return f"{len(choices.side):,} posts"
    return f"{kept:,} keeps and {len(choices.side) - kept:,} rejects"
