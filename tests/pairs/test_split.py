"""Parts by user, by pair and forward in time: close counts, proof."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import combinations, pairwise
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import assume, given, settings
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


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 12), min_size=2, max_size=9),
    st.integers(0, 3),
    st.data(),
    st.sampled_from([("rest", 1, 0), (1, 0, "rest"), (0, 1, "rest")]),
)
def test_whole_users_come_as_close_as_they_can(
    sizes: list[int], seed: int, data: st.DataObject, where: tuple[Any, ...]
) -> None:
    wanted = data.draw(st.integers(1, sum(sizes) - 1))
    pairs = pairs_by({f"u{i}": n for i, n in enumerate(sizes)})
    counts = [wanted if count == 1 else count for count in where]
    done = split_pairs(pairs, seed=seed, counts=counts)
    chosen = (c for n in range(1, len(sizes)) for c in combinations(sizes, n))
    best = min(abs(sum(c) - wanted) for c in chosen)
    assert abs(done.parts[where.index(1)].pairs - wanted) == best
    assert sum(part.pairs for part in done.parts) == sum(sizes)


def test_counts_are_met_where_small_users_fill_the_gaps() -> None:
    sizes = {f"u{i}": n for i, n in enumerate([1] * 9 + [2] * 9 + [3 + i % 50 for i in range(60)])}
    for counts in (("rest", 10, 10), ("rest", 100, 50), (20, 30, "rest")):
        done = split_pairs(pairs_by(sizes), counts=counts)  # type: ignore[arg-type]
        for part, count in zip(done.parts, counts, strict=True):
            assert count in ("rest", part.pairs)
    few = pairs_by({"a": 4, "b": 4, "c": 1, "d": 1})
    assert [p.pairs for p in split_pairs(few, counts=(5, 5, "rest")).parts] == [5, 5, 0]
    of_fractions = split_pairs(pairs_by(sizes), fractions=(0.5, 0.25, 0.25))
    n = sum(sizes.values())
    assert all(abs(part.pairs - n / 4) <= 0.75 for part in of_fractions.parts[1:])


def test_of_pairs_of_two_users_nothing_is_said_of_users() -> None:
    pairs = pairs_by({"a": 3, "b": 3})
    some = pa.array([None, *pairs["user_id"].to_pylist()[1:]], pa.string())
    pairs = pairs.set_column(1, PAIRS.field("user_id"), some)
    done = split_pairs(pairs, "pair", (0.5, 0, 0.5))
    assert (done.users_shared, done.without_user) == (None, 1)
    users = [part.users for part in done.parts]
    assert users.count(None) == 1
    assert users[1] == 0
    alone = split_pairs(pairs_by({"a": 3}), "pair", (0.5, 0, 0.5))
    assert (alone.users_shared, alone.without_user) == (1, 0)


def test_a_part_may_be_left_out() -> None:
    done = split_pairs(pairs_by({"a": 3, "b": 3}), fractions=(0.5, 0, 0.5))
    assert [part.users for part in done.parts] == [1, 0, 1]


def test_a_shared_picture_file_shows_in_the_proof() -> None:
    pairs = pairs_by({"a": 1, "b": 1})
    same = pa.array(["same.jpg"] * 2)
    pairs = pairs.set_column(pairs.column_names.index("winner_image"), "winner_image", same)
    assert split_pairs(pairs, fractions=(0.5, 0.5, 0)).images_shared == 1


def test_what_cannot_be_split() -> None:
    with pytest.raises(DataError, match="there is no pair to split"):
        split_pairs(pairs_by({}))
    of_two = pairs_by({"a": 5}).set_column(1, "user_id", pa.nulls(5, pa.string()))
    with pytest.raises(DataError, match=r"of two users.*; split by pair or by time"):
        split_pairs(of_two)
    with pytest.raises(DataError, match=r"pairs are of one user.*; ask for fewer parts, or split"):
        split_pairs(pairs_by({"a": 5}))
    with pytest.raises(DataError, match="of 2 users"):
        split_pairs(pairs_by({"a": 5, "b": 5}))
    with pytest.raises(UserInputError, match="add up to 1"):
        split_pairs(pairs_by({"a": 5}), fractions=(0.5, 0.1, 0.1))
    with pytest.raises(UserInputError, match="cannot split by 'luck'"):
        split_pairs(pairs_by({"a": 5}), by="luck")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="have no times"):
        split_pairs(pairs_by({"a": 5}), by="time")
    for counts, fault in (
        ((1, 2, 1), "holds 5 pairs; write rest for one of them"),
        (("rest", 9, 0), "holds 5 pairs; ask for fewer"),
        (("rest", "rest", 1), "counts are rest,rest,1, but must be .* one of which may be rest;"),
        ((-1, "rest", 1), "must be three from 0"),
    ):
        with pytest.raises(UserInputError, match=fault):
            split_pairs(pairs_by({"a": 5}), counts=counts)  # type: ignore[arg-type]
    no_user = pa.nulls(1, pa.string())
    with pytest.raises(DataError, match="of two users"):
        split_pairs(pairs_by({"a": 1}).set_column(1, PAIRS.field("user_id"), no_user))


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(0, 3))
def test_by_pair_counts_are_exact_whatever_the_order_of_rows(n: int, seed: int) -> None:
    pairs = pairs_by({"a": n, "b": 3})
    done = split_pairs(pairs, "pair", seed=seed, counts=("rest", 1, 2))
    assert [part.pairs for part in done.parts] == [n, 1, 2]
    assert (done.images_shared, done.left_out) == (0, 0)
    back = list(range(pairs.num_rows))[::-1]
    again = split_pairs(pairs.take(back), "pair", seed=seed, counts=("rest", 1, 2))
    assert again.pairs.take(back) == done.pairs


def timed(hours: list[tuple[int, int]]) -> pa.Table:
    start = datetime(2018, 1, 1, tzinfo=UTC)
    table = pairs_by({"a": len(hours)})
    for place, side in enumerate(("winner", "loser")):
        times = pa.array([start + timedelta(hours=pair[place]) for pair in hours])
        field = PAIRS.field(f"{side}_time")
        table = table.set_column(
            table.column_names.index(field.name), field, times.cast(field.type)
        )
    return table


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99)), min_size=1, max_size=40))
def test_by_time_no_part_sees_the_next(hours: list[tuple[int, int]]) -> None:
    pairs = timed(hours)
    done = split_pairs(pairs, "time", (0.5, 0.2, 0.3))
    spans = [(part.first, part.last) for part in done.parts if part.pairs]
    for (_, last), (first, _) in pairwise(spans):
        assert last is not None
        assert first is not None
        assert last < first
    assert sum(part.pairs for part in done.parts) + done.left_out == len(hours)
    assert done.pairs["split"].null_count == done.left_out


def test_by_time_leaves_out_only_pairs_across_a_cut() -> None:
    hours = [(0, 1), (1, 2), (2, 30), (30, 31), (31, 32)]
    done = split_pairs(timed(hours), "time", (0.6, 0, 0.4))
    assert done.pairs["split"].to_pylist() == ["train", "train", None, "test", "test"]
    assert (done.left_out, done.users_shared) == (1, 1)


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 25), min_size=24, max_size=40),
    st.sampled_from([("rest", 2, 3), (2, "rest", 3), (2, 3, "rest"), ("rest", 0, 2)]),
)
def test_by_time_stated_counts_are_exact(gaps: list[int], counts: tuple[Any, ...]) -> None:
    # No two posts of one moment, and few pairs across any cut.
    pairs = [(100 * i, 100 * (i + gap // 10) + gap) for i, gap in enumerate(gaps)]
    pairs = [pair if i % 2 else pair[::-1] for i, pair in enumerate(pairs)]
    distinct = {moment for pair in pairs for moment in pair}
    assume(len(distinct) == 2 * len(pairs))
    done = split_pairs(timed(pairs), "time", counts=counts)
    stated = [count for count in counts if count != "rest"]
    assert [p.pairs for p, n in zip(done.parts, counts, strict=True) if n != "rest"] == stated
    (rest,) = (p.pairs for p, n in zip(done.parts, counts, strict=True) if n == "rest")
    assert rest + done.left_out == len(pairs) - sum(stated)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=6, max_size=40),
    st.sampled_from([("rest", 2, 3), (2, "rest", 3), (2, 3, "rest"), (0, "rest", 0)]),
)
def test_by_time_posts_of_one_moment_stay_together(
    hours: list[tuple[int, int]], counts: tuple[Any, ...]
) -> None:
    done = split_pairs(timed(hours), "time", counts=counts)
    spans = [(part.first, part.last) for part in done.parts if part.pairs]
    assert all(last < first for (_, last), (first, _) in pairwise(spans))  # type: ignore[operator]
    for part, count in zip(done.parts, counts, strict=True):
        assert count == "rest" or part.pairs <= count
    if counts[0] == counts[2] == 0:
        assert done.left_out == 0
