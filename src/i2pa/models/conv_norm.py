"""A convolution and what follows it, as the layers of a backbone that could be computed at once."""

from __future__ import annotations

from typing import NamedTuple

from torch import nn


class ConvNorm(NamedTuple):
    """A convolution, the batch norm behind it, and the ReLU behind that, if one follows at once."""

    conv: nn.Conv2d
    norm: nn.BatchNorm2d
    relu: nn.ReLU | nn.ReLU6 | None
