"""What is worked out once for every post, and the order that posts are kept in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from i2pa.posts import POSTS, read_posts
from i2pa.posts.facts import DERIVED, ORDER, with_facts

TYPED = pa.schema([field for field in POSTS if field.name not in DERIVED])
a_time = st.one_of(
    st.integers(0, 5).map(lambda day: timedelta(days=day)),
    st.integers(0, 5 * 10**15).map(lambda micros: timedelta(microseconds=micros)),
)
a_post = st.fixed_dictionaries(
    {
        "platform": st.sampled_from(["instagram", "flickr"]),
        "user_id": st.sampled_from(["a", "b", "é", "日", "😍", "B"]),
        "uploaded_at": a_time.map(lambda gap: datetime(1971, 1, 1, tzinfo=UTC) + gap),
        "image": st.sampled_from([None, "1.jpg", "2.jpg", "3.jpg"]),
        "caption": st.sampled_from([None, "", "é😍", "e\u0301"]),
    }
)


def facts_of(*rows: dict[str, Any]) -> list[dict[str, Any]]:
    named = [{"post_id": f"id{i * 7 % 10}{i}"} | row for i, row in enumerate(rows)]
    typed = [{name: row.get(name) for name in TYPED.names} for row in named]
    table = with_facts(pa.Table.from_pylist(typed, TYPED))
    assert table.schema == POSTS
    found: list[dict[str, Any]] = table.to_pylist()
    return found


@settings(deadline=None)
@given(st.lists(a_post, max_size=14))
def test_posts_come_by_platform_user_time_and_id(rows: list[dict[str, Any]]) -> None:
    posts = facts_of(*rows)
    # Texts are compared as UTF-8, which is the order of code points.
    keys = [tuple(post[name] for name in ORDER) for post in posts]
    assert keys == sorted(keys)
    assert len(keys) == len(rows)
    images = [post["image"] for post in posts]
    assert [post["image_shared"] for post in posts] == [
        image is not None and images.count(image) > 1 for image in images
    ]
    assert [post["caption_length"] for post in posts] == [
        len(post["caption"] or "") for post in posts
    ]


def export(path: Path, n: int) -> Path:
    start = datetime(2019, 1, 1, tzinfo=UTC)
    pq.write_table(
        pa.table(
            {
                "post_id": [f"p{i}" for i in range(n)],
                "user_id": [f"u{i * 7 % 13}" for i in range(n)],
                "uploaded_at": [start + timedelta(hours=i * 11 % n) for i in range(n)],
                "likes": list(range(n)),
                "caption": ["#a @b see"] * n,
            }
        ),
        path,
    )
    return path


def test_posts_written_in_parts_are_those_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = export(tmp_path / "export.parquet", 100)
    whole = read_posts(source)
    monkeypatch.setattr("i2pa.posts.facts._AT_ONCE", 7)
    written = read_posts(source, out=tmp_path / "posts.parquet")
    assert written.where == tmp_path / "posts.parquet"
    assert (written.kept, written.read) == (100, 100)
    assert written.posts.equals(whole.posts)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["export.parquet", "posts.parquet"]
