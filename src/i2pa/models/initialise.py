"""First values of layers that no weights file fills."""

from __future__ import annotations

import torch
from torch import nn


def he_initialise(layer: nn.Conv2d | nn.Linear, generator: torch.Generator | None = None) -> None:
    """He initialisation (He et al. 2015, Eq. 10): weights N(0, 2 / inputs), biases zero.

    Counted on a layer's inputs (fan-in) and with the factor 2 of rectified ones, half of which
    are zero, so that a signal keeps its size on the way forward. The paper (section 3) starts its
    score head this way; what the head reads is rectified.
    """
    nn.init.kaiming_normal_(layer.weight, mode="fan_in", nonlinearity="relu", generator=generator)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
