"""What the training loop asks of a network and of what it is trained for.

The loop knows epochs, steps, processes and checkpoints; an objective knows what a batch is and what
its loss is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from i2pa.models.ranker import Ranker
from i2pa.training.batches import Floats, Ints
from i2pa.training.feed import Fed
from i2pa.training.recipes import NetworkRecipe

Scored = Callable[[Ints], Floats]
"""Scores [n] of the pictures in rows [n], NaN where unreadable."""


class Network(nn.Module):
    """A ranker, and what is trained beside it at the head's rate and then left behind.

    The backbone's first `frozen` blocks take no part in training.
    """

    ranker: Ranker
    frozen: int = 0

    def rank(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """As `Ranker.forward`, from pixels; from what the frozen blocks gave, where there are."""
        if self.frozen:
            return self.ranker.later(inputs, self.frozen)
        given: tuple[Tensor, ...] = self.ranker(inputs)
        return given


class Part(Protocol):
    """Some of a batch: the rows of its pictures [m], and by its length how many items it has."""

    @property
    def images(self) -> Ints:
        """Rows of the pictures that it needs, [m]."""
        ...

    def __len__(self) -> int: ...


P = TypeVar("P", bound=Part)


class Objective(Protocol[P]):
    """What a network is trained for, on items that are pairs or pictures."""

    @property
    def size(self) -> int:
        """Items an epoch."""
        ...

    @property
    def columns(self) -> Sequence[npt.NDArray[Any]]:
        """What it learns from beside the pairs, for the plan that a checkpoint is held to."""
        ...

    def batches(self, epoch: int, n_parts: int) -> Sequence[Sequence[P]]:
        """The epoch's batches, in order, each in `n_parts`, drawn from seed and epoch alone."""
        ...

    def loss(self, network: nn.Module, part: P, pictures: Fed, whole: int) -> tuple[Tensor, Floats]:
        """The part's share of the mean loss of a batch of `whole` items; sums of loss and of
        hits, and the number of items whose pictures can be read."""
        ...

    def upward(self, scored: Scored) -> float | None:
        """The share of training pairs that the scores get right as they stand, where the loss
        leaves the scores' sign free; None where it does not."""
        ...


_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def autocast(device: torch.device, recipe: NetworkRecipe) -> torch.autocast:
    """Layers in the precision of the recipe."""
    return torch.autocast(device.type, _DTYPES[recipe.precision], enabled=recipe.autocast)


def nothing(inputs: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """One picture of zeros like `inputs`: every process has to take part in every step, if only
    with nothing."""
    return np.zeros((1, *inputs.shape[1:]), inputs.dtype)


@contextmanager
def norms_at_rest(network: nn.Module) -> Iterator[None]:
    """Inside, no batch norm takes up the statistics of what passes: for `nothing`."""
    moving = [
        module
        for module in network.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.training
    ]
    for module in moving:
        module.eval()
    try:
        yield
    finally:
        for module in moving:
            module.train()
