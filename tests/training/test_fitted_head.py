"""Heads by any loss: at a minimum, equal where losses are, and what clock and spread do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_probe import true_direction

from i2pa.training.losses import FIDELITY, HARD, LOSSES, SOFT, THURSTONE
from i2pa.training.nuisance import TIME_FEATURES
from i2pa.training.pairset import PairSet, joined
from i2pa.training.probe import cross_validate, fit_head, folds_by_user, judged


def noisy(seed: int) -> tuple[np.ndarray, PairSet]:
    """Embeddings, and pairs each with its own certainty."""
    embeddings, _, pairs = true_direction(seed, noise=2.0)
    p = np.random.default_rng(seed).uniform(0.6, 1, len(pairs))
    return embeddings, replace(pairs, p=p)


@pytest.mark.parametrize("loss", [SOFT, FIDELITY, THURSTONE])
@pytest.mark.parametrize("timed", [False, True])
def test_no_small_step_from_the_solution_costs_less(loss, timed):
    embeddings, pairs = noisy(1)
    if timed:
        clock = np.random.default_rng(2).normal(size=(len(pairs), len(TIME_FEATURES)))
        pairs = replace(pairs, clock=clock)
    head, l2 = fit_head(embeddings, pairs, 0.1, loss), 0.1
    deviation = embeddings[np.union1d(pairs.winner, pairs.loser)].std(axis=0)

    def cost(weights):
        scores = embeddings @ (weights / deviation)
        z = judged(pairs.delta(scores), head.spreads(embeddings), pairs)
        value = loss.per_pair(torch.from_numpy(z), torch.from_numpy(pairs.p)).mean().item()
        return value + l2 / 2 * weights @ weights

    if timed:
        assert head.clock.shape == (len(TIME_FEATURES),)
        # Without the clock the solution is another.
        assert not np.allclose(
            head.weights, fit_head(embeddings, replace(pairs, clock=None), l2, loss).weights
        )
        return
    best = head.weights * deviation
    rng = np.random.default_rng(0)
    for _ in range(20):
        assert cost(best) <= cost(best + 1e-2 * rng.normal(size=len(best))) + 1e-6


def test_the_soft_loss_on_sure_labels_is_the_hard_one():
    embeddings, _, pairs = true_direction(2)
    hard, soft = (fit_head(embeddings, pairs, 0.3, loss) for loss in (HARD, SOFT))
    assert soft.weights == pytest.approx(hard.weights, abs=2e-4)
    assert soft.score(embeddings) == pytest.approx(hard.score(embeddings), abs=2e-3)
    assert hard.spread is None
    assert hard.spreads(embeddings) is None


@pytest.mark.parametrize("name", LOSSES)
def test_a_known_direction_is_found_by_every_loss(name):
    embeddings, _, pairs = true_direction(3)
    result = cross_validate(embeddings, pairs, list(folds_by_user(pairs, 6, 0)), 0.01, LOSSES[name])
    assert result.accuracy > 0.9


def test_the_spread_is_larger_where_labels_are_less_sure():
    rng = np.random.default_rng(0)
    n = 400
    vague = np.arange(n) % 2
    quality = rng.normal(size=n)
    embeddings = np.stack([quality, vague + 0.01 * rng.normal(size=n)], axis=1)
    a, b = rng.permutation(n)[: n // 2], rng.permutation(n)[: n // 2]
    a, b = a[a != b], b[a != b]
    sigma = np.where(vague, 3.0, 0.5)
    z = (quality[a] - quality[b]) / np.hypot(sigma[a], sigma[b])
    p = torch.special.ndtr(torch.from_numpy(np.abs(z))).numpy()
    winner, loser = np.where(z > 0, a, b), np.where(z > 0, b, a)
    pairs = PairSet(winner, loser, np.full(len(a), "u"), np.ones(len(a)), p)
    spreads = fit_head(embeddings, pairs, 1e-4, THURSTONE).spreads(embeddings)
    assert spreads.min() > 0
    assert np.median(spreads[vague == 1]) > 2 * np.median(spreads[vague == 0])


def test_what_the_clock_explains_the_picture_need_not():
    rng = np.random.default_rng(0)
    n = 300
    embeddings = rng.normal(size=(2 * n, 3))
    clock = np.zeros((n, len(TIME_FEATURES)))
    clock[:, 0] = rng.choice([-1.0, 1.0], n)
    # The winner is the later one, and a cue in the picture gives away which is later.
    embeddings[:n, 0] += clock[:, 0]
    embeddings[n:, 0] -= clock[:, 0]
    won = np.where(clock[:, 0] > 0, np.arange(n), np.arange(n, 2 * n))
    lost = np.where(clock[:, 0] > 0, np.arange(n, 2 * n), np.arange(n))
    pairs = PairSet(won, lost, np.full(n, "u"), np.ones(n), np.ones(n))
    signed = replace(pairs, clock=np.abs(clock))
    without, beside = fit_head(embeddings, pairs, 0.1), fit_head(embeddings, signed, 0.1)
    assert abs(beside.weights[0]) < 0.5 * abs(without.weights[0])
    assert without.clock is None
    # Later wins, so this is what time says; the other features never vary.
    assert beside.clock[0] > 1
    assert beside.clock[1:] == pytest.approx(0)


def test_sets_are_joined_in_order_and_keep_the_clock_only_if_all_have_it():
    _, pairs = noisy(1)
    timed = replace(pairs, clock=np.ones((len(pairs), len(TIME_FEATURES))))
    both = joined([timed, timed])
    assert len(both) == 2 * len(pairs)
    assert both.clock.shape == (2 * len(pairs), len(TIME_FEATURES))
    assert (both.winner[len(pairs) :] == pairs.winner).all()
    assert joined([pairs, timed]).clock is None
    assert timed.at(np.array([3, 1])).clock.shape == (2, len(TIME_FEATURES))
    assert timed.evenly().clock is timed.clock
