import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from i2pa.models.head import LinearHead
from i2pa.personal.fit import SPREADS, fit_taste, space_of


def made_up(seed, n=40, d=60, pairs=300):
    """Embeddings, a base head, and pairs decided by a hidden direction; p is soft."""
    rng = np.random.default_rng(seed)
    embeddings = rng.normal(size=(n, d)) * rng.uniform(0.1, 3, d) + 2
    base = LinearHead(rng.normal(size=d) / np.sqrt(d), 0.7)
    winner, loser = rng.integers(n, size=(2, pairs))
    kept = winner != loser
    return space_of(embeddings, base, 2.0), embeddings, winner[kept], loser[kept], rng


def loss(space, winner, loser, p, spread, base_weight, along):
    score = base_weight * space.base + space.axes @ along
    logits = score[winner] - score[loser]
    pictures = len(np.union1d(winner, loser))
    prior = (along @ along / spread**2 + (base_weight - 1) ** 2 / 16) / (2 * pictures)
    return np.mean(np.logaddexp(0, logits) - p * logits) + prior


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(SPREADS), st.booleans(), st.sampled_from((20, 300)))
def test_the_solution_is_a_minimum(seed, spread, soft, pairs):
    space, _, winner, loser, rng = made_up(seed, pairs=pairs)
    p = rng.uniform(0.5, 1, len(winner)) if soft else np.ones(len(winner))
    taste = fit_taste(space, winner, loser, p, spread)
    best = loss(space, winner, loser, p, spread, taste.base_weight, taste.along)
    for _ in range(10):
        off = rng.normal(size=len(taste.along) + 1) * 1e-2
        there = taste.base_weight + off[0], taste.along + off[1:]
        assert best <= loss(space, winner, loser, p, spread, *there) + 1e-9


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from((0.0, *SPREADS)))
def test_the_head_on_raw_embeddings_scores_as_the_taste_does(seed, spread):
    space, embeddings, winner, loser, _ = made_up(seed)
    taste = fit_taste(space, winner, loser, np.ones(len(winner)), spread)
    assert taste.head(space).score(embeddings) == pytest.approx(taste.score(space), abs=1e-8)
    assert taste.score(space).mean() == pytest.approx(0, abs=1e-8)


@pytest.mark.parametrize("seed", range(5))
def test_without_spread_the_order_is_the_base_models_even_for_one_who_likes_the_reverse(seed):
    space, _, winner, loser, _ = made_up(seed)
    swap = space.base[winner] > space.base[loser]
    winner, loser = np.where(swap, loser, winner), np.where(swap, winner, loser)
    alone = fit_taste(space, winner, loser, np.ones(len(winner)), 0.0)
    assert alone.base_weight > 0
    assert (np.argsort(alone.score(space)) == np.argsort(space.base)).all()
    assert fit_taste(space, winner, loser, np.ones(len(winner)), 1.0).base_weight < 0


def test_the_less_spread_the_closer_to_the_base_model():
    space, _, winner, loser, _ = made_up(3)
    sizes = [
        np.linalg.norm(fit_taste(space, winner, loser, np.ones(len(winner)), spread).along)
        for spread in (0.01, *SPREADS)
    ]
    assert sizes == sorted(sizes)
    assert sizes[0] < 0.01


def test_a_hidden_direction_is_found_on_pictures_never_seen():
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(300, 20))
    truth = embeddings @ rng.normal(size=20)
    space = space_of(embeddings, LinearHead(rng.normal(size=20), 0.0), 2.0)
    winner, loser = rng.integers(100, size=(2, 800))
    swap = truth[winner] < truth[loser]
    winner, loser = np.where(swap, loser, winner), np.where(swap, winner, loser)
    taste = fit_taste(space, winner, loser, np.ones(len(winner)), 2.0)
    assert np.corrcoef(taste.score(space)[100:], truth[100:])[0, 1] > 0.9


def test_pictures_all_alike_are_told_apart_by_nothing_and_break_nothing():
    space = space_of(np.ones((6, 4)), LinearHead(np.ones(4), 0.0), 1.0)
    taste = fit_taste(space, np.array([0, 1]), np.array([2, 3]), np.ones(2), 1.0)
    assert taste.score(space) == pytest.approx(np.zeros(6))
