"""Labels flipped on purpose: how many, which, and that neither order nor share changes it."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from i2pa.errors import UserInputError
from i2pa.pairs import PAIRS
from i2pa.training.labels import flip_labels


def table_of(n, seed=0):
    rng = np.random.default_rng(seed)
    rows = [
        {"platform": "instagram", "winner_id": f"w{i}", "loser_id": f"l{rng.integers(1e9)}"}
        for i in range(n)
    ]
    return pa.Table.from_pylist(rows, schema=PAIRS)


def flipped_ids(table, flipped):
    return set(table.filter(pa.array(flipped))["winner_id"].to_pylist())


@settings(deadline=None)
@given(n=st.integers(0, 60), share=st.floats(0, 0.5), seed=st.integers(0, 2**32))
def test_exactly_the_share_is_flipped(n, share, seed):
    flipped = flip_labels(table_of(n), share, seed)
    assert flipped.shape == (n,)
    assert flipped.sum() == round(share * n)


def test_the_least_hashes_of_the_ids_are_flipped():
    table = table_of(50)

    def number(row):
        text = f"3\x1f{row['platform']}\x1f{row['winner_id']}\x1f{row['loser_id']}"
        return hashlib.blake2b(text.encode(), digest_size=16).digest()

    ranked = sorted(table.to_pylist(), key=number)
    expected = {row["winner_id"] for row in ranked[:15]}
    assert flipped_ids(table, flip_labels(table, 0.3, seed=3)) == expected


def test_the_order_of_rows_is_no_matter():
    table = table_of(300)
    shuffled = table.take(pa.array(np.random.default_rng(1).permutation(300)))
    expected = flipped_ids(table, flip_labels(table, 0.2, seed=0))
    assert flipped_ids(shuffled, flip_labels(shuffled, 0.2, seed=0)) == expected
    assert len(expected) == 60


def test_ids_in_several_chunks_and_of_graded_pictures_are_read():
    table = pa.concat_tables([table_of(10), table_of(30, seed=5)])
    assert flip_labels(table, 0.5, seed=0).sum() == 20
    nameless = table.set_column(0, "platform", pa.nulls(40, pa.string()))
    backwards = nameless.take(pa.array(range(39, -1, -1)))
    flipped = flip_labels(nameless, 0.5, seed=0)
    assert flipped.sum() == 20
    assert (flip_labels(backwards, 0.5, seed=0)[::-1] == flipped).all()


def test_a_seed_is_a_choice_and_a_larger_share_adds_to_a_smaller():
    table = table_of(400)
    few, many, other = (flip_labels(table, *a) for a in ((0.1, 0), (0.4, 0), (0.1, 1)))
    assert (many | ~few).all()
    assert (flip_labels(table, 0.1, 0) == few).all()
    # By chance 4 of 40 are in both.
    assert (few & other).sum() < 15


def test_flips_are_spread_evenly_over_positions():
    places = np.flatnonzero(flip_labels(table_of(20_000), 0.25, seed=0))
    # Standard error of the mean place: 20,000 / √12 / √5,000, about 82.
    assert places.mean() == pytest.approx(10_000, abs=330)


@pytest.mark.parametrize("share", [-0.01, 0.51, math.nan])
def test_shares_beyond_a_half_are_refused(share):
    with pytest.raises(UserInputError, match=r"from 0 to \.5"):
        flip_labels(table_of(10), share, 0)
