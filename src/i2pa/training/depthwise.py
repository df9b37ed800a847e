"""Convolutions of each channel alone, whose gradients a processor takes in less time.

torch computes them with oneDNN, in which the gradient of a kernel wider than three columns takes
several times longer than that of its columns in parts of three, and bfloat16's gradient of the
input, where the stride is not 1, several times longer than float32's.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.grad import conv2d_weight

_COLUMNS = 3


def depthwise(
    x: Tensor, weight: Tensor, bias: Tensor, stride: tuple[int, int], padding: tuple[int, int]
) -> Tensor:
    """`torch.nn.functional.conv2d` with a group for each channel, and the same gradients.

    x [n, c, h, w], weight [c, 1, k, k'] and bias [c], of one dtype, to [n, c, h', w'].
    """
    made: Tensor = _Depthwise.apply(x, weight, bias, stride, padding)  # type: ignore[no-untyped-call]
    return made


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        stride: tuple[int, int],
        padding: tuple[int, int],
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return functional.conv2d(x, weight, bias, stride, padding, groups=len(weight))

    @staticmethod
    def backward(
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None]:
        (gradient,) = gradients
        x, weight = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        return (
            _of_input(gradient, x, weight, ctx.stride, ctx.padding) if wanted[0] else None,
            _of_weight(gradient, x, weight, ctx.stride, ctx.padding) if wanted[1] else None,
            gradient.sum((0, 2, 3)) if wanted[2] else None,
            None,
            None,
        )


def _of_input(
    gradient: Tensor, x: Tensor, weight: Tensor, stride: tuple[int, int], padding: tuple[int, int]
) -> Tensor:
    if stride != (1, 1) and gradient.dtype in (torch.bfloat16, torch.float16):
        gradient, weight = gradient.float(), weight.float()
    left_over = [
        x.shape[2 + dim]
        - ((gradient.shape[2 + dim] - 1) * stride[dim] - 2 * padding[dim] + weight.shape[2 + dim])
        for dim in (0, 1)
    ]
    found = functional.conv_transpose2d(
        gradient, weight, None, stride, padding, left_over, groups=len(weight)
    )
    return found.to(x.dtype)


def _of_weight(
    gradient: Tensor, x: Tensor, weight: Tensor, stride: tuple[int, int], padding: tuple[int, int]
) -> Tensor:
    down, across = padding
    width = weight.shape[3]
    span = (gradient.shape[3] - 1) * stride[1]
    parts = []
    for start in range(0, width, _COLUMNS):
        columns = min(_COLUMNS, width - start)
        seen, beside = x, across
        if columns < width:
            # Padding that may be negative, and so takes away.
            left = across - start
            seen = functional.pad(x, (left, span + columns - x.shape[3] - left))
            beside = 0
        shape = [*weight.shape[:3], columns]
        slope: Tensor = conv2d_weight(  # type: ignore[no-untyped-call]
            seen, shape, gradient, stride, (down, beside), groups=len(weight)
        )
        parts.append(slope)
    return torch.cat(parts, 3)
