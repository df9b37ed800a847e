"""Shortcodes: an id and its code say the same, and the id tells time, shard and sequence."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from i2pa.posts import shortcode

IDS = st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=20)


@given(IDS)
def test_ids_survive_their_code(ids: list[int]) -> None:
    back, good = shortcode.decode(shortcode.encode(ids))
    assert good.all()
    assert back.tolist() == ids


@given(st.integers(0, 2**41 - 1), st.integers(0, 8191), st.integers(0, 1023))
def test_the_three_parts_of_an_id(ms: int, shard: int, sequence: int) -> None:
    ids, _ = shortcode.decode(shortcode.encode([ms << 23 | shard << 10 | sequence]))
    assert shortcode.upload_ms(ids).tolist() == [ms + 1314220021721]
    assert shortcode.shard(ids).tolist() == [shard]
    assert shortcode.sequence(ids).tolist() == [sequence]


@given(st.lists(st.text(max_size=13), min_size=1, max_size=20))
def test_any_text_is_a_code_or_is_not(texts: list[str]) -> None:
    ids, good = shortcode.decode(texts)
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for text, number, is_code in zip(texts, ids.tolist(), good.tolist(), strict=True):
        # numpy's strings end at their last character that is not NUL.
        text = text.rstrip("\0")
        value = 0
        for character in text:
            value = value * 64 + max(digits.find(character), 0)
        expected = 0 < len(text) <= 11 and set(text) <= set(digits) and value < 2**64
        assert (is_code, number) == (expected, value if expected else 0)


def test_which_codes_tell_a_time() -> None:
    codes = ["BAaaaaaaaaa", "7sssssssss", "short", "12345678901", "_" * 11, "a" * 39, "café-café"]
    times, good = shortcode.post_times(codes)
    assert good.tolist() == [True, True, False, False, False, False, False]
    assert np.array(times[:2], "datetime64[ms]").astype("datetime64[D]").astype(str).tolist() == [
        "2016-01-11",
        "2015-09-16",
    ]
    assert shortcode.post_times([])[1].size == 0


def test_the_released_pairs_follow_the_ten_day_rule(shared_data: Path) -> None:
    with (shared_data / "i2pa-pairs" / "test.csv").open() as file:
        rows = list(csv.reader(file))[1:]
    times, good = shortcode.post_times([code for row in rows for code in row])
    assert good.all()
    days = (times // 86_400_000).reshape(-1, 2)
    gaps = np.bincount(np.abs(days[:, 0] - days[:, 1]))
    assert gaps.tolist() == [4041, 5324, 5026, 4533, 4669, 4657, 4685, 5237, 5493, 6335]
