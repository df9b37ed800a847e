"""Which of the allowed pairs are kept: valid, maximal, seeded, the same for any order of rows."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from io import BytesIO
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_posts import make_posts
from plain_rules import a_post, brute_force, crowd, pairs_of

from i2pa.pairs import PAPER, build_pairs
from i2pa.pairs.match import MATCHINGS, Matching


@settings(deadline=None, max_examples=60)
@given(st.lists(a_post, min_size=2, max_size=20), st.sampled_from(MATCHINGS), st.integers(0, 3))
def test_matchings_are_valid_maximal_and_ignore_the_order_of_rows(
    rows: list[dict[str, Any]], matching: Matching, seed: int
) -> None:
    posts = make_posts(*rows)
    rules = replace(PAPER, same_hashtags=False, single_images=False)
    eligible = brute_force(posts, rules, settled=True)
    options = {"matching": matching, "seed": seed, "assume_settled": True}
    found = pairs_of(posts, rules, **options)
    used = [post for pair in found for post in pair]
    assert set(found) <= eligible
    assert len(used) == len(set(used))
    assert all(winner in used or loser in used for winner, loser in eligible)
    if matching not in ("random", "maximum"):
        assert none_better_was_left(posts, eligible, set(found), matching)
    order = random.Random(seed).sample(range(len(rows)), len(rows))
    assert pairs_of(posts.take(order), rules, **options) == found


@settings(deadline=None, max_examples=60)
@given(st.lists(a_post, min_size=2, max_size=11), st.integers(0, 3))
def test_maximum_keeps_as_many_pairs_as_can_be(rows: list[dict[str, Any]], seed: int) -> None:
    posts = make_posts(*rows)
    rules = replace(PAPER, same_hashtags=False, single_images=False)
    found = pairs_of(posts, rules, matching="maximum", seed=seed, assume_settled=True)
    assert len(found) == most_pairs(brute_force(posts, rules, settled=True))


def test_maximum_falls_back_past_its_size_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    posts = crowd(300)
    exact = build_pairs(posts, matching="maximum")
    assert exact.too_many_for_maximum == 0
    assert exact.pairs.num_rows >= build_pairs(posts, matching="closest-in-time").pairs.num_rows
    monkeypatch.setattr("i2pa.pairs.match.EXACT_UP_TO", 100)
    fallen = build_pairs(posts, matching="maximum")
    assert fallen.too_many_for_maximum > 100
    assert 0 < fallen.pairs.num_rows <= exact.pairs.num_rows


def test_each_user_is_capped_by_a_seeded_choice() -> None:
    posts = crowd(400)
    every = set(pairs_of(posts, PAPER))
    capped = build_pairs(posts, replace(PAPER, max_pairs_per_user=3))
    kept = set(zip(*(capped.pairs[c].to_pylist() for c in ("winner_id", "loser_id")), strict=True))
    assert kept < every
    per_user = capped.pairs.group_by("user_id").aggregate([([], "count_all")])
    assert max(per_user["count_all"].to_pylist()) == 3
    assert capped.funnel[-1].after == capped.pairs.num_rows
    assert kept != set(pairs_of(posts, replace(PAPER, max_pairs_per_user=3), seed=1))


def most_pairs(eligible: Iterable[tuple[str, str]]) -> int:
    """The size of a maximum matching, by trying everything: the first post alone or with each."""
    pairs = frozenset(map(frozenset, eligible))

    @cache
    def most(posts: frozenset[str]) -> int:
        if len(posts) < 2:
            return 0
        first, rest = min(posts), posts - {min(posts)}
        partners = [post for post in rest if frozenset({first, post}) in pairs]
        return max([most(rest), *(1 + most(rest - {post}) for post in partners)])

    return most(frozenset().union(*pairs))


def none_better_was_left(
    posts: pa.Table,
    eligible: set[tuple[str, str]],
    taken: set[tuple[str, str]],
    matching: Matching,
) -> bool:
    """What makes a matching greedy, whatever the order of ties: each pair left out shares a post
    with a pair at least as good."""
    by_id = {post["post_id"]: post for post in posts.to_pylist()}

    def key(pair: tuple[str, str]) -> float:
        winner, loser = by_id[pair[0]], by_id[pair[1]]
        if matching == "most-certain":
            return math.log(loser["likes"]) - math.log(winner["likes"])
        return abs((winner["uploaded_at"] - loser["uploaded_at"]).total_seconds())

    return all(
        any(key(kept) <= key(pair) and set(kept) & set(pair) for kept in taken)
        for pair in eligible - taken
    )


def as_bytes(table: pa.Table) -> bytes:
    file = BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


@pytest.mark.parametrize("matching", MATCHINGS)
def test_rows_and_threads_change_no_byte(matching: Matching) -> None:
    posts = crowd(900)
    rules = replace(PAPER, same_user=True)
    first = build_pairs(posts, rules, matching=matching, threads=1)
    assert first.windows_cut > 100 or matching == "maximum"
    order = random.Random(1).sample(range(900), 900)
    again = build_pairs(posts.take(order), rules, matching=matching, threads=2)
    assert as_bytes(first.pairs) == as_bytes(again.pairs)
    assert first.funnel == again.funnel
    if matching in ("random", "maximum"):
        other = build_pairs(posts, rules, matching=matching, seed=1)
        assert other.pairs["winner_id"].to_pylist() != first.pairs["winner_id"].to_pylist()


@pytest.mark.parametrize("matching", MATCHINGS)
def test_a_crowded_window_still_gives_valid_pairs(matching: Matching) -> None:
    posts = crowd(600)
    built = build_pairs(posts, PAPER, matching=matching, candidates=8)
    found = set(zip(*(built.pairs[c].to_pylist() for c in ("winner_id", "loser_id")), strict=True))
    assert found <= brute_force(posts, PAPER, settled=False)
    used = [post for pair in found for post in pair]
    assert len(used) == len(set(used))
    looked_at = next(step for step in built.funnel if step.rule.startswith("looked at"))
    if matching != "maximum":
        assert looked_at.after <= 8 * posts.num_rows
        assert looked_at.removed > 0


def test_a_picture_file_of_two_posts_is_in_one_pair() -> None:
    rows = [{"likes": 100 * 3**i, "image": "same.jpg" if i < 2 else f"{i}.jpg"} for i in range(4)]
    built = build_pairs(make_posts(*rows))
    used = [built.pairs[f"{side}_image"].to_pylist() for side in ("winner", "loser")]
    assert len({*used[0], *used[1]}) == 2 * built.pairs.num_rows
    step = next(step for step in built.funnel if step.rule == "a picture of its own")
    assert step.removed == 1
