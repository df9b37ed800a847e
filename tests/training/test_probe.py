import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from i2pa.errors import DataError
from i2pa.training.pairset import PairSet
from i2pa.training.probe import cross_validate, fit_head, folds_by_picture, folds_by_user


def random_pairs(seed, pictures=60, users=6, n=200):
    rng = np.random.default_rng(seed)
    owner = np.sort(rng.integers(users, size=pictures))
    winner, loser = rng.integers(pictures, size=(2, n * 5))
    same = (owner[winner] == owner[loser]) & (winner != loser)
    winner, loser = winner[same][:n], loser[same][:n]
    user = owner[winner].astype(str)
    ones = np.ones(len(winner))
    return PairSet(winner, loser, user, ones, ones)


def true_direction(seed, dimensions=12, noise=0.0):
    """Embeddings, and pairs whose winners lie further along a hidden direction."""
    rng = np.random.default_rng(seed)
    embeddings = rng.normal(size=(60, dimensions)) * rng.uniform(0.1, 10, dimensions) + 3
    direction = rng.normal(size=dimensions) / embeddings.std(axis=0)
    truth = embeddings @ direction + noise * rng.normal(size=60)
    pairs = random_pairs(seed)
    swap = truth[pairs.winner] < truth[pairs.loser]
    winner = np.where(swap, pairs.loser, pairs.winner)
    loser = np.where(swap, pairs.winner, pairs.loser)
    return embeddings, truth, PairSet(winner, loser, pairs.user, pairs.weight, pairs.p)


@pytest.mark.parametrize("l2", [0.01, 1.0])
def test_the_solution_is_a_minimum(l2):
    embeddings, _, pairs = true_direction(1)
    head = fit_head(embeddings, pairs, l2)
    rows = np.union1d(pairs.winner, pairs.loser)
    deviation = embeddings[rows].std(axis=0)

    def loss(w):
        delta = (embeddings[pairs.winner] - embeddings[pairs.loser]) @ (w / deviation)
        return np.logaddexp(0, -delta).mean() + l2 / 2 * w @ w

    best = head.weights * deviation
    rng = np.random.default_rng(0)
    for _ in range(20):
        assert loss(best) <= loss(best + rng.normal(size=len(best)) * 1e-2) + 1e-9
    for axis in range(len(best)):
        step = np.eye(len(best))[axis] * 1e-5
        slope = (loss(best + step) - loss(best - step)) / 2e-5
        assert slope == pytest.approx(0, abs=1e-3)


def test_a_known_direction_is_recovered_on_users_never_seen():
    embeddings, truth, pairs = true_direction(2)
    result = cross_validate(embeddings, pairs, list(folds_by_user(pairs, 10, 0)), 0.01)
    assert len(result.held_out) == len(pairs)
    assert result.accuracy > 0.9
    head = fit_head(embeddings, pairs, 0.01)
    assert np.corrcoef(head.score(embeddings), truth)[0, 1] > 0.9


def test_labels_without_meaning_teach_nothing():
    embeddings, _, pairs = true_direction(3)
    flip = np.random.default_rng(0).random(len(pairs)) < 0.5
    coin = PairSet(
        np.where(flip, pairs.loser, pairs.winner),
        np.where(flip, pairs.winner, pairs.loser),
        pairs.user,
        pairs.weight,
        pairs.p,
    )
    result = cross_validate(embeddings, coin, list(folds_by_user(coin, 10, 0)), 1.0)
    assert 0.3 < result.accuracy < 0.7


def test_the_average_picture_scores_zero_and_a_constant_feature_is_ignored():
    embeddings, _, pairs = true_direction(4)
    embeddings = np.hstack([embeddings, np.full((60, 1), 9.0)])
    head = fit_head(embeddings, pairs, 1.0)
    rows = np.union1d(pairs.winner, pairs.loser)
    assert head.score(embeddings[rows]).mean() == pytest.approx(0, abs=1e-9)
    assert head.weights[-1] == 0


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.integers(2, 12))
def test_folds_by_user_share_no_user_and_hold_every_pair_out_once(seed, n):
    pairs = random_pairs(seed)
    held_out = []
    for fold in folds_by_user(pairs, n, seed):
        assert not set(fold.train.user) & set(pairs.at(fold.held_out).user)
        assert len(fold.train) + len(fold.held_out) == len(pairs)
        held_out += fold.held_out.tolist()
    assert sorted(held_out) == list(range(len(pairs)))


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.integers(2, 12))
def test_folds_by_picture_share_no_picture(seed, n):
    pairs = random_pairs(seed)
    for fold in folds_by_picture(pairs, n, seed):
        held_out = pairs.at(fold.held_out)
        train = set(fold.train.winner) | set(fold.train.loser)
        assert not train & (set(held_out.winner) | set(held_out.loser))


def test_one_user_cannot_be_cross_validated():
    pairs = random_pairs(0, users=1)
    with pytest.raises(DataError, match="all pairs to learn from are of one user"):
        list(folds_by_user(pairs, 10, 0))


def test_evenly_gives_each_user_the_same_weight_and_respects_given_weights():
    user = np.array(["a", "a", "a", "b"])
    at = np.zeros(4, int)
    ones = np.ones(4)
    even = PairSet(at, at, user, ones, ones).evenly().weight
    assert even == pytest.approx([1 / 6, 1 / 6, 1 / 6, 1 / 2])
    doubled = PairSet(at, at, user, np.array([1, 1, 1, 2.0]), ones).evenly().weight
    assert doubled == pytest.approx([1 / 9, 1 / 9, 1 / 9, 2 / 3])
