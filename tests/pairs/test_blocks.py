"""Posts in blocks: whatever the blocks, the order of rows or the memory, the same pairs."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plain_posts import make_posts

from i2pa.errors import DataError, UserInputError
from i2pa.pairs import PAPER, PairRules, PairsBuilt, build_pairs
from i2pa.pairs.blocks import Memory
from i2pa.pairs.candidates import Eligible, window_ends
from i2pa.posts import write_posts

START = datetime(2019, 6, 1, tzinfo=UTC)
N = 400


@pytest.fixture(scope="module")
def posts() -> pa.Table:
    """Posts of 24 users, some of them at the same hour, some with the same picture."""
    draw = random.Random(0)
    return make_posts(
        *(
            {
                "platform": f"p{draw.randrange(2)}",
                "user_id": f"u{draw.randrange(12)}",
                "uploaded_at": START + timedelta(hours=draw.randrange(24 * 20)),
                "likes": draw.choice([None, *range(40, 900)]),
                "caption": draw.choice([None, "#a", "#a @b", "hello", "@b"]),
                "image": f"{draw.randrange(N)}.jpg",
            }
            for _ in range(N)
        )
    )


def assert_same(one: PairsBuilt, other: PairsBuilt) -> None:
    assert one.pairs.equals(other.pairs, check_metadata=True)
    assert one.funnel == other.funnel
    assert vars(one.summary) == pytest.approx(vars(other.summary))


@pytest.mark.parametrize("rules", [PAPER, replace(PAPER, same_user=False, same_mentions=False)])
def test_blocks_files_order_and_threads_change_no_pair(
    posts: pa.Table, rules: PairRules, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = build_pairs(posts, rules)
    assert whole.pairs.num_rows > 50
    assert next(s for s in whole.funnel if s.rule == "a picture of its own").removed > 20
    write_posts(posts, tmp_path / "posts.parquet")
    mixed = posts.take(random.Random(1).sample(range(N), N))
    pq.write_table(mixed, tmp_path / "mixed.parquet", row_group_size=50)
    monkeypatch.setattr("i2pa.pairs.blocks.AT_ONCE", 30)
    monkeypatch.setattr("i2pa.pairs.schema._ROW_GROUP", 20)
    files = set()
    for source in (posts, mixed, tmp_path / "posts.parquet", tmp_path / "mixed.parquet"):
        out = tmp_path / "pairs.parquet"
        assert_same(whole, build_pairs(source, rules, threads=3))
        written = build_pairs(source, rules, out=out, memory_limit="100MB")
        assert written.where == out
        assert_same(whole, written)
        files.add(out.read_bytes())
        assert pq.read_schema(out).metadata[b"i2pa.seed"] == b"0"
        assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".")] == []

    assert len(files) == 1


def test_posts_that_are_twice_in_the_table_are_refused(posts: pa.Table) -> None:
    for twice in (pa.concat_tables([posts, posts]), posts.take([0, *range(N)])):
        for rules in (PAPER, replace(PAPER, same_user=False)):
            with pytest.raises(DataError, match="is twice in the table"):
                build_pairs(twice, rules)


def test_the_posts_are_never_written_over(posts: pa.Table, tmp_path: Path) -> None:
    path = tmp_path / "posts.parquet"
    write_posts(posts, path)
    before = path.read_bytes()
    with pytest.raises(UserInputError, match="is the input itself"):
        build_pairs(path, out=path)
    assert path.read_bytes() == before
    for wrong in ({"candidates": 0}, {"threads": 0}):
        with pytest.raises(UserInputError, match="must be a whole number above 0"):
            build_pairs(path, **wrong)  # type: ignore[arg-type]


def test_a_post_of_other_content_changes_the_hash(posts: pa.Table) -> None:
    place = posts.schema.get_field_index("likes")
    likes = posts["likes"].to_pylist()
    one_more = [n and n + (n == max(filter(None, likes))) for n in likes]
    other = posts.set_column(place, posts.schema.field("likes"), pa.array(one_more, pa.int64()))
    hashes = [build_pairs(table).facts["posts_hash"] for table in (posts, other)]
    assert hashes[0] != hashes[1]


def test_progress_counts_every_post(posts: pa.Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("i2pa.pairs.blocks.AT_ONCE", 60)
    calls: list[tuple[int, int]] = []
    build_pairs(posts, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (N, N)
    assert len(calls) > 2
    assert calls == sorted(calls)


def test_no_pair_leaves_no_file(posts: pa.Table, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no eligible pair"):
        build_pairs(posts, replace(PAPER, min_likes=10**6), out=tmp_path / "pairs.parquet")
    assert list(tmp_path.iterdir()) == []


def test_amounts_of_memory() -> None:
    assert Memory.parse("4GB").bytes == 4 * 10**9
    assert Memory.parse(" 1.5 gib").bytes == 3 * 2**29
    for wrong in ("plenty", "4", "-1GB", "0GB", "50%"):
        with pytest.raises(UserInputError, match="no amount of memory"):
            Memory.parse(wrong)


def test_a_user_beyond_the_memory_is_one_line() -> None:
    crowd = make_posts(*({"likes": 50 + i} for i in range(3000)))
    with pytest.raises(UserInputError, match="1MB is too little"):
        build_pairs(crowd, memory_limit="1MB")


groups = st.lists(st.lists(st.integers(0, 60), min_size=1, max_size=9), min_size=1, max_size=6)


@given(groups, st.integers(1, 25), st.sampled_from([1 << 62, 40, 1]))
def test_windows_end_where_a_post_is_too_far(
    days: list[list[int]], width: int, summable: int
) -> None:
    ends = np.cumsum([len(group) for group in days])
    date = np.concatenate([np.sort(group) for group in days])
    end = np.repeat(ends, [len(group) for group in days])
    nothing = np.zeros(date.size)
    posts = Eligible(nothing, end, date, date, nothing, None, None, nothing)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("i2pa.pairs.candidates._SUMMABLE", summable)
        found = window_ends(posts, PairRules(dates_closer_than=width))
    for i, last in enumerate(end):
        near = [j for j in range(i + 1, last) if date[j] - date[i] < width]
        assert found[i] == i + 1 + len(near)


def test_other_tools_types_change_no_pair(posts: pa.Table, tmp_path: Path) -> None:
    changed = {
        "user_id": posts["user_id"].cast(pa.large_string()),
        "platform": posts["platform"].dictionary_encode(),
        "likes": posts["likes"].cast(pa.int32()),
        "caption_words": posts["caption_words"].cast(pa.int64()),
        "uploaded_at": posts["uploaded_at"].cast(pa.timestamp("ns", tz="UTC")),
    }
    other = posts
    for name, column in changed.items():
        other = other.set_column(other.column_names.index(name), name, column)
    other = other.select(sorted(other.column_names)).append_column("more", posts["likes"])
    pq.write_table(other, tmp_path / "other.parquet")
    whole = build_pairs(posts)
    assert_same(whole, build_pairs(other))
    assert_same(whole, build_pairs(tmp_path / "other.parquet"))


def test_what_is_no_table_of_posts_is_one_line(posts: pa.Table, tmp_path: Path) -> None:
    place = posts.column_names.index("uploaded_at")
    words = posts.set_column(place, "uploaded_at", pa.array(["soon"] * N))
    with pytest.raises(DataError, match="column uploaded_at holds string, not timestamp"):
        build_pairs(words)
    nobody = posts.set_column(1, "user_id", pa.array(["u0", None] * (N // 2)))
    with pytest.raises(DataError, match="a post has no user_id"):
        build_pairs(nobody)
    path = tmp_path / "posts.parquet"
    write_posts(posts, path)
    whole = path.read_bytes()
    half = len(whole) // 2
    path.write_bytes(whole[:4] + bytes(half) + whole[4 + half :])
    with pytest.raises(DataError, match="damaged"):
        build_pairs(path, out=tmp_path / "pairs.parquet")
    assert [file.name for file in tmp_path.iterdir()] == ["posts.parquet"]


def test_a_damaged_page_of_shared_pictures_is_one_line(posts: pa.Table, tmp_path: Path) -> None:
    path = tmp_path / "posts.parquet"
    write_posts(posts, path)
    file = pq.read_metadata(path)
    page = file.row_group(0).column(file.schema.names.index("image_shared"))
    start = page.dictionary_page_offset or page.data_page_offset
    whole = path.read_bytes()
    size = page.total_compressed_size
    path.write_bytes(whole[:start] + b"\xff" * size + whole[start + size :])
    with pytest.raises(DataError, match=r"posts.parquet: damaged \(.*make it anew from the export"):
        build_pairs(path)


@pytest.mark.parametrize("folder", ["plain", "o'b [1] *"])
def test_a_name_that_reads_as_a_pattern_is_one_file(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / folder
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    for name, ids in (("posts[1].parquet", "ab"), ("posts1.parquet", "xy")):
        rows = ({"post_id": i, "likes": 100 * 3**n} for n, i in enumerate(ids))
        # Out of order, so that they are sorted first.
        write_posts(make_posts(*rows).take([1, 0]), place / name)
    pairs = build_pairs(place / "posts[1].parquet").pairs
    assert (pairs["winner_id"].to_pylist(), pairs["loser_id"].to_pylist()) == (["b"], ["a"])


def test_posts_out_of_order_may_all_pair(tmp_path: Path) -> None:
    rows = [{"likes": 100 * 3**n, "image": f"{n // 2}.jpg"} for n in range(4)]
    posts = make_posts(*rows)
    rules = replace(PAPER, one_image_one_pair=False)
    write_posts(posts.take([3, 1, 0, 2]), tmp_path / "posts.parquet")
    # Six pairs, two of which name one picture.
    assert build_pairs(posts, rules).pairs.num_rows == 4
    assert build_pairs(tmp_path / "posts.parquet", rules).pairs.num_rows == 4
    assert build_pairs(posts.take([3, 1, 0, 2]), rules).pairs.num_rows == 4
