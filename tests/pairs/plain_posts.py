"""Small tables of posts for the tests of pairs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from i2pa.posts.facts import DERIVED, with_facts
from i2pa.posts.schema import POSTS

DEFAULTS: dict[str, Any] = {
    "platform": "p",
    "user_id": "u",
    "uploaded_at": datetime(2019, 6, 1, tzinfo=UTC),
    "downloaded_at": datetime(2019, 9, 1, tzinfo=UTC),
    "likes": 100,
    "media_type": "image",
    "image_count": 1,
}


def make_posts(*given: dict[str, Any]) -> pa.Table:
    """A posts table, as `i2pa posts` sorts it, of rows that name only what is not plain."""
    rows = [DEFAULTS | {"post_id": f"id{i}"} | row for i, row in enumerate(given)]
    table = pa.Table.from_pylist([{n: row.get(n) for n in POSTS.names} for row in rows], POSTS)
    return with_facts(table.drop_columns(list(DERIVED)))
