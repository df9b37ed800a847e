"""Posts at work stay within `memory_limit`, whatever users, matchings and threads there are."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from plain_posts import make_posts

from i2pa.errors import UserInputError
from i2pa.pairs import PAPER, build_pairs
from i2pa.pairs import build as build_module
from i2pa.pairs.match import Matching

START = datetime(2019, 6, 1, tzinfo=UTC)


def users_of(sizes: list[int]) -> pa.Table:
    """Posts without captions, an hour apart, of users who have so many."""
    return make_posts(
        *(
            {
                "user_id": f"u{user}",
                "uploaded_at": START + timedelta(hours=hour),
                "likes": 60 + 211 * hour % 900,
                "caption": None,
            }
            for user, size in enumerate(sizes)
            for hour in range(size)
        )
    )


def test_users_who_fill_a_block_to_the_last_post_are_told_apart() -> None:
    posts = users_of([100] * 12)
    # A block of 100 posts on two threads.
    assert build_pairs(posts, memory_limit="400KB", threads=2).summary.users == 12


def test_threads_wait_for_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    at_work, most, lock = 0, 0, threading.Lock()
    pair_block = build_module.pair_block

    def watched(block, how, dropped, stopped):  # type: ignore[no-untyped-def]
        nonlocal at_work, most
        with lock:
            at_work += block.table.num_rows
            most = max(most, at_work)
        time.sleep(0.05)
        found = pair_block(block, how, dropped, stopped)
        with lock:
            at_work -= block.table.num_rows
        return found

    monkeypatch.setattr(build_module, "pair_block", watched)
    posts = users_of([2000] * 6)
    build_pairs(posts, threads=4, memory_limit="100MB")
    assert most > 4000
    most = 0
    # Room for one of the users, and not for two.
    build_pairs(posts, threads=4, memory_limit="1500KB")
    assert most == 2000


@pytest.mark.parametrize("matching", ["most-certain", "closest-in-time"])
def test_pairs_that_are_all_held_count_too(matching: Matching) -> None:
    posts = users_of([3000])
    assert build_pairs(posts, memory_limit="5MB").summary.users == 1
    with pytest.raises(UserInputError, match="a user has 1,250 posts or more"):
        build_pairs(posts, matching=matching, memory_limit="5MB")
    with pytest.raises(UserInputError, match="too little"):
        build_pairs(posts, replace(PAPER, one_image_one_pair=False), memory_limit="5MB")
    assert build_pairs(posts, matching=matching, memory_limit="50MB").summary.users == 1


def test_posts_of_different_users_are_not_called_one_users() -> None:
    rules = replace(PAPER, same_user=False)
    with pytest.raises(UserInputError, match="users that may pair have"):
        build_pairs(users_of([1000] * 8), rules, matching="closest-in-time", memory_limit="40MB")


@pytest.mark.parametrize("amount", ["99999999999TB", "9" * 400 + "GB"])
def test_more_memory_than_there_is_anywhere_is_a_slip(amount: str) -> None:
    with pytest.raises(UserInputError, match="no machine has 9"):
        build_pairs(users_of([10]), memory_limit=amount)
