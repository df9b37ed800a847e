"""Convolutions by the quicker way have the results and gradients of the ordinary one."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from i2pa.training.convolution import Shape, convolved

sides = st.integers(7, 12)
kernels = st.integers(1, 7)
strides = st.integers(1, 3)
pads = st.integers(0, 3)
seeds = st.integers(0, 2**32 - 1)
ceilings = st.sampled_from([None, 1.0, math.inf])


def given_tensors(
    seed: int, channels: int, size: tuple[int, int], kernel: tuple[int, int], groups: int
) -> list[Tensor]:
    drawn = torch.Generator().manual_seed(seed)
    shapes = [(2, channels, *size), (channels, channels // groups, *kernel), (channels,)]
    return [torch.randn(shape, generator=drawn, dtype=torch.float64) for shape in shapes]


def ordinary(x: Tensor, weight: Tensor, bias: Tensor, shape: Shape) -> Tensor:
    made = functional.conv2d(
        functional.pad(x, shape.pads), weight, bias, shape.stride, groups=shape.groups
    )
    return made if shape.ceiling is None else functional.hardtanh(made, 0, shape.ceiling)


def result(made: Tensor, tensors: list[Tensor]) -> list[Tensor]:
    torch.manual_seed(0)
    gradients = torch.autograd.grad(made, tensors, torch.randn_like(made))
    return [made.detach(), *gradients]


@settings(deadline=None)
@given(
    seeds,
    st.integers(2, 4),
    st.booleans(),
    st.tuples(sides, sides),
    st.tuples(kernels, kernels),
    st.tuples(strides, strides),
    st.tuples(pads, pads, pads, pads),
    ceilings,
)
def test_result_and_gradients_are_those_of_the_ordinary_convolution(
    seed: int,
    channels: int,
    alone: bool,
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    around: tuple[int, int, int, int],
    ceiling: float | None,
) -> None:
    shape = Shape(stride, around, channels if alone else 1, ceiling)
    tensors = [
        t.requires_grad_() for t in given_tensors(seed, channels, size, kernel, shape.groups)
    ]
    found, expected = (way(*tensors, shape) for way in (convolved, ordinary))
    for one, other in zip(result(found, tensors), result(expected, tensors), strict=True):
        assert one.shape == other.shape
        assert torch.allclose(one, other, rtol=1e-9, atol=1e-9)


@settings(deadline=None)
@given(
    seeds,
    st.booleans(),
    st.tuples(kernels, kernels),
    st.tuples(strides, strides),
    st.tuples(pads, pads, pads, pads),
    st.sampled_from([torch.float32, torch.bfloat16, torch.float16]),
    st.booleans(),
)
def test_fewer_bits_lose_no_more_than_bits(
    seed: int,
    alone: bool,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    around: tuple[int, int, int, int],
    dtype: torch.dtype,
    channels_last: bool,
) -> None:
    shape = Shape(stride, around, 32 if alone else 1, None)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    exact = given_tensors(seed, 32, (13, 11), kernel, shape.groups)
    exact[0] = exact[0].to(memory_format=layout)
    less = [t.to(dtype).requires_grad_() for t in exact]
    same = [t.detach().double().requires_grad_() for t in less]
    found, expected = convolved(*less, shape), ordinary(*same, shape)
    upstream = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    slopes = torch.autograd.grad(found, less, upstream)
    exact_slopes = torch.autograd.grad(expected, same, upstream.double())
    for one, other in zip((found, *slopes), (expected, *exact_slopes), strict=True):
        assert one.dtype == dtype
        assert (one.double() - other).norm() < 0.01 * other.norm()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("groups", [1, 32])
@pytest.mark.parametrize("ceiling", [1.0, math.inf])
def test_a_relu_inside_is_the_relu_behind(dtype: torch.dtype, groups: int, ceiling: float) -> None:
    shape = Shape((1, 1), (1, 1, 1, 1), groups, ceiling)
    tensors = [t.to(dtype).requires_grad_() for t in given_tensors(0, 32, (9, 9), (3, 3), groups)]
    found, expected = (way(*tensors, shape) for way in (convolved, ordinary))
    # The same sums may be added up in another order.
    near = {"atol": 0.02, "rtol": 0.02} if dtype == torch.bfloat16 else {"atol": 1e-5}
    inside = 0 if ceiling == math.inf else int((found == ceiling).sum())
    assert (found == 0).any()
    assert inside > 0 or ceiling == math.inf
    assert torch.allclose(found, expected, **near)
    for one, other in zip(result(found, tensors), result(expected, tensors), strict=True):
        assert (one.double() - other.double()).norm() < 0.02 * other.double().norm()


@pytest.mark.parametrize("groups", [1, 3])
def test_nothing_is_computed_that_is_not_asked_for(groups: int) -> None:
    x, weight, bias = given_tensors(0, 3, (9, 9), (5, 5), groups)
    made = convolved(x, weight, bias.requires_grad_(), Shape((1, 1), (2, 2, 2, 2), groups, None))
    made.sum().backward()
    assert bias.grad is not None
    assert x.grad is None
    assert weight.grad is None
