"""A convolution, its batch norm at rest and its ReLU as one step, and the gradients of all three.

Where statistics stand still, a batch norm is part of the convolution's kernel. torch keeps for the
gradient what goes into a ReLU, beside what comes out; one of them tells both. In convolutions of
each channel alone, oneDNN takes several times longer for the gradient of a kernel wider than three
columns than for that of its columns in parts of three, and for bfloat16's gradient of the input
than for a convolution of the gradient.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.grad import conv2d_weight

_COLUMNS = 3
_FEW_BITS = (torch.bfloat16, torch.float16)


@dataclass(frozen=True)
class Shape:
    """How a kernel moves over a picture; `pads` left, right, above, below, as `functional.pad`'s.

    With a `ceiling` a ReLU follows that ends there: 6 is ReLU6's, infinity a ReLU's.
    """

    stride: tuple[int, int]
    pads: tuple[int, int, int, int]
    groups: int
    ceiling: float | None

    @property
    def even(self) -> bool:
        """Whether as much is added on either side."""
        left, right, top, bottom = self.pads
        return left == right and top == bottom


@dataclass(frozen=True)
class Norm:
    """A batch norm at rest: what it learns, `gain` and `shift`, and what it has seen, all [c']."""

    gain: Tensor
    shift: Tensor
    mean: Tensor
    deviation: Tensor


def convolved(x: Tensor, weight: Tensor, norm: Norm, shape: Shape) -> Tensor:
    """relu(norm(conv(x))) of padded pictures, with the gradients of x, weight, gain and shift.

    x [n, c, h, w], weight [c', c / groups, k, k'] to [n, c', h', w']; groups are 1 or c = c'. The
    convolution is computed in the type of x, which may be of fewer bits than the rest.
    """
    made: Tensor = _Convolution.apply(  # type: ignore[no-untyped-call]
        x, weight, norm.gain, norm.shift, norm.mean, norm.deviation, shape
    )
    return made


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        gain: Tensor,
        shift: Tensor,
        mean: Tensor,
        deviation: Tensor,
        shape: Shape,
    ) -> Tensor:
        ctx.shape, ctx.size = shape, x.shape
        left, _, top, _ = shape.pads
        ctx.padding = (top, left)
        if not shape.even:
            x, ctx.padding = functional.pad(x, shape.pads), (0, 0)
        scale = gain / deviation
        kernel = (weight * scale[:, None, None, None]).to(x.dtype)
        bias = (shift - mean * scale).to(x.dtype)
        y = _with_relu(x, kernel, bias, shape, ctx.padding)
        seen = y if shape.ceiling is not None else None
        ctx.save_for_backward(x, weight, kernel, seen, scale, mean, deviation)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(
        ctx: Any, gradient: Tensor
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None, None, None, None]:
        x, weight, kernel, y, scale, mean, deviation = ctx.saved_tensors
        shape: Shape = ctx.shape
        if y is not None:
            gradient = _through_relu(gradient, y, shape)
        wanted = ctx.needs_input_grad[:4]
        of_kernel, of_bias = wanted[1] or wanted[2], wanted[2] or wanted[3]
        if shape.groups == 1:
            into, kernels, biases = torch.ops.aten.convolution_backward(
                *(gradient, x, kernel, [len(kernel)], shape.stride, ctx.padding, [1, 1]),
                *(False, [0, 0], 1, [wanted[0], of_kernel, of_bias]),
            )
            into = _without_pads(into, shape, ctx.size) if wanted[0] else None
        else:
            into = _of_input(gradient, kernel, shape, ctx.size) if wanted[0] else None
            kernels = _of_weight(gradient, x, kernel, shape, ctx.padding) if of_kernel else None
            # Summed at once they may keep but one core busy.
            biases = gradient.sum((2, 3)).sum(0) if of_bias else None
        slope = kernels.to(weight.dtype) if of_kernel else None
        shifted = biases.to(weight.dtype) if of_bias else None
        gained = None
        if wanted[2]:
            gained = ((slope * weight).sum((1, 2, 3)) - mean * shifted) / deviation
        return (
            into,
            slope * scale[:, None, None, None] if wanted[1] else None,
            gained,
            shifted if wanted[3] else None,
            *(None, None, None),
        )


def _with_relu(
    x: Tensor, weight: Tensor, bias: Tensor, shape: Shape, padding: tuple[int, int]
) -> Tensor:
    ceiling = shape.ceiling
    if ceiling is None or not _is_fused(x.dtype):
        y = functional.conv2d(x, weight, bias, shape.stride, padding, 1, shape.groups)
        return y if ceiling is None else y.clamp_(0, ceiling)
    relu = ("relu", []) if ceiling == math.inf else ("hardtanh", [0.0, ceiling])
    made: Tensor = torch.ops.mkldnn._convolution_pointwise(
        x, weight, bias, padding, shape.stride, [1, 1], shape.groups, *relu, ""
    )
    return made


def _is_fused(dtype: torch.dtype) -> bool:
    """Whether oneDNN takes the ReLU into the convolution on this processor."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return dtype == torch.float32


def _through_relu(gradient: Tensor, y: Tensor, shape: Shape) -> Tensor:
    """The gradient of what went into a ReLU that gave y."""
    if shape.ceiling == math.inf:
        return torch.ops.aten.threshold_backward(gradient, y, 0)  # type: ignore[no-any-return]
    return torch.ops.aten.hardtanh_backward(  # type: ignore[no-any-return]
        gradient, y, 0, shape.ceiling
    )


def _of_input(gradient: Tensor, weight: Tensor, shape: Shape, size: torch.Size) -> Tensor:
    """The gradient of x [n, c, h, w], a channel a group."""
    high, wide = weight.shape[2:]
    left, right, top, bottom = shape.pads
    at_most = max(left, right) < wide and max(top, bottom) < high
    around = (high - 1 - top, wide - 1 - left)
    if shape.stride == (1, 1) and shape.even and at_most:
        return functional.conv2d(gradient, weight.flip(2, 3), None, 1, around, 1, shape.groups)
    if gradient.dtype in _FEW_BITS and at_most:
        laid = _laid_out(gradient, shape.stride, around, (size[2] + high - 1, size[3] + wide - 1))
        return functional.conv2d(laid, weight.flip(2, 3), None, groups=shape.groups)
    left_over = [
        whole - ((side - 1) * stride + kernel)
        for whole, side, stride, kernel in zip(
            (size[2] + top + bottom, size[3] + left + right),
            *(gradient.shape[2:], shape.stride, weight.shape[2:]),
            strict=True,
        )
    ]
    found = functional.conv_transpose2d(
        gradient, weight, None, shape.stride, 0, left_over, shape.groups
    )
    return _without_pads(found, shape, size)


def _laid_out(
    gradient: Tensor, stride: tuple[int, int], around: tuple[int, int], sides: tuple[int, int]
) -> Tensor:
    """What a kernel of stride 1 meets in the gradient's place: its values `stride` apart in zeros,
    the first of them `around` from the edges."""
    n, c, high, wide = gradient.shape
    laid = torch.zeros((n, *sides, c), dtype=gradient.dtype, device=gradient.device).permute(
        0, 3, 1, 2
    )
    (below, down), (beside, across) = zip(around, stride, strict=True)
    laid[:, :, below::down, beside::across][:, :, :high, :wide] = gradient
    return laid


def _without_pads(found: Tensor, shape: Shape, size: torch.Size) -> Tensor:
    if found.shape == size:
        return found
    left, _, top, _ = shape.pads
    return found[:, :, top : top + size[2], left : left + size[3]]


def _of_weight(
    gradient: Tensor, x: Tensor, weight: Tensor, shape: Shape, padding: tuple[int, int]
) -> Tensor:
    """The gradient of the kernels [c, 1, k, k'] on `x` as padded by more than `padding`."""
    down, across = padding
    width = weight.shape[3]
    span = (gradient.shape[3] - 1) * shape.stride[1]
    parts = []
    for start in range(0, width, _COLUMNS):
        columns = min(_COLUMNS, width - start)
        seen, beside = x, across
        if columns < width:
            # Padding that may be negative, and so takes away.
            left = across - start
            seen = functional.pad(x, (left, span + columns - x.shape[3] - left))
            beside = 0
        sides = [*weight.shape[:3], columns]
        slope: Tensor = conv2d_weight(  # type: ignore[no-untyped-call]
            seen, sides, gradient, shape.stride, (down, beside), groups=len(weight)
        )
        parts.append(slope)
    return torch.cat(parts, 3)
