"""The same training on a processor in less time: what a step need not do.

Measured on EfficientNet-Lite2, where half of a step was not arithmetic: memory that the C library
gave back and asked for anew at every layer, batch norm whose statistics stand still passing over
every map, padding that copies, and gradients of depthwise convolutions by a slow way (see
`depthwise`). What is computed stays the same up to rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from i2pa.memory import kept_memory
from i2pa.models.efficientnet import SamePadConv2d
from i2pa.models.ranker import Ranker
from i2pa.training.depthwise import depthwise
from i2pa.training.recipes import NetworkRecipe


@contextmanager
def fast_steps(ranker: nn.Module, recipe: NetworkRecipe, device: torch.device) -> Iterator[None]:
    """Steps inside take less time; afterwards the ranker and the process are as they were."""
    if device.type != "cpu":
        yield
        return
    pairs = ranker.backbone.norm_pairs() if isinstance(ranker, Ranker) else ()
    pairs = pairs if recipe.freeze_norm else ()
    for conv, norm in pairs:
        conv.forward = partial(_folded, conv, norm)  # type: ignore[method-assign]
        norm.forward = _unchanged  # type: ignore[method-assign,assignment]
    try:
        with kept_memory():
            yield
    finally:
        for layer in (layer for pair in pairs for layer in pair):
            del layer.forward


def _folded(conv: nn.Conv2d, norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    """norm(conv(x)) with norm's standing statistics, as one convolution."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    weight = conv.weight * scale[:, None, None, None]
    bias = norm.bias - norm.running_mean * scale
    stride = (conv.stride[0], conv.stride[1])
    assert not isinstance(conv.padding, str)
    padding = (conv.padding[0], conv.padding[1])
    if isinstance(conv, SamePadConv2d):
        left, right, top, bottom = conv.pads(x)
        padding = (top, left)
        if (left, top) != (right, bottom):
            x, padding = functional.pad(x, (left, right, top, bottom)), (0, 0)
    if conv.groups == 1:
        return functional.conv2d(x, weight, bias, stride, padding, conv.dilation)
    if not torch.is_autocast_enabled("cpu"):
        return depthwise(x, weight, bias, stride, padding)
    dtype = torch.get_autocast_dtype("cpu")
    with torch.autocast("cpu", enabled=False):
        return depthwise(x.to(dtype), weight.to(dtype), bias.to(dtype), stride, padding)


def _unchanged(x: Tensor) -> Tensor:
    return x
