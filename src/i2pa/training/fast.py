"""The same training on a processor in less time: what a step need not do.

Measured on EfficientNet-Lite2, where half of a step was not arithmetic: memory that the C library
gave back and asked for anew at every layer, batch norm whose statistics stand still and ReLUs
passing over every map, and gradients of depthwise convolutions by a slow way (see `convolution`).
What is computed stays the same up to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from i2pa.memory import kept_memory
from i2pa.models.efficientnet import SamePadConv2d
from i2pa.models.ranker import Ranker
from i2pa.training.convolution import Norm, Shape, convolved
from i2pa.training.recipes import NetworkRecipe


@contextmanager
def fast_steps(ranker: nn.Module, recipe: NetworkRecipe, device: torch.device) -> Iterator[None]:
    """Steps inside take less time; afterwards the ranker and the process are as they were."""
    if device.type != "cpu":
        yield
        return
    layers = ranker.backbone.conv_norms() if isinstance(ranker, Ranker) else ()
    layers = layers if recipe.freeze_norm else ()
    for conv, norm, relu in layers:
        conv.forward = partial(_at_once, conv, norm, relu)  # type: ignore[method-assign]
        norm.forward = _unchanged  # type: ignore[method-assign,assignment]
        if relu is not None:
            relu.forward = _unchanged  # type: ignore[method-assign,assignment]
    try:
        with kept_memory():
            yield
    finally:
        for layer in (layer for one in layers for layer in one if layer is not None):
            del layer.forward


def _at_once(
    conv: nn.Conv2d, norm: nn.BatchNorm2d, relu: nn.ReLU | nn.ReLU6 | None, x: Tensor
) -> Tensor:
    """relu(norm(conv(x))) with norm's standing statistics, as one convolution."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    found = Norm(norm.weight, norm.bias, norm.running_mean, torch.sqrt(norm.running_var + norm.eps))
    shape = Shape(
        stride=(conv.stride[0], conv.stride[1]),
        pads=_pads(conv, x),
        groups=conv.groups,
        ceiling=None if relu is None else 6.0 if isinstance(relu, nn.ReLU6) else math.inf,
    )
    if not torch.is_autocast_enabled("cpu"):
        return convolved(x, conv.weight, found, shape)
    dtype = torch.get_autocast_dtype("cpu")
    with torch.autocast("cpu", enabled=False):
        return convolved(x.to(dtype), conv.weight, found, shape)


def _pads(conv: nn.Conv2d, x: Tensor) -> tuple[int, int, int, int]:
    if isinstance(conv, SamePadConv2d):
        left, right, top, bottom = conv.pads(x)
        return left, right, top, bottom
    assert not isinstance(conv.padding, str)
    down, across = conv.padding
    return across, across, down, down


def _unchanged(x: Tensor) -> Tensor:
    return x
