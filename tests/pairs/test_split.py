"""Parts that share no user: whole users, close counts, proof."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from i2pa.errors import DataError, UserInputError
from i2pa.pairs import PAIRS, split_pairs


def pairs_by(sizes: dict[str, int]) -> pa.Table:
    rows = [
        dict.fromkeys(PAIRS.names)
        | {
            "platform": "p",
            "user_id": user,
            "winner_id": f"{user}-{i}w",
            "loser_id": f"{user}-{i}l",
        }
        for user, n in sizes.items()
        for i in range(n)
    ]
    return pa.Table.from_pylist(rows, PAIRS)


@settings(deadline=None)
@given(st.lists(st.integers(1, 30), min_size=3, max_size=25), st.integers(0, 5))
def test_every_user_is_in_one_part_and_every_part_has_one(sizes: list[int], seed: int) -> None:
    pairs = pairs_by({f"u{i}": n for i, n in enumerate(sizes)})
    done = split_pairs(pairs, seed=seed)
    assert (done.users_shared, done.images_shared) == (0, 0)
    assert done.pairs.drop_columns(["split"]).equals(pairs.drop_columns(["split"]))
    seen = done.pairs.group_by("user_id").aggregate([("split", "count_distinct")])
    assert set(seen["split_count_distinct"].to_pylist()) == {1}
    assert [part.pairs for part in done.parts] == [
        pc.sum(pc.equal(done.pairs["split"], name)).as_py() for name in ("train", "val", "test")
    ]
    assert sum(part.users for part in done.parts) == len(sizes)
    assert all(part.users for part in done.parts)
    assert sum(part.images for part in done.parts) == 2 * sum(sizes)


def test_counts_come_close_whatever_the_order_of_rows() -> None:
    pairs = pairs_by({f"u{i}": 1 + i % 7 for i in range(300)})
    done = split_pairs(pairs, fractions=(0.7, 0.2, 0.1))
    for part, fraction in zip(done.parts, (0.7, 0.2, 0.1), strict=True):
        assert part.pairs / pairs.num_rows == pytest.approx(fraction, abs=0.01)
    back = list(range(pairs.num_rows))[::-1]
    assert split_pairs(pairs.take(back), fractions=(0.7, 0.2, 0.1)).pairs.take(back) == done.pairs
    assert split_pairs(pairs, seed=1).pairs != split_pairs(pairs).pairs


def test_a_part_may_be_left_out() -> None:
    done = split_pairs(pairs_by({"a": 3, "b": 3}), fractions=(0.5, 0, 0.5))
    assert [part.users for part in done.parts] == [1, 0, 1]


def test_a_shared_picture_file_shows_in_the_proof() -> None:
    pairs = pairs_by({"a": 1, "b": 1})
    same = pa.array(["same.jpg"] * 2)
    pairs = pairs.set_column(pairs.column_names.index("winner_image"), "winner_image", same)
    assert split_pairs(pairs, fractions=(0.5, 0.5, 0)).images_shared == 1


def test_what_cannot_be_split() -> None:
    with pytest.raises(DataError, match="pairs are of one user"):
        split_pairs(pairs_by({"a": 5}))
    with pytest.raises(DataError, match="of 2 users"):
        split_pairs(pairs_by({"a": 5, "b": 5}))
    with pytest.raises(UserInputError, match="add up to 1"):
        split_pairs(pairs_by({"a": 5}), fractions=(0.5, 0.1, 0.1))
    with pytest.raises(UserInputError, match="cannot split by 'time'"):
        split_pairs(pairs_by({"a": 5}), by="time")  # type: ignore[arg-type]
    no_user = pa.nulls(1, pa.string())
    with pytest.raises(DataError, match="of two users"):
        split_pairs(pairs_by({"a": 1}).set_column(1, PAIRS.field("user_id"), no_user))
