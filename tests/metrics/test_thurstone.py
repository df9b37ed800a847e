"""Φ in place of the logistic curve: against scipy, at the far ends, and its temperature."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from i2pa.metrics.thurstone import (
    fit_normal_temperature,
    normal_costs,
    normal_log_loss,
    normal_probability,
    standardised,
)


def array(*values):
    return np.array(values, dtype=np.float64)


@given(st.floats(-1e4, 1e4), st.floats(0.1, 10), st.floats(0, 1))
def test_probabilities_and_costs_are_scipys(z, temperature, target):
    at = z / temperature
    assert normal_probability(array(z), temperature) == pytest.approx([norm.cdf(at)], abs=1e-12)
    expected = -(target * norm.logcdf(at) + (1 - target) * norm.logcdf(-at))
    # Beyond 30 only the first term of the series is kept: 1/z², .1 %, of a nat.
    assert normal_costs(array(z), array(target), temperature) == pytest.approx(
        [expected], rel=1e-5, abs=1e-9
    )


def test_a_spread_makes_less_sure():
    z = standardised(array(3.0, 3.0), array(1.0, 3.0), array(1.0, 4.0))
    assert z == pytest.approx([3 / np.sqrt(2), 3 / 5])
    sure, unsure = normal_probability(z, 1.0)
    assert sure > unsure > 0.5


def test_a_known_temperature_is_recovered_and_is_the_best():
    rng = np.random.default_rng(0)
    z = rng.normal(size=4000) * 3
    target, weight = norm.cdf(z / 2.5), np.ones(4000)
    assert fit_normal_temperature(z, target, weight) == pytest.approx(2.5, rel=1e-6)
    coins = (rng.random(4000) < target).astype(float)
    best = fit_normal_temperature(z, coins, weight)
    assert best == pytest.approx(2.5, rel=0.1)
    losses = [normal_log_loss(z, coins, weight, best * by) for by in (0.9, 1, 1.1)]
    assert losses[1] == min(losses)


def test_scores_that_tell_nothing_leave_a_coin():
    z, target = array(1, -1, 2, -2), array(1, 1, 0.5, 0.5)
    assert fit_normal_temperature(z, target, np.ones(4)) == pytest.approx(1e4, rel=1e-3)
    assert np.isfinite(normal_costs(array(-1e8, 1e8), array(1, 0), 1.0)).all()
