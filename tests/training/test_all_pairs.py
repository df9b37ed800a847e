"""Batches of pictures: each picture once an epoch, every listed pair in a batch, weights kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_loop import album, run  # noqa: F401
from tiny import RECIPE, TRAIN, pairs_of

from i2pa.errors import UserInputError
from i2pa.training import ABSOLUTE, FINETUNE
from i2pa.training.batches import LabelledPairs, picture_batches
from i2pa.training.nuisance import UNKNOWN_TIME
from i2pa.training.recipes import changed


@st.composite
def pair_lists(draw: st.DrawFn) -> LabelledPairs:
    """Up to four users of up to 12 pictures each, some pairs of theirs listed."""
    rows = []
    for user in range(draw(st.integers(1, 4))):
        n = draw(st.integers(2, 12))
        ends = st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)).filter(lambda e: e[0] < e[1])
        rows += [
            (20 * user + a, 20 * user + b, user)
            for a, b in draw(st.lists(ends, min_size=1, max_size=30, unique=True))
        ]
    winner, loser, user = np.array(rows, dtype=np.int64).T
    nobody_knows, ones = np.full(len(rows), UNKNOWN_TIME), np.ones(len(rows))
    weight = np.random.default_rng(0).uniform(0.5, 2, len(rows))
    return LabelledPairs(winner, loser, user, nobody_knows, nobody_knows, 0.97 * ones, weight)


@settings(max_examples=60)
@given(pair_lists(), st.integers(2, 30), st.integers(0, 5))
def test_pictures_once_listed_pairs_only_and_small_users_whole(pairs, size, epoch):
    batches = picture_batches(pairs, size, 1, epoch)
    images = np.concatenate([batch.images for batch in batches]) if batches else np.zeros(0)
    assert len(np.unique(images)) == len(images)
    met = np.concatenate([batch.pair for batch in batches]).tolist() if batches else []
    assert len(set(met)) == len(met)
    for batch in batches:
        assert len(batch.images) <= max(2, size)
        ends = batch.images[batch.a], batch.images[batch.b]
        a_won = batch.p > 0.5
        assert (np.where(a_won, *ends) == pairs.winner[batch.pair]).all()
        assert (np.where(a_won, *ends[::-1]) == pairs.loser[batch.pair]).all()
    for user in np.unique(pairs.user):
        own = np.flatnonzero(pairs.user == user)
        pictures = np.union1d(pairs.winner[own], pairs.loser[own])
        if len(pictures) <= size // 2 * 2:
            assert set(own.tolist()) <= set(met)


@settings(max_examples=60)
@given(pair_lists(), st.integers(2, 30))
def test_an_epoch_weighs_a_user_as_the_list_does(pairs, size):
    batches = picture_batches(pairs, size, 1, 1)
    if not batches:
        return
    # What the loop makes of it: the sum of weight x loss over the number of pairs, batch by batch.
    share = np.zeros(len(pairs))
    for batch in batches:
        share[batch.pair] += batch.weight / len(batch) / len(batches)
    for user in np.unique(pairs.user[share > 0]):
        own = pairs.user == user
        assert share[own].sum() == pytest.approx(pairs.weight[own].sum() / len(pairs))


def test_of_pictures_in_one_pair_each_no_pair_is_torn():
    n = 50
    at, ones = np.arange(n), np.ones(n)
    unknown = np.full(n, UNKNOWN_TIME)
    single = LabelledPairs(2 * at, 2 * at + 1, 0 * at, unknown, unknown, ones, ones)
    batches = picture_batches(single, 7, 0, 1)
    assert sum(len(batch) for batch in batches) == n
    assert max(len(batch.images) for batch in batches) <= 7


def test_epochs_differ_and_can_be_made_again():
    one, again, other = (picture_batches(TRAIN, 12, 3, epoch) for epoch in (1, 1, 2))
    assert all((a.pair == b.pair).all() for a, b in zip(one, again, strict=True))
    assert [batch.pair.tolist() for batch in one] != [batch.pair.tolist() for batch in other]
    # Six pictures a user: two users fill a batch, and all their 15 pairs count.
    assert [len(batch) for batch in one] == [30, 30, 30]


def test_it_learns_what_can_be_seen(album: list[Path], tmp_path: Path) -> None:  # noqa: F811
    recipe = replace(RECIPE, all_pairs=True, batch=12, epochs=8)
    fitted, _ = run(album, tmp_path / "run", recipe)
    assert max(epoch.val_accuracy for epoch in fitted.history) > 0.9


def test_accumulated_parts_hold_every_pair(album: list[Path], tmp_path: Path) -> None:  # noqa: F811
    recipe = replace(RECIPE, all_pairs=True, batch=12, epochs=1, accumulate=2)
    fitted, _ = run(album, tmp_path / "run", recipe)
    assert len(pairs_of(range(6))) == 90
    assert fitted.history[0].train_accuracy * 90 == pytest.approx(
        round(fitted.history[0].train_accuracy * 90)
    )


def test_it_is_for_pairs_alone():
    assert changed(FINETUNE, {"all_pairs": True}).all_pairs
    with pytest.raises(UserInputError, match="--all-pairs means nothing"):
        changed(ABSOLUTE, {"all_pairs": True})
