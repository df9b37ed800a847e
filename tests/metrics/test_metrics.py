import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from i2pa.metrics.accuracy import graded_accuracy, pairwise_accuracy, pairwise_correct
from i2pa.metrics.baselines import later_wins
from i2pa.metrics.calibration import fit_temperature, log_loss, probability
from i2pa.metrics.intervals import bootstrap_users, standard_error
from i2pa.metrics.reference import level, percentile, weighted_quantiles

finite = st.floats(-1e6, 1e6, allow_nan=False)
deltas = arrays(np.float64, st.integers(1, 40), elements=finite)


@given(deltas)
def test_accuracy_of_a_scorer_and_its_opposite_sum_to_one(delta):
    assert pairwise_correct(delta).mean() + pairwise_correct(-delta).mean() == pytest.approx(1)


def test_ties_and_missing_differences_count_half():
    assert pairwise_correct(np.array([2.0, 0.0, -1.0, np.nan])).tolist() == [1, 0.5, 0, 0.5]


def test_pooled_and_mean_of_users_by_hand():
    delta = np.array([1, 1, 1, -1, -1.0])
    users = np.array(["a", "a", "a", "a", "b"])
    accuracy = pairwise_accuracy(delta, users)
    assert accuracy.pooled.value == pytest.approx(3 / 5)
    assert accuracy.mean_of_users.value == pytest.approx((3 / 4 + 0) / 2)
    assert (accuracy.pairs, accuracy.users, accuracy.ties) == (5, 2, 0)
    assert accuracy.pooled.low <= 3 / 5 <= accuracy.pooled.high


def test_one_user_tells_nothing_of_others():
    accuracy = pairwise_accuracy(np.ones(50), np.array(["only"] * 50))
    assert (accuracy.pooled.low, accuracy.pooled.high) == (0, 1)


def test_user_bootstrap_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    hits = 0
    for seed in range(200):
        users = rng.uniform(0.4, 0.9, 30)
        counts = rng.integers(1, 60, 30)
        means = rng.binomial(counts, users) / counts
        _, interval = bootstrap_users(means, counts, draws=400, seed=seed)
        hits += interval.low <= 0.65 <= interval.high
    assert 0.88 <= hits / 200 <= 0.99


def test_clustered_intervals_are_wider_than_the_pairs_alone_would_give():
    users = np.repeat(np.arange(20), 100)
    delta = np.where(users % 2 == 0, 1.0, -1.0)
    interval = pairwise_accuracy(delta, users).pooled
    assert interval.high - interval.low > 5 * 2 * 1.96 * math.sqrt(0.25 / len(delta))


def test_graded_intervals_are_over_pictures():
    levels = np.repeat(np.arange(5), 4)
    winner, loser = np.nonzero(levels[:, None] > levels[None, :])
    score = levels + np.where(np.arange(20) == 0, 9.0, 0.0)
    accuracy = graded_accuracy(score[winner] - score[loser], winner, loser)
    wrong = (loser == 0).sum() / len(winner)
    assert accuracy.pooled.value == pytest.approx(1 - wrong)
    assert accuracy.pooled.low < 1 - wrong < accuracy.pooled.high
    assert accuracy.users == 0


def test_standard_error_by_hand():
    assert standard_error(np.array([1.0, 3.0])) == pytest.approx(1.0)
    assert standard_error(np.array([1.0])) == math.inf


def test_later_wins_takes_times_and_knows_when_there_are_none():
    earlier, later = np.array(["2020-01-01", "2020-01-02"], "datetime64[us]")
    nothing = np.datetime64("NaT", "us")
    seconds = later_wins(np.array([later, earlier, nothing]), np.array([earlier, later, later]))
    assert seconds[:2].tolist() == [86400, -86400]
    assert np.isnan(seconds[2])


@given(deltas, st.floats(0.01, 100))
def test_probabilities_of_both_directions_sum_to_one(delta, temperature):
    both = probability(delta, temperature) + probability(-delta, temperature)
    assert both == pytest.approx(np.ones(len(delta)))


def test_probability_golden_values():
    # e^O / (1 + e^O), section 3 of the paper
    assert probability([0.0, 1.0, -2.0], 1.0) == pytest.approx([0.5, 0.7310586, 0.1192029])
    assert probability([1e9, -1e9], 1.0).tolist() == [1, 0]


@given(st.floats(0.2, 20))
def test_fit_temperature_recovers_the_one_that_made_the_labels(temperature):
    delta = np.linspace(-5, 5, 101)
    target = probability(delta, temperature)
    assert fit_temperature(delta, target, np.ones(101)) == pytest.approx(temperature, rel=1e-3)


@given(deltas, st.integers(0, 1000))
def test_no_other_temperature_has_less_log_loss(delta, seed):
    target = np.random.default_rng(seed).uniform(size=len(delta))
    weight = np.ones(len(delta))
    best = fit_temperature(delta, target, weight)
    loss = log_loss(delta, target, weight, best)
    for other in (best * 1.3, best / 1.3):
        if 1e-4 < other < 1e4:
            assert loss <= log_loss(delta, target, weight, other) + 1e-9


def test_scores_that_run_against_the_labels_give_no_opinion():
    temperature = fit_temperature(np.array([1.0, -1.0]), np.array([0.0, 1.0]), np.ones(2))
    assert probability(1.0, temperature) == pytest.approx(0.5, abs=1e-3)


@given(arrays(np.float64, st.integers(1, 60), elements=st.floats(-50, 50)))
def test_percentile_is_monotone_and_bounded(scores):
    quantiles = np.sort(np.random.default_rng(0).normal(size=1001))
    ordered = np.sort(scores)
    found = percentile(ordered, quantiles)
    assert (np.diff(found) >= 0).all()
    assert ((found >= 0.1) & (found <= 99.9)).all()


def test_percentile_golden_values():
    quantiles = np.linspace(-1, 1, 1001)
    assert percentile([0.0, 0.5, -9, 9], quantiles) == pytest.approx([50, 75, 0.1, 99.9])
    tied = np.concatenate([np.zeros(500), np.ones(501)])
    assert percentile([0.0, 1.0], tied) == pytest.approx([24.95, 75.0])


def test_levels_cut_at_the_stated_percentiles():
    cases = {
        0.1: "poor",
        5: "bad",
        24.9: "bad",
        25: "fair",
        75: "good",
        94: "good",
        95: "excellent",
    }
    assert {at: level(at) for at in cases} == cases


def test_weighted_quantiles_weigh_users_alike():
    # One user has nine pictures at 0, another has one at 10: half of the weight each.
    scores = np.array([0.0] * 9 + [10.0])
    weights = np.array([1 / 9] * 9 + [1.0])
    quantiles = weighted_quantiles(scores, weights, 1001)
    assert quantiles[400] == 0
    assert quantiles[760] == 10
    assert (np.diff(quantiles) >= 0).all()
