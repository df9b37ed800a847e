"""Time features against datetime, and a tower that takes the clock off the pictures."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from i2pa.training.losses import HARD
from i2pa.training.nuisance import (
    GAPS,
    TIME_FEATURES,
    UNKNOWN_TIME,
    NuisanceTower,
    time_features,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY = 86_400_000_000
# 1968 to 2033, so that times before 1970 are met.
moments = st.integers(-700 * DAY, 23_000 * DAY)


def micros(*times):
    return np.array([(t - EPOCH) // timedelta(microseconds=1) for t in times], dtype=np.int64)


def slow_features(a, b):
    """The documented columns, spelt out for one pair of microseconds."""
    knots = list(GAPS.values())
    gap = min(max(abs(a - b) / 1e6, knots[0]), knots[-1])
    shares = np.interp(math.log(gap), np.log(knots), np.arange(len(knots)))
    order = (a > b) - (a < b)
    columns = [order * max(0.0, 1 - abs(shares - k)) for k in range(len(knots))]
    moment_a, moment_b = (EPOCH + timedelta(microseconds=t) for t in (a, b))

    def hours(moment):
        return (moment - moment.replace(hour=0, minute=0, second=0, microsecond=0)) / timedelta(
            hours=1
        )

    for period in (24, 12):
        for wave in (math.sin, math.cos):
            of_a, of_b = (wave(2 * math.pi * hours(m) / period) for m in (moment_a, moment_b))
            columns.append(of_a - of_b)
    columns += [(moment_a.weekday() == d) - (moment_b.weekday() == d) for d in range(7)]
    return columns


@given(
    st.lists(
        st.tuples(moments, st.one_of(st.integers(-40 * DAY, 40 * DAY), st.integers(-9, 9))),
        min_size=1,
        max_size=8,
    )
)
def test_features_are_what_the_calendar_says(pairs):
    a = np.array([start for start, _ in pairs])
    b = np.array([start + gap for start, gap in pairs])
    found = time_features(a, b)
    assert found.shape == (len(pairs), len(TIME_FEATURES))
    assert found.dtype == torch.float32
    expected = np.array([slow_features(*pair) for pair in zip(a.tolist(), b.tolist(), strict=True)])
    assert found.numpy() == pytest.approx(expected, abs=2e-6)


def test_columns_go_by_their_names():
    # A Saturday 06:00 against the Friday before, 06:00: a day later, the hour alike.
    later, earlier = (datetime(2024, 6, day, 6, tzinfo=UTC) for day in (15, 14))
    found = time_features(micros(later), micros(earlier))[0].tolist()
    nonzero = {name: x for name, x in zip(TIME_FEATURES, found, strict=True) if x}
    assert nonzero == pytest.approx({"later_by_1d": 1, "sat": 1, "fri": -1})


@given(st.lists(st.tuples(moments, moments), min_size=1, max_size=8))
def test_swapping_sides_flips_the_sign_exactly(pairs):
    a, b = torch.tensor(pairs, dtype=torch.int64).T
    assert torch.equal(time_features(a, b), -time_features(b, a))
    tower = NuisanceTower()
    torch.nn.init.normal_(tower.linear.weight, generator=torch.Generator().manual_seed(0))
    assert torch.equal(tower(time_features(a, b)), -tower(time_features(b, a)))
    assert torch.equal(tower(time_features(a, a)), torch.zeros(len(pairs)))


def test_unknown_times_say_nothing():
    times = np.array(["2017-01-01T12:00", "NaT", "2017-01-03T09:00", "NaT"], "datetime64[us]")
    a = times.astype(np.int64)
    assert a[1] == UNKNOWN_TIME
    found = time_features(a, a[[2, 0, 1, 3]])
    assert found.abs().sum(dim=1).gt(0).tolist() == [True, False, False, False]
    assert torch.isfinite(found).all()


def test_read_only_arrays_and_tensors_are_taken_alike():
    a, b = micros(datetime(2017, 5, 1, tzinfo=UTC)), micros(datetime(2017, 5, 4, 9, tzinfo=UTC))
    expected = time_features(torch.tensor(a), torch.tensor(b))
    a.flags.writeable = b.flags.writeable = False
    assert torch.equal(time_features(a, b), expected)


def test_a_new_tower_adds_nothing():
    a, b = torch.tensor([5 * DAY]), torch.tensor([3 * DAY])
    assert NuisanceTower()(time_features(a, b)).tolist() == [0.0]


def later_wins_pairs(n, order_effect, seed):
    """Pictures whose third property grows with time but earns nothing, and who wins.

    The truth: O = x · (1, -.5, 0) + order_effect × sign(time of A - time of B).
    """
    rng = np.random.default_rng(seed)
    day = rng.uniform(0, 9, (2, n))
    a, b = (day * DAY).astype(np.int64) + 17_000 * DAY
    x = rng.normal(size=(2, n, 3))
    x[:, :, 2] += day / 3
    difference = torch.tensor(x[0] - x[1], dtype=torch.float32)
    truth = difference @ torch.tensor([1.0, -0.5, 0.0])
    order = torch.tensor(np.sign(a - b), dtype=torch.float32)
    chance = torch.sigmoid(truth + order_effect * order)
    a_won = torch.tensor(rng.uniform(size=n), dtype=torch.float32) < chance
    return difference, time_features(a, b), a_won


def fitted(difference, features, a_won, tower):
    weights = torch.zeros(3, requires_grad=True)
    parameters = [weights, *(tower.parameters() if tower else ())]
    optimizer = torch.optim.LBFGS(parameters, max_iter=60, line_search_fn="strong_wolfe")
    label = a_won.float()

    def loss():
        optimizer.zero_grad()
        delta = difference @ weights
        value = HARD.per_pair(delta + tower(features) if tower else delta, label).mean()
        value.backward()
        return value

    optimizer.step(loss)
    return weights.detach()


def test_a_tower_takes_the_clock_off_the_pictures():
    effect = 1.0
    difference, features, a_won = later_wins_pairs(20_000, effect, seed=0)
    alone = fitted(difference, features, a_won, None)
    tower = NuisanceTower()
    beside = fitted(difference, features, a_won, tower)
    # Without it the property that only tells the time is taken for popularity.
    assert alone[2] > 0.25
    # Standard error of a weight: about .02.
    assert beside.tolist() == pytest.approx([1.0, -0.5, 0.0], abs=0.07)
    apart = torch.tensor([2 * DAY])
    noon = torch.tensor([17_000 * DAY + DAY // 2])
    with torch.no_grad():
        weekdays = sum(
            tower(time_features(noon + day * DAY + apart, noon + day * DAY)) for day in range(7)
        )
    assert (weekdays / 7).item() == pytest.approx(effect, abs=0.15)
