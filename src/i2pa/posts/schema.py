"""The one table that every export of posts becomes: its columns, their types and units.

Reading files, judging rows and building pairs stay out.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from i2pa.errors import DataError, require

TIME = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class Column:
    """One column of the posts table: its Arrow type and what it holds."""

    name: str
    type: pa.DataType
    meaning: str


COLUMNS = (
    Column(
        "platform",
        pa.string(),
        "where the post appeared, in lower case; 'unknown' when nobody said",
    ),
    Column("user_id", pa.string(), "who posted; compared within a platform only"),
    Column("post_id", pa.string(), "unique within a platform; text, never a float"),
    Column("uploaded_at", TIME, "when it was posted"),
    Column("downloaded_at", TIME, "when the counts were read; null: unknown"),
    Column("likes", pa.int64(), "null: hidden, negative or never given"),
    Column("views", pa.int64(), "null: hidden, negative or never given"),
    Column("comments", pa.int64(), "null: unknown"),
    Column("followers", pa.int64(), "of the user at download; null: unknown"),
    Column("followings", pa.int64(), "of the user at download; null: unknown"),
    Column("user_posts", pa.int64(), "posts of the user at download; null: unknown"),
    Column("score", pa.int64(), "up-votes less down-votes, where the platform counts those"),
    Column("caption", pa.string(), "as written; null: none"),
    Column("media_type", pa.string(), "image | carousel | video"),
    Column("image_count", pa.int32(), "pictures in the post; null: unknown"),
    Column(
        "image", pa.string(), "path of the picture, relative to the picture folder; may be null"
    ),
    Column("image_shared", pa.bool_(), "whether another post names the same picture"),
    Column("caption_length", pa.int32(), "characters of the caption; 0: none"),
    Column("tags_key", pa.uint64(), "hash of the sorted multiset of hashtags; 0: none"),
    Column("mentions_key", pa.uint64(), "hash of the sorted multiset of @mentions; 0: none"),
    Column("tags", pa.int16(), "how many hashtags, repeats counted"),
    Column("mentions", pa.int16(), "how many @mentions, repeats counted"),
    Column("caption_words", pa.int16(), "words left without hashtags and mentions"),
    Column("utc_date", pa.date32(), "calendar date of uploaded_at in UTC"),
)

POSTS = pa.schema([pa.field(column.name, column.type) for column in COLUMNS])

MEASURES = ("likes", "views", "score")
"""Columns whose natural logarithm may be S; every post table has at least one filled."""


def check_posts_table(posts: object) -> None:
    """Raise ArgumentError where `posts` is neither a table nor None."""
    good = posts is None or isinstance(posts, pa.Table)
    require(good, "posts", posts, "a pyarrow Table", remedy="i2pa.posts.load_posts reads one")


def check_posts_columns(posts: pa.Table) -> None:
    """Raise DataError where a table lacks a column of POSTS."""
    missing = [name for name in POSTS.names if name not in posts.column_names]
    if missing:
        raise DataError(
            f"the posts have no column {missing[0]}", remedy="make them with i2pa posts"
        )
