"""Recipes: how a ranker is trained, as frozen values that a run records."""

from __future__ import annotations

from dataclasses import dataclass

from i2pa.errors import UserInputError
from i2pa.models.backbones import LITE2
from i2pa.models.pixels import PixelScaling


@dataclass(frozen=True)
class Recipe:
    """A linear head on a frozen backbone (command: `i2pa train pairs.parquet --recipe probe`).

    Takes seconds once pictures are embedded, which is done once and cached. `l2` None chooses
    from `l2_grid` the value of least out-of-fold log loss; `folds` groups of users (of pictures,
    for graded sets) are left out in turn. `pixel_scaling` None is the backbone's default.
    """

    name: str = "probe"
    backbone: str = LITE2.name
    pixel_scaling: PixelScaling | None = None
    transform: str = "squash260@1"
    l2: float | None = None
    l2_grid: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
    folds: int = 10
    seed: int = 0


PROBE = Recipe()

RECIPES = {PROBE.name: PROBE}


def recipe_named(name: str) -> Recipe:
    """The recipe called `name`. Raises UserInputError if there is none."""
    if name not in RECIPES:
        raise UserInputError(f"unknown recipe {name!r}", remedy=f"choose from {', '.join(RECIPES)}")
    return RECIPES[name]
