"""Depthwise convolutions by the quicker way have the gradients of the ordinary one."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from i2pa.training.depthwise import depthwise

sides = st.integers(7, 12)
kernels = st.integers(1, 7)
strides = st.integers(1, 3)
seeds = st.integers(0, 2**32 - 1)


def given_tensors(
    seed: int, channels: int, size: tuple[int, int], kernel: tuple[int, int]
) -> list[Tensor]:
    drawn = torch.Generator().manual_seed(seed)
    shapes = [(2, channels, *size), (channels, 1, *kernel), (channels,)]
    return [torch.randn(shape, generator=drawn, dtype=torch.float64) for shape in shapes]


def result(made: Tensor, tensors: list[Tensor]) -> list[Tensor]:
    torch.manual_seed(0)
    gradients = torch.autograd.grad(made, tensors, torch.randn_like(made))
    return [made.detach(), *gradients]


@settings(deadline=None)
@given(
    seeds,
    st.integers(2, 4),
    st.tuples(sides, sides),
    st.tuples(kernels, kernels),
    st.tuples(strides, strides),
    st.tuples(st.integers(0, 3), st.integers(0, 3)),
)
def test_result_and_gradients_are_those_of_the_ordinary_convolution(
    seed: int,
    channels: int,
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
) -> None:
    tensors = [t.requires_grad_() for t in given_tensors(seed, channels, size, kernel)]
    ordinary = functional.conv2d(*tensors, stride, padding, groups=channels)
    found = depthwise(*tensors, stride, padding)
    for one, other in zip(result(found, tensors), result(ordinary, tensors), strict=True):
        assert one.shape == other.shape
        assert torch.allclose(one, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_less_precise_numbers_stay_what_they_are(
    kernel: int, stride: int, dtype: torch.dtype
) -> None:
    exact = given_tensors(0, 32, (17, 17), (kernel, kernel))
    half = [t.to(dtype).requires_grad_() for t in exact]
    same = [t.detach().double().requires_grad_() for t in half]
    found = depthwise(*half, (stride, stride), (kernel // 2, kernel // 2))
    expected = functional.conv2d(*same, stride, kernel // 2, groups=32)
    upstream = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    slopes = torch.autograd.grad(found, half, upstream)
    exact_slopes = torch.autograd.grad(expected, same, upstream.double())
    for one, other in zip((found, *slopes), (expected, *exact_slopes), strict=True):
        assert one.dtype == dtype
        assert (one.double() - other).norm() < 0.01 * other.norm()


def test_nothing_is_computed_that_is_not_asked_for() -> None:
    x, weight, bias = given_tensors(0, 3, (9, 9), (5, 5))
    made = depthwise(x, weight, bias.requires_grad_(), (1, 1), (2, 2))
    made.sum().backward()
    assert bias.grad is not None
    assert x.grad is None
    assert weight.grad is None
