"""A convolution, its norm and its ReLU at once give what they give one after the other."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from i2pa.training.convolution import Norm, Shape, convolved

sides = st.integers(7, 12)
kernels = st.integers(1, 7)
strides = st.integers(1, 3)
pads = st.integers(0, 3)
seeds = st.integers(0, 2**32 - 1)
ceilings = st.sampled_from([None, 1.0, math.inf])


EPSILON = 1e-3


def given_tensors(
    seed: int, channels: int, size: tuple[int, int], kernel: tuple[int, int], groups: int
) -> list[Tensor]:
    """Pictures, kernels, and what a batch norm learns: gain and shift."""
    drawn = torch.Generator().manual_seed(seed)
    shapes = [(2, channels, *size), (channels, channels // groups, *kernel), (channels,)]
    x, weight, shift = (torch.randn(s, generator=drawn, dtype=torch.float64) for s in shapes)
    return [x, weight, shift.flip(0) + 0.1, shift]


def statistics(like: Tensor) -> tuple[Tensor, Tensor]:
    """A batch norm's mean and variance, for so many channels."""
    drawn = torch.Generator().manual_seed(len(like))
    mean = torch.randn(len(like), generator=drawn, dtype=torch.float64)
    return mean.to(like.dtype), (mean**2 + 0.2).to(like.dtype)


def at_once(x: Tensor, weight: Tensor, gain: Tensor, shift: Tensor, shape: Shape) -> Tensor:
    mean, variance = statistics(shift)
    return convolved(x, weight, Norm(gain, shift, mean, torch.sqrt(variance + EPSILON)), shape)


def ordinary(x: Tensor, weight: Tensor, gain: Tensor, shift: Tensor, shape: Shape) -> Tensor:
    mean, variance = statistics(shift)
    made = functional.conv2d(
        functional.pad(x, shape.pads), weight, None, shape.stride, groups=shape.groups
    )
    made = functional.batch_norm(made, mean, variance, gain, shift, eps=EPSILON)
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
    found, expected = (way(*tensors, shape) for way in (at_once, ordinary))
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
    x = exact[0].to(dtype).to(memory_format=layout)
    # Weights are float32 whatever the type of the pictures.
    less = [t.requires_grad_() for t in (x, *(t.float() for t in exact[1:]))]
    same = [t.detach().double().requires_grad_() for t in less]
    found, expected = at_once(*less, shape), ordinary(*same, shape)
    upstream = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    slopes = torch.autograd.grad(found, less, upstream)
    exact_slopes = torch.autograd.grad(expected, same, upstream.double())
    assert found.dtype == dtype
    assert [slope.dtype for slope in slopes] == [dtype, *[torch.float32] * 3]
    for one, other in zip((found, *slopes), (expected, *exact_slopes), strict=True):
        assert (one.double() - other).norm() < 0.02 * other.norm()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("groups", [1, 32])
@pytest.mark.parametrize("ceiling", [1.0, math.inf])
def test_a_relu_inside_is_the_relu_behind(
    dtype: torch.dtype, groups: int, ceiling: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = Shape((1, 1), (1, 1, 1, 1), groups, ceiling)
    x, *learnt = given_tensors(0, 32, (9, 9), (3, 3), groups)
    tensors = [t.requires_grad_() for t in (x.to(dtype), *(t.float() for t in learnt))]
    found = at_once(*tensors, shape)
    inside = result(found, tensors)
    monkeypatch.setattr("i2pa.training.convolution._is_fused", lambda _: False)
    behind = result(at_once(*tensors, shape), tensors)
    assert (found == 0).any()
    assert (found == ceiling).any() or ceiling == math.inf
    for one, other in zip(inside, behind, strict=True):
        assert (one.double() - other.double()).norm() < 0.01 * other.double().norm()


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("asked", range(4))
def test_nothing_is_computed_that_is_not_asked_for(groups: int, asked: int) -> None:
    shape = Shape((1, 1), (2, 2, 2, 2), groups, 6.0)
    tensors = given_tensors(0, 3, (9, 9), (5, 5), groups)
    alone = [t.clone() for t in tensors]
    for made, wanted in ((tensors, range(4)), (alone, [asked])):
        for which in wanted:
            made[which].requires_grad_()
        at_once(*made, shape).sum().backward()
    assert torch.allclose(alone[asked].grad, tensors[asked].grad)
    assert all(t.grad is None for which, t in enumerate(alone) if which != asked)
