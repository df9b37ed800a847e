"""Numbers that are none: found at once, and told apart from pictures that cannot be read.

A gradient that overflows in float16 is not meant: the scaler leaves such a step out and goes on.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from i2pa.errors import ModelError
from i2pa.training.recipes import NetworkRecipe
from i2pa.words import many


def check_loss(loss: Tensor, recipe: NetworkRecipe, *, epoch: int, step: int) -> None:
    """Raise ModelError where the loss of a step, before the scaler's factor, is not finite."""
    value = loss.item()
    if not math.isfinite(value):
        raise diverged(f"the loss of epoch {epoch}, step {step} is {value}", recipe, epoch - 1)


def check_weights(network: nn.Module, recipe: NetworkRecipe, *, epoch: int) -> None:
    """Raise ModelError naming the first tensor that is not finite after an epoch."""
    if (name := not_finite(network.state_dict())) is not None:
        raise diverged(f"after epoch {epoch} the tensor {name} is not finite", recipe, epoch - 1)


def not_finite(state: dict[str, Tensor]) -> str | None:
    """The first name in a state dict whose tensor holds NaN or an infinity; None where none do."""
    for name, value in state.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            return name
    return None


def no_scores(lost: int, of: int, recipe: NetworkRecipe, kept: int | None) -> ModelError:
    """`lost` of so many pictures can be read, but get no finite score."""
    return diverged(f"{lost:,} of {many(of, 'picture')} get no finite score", recipe, kept)


def diverged(what: str, recipe: NetworkRecipe, kept: int | None) -> ModelError:
    """The error of a training that ran away; `kept` epochs are in its checkpoint, if any."""
    remedies = "begin anew (--overwrite) with a lower --rate-body and --rate-head"
    if recipe.autocast:
        remedies += " or --precision float32"
    if kept:
        remedies += f", or end with the best epoch so far: --resume --epochs {kept}"
    return ModelError(f"training diverged: {what}", remedy=remedies)
