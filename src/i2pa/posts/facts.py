"""What pairs need to know of each post, worked out once, and the order that posts are kept in."""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from i2pa.posts.captions import caption_columns
from i2pa.posts.schema import POSTS

DERIVED = (
    *("image_shared", "caption_length", "tags_key", "mentions_key", "tags", "mentions"),
    *("caption_words", "utc_date"),
)
"""Columns of POSTS that follow from the others."""

ORDER = ("platform", "user_id", "uploaded_at", "post_id")


def with_facts(posts: pa.Table) -> pa.Table:
    """Posts (schema POSTS without DERIVED) with every column, sorted by ORDER."""
    posts = posts.take(_order(posts))
    captions = caption_columns(posts["caption"])
    derived = {
        "image_shared": _shared(posts["image"]),
        "caption_length": pc.fill_null(pc.utf8_length(posts["caption"]), 0),
        "tags_key": captions.tags_key,
        "mentions_key": captions.mentions_key,
        "tags": captions.tags,
        "mentions": captions.mentions,
        "caption_words": captions.caption_words,
        "utc_date": posts["uploaded_at"].cast(pa.date32()),
    }
    columns = [derived[name] if name in DERIVED else posts[name] for name in POSTS.names]
    return pa.table(columns, names=POSTS.names).cast(POSTS).combine_chunks()


def _order(posts: pa.Table) -> pa.Array:
    with duckdb.connect() as connection:
        connection.register("posts", posts.select(ORDER).append_column("i", _numbers(posts)))
        return connection.sql(f"SELECT i FROM posts ORDER BY {', '.join(ORDER)}").to_arrow_table()[
            "i"
        ]


def _numbers(posts: pa.Table) -> pa.Array:
    return pa.array(np.arange(posts.num_rows))


def _shared(images: pa.ChunkedArray) -> pa.Array:
    counts = pc.value_counts(images.drop_null())
    several = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    return pc.fill_null(pc.is_in(images, several), False)
