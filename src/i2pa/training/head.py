"""A linear head on frozen embeddings by any of the losses, and the clock's share beside it.

The paper's loss is convex and has a fast path of its own in `probe`; the others are minimised from
the head that scores every picture alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from i2pa.models.ranker import SPREAD_FLOOR, spread_of
from i2pa.training.losses import PairLoss, gauge_penalty, standardised
from i2pa.training.pairset import Floats, Ints, PairSet

CLOCK_L2 = 0.01
"""Settles what the pairs leave open: the seven weekdays sum to 0."""

_GAUGE = 1.0
_SPREAD_1 = float(np.log(np.expm1(1 - SPREAD_FLOOR)))


@dataclass(frozen=True)
class Fit:
    """Weights in the units of the inputs: `score` [d]; `spread` [d] and its `offset`, or None;
    `clock` [features of time], empty where the pairs have none."""

    score: Floats
    spread: Floats | None
    offset: float
    clock: Floats


def fit_by_loss(
    z: Floats, winner: Ints, loser: Ints, pairs: PairSet, l2: float, loss: PairLoss
) -> Fit:
    """Minimise the weighted mean loss of the pairs + ℓ2/2 |w|² over the weights w of all heads.

    `z` [m, d] are standardised embeddings, `winner` and `loser` [n] rows of it. The clock's
    features of `pairs`, if there are any, add to the score differences what they can explain. The
    whole set is one batch, so the gauge is held firmly: typical spread 1.
    """
    inputs, weight = torch.from_numpy(z), torch.from_numpy(pairs.weight / pairs.weight.sum())
    won, lost = torch.from_numpy(winner), torch.from_numpy(loser)
    label = torch.from_numpy(pairs.p) if loss.soft else torch.ones(len(pairs), dtype=torch.float64)
    clock = torch.from_numpy(np.zeros((len(pairs), 0)) if pairs.clock is None else pairs.clock)
    d = z.shape[1]
    sizes = [d, clock.shape[1], *([d, 1] if loss.spread else [])]

    def total(parameters: Tensor) -> Tensor:
        w, time, *second = torch.split(parameters, sizes)
        score = inputs @ w
        delta = score[won] - score[lost] + clock @ time
        shrunk = l2 / 2 * (w @ w) + CLOCK_L2 / 2 * (time @ time)
        if second:
            direction, offset = second
            spread = spread_of(inputs @ direction + offset)
            delta = standardised(delta, spread[won], spread[lost])
            shrunk = shrunk + l2 / 2 * (direction @ direction)
            shrunk = shrunk + gauge_penalty(score, spread, _GAUGE)
        return (weight * loss.per_pair(delta, label)).sum() + shrunk

    def value_and_gradient(x: Floats) -> tuple[float, Floats]:
        parameters = torch.from_numpy(x.copy()).requires_grad_()
        value = total(parameters)
        (gradient,) = torch.autograd.grad(value, parameters)
        return value.item(), gradient.numpy()

    start = np.zeros(sum(sizes))
    if loss.spread:
        start[-1] = _SPREAD_1
    with _one_thread():
        solution = minimize(
            value_and_gradient, start, jac=True, method="L-BFGS-B", options={"maxiter": 1000}
        )
    found = solution.x
    clock_weights = found[d : d + sizes[1]]
    if not loss.spread:
        return Fit(found[:d], None, 0.0, clock_weights)
    return Fit(found[:d], found[-d - 1 : -1], float(found[-1]), clock_weights)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Torch's threads wait for each other busily, on the cores that numpy's want in between."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
