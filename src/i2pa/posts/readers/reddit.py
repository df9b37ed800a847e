"""Reddit submissions as Pushshift and Arctic Shift dump them: JSON Lines, mostly in zstd.

The score was read at the second retrieval where there was one (Arctic Shift from 2023-11 on reads
scores again after 36 hours), else at the first. Titles come without the dumps' HTML escapes.
Submissions without a picture or video, and those of deleted authors, are broken rows. Comments of
Reddit are refused.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from i2pa.errors import DataError
from i2pa.posts.database import database
from i2pa.posts.readers.jsonl import sound_lines
from i2pa.posts.readers.source import BROKEN, Raw, Source

NAMES = (
    *("platform", "user_id", "post_id", "uploaded_at", "downloaded_at", "score", "comments"),
    *("caption", "media_type", "image_count", "image"),
)

_FIELDS = {
    "post_id": "$.id",
    "user_id": "$.author",
    "uploaded_at": "$.created_utc",
    "again_at": "$._meta.retrieved_2nd_on",
    "first_at": "$.retrieved_on",
    "other_at": "$.retrieved_utc",
    "score": "$.score",
    "comments": "$.num_comments",
    "caption": "$.title",
    "hint": "$.post_hint",
    "url": "$.url",
    "is_gallery": "$.is_gallery",
    "is_video": "$.is_video",
    "body": "$.body",
}

_VIDEO = r"^https?://v\.redd\.it/|\.(gifv|mp4|webm)([?#].*)?$"
_IMAGE = (
    r"^https?://i\.redd\.it/|\.(jpe?g|png|gif|webp)([?#].*)?$"
    r"|^https?://(www\.|m\.)?imgur\.com/[a-z0-9]{5,8}$"
)
_KIND = (
    "CASE WHEN is_gallery = 'true' OR regexp_matches(lower(url), 'imgur\\.com/(a|gallery)/') "
    "THEN 'carousel' "
    f"WHEN is_video = 'true' OR hint LIKE '%video' OR regexp_matches(lower(url), '{_VIDEO}') "
    f"THEN 'video' WHEN hint = 'image' OR regexp_matches(lower(url), '{_IMAGE}') THEN 'image' END"
)
_FAULT = (
    "CASE WHEN body IS NOT NULL AND caption IS NULL THEN 'is a comment, not a submission' "
    "WHEN user_id IN ('[deleted]', '[removed]', '') THEN 'its author is deleted' "
    "WHEN media_type IS NULL THEN 'holds no picture or video' END"
)


def open_reddit(path: Path) -> Source:
    """A dump of submissions; compressed or not."""

    def read(wanted: Sequence[str]) -> Raw:
        tables, broken, damage = [], [], ""
        for part in sound_lines(path):
            judged = _submissions(part.good)
            faults = pc.is_valid(judged["reason"])
            tables.append(judged.filter(pc.invert(faults)).select(["row", *wanted]))
            damage = part.damage
            broken += [part.broken, judged.filter(faults).select(BROKEN.names).cast(BROKEN)]
        table = pa.concat_tables(tables).combine_chunks()
        rejects = pa.concat_tables(broken)
        if not len(table) and len(rejects) and _all_comments(rejects):
            raise DataError(
                "these are comments, not submissions",
                where=str(path),
                remedy="take the dump of submissions (RS_… or …_submissions)",
            )
        rows = table["row"].combine_chunks()
        return Raw(table.select(list(wanted)), rows, rejects, damage=damage)

    return Source(NAMES, read)


def _all_comments(rejects: pa.Table) -> bool:
    reasons: list[str] = rejects["reason"].unique().to_pylist()
    return reasons == ["is a comment, not a submission"]


def _submissions(good: pa.Table) -> pa.Table:
    fields = ", ".join(f"found[{i}] AS {name}" for i, name in enumerate(_FIELDS, 1))
    query = (
        "WITH found AS (SELECT row, json_extract_string(line, $paths) AS found, "
        "json_array_length(line, '$.gallery_data.items')::VARCHAR AS pictures FROM good), "
        f"named AS (SELECT row, pictures, {fields} FROM found), "
        f"kinds AS (SELECT *, {_KIND} AS media_type FROM named) "
        "SELECT row, 'reddit' AS platform, user_id, post_id, uploaded_at, "
        "coalesce(again_at, first_at, other_at) AS downloaded_at, score, comments, caption, "
        "media_type, CASE WHEN media_type = 'carousel' THEN pictures END AS image_count, "
        f"url AS image, {_FAULT} AS reason, left(coalesce(url, post_id), 200) AS value FROM kinds"
    )
    with database() as connection:
        connection.register("good", good)
        paths = list(_FIELDS.values())
        found = connection.sql(query, params={"paths": paths}).to_arrow_table()
    place = found.column_names.index("caption")
    return found.set_column(place, "caption", _unescaped(found["caption"]))


def _unescaped(titles: pa.ChunkedArray) -> pa.ChunkedArray:
    """Titles as they were typed: Reddit's answers, and so the dumps, write & as &amp;."""
    escaped = pc.fill_null(pc.match_substring(titles, "&"), False)
    if not pc.any(escaped, min_count=0).as_py():
        return titles
    typed = [html.unescape(title) for title in titles.filter(escaped).to_pylist()]
    return pc.replace_with_mask(titles, escaped.combine_chunks(), pa.array(typed, titles.type))
