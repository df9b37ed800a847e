"""Telling winners from losers: the network of two pictures' scores, and what it is trained for."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from i2pa.models.ranker import Ranker
from i2pa.training.batches import (
    Batch,
    Floats,
    LabelledPairs,
    epoch_batches,
    picture_batches,
    shares,
)
from i2pa.training.feed import Fed
from i2pa.training.losses import PairLoss, gauge_penalty, loss_named, standardised
from i2pa.training.nuisance import NuisanceTower, time_features
from i2pa.training.objective import Network, Scored, autocast, norms_at_rest, nothing
from i2pa.training.recipes import NetworkRecipe


class PairNetwork(Network):
    """A ranker, and the clock's share that is trained beside it and then left behind."""

    def __init__(self, ranker: Ranker, *, nuisance: bool, frozen: int = 0) -> None:
        """`frozen` is how many of the backbone's first blocks take no part; see `Network`."""
        super().__init__()
        self.ranker = ranker
        self.frozen = frozen
        self.clock = NuisanceTower() if nuisance else None

    def forward(
        self, inputs: Tensor, a: Tensor, b: Tensor, times: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """What the loss judges [n], scores [m] and spreads [m] of the pictures.

        `inputs` [m, …] as `Network.rank` takes them; `a`, `b` int [n] places in them; `times`
        [n, 20].
        """
        score, _, _, *spreads = self.rank(inputs)
        delta = score[a] - score[b]
        if self.clock is not None:
            delta = delta + self.clock(times)
        if not spreads:
            return delta, score, None
        return standardised(delta, spreads[0][a], spreads[0][b]), score, spreads[0]


@dataclass(frozen=True)
class PairObjective:
    """Tell winners from losers, by the loss that the recipe names."""

    pairs: LabelledPairs
    recipe: NetworkRecipe

    @property
    def size(self) -> int:
        """Pairs an epoch, at most."""
        return len(self.pairs)

    @property
    def columns(self) -> Sequence[Floats]:
        """Nothing beside the pairs."""
        return ()

    def batches(self, epoch: int, n_parts: int) -> Sequence[Sequence[Batch]]:
        """See `epoch_batches`, or `picture_batches` where the recipe wants all pairs."""
        recipe = self.recipe
        if recipe.all_pairs:
            whole = picture_batches(self.pairs, recipe.batch, recipe.seed, epoch)
        else:
            whole = epoch_batches(
                self.pairs, recipe.batch, recipe.seed, epoch, by_user=recipe.by_user
            )
        return [tuple(shares(batch, n_parts)) for batch in whole]

    def loss(
        self, network: nn.Module, part: Batch, pictures: Fed, whole: int
    ) -> tuple[Tensor, Floats]:
        """See `Objective.loss`; items are pairs."""
        return _loss(network, part, pictures, whole, loss_named(self.recipe.loss), self.recipe)

    def upward(self, scored: Scored) -> float | None:  # noqa: ARG002
        """None: winners are taught to score higher."""
        return None


def _loss(
    network: nn.Module,
    part: Batch,
    pictures: Fed,
    whole: int,
    loss: PairLoss,
    recipe: NetworkRecipe,
) -> tuple[Tensor, Floats]:
    """The share of some pairs in the mean loss of a batch of `whole`; their sums of loss and
    hits, and their number."""
    device = next(network.parameters()).device
    a, b = pictures.place[part.a], pictures.place[part.b]
    good = np.flatnonzero((a >= 0) & (b >= 0))
    pixels, a, b = pictures.pixels, a[good], b[good]
    times = time_features(part.a_time[good], part.b_time[good])
    if not good.size:
        pixels = nothing(pixels)
    with autocast(device, recipe), nullcontext() if good.size else norms_at_rest(network):
        judged, score, spread = network(
            *(torch.from_numpy(array).to(device) for array in (pixels, a, b)), times.to(device)
        )
    p = torch.from_numpy(part.p[good]).to(device, torch.float32)
    weight = torch.from_numpy(part.weight[good]).to(device, torch.float32)
    a_won = torch.from_numpy(part.a_won[good]).to(device)
    each = loss.per_pair(judged, loss.label(p, a_won))
    value = (weight * each).sum() / whole
    if not good.size:
        return value + 0 * score.sum(), np.zeros(3)
    if spread is not None:
        value = value + gauge_penalty(score, spread) * (len(good) / whole)
    half_right = (torch.sign(judged.detach()) * torch.where(a_won, 1, -1) + 1) / 2
    return value, np.array([float(each.detach().sum()), float(half_right.sum()), len(good)])
