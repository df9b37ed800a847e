"""Pairs of a table made ready to learn from: numbered users, times, labels and weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from i2pa.training.batches import Ints, LabelledPairs
from i2pa.training.labels import flip_labels, turned_round
from i2pa.training.losses import user_weights
from i2pa.training.nuisance import UNKNOWN_TIME, time_features
from i2pa.training.pairset import PairSet
from i2pa.training.recipes import NetworkRecipe, Recipe, trains_pairs


def with_noise(
    pairs: PairSet, table: pa.Table, recipe: Recipe | NetworkRecipe
) -> tuple[PairSet, pa.Table]:
    """Pairs to learn from and the same rows of their table, some turned round as the recipe says.

    To be called once, on all that is learnt from, so that whatever is fitted sees the same labels.
    """
    if not trains_pairs(recipe) or recipe.flip_labels == 0:
        return pairs, table
    flipped = flip_labels(table, recipe.flip_labels, recipe.seed)
    return pairs.turned(flipped), turned_round(table, flipped)


def labelled(pairs: PairSet, table: pa.Table, recipe: NetworkRecipe | None = None) -> LabelledPairs:
    """Pairs for the loop; with a recipe, weighted as it says."""
    _, user = np.unique(pairs.user, return_inverse=True)
    weight = pairs.weight / pairs.weight.mean()
    if recipe is not None and recipe.per_user:
        weight = weight * user_weights(torch.from_numpy(user)).numpy()
    return LabelledPairs(pairs.winner, pairs.loser, user, *_times(table), pairs.p, weight)


def with_clock(pairs: PairSet, table: pa.Table) -> PairSet:
    """The same pairs, with what time says of each; `table` has them row by row."""
    return replace(pairs, clock=time_features(*_times(table)).double().numpy())


def _times(table: pa.Table) -> tuple[Ints, Ints]:
    """When winners and losers were posted, microseconds since 1970 or UNKNOWN_TIME, each [n]."""
    won, lost = (
        np.asarray(pc.fill_null(table[name].cast(pa.int64()), UNKNOWN_TIME))
        for name in ("winner_time", "loser_time")
    )
    return won, lost
