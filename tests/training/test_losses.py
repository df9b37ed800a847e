"""Losses against the same formulas in plain Python, their gradients, and what they recover."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from i2pa.errors import UserInputError
from i2pa.models.ranker import SPREAD_FLOOR, spread_of
from i2pa.training.losses import (
    FIDELITY,
    HARD,
    LOSSES,
    SOFT,
    THURSTONE,
    gauge_penalty,
    loss_named,
    standardised,
    user_weights,
)


def normal(z: float) -> float:
    return math.erfc(-z / math.sqrt(2)) / 2


def logistic(o: float) -> float:
    return 1 / (1 + math.exp(-o))


def slow_cross_entropy(o: float, p: float) -> float:
    return -p * o + math.log(1 + math.exp(o))


def slow_thurstone(z: float, p: float) -> float:
    return -p * math.log(normal(z)) - (1 - p) * math.log(normal(-z))


def slow_fidelity(o: float, p: float) -> float:
    q = logistic(o)
    return 1 - math.sqrt(p * q) - math.sqrt((1 - p) * (1 - q))


SLOW = {
    "hard": (slow_cross_entropy, logistic),
    "soft": (slow_cross_entropy, logistic),
    "thurstone": (slow_thurstone, normal),
    "fidelity": (slow_fidelity, logistic),
}
every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=list(LOSSES))


def doubles(*values: float, grad: bool = False) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64, requires_grad=grad)


@every_loss
@given(o=st.floats(-7, 7), p=st.floats(0, 1))
def test_each_loss_is_its_formula(loss, o, p):
    expected = SLOW[loss.name][0](o, p)
    assert loss.per_pair(doubles(o), doubles(p)).item() == pytest.approx(expected, abs=1e-9)


@every_loss
def test_gradients_are_those_of_finite_differences(loss):
    delta = torch.linspace(-6, 6, 41, dtype=torch.float64, requires_grad=True)
    for p in (0.0, 0.03, 0.5, 0.98, 1.0):
        label = torch.full_like(delta, p)
        assert torch.autograd.gradcheck(lambda d, label=label: loss.per_pair(d, label), delta)


@every_loss
@given(o=st.floats(-100, 100), part=st.integers(0, 64))
def test_sides_are_alike(loss, o, part):
    # 1 - p is exact in 64ths; elsewhere its rounding is magnified by a square root near 0.
    p = part / 64
    one = loss.per_pair(doubles(o), doubles(p)).item()
    other = loss.per_pair(doubles(-o), doubles(1 - p)).item()
    assert one == pytest.approx(other, rel=1e-12, abs=1e-12)


@every_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extremes_are_finite_with_finite_gradients(loss, dtype):
    sizes = torch.tensor([0, 1, 30, 100, 100 / SPREAD_FLOOR], dtype=dtype)
    delta = torch.cat([sizes, -sizes]).repeat(3).requires_grad_()
    label = torch.tensor([0.0, 0.5, 1.0], dtype=dtype).repeat_interleave(10)
    values = loss.per_pair(delta, label)
    (gradient,) = torch.autograd.grad(values.sum(), delta)
    assert values.dtype == dtype
    assert torch.isfinite(values).all()
    assert torch.isfinite(gradient).all()
    assert (values >= 0).all()
    right = (delta.detach().sign() == (2 * label - 1)) & (delta.detach().abs() >= 100)
    assert right.sum() == 4
    assert torch.allclose(values[right], torch.zeros(4, dtype=dtype))


def test_a_surely_wrong_pair_is_chased_by_all_but_fidelity():
    delta = doubles(-100.0, grad=True)
    slopes = {
        loss.name: torch.autograd.grad(loss.per_pair(delta, doubles(1.0)).sum(), delta)[0].item()
        for loss in LOSSES.values()
    }
    assert slopes["hard"] == slopes["soft"] == pytest.approx(-1)
    # The derivative of ln Φ(z) is about -z far below 0.
    assert slopes["thurstone"] == pytest.approx(-100, rel=1e-3)
    assert slopes["fidelity"] == pytest.approx(0, abs=1e-12)


def test_small_losses_keep_their_digits_in_single_precision():
    for loss, delta, expected in (
        (HARD, 12.0, math.log1p(math.exp(-12))),
        (FIDELITY, 12.0, slow_fidelity(12.0, 1.0)),
        (THURSTONE, 5.0, -math.log1p(-normal(-5.0))),
    ):
        value = loss.per_pair(torch.tensor([delta]), torch.ones(1)).item()
        assert value == pytest.approx(expected, rel=1e-4)


@every_loss
@given(p=st.floats(0.02, 0.98))
def test_the_least_loss_predicts_the_label(loss, p):
    link = SLOW[loss.name][1]
    grid = torch.linspace(-5, 5, 2001, dtype=torch.float64)
    best = grid[loss.per_pair(grid, torch.full_like(grid, p)).argmin()].item()
    # A step of the grid moves a probability by .4 × .005 at most.
    assert link(best) == pytest.approx(p, abs=2e-3)


@given(o=st.lists(st.floats(-50, 50), min_size=1, max_size=20))
def test_hard_is_soft_with_a_certain_label(o):
    delta = doubles(*o)
    won = torch.arange(len(o)) % 2 == 0
    certain, doubtful = won.double(), torch.where(won, 0.96, 0.04).double()
    hard = HARD.per_pair(delta, HARD.label(doubtful, won))
    assert torch.equal(hard, SOFT.per_pair(delta, SOFT.label(certain, won)))


def test_labels_say_who_won_or_how_surely():
    p, won = doubles(0.98, 0.5, 0.4, 0.02), torch.tensor([True, True, True, False])
    assert HARD.label(p, won).tolist() == [1, 1, 1, 0]
    for loss in (SOFT, THURSTONE, FIDELITY):
        assert loss.label(p, won).tolist() == pytest.approx([0.98, 0.5, 0.4, 0.02])


def test_losses_and_their_links_go_by_name():
    assert [loss_named(name).link for name in ("hard", "soft", "thurstone", "fidelity")] == [
        "logistic",
        "logistic",
        "thurstone",
        "logistic",
    ]
    with pytest.raises(UserInputError, match="choose from hard, soft, thurstone, fidelity"):
        loss_named("hinge")


@given(o=st.floats(-5, 5), raw_a=st.floats(-50, 50), raw_b=st.floats(-50, 50))
def test_the_spread_of_a_pair_is_its_formula(o, raw_a, raw_b):
    s_a, s_b = (math.log1p(math.exp(raw)) + SPREAD_FLOOR for raw in (raw_a, raw_b))
    z = standardised(doubles(o), spread_of(doubles(raw_a)), spread_of(doubles(raw_b)))
    assert z.item() == pytest.approx(o / math.sqrt(s_a**2 + s_b**2), rel=1e-8)


def test_gradients_reach_scores_and_spreads():
    generator = torch.Generator().manual_seed(0)
    mean_a, mean_b, raw_a, raw_b = (
        (4 * torch.randn(9, dtype=torch.float64, generator=generator)).requires_grad_()
        for _ in range(4)
    )
    label = torch.linspace(0, 1, 9, dtype=torch.float64)

    def whole(mean_a, mean_b, raw_a, raw_b):
        s_a, s_b = spread_of(raw_a), spread_of(raw_b)
        loss = THURSTONE.per_pair(standardised(mean_a - mean_b, s_a, s_b), label)
        scores, spreads = torch.cat([mean_a, mean_b]), torch.cat([s_a, s_b])
        return loss.sum() + gauge_penalty(scores, spreads, strength=0.5)

    assert torch.autograd.gradcheck(whole, (mean_a, mean_b, raw_a, raw_b))


def test_the_gauge_penalty_is_its_formula_and_least_at_mean_0_and_typical_spread_1():
    score, spread = doubles(1.0, 2.0, 6.0), doubles(0.5, 1.0, 4.0)
    expected = 0.01 * (3.0**2 + (math.log(2) / 3) ** 2)
    assert gauge_penalty(score, spread).item() == pytest.approx(expected)
    assert gauge_penalty(doubles(-3.0, 3.0), doubles(0.25, 4.0)).item() == pytest.approx(0)


def test_known_scores_and_spreads_are_recovered_up_to_the_gauge():
    generator = torch.Generator().manual_seed(1)
    n = 24
    truth = torch.randn(n, dtype=torch.float64, generator=generator) * 1.5 + 7
    spread = torch.where(torch.arange(n) % 2 == 0, 0.6, 2.4).double()
    a, b = torch.triu_indices(n, n, 1)
    label = torch.special.ndtr((truth[a] - truth[b]) / torch.sqrt(spread[a] ** 2 + spread[b] ** 2))
    mean = torch.zeros(n, dtype=torch.float64, requires_grad=True)
    raw = torch.zeros(n, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([mean, raw], max_iter=300, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        s = spread_of(raw)
        pairs = THURSTONE.per_pair(standardised(mean[a] - mean[b], s[a], s[b]), label)
        value = pairs.mean() + gauge_penalty(mean, s)
        value.backward()
        return value

    optimizer.step(loss)
    found_spread, found = spread_of(raw).detach(), mean.detach()
    # The truth in the gauge of the penalty: mean score 0, mean log spread 0.
    unit = spread.log().mean().exp()
    assert torch.allclose(found_spread, spread / unit, rtol=0.03)
    assert torch.allclose(found, (truth - truth.mean()) / unit, atol=0.03)


@given(st.lists(st.integers(-3, 5), min_size=1, max_size=40))
def test_every_user_weighs_alike(users):
    weights = user_weights(torch.tensor(users))
    assert weights.mean().item() == pytest.approx(1, rel=1e-5)
    for user in set(users):
        own = [w for w, u in zip(weights.tolist(), users, strict=True) if u == user]
        assert own == pytest.approx([len(users) / len(set(users)) / len(own)] * len(own))


def test_users_pull_alike_once_weighted():
    users = torch.tensor([0] * 9 + [1])
    shift = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    loss = HARD.per_pair(shift[users], torch.ones(10, dtype=torch.float64))
    (pull,) = torch.autograd.grad((user_weights(users) * loss).mean(), shift)
    assert pull.tolist() == pytest.approx([-0.25, -0.25])


def test_batches_of_an_epoch_add_up_to_the_epoch():
    generator = torch.Generator().manual_seed(2)
    users = torch.randint(5, (60,), generator=generator)
    loss = torch.rand(60, generator=generator)
    weight = user_weights(users)
    batches = [(w * x).mean() for x, w in zip(loss.split(15), weight.split(15), strict=True)]
    assert torch.stack(batches).mean().item() == pytest.approx(
        torch.stack([loss[users == user].mean() for user in range(5)]).mean().item(), rel=1e-5
    )
