"""From columns as written to typed posts: what each value means, and which rows are broken.

One SQL statement an export (`judge`) looks at every row: it types the values, names the first thing
wrong with a row, and flags what was assumed on the way. Finding columns and reading files stay out,
and so do the facts of captions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from i2pa.posts import shortcode
from i2pa.posts.database import database
from i2pa.posts.judge import IDS, NOTHING, TYPED, judge_sql
from i2pa.posts.readers.source import BOOLEAN, BROKEN, Raw
from i2pa.posts.schema import MEASURES, POSTS
from i2pa.posts.shortcode import Flags

INSTAGRAM = "instagram"

HIDDEN_LIKES = 3
"""What Instagram's app is told where an account hides its likes."""

HIDDEN_SHARE, HIDDEN_POSTS = 0.5, 5
"""A user hides likes who shows HIDDEN_LIKES on this share of at least so many posts."""

_AS_WRITTEN = ("caption", "image")
_NOTES = {
    "naive": "times without a zone, taken as UTC",
    "given_download": "posts without downloaded_at, given the one asked for",
    "no_download": "posts without downloaded_at",
    "from_code": "posts without uploaded_at, told by their Instagram shortcode",
    "negative": "negative (hidden) counts, left empty",
    "hidden": f"likes of {HIDDEN_LIKES} on half of a user's posts or more (hidden), left empty",
    "no_measure": "posts with no likes, views or score",
    "guessed_type": "posts without media_type, taken as image (carousel if image_count > 1)",
    "guessed_count": "single images without image_count, taken as 1",
}
_FLAGS = tuple(name for name in _NOTES if name != "hidden")


@dataclass(frozen=True)
class Count:
    """How many rows something holds for."""

    what: str
    n: int


@dataclass(frozen=True)
class Cleaned:
    """Typed columns of the good rows (`row` beside them), the broken rows, and assumptions."""

    typed: pa.Table
    broken: pa.Table
    notes: tuple[Count, ...]


def clean(
    raw: Raw,
    names: Mapping[str, str],
    *,
    platform: str | None = None,
    downloaded_at: datetime | None = None,
    now: datetime | None = None,
) -> Cleaned:
    """Judge and type one export; `names` maps our column names to its own.

    `platform` (in lower case) overrules the export; `downloaded_at` (UTC if naive) fills what the
    export lacks; times more than a day after `now` (default: this moment) are broken.
    """
    columns, kinds = [raw.rows], {}
    odd = {ours: raw.odd[theirs] for ours, theirs in names.items() if theirs in raw.odd}
    for ours, theirs in names.items():
        if ours in IDS and pa.types.is_boolean(raw.columns[theirs].type):
            odd[ours] = pc.if_else(pc.is_valid(raw.columns[theirs]), BOOLEAN, None)
        column, kinds[ours] = _loosen(raw.columns[theirs], is_time=ours.endswith("_at"))
        if kinds[ours] == "text" and ours not in _AS_WRITTEN:
            column = pc.utf8_trim(column, " \t\r\n")
        columns.append(column)
    table = pa.table(columns, names=["row", *names])
    for ours, marks in odd.items():
        table = table.append_column(f"{ours}_odd", marks)
    instagram = on_instagram(table["platform"] if "platform" in names else None, platform)
    if instagram.any():
        code_times, by_code = _code_times(table, kinds, instagram)
        table = table.append_column("code_time", code_times).append_column("by_code", by_code)
        kinds["code_time"] = "time"
    sql, parameters = judge_sql(kinds, odd, platform, downloaded_at, now or datetime.now(UTC))
    with database() as connection:
        connection.register("raw", table)
        judged = connection.sql(sql, params=parameters).to_arrow_table()
    good = pc.is_null(judged["reason"])
    all_good = bool(pc.all(good, min_count=0).as_py())
    typed, n_hidden = _without_hidden_likes(judged if all_good else judged.filter(good))
    counted = {name: pc.sum(typed[name]).as_py() or 0 for name in _FLAGS} | {"hidden": n_hidden}
    notes = tuple(Count(text, counted[name]) for name, text in _NOTES.items() if counted[name])
    fields = [pa.field("row", pa.int64()), *(POSTS.field(name) for name in TYPED)]
    bad = judged.filter(pc.invert(good)).select(BROKEN.names).cast(BROKEN)
    return Cleaned(
        typed=typed.select(["row", *TYPED]).cast(pa.schema(fields)),
        broken=pa.concat_tables([raw.broken, bad]),
        notes=notes,
    )


def on_instagram(column: pa.ChunkedArray | None, platform: str | None) -> Flags:
    """Which rows are Instagram's; one flag for all where no row says it itself."""
    if platform is not None or column is None:
        return np.array([platform == INSTAGRAM])
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return np.array([False])
    lowered = pc.utf8_lower(pc.utf8_trim_whitespace(column))
    flags: Flags = pc.equal(lowered, INSTAGRAM).fill_null(False).to_numpy(zero_copy_only=False)
    return flags


def tells_times(ids: pa.ChunkedArray) -> bool:
    """Whether the first ids look like shortcodes that tell the time of their posts."""
    first = ids.slice(0, 100).cast(pa.string()).fill_null("").to_numpy().astype(str)
    return bool(first.size) and bool(shortcode.post_times(first)[1].all())


def _code_times(
    table: pa.Table, kinds: Mapping[str, str], instagram: Flags
) -> tuple[pa.Array, pa.Array]:
    """Microseconds since 1970 by shortcode, and the rows that have no other time: Instagram's.

    Null where a time is written, and where the code tells none.
    """
    open_rows = np.broadcast_to(instagram, len(table)).copy()
    if "uploaded_at" in kinds:
        written = table["uploaded_at"]
        blank = pc.is_null(written)
        if kinds["uploaded_at"] == "text":
            lowered = pc.utf8_lower(pc.utf8_trim_whitespace(written))
            blank = pc.or_kleene(blank, pc.is_in(lowered, pa.array(NOTHING, lowered.type)))
        elif kinds["uploaded_at"] == "float":
            blank = pc.or_kleene(blank, pc.is_nan(written))
        open_rows &= blank.to_numpy(zero_copy_only=False)
    asked = pa.array(open_rows)
    micros = np.zeros(len(table), dtype=np.int64)
    places = np.flatnonzero(open_rows)
    if len(places):
        ids = table["post_id"].take(pa.array(places)).cast(pa.string())
        codes = pc.utf8_trim_whitespace(ids).fill_null("")
        # numpy pads every string to the longest.
        codes = pc.utf8_slice_codeunits(codes, 0, shortcode.MAX_LENGTH + 1)
        times, good = shortcode.post_times(codes.to_numpy(zero_copy_only=False).astype(str))
        micros[places] = times * 1000
        open_rows[places] = good
    return pa.array(micros, mask=~open_rows), asked


def _without_hidden_likes(typed: pa.Table) -> tuple[pa.Table, int]:
    """Empty the likes that stand for "hidden" (see HIDDEN_LIKES), and count them."""
    here = pc.and_kleene(pc.equal(typed["platform"], INSTAGRAM), pc.is_valid(typed["likes"]))
    shown = pc.fill_null(pc.and_kleene(here, pc.equal(typed["likes"], HIDDEN_LIKES)), False)
    if not pc.any(shown).as_py():
        return typed, 0
    users = typed["user_id"]
    suspects = pc.and_(here, pc.is_in(users, users.filter(shown)))
    by_user = (
        pa.table({"user": users.filter(suspects), "shown": shown.filter(suspects).cast(pa.int64())})
        .group_by("user")
        .aggregate([("shown", "sum"), ("shown", "count")])
    )
    share = pc.divide(by_user["shown_sum"].cast(pa.float64()), by_user["shown_count"])
    hides = pc.and_(
        pc.greater_equal(share, HIDDEN_SHARE),
        pc.greater_equal(by_user["shown_count"], HIDDEN_POSTS),
    )
    hidden = pc.and_(shown, pc.is_in(users, by_user["user"].filter(hides)))
    nothing = pa.scalar(None, pa.int64())
    likes = pc.if_else(hidden, nothing, typed["likes"])
    typed = typed.set_column(typed.column_names.index("likes"), "likes", likes)
    empty = pc.is_null(typed[MEASURES[0]])
    for measure in MEASURES[1:]:
        empty = pc.and_(empty, pc.is_null(typed[measure]))
    place = typed.column_names.index("no_measure")
    typed = typed.set_column(place, "no_measure", empty.cast(pa.int32()))
    return typed, pc.sum(hidden).as_py() or 0


def _loosen(column: pa.ChunkedArray, *, is_time: bool) -> tuple[pa.ChunkedArray, str]:
    """A column as SQL will read it, and its kind: text, integer, float, time or naive time."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _loosen(column.cast(kind.value_type), is_time=is_time)
    if is_time and (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
        naive = getattr(kind, "tz", None) is None
        micros = column.cast(pa.timestamp("us", tz=None if naive else "UTC"), safe=False)
        return micros.cast(pa.int64()), "naive time" if naive else "time"
    if pa.types.is_integer(kind) and kind != pa.uint64():
        return column.cast(pa.int64()), "integer"
    if pa.types.is_floating(kind):
        numbers = column.cast(pa.float64())
        return pc.if_else(pc.is_nan(numbers), None, numbers), "float"
    return column.cast(pa.string()), "text"
