"""From columns as written to typed posts: what each value means, and which rows are broken.

One SQL statement an export judges every row: it types the values, names the first thing wrong
with a row, and flags what was assumed on the way. Finding columns and reading files stay out, and
so do the facts of captions.
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
from i2pa.posts.facts import DERIVED
from i2pa.posts.readers.source import BROKEN, Raw
from i2pa.posts.schema import MEASURES, POSTS
from i2pa.posts.shortcode import Flags

COUNTS = ("likes", "views", "comments", "followers", "followings", "user_posts", "score")
TYPED = tuple(name for name in POSTS.names if name not in DERIVED)
UNKNOWN_PLATFORM = "unknown"
MAX_IMAGES = 1000
"""More pictures in one post are a mistake; platforms allow tens."""
INSTAGRAM = "instagram"

HIDDEN_LIKES = 3
"""What Instagram's app is told where an account hides its likes."""

HIDDEN_SHARE, HIDDEN_POSTS = 0.5, 5
"""A user hides likes who shows HIDDEN_LIKES on this share of at least so many posts."""

_AS_WRITTEN = ("caption", "image")
_NOTHING = ("", "nan", "none", "null", "na", "n/a", "<na>", "nat")
_EMPTY_WORDS = str(_NOTHING)
# 17-digit ids that went through a float: 1.234e17, 1e+17 or 123.0; the digits are gone.
_FLOAT_ID = r"[0-9]+\.0|[0-9](\.[0-9]+)?[eE]\+[0-9]+|[0-9]\.[0-9]+[eE][0-9]+"
_ZONE = r"(?i):[0-9]{2}.*(z|utc|gmt|[+-][0-9]{2}(:?[0-9]{2})?|[a-z]+/[a-z_/]+)$"
# Numbers that went through a float end in .0.
_MEDIA = {
    "image": ("image", "photo", "picture", "graphimage", "xdtgraphimage", "1", "1.0"),
    "carousel": (
        *("carousel", "album", "sidecar", "graphsidecar", "xdtgraphsidecar", "carousel_album"),
        *("8", "8.0"),
    ),
    "video": (
        *("video", "graphvideo", "xdtgraphvideo", "reel", "reels", "igtv", "clip", "clips"),
        *("2", "2.0"),
    ),
}
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
    for ours, theirs in names.items():
        column, kinds[ours] = _loosen(raw.columns[theirs], is_time=ours.endswith("_at"))
        if kinds[ours] == "text" and ours not in _AS_WRITTEN:
            column = pc.utf8_trim(column, " \t\r\n")
        columns.append(column)
    table = pa.table(columns, names=["row", *names])
    instagram = on_instagram(table["platform"] if "platform" in names else None, platform)
    if instagram.any():
        table = table.append_column("code_time", _code_times(table, kinds, instagram))
        kinds["code_time"] = "time"
    sql, parameters = _judge_sql(kinds, platform, downloaded_at, now or datetime.now(UTC))
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


def _code_times(table: pa.Table, kinds: Mapping[str, str], instagram: Flags) -> pa.Array:
    """Microseconds since 1970 by shortcode, where no time is written and the code tells one."""
    open_rows = np.broadcast_to(instagram, len(table)).copy()
    if "uploaded_at" in kinds:
        written = table["uploaded_at"]
        blank = pc.is_null(written)
        if kinds["uploaded_at"] == "text":
            lowered = pc.utf8_lower(pc.utf8_trim_whitespace(written))
            blank = pc.or_kleene(blank, pc.is_in(lowered, pa.array(_NOTHING, lowered.type)))
        elif kinds["uploaded_at"] == "float":
            blank = pc.or_kleene(blank, pc.is_nan(written))
        open_rows &= blank.to_numpy(zero_copy_only=False)
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
    return pa.array(micros, mask=~open_rows)


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


def _text(name: str) -> str:
    return f"nullif({name}::VARCHAR, '')"


def _empty(text: str) -> str:
    """SQL of 'this stands for nothing'; few texts are short enough to be compared."""
    return f"(strlen({text}) <= 4 AND lower({text}) IN {_EMPTY_WORDS})"


def _known(text: str) -> str:
    """SQL of a text, null where it stands for nothing."""
    return f"CASE WHEN NOT {_empty(text)} THEN {text} END"


def _count(name: str, kind: str) -> tuple[str, str]:
    """SQL of a whole number (null if none or negative), and of 'this is no whole number'."""
    if kind == "integer":
        return name, "false"
    if kind == "text":
        text = f"lower({_text(name)})"
        number = (
            f"CASE WHEN {text} IN {_EMPTY_WORDS} THEN NULL "
            f"WHEN regexp_full_match({text}, '[+-]?[0-9]{{1,18}}') THEN {text}::BIGINT "
            # DuckDB reads 1_000 as 1000.
            f"WHEN contains({text}, '_') THEN NULL "
            f"ELSE {_whole(f'try_cast({text} AS DOUBLE)')} END"
        )
        return number, f"({number}) IS NULL AND coalesce({text} NOT IN {_EMPTY_WORDS}, false)"
    number = _whole(name)
    return number, f"({number}) IS NULL AND {name} IS NOT NULL AND NOT isnan({name})"


def _whole(double: str) -> str:
    """A double as a whole number where it is one exactly."""
    return (
        f"CASE WHEN abs({double}) < 2**53 AND {double} = floor({double}) THEN {double}::BIGINT END"
    )


def _time(name: str, kind: str) -> tuple[str, str]:
    """SQL of microseconds since 1970 UTC (null if none or unreadable), and of 'has no zone'."""
    if kind.endswith("time"):
        return name, "true" if kind == "naive time" else "false"
    # Seconds, milliseconds or microseconds since 1970, told apart by size.
    if kind == "float":
        units = (("1e8", "1e10", "1000000"), ("1e11", "1e13", "1000"), ("1e14", "1e16", "1"))
        cases = (
            f"WHEN {name} >= {least} AND {name} < {most} THEN round({name} * {unit})::BIGINT"
            for least, most, unit in units
        )
        return f"CASE {' '.join(cases)} END", "false"
    text = _known(_text(name))
    if kind == "text":
        text = f"regexp_replace({text}, '^([0-9]+)\\.0+$', '\\1')"
    micros = (
        f"CASE WHEN regexp_full_match({text}, '[0-9]{{9,10}}(\\.[0-9]+)?') "
        f"THEN round({text}::DOUBLE * 1000000)::BIGINT "
        f"WHEN regexp_full_match({text}, '[0-9]{{12,13}}') THEN {text}::BIGINT * 1000 "
        f"WHEN regexp_full_match({text}, '[0-9]{{15,16}}') THEN {text}::BIGINT "
        f"ELSE epoch_us(try_cast({text} AS TIMESTAMPTZ)) END"
    )
    naive = f"NOT regexp_full_match({text}, '[0-9.]+') AND NOT regexp_matches({text}, '{_ZONE}')"
    return micros, f"coalesce({naive}, false)"


def _judge_sql(
    kinds: Mapping[str, str],
    platform: str | None,
    downloaded_at: datetime | None,
    now: datetime,
) -> tuple[str, dict[str, object]]:
    """One SELECT: typed columns, `reason` and `value` of the first fault, and the flags."""
    typed: dict[str, str] = dict.fromkeys(TYPED, "NULL")
    faults: list[tuple[str, str, str]] = []
    negative: list[str] = []
    naive: list[str] = []
    for name in ("post_id", "user_id"):
        typed[name] = _known(_text(name))
        faults.append((f"{name} IS NULL", f"{name} is missing", "NULL"))
        if kinds[name] == "text":
            faults.append(_nul_fault(name))
        maybe = f"(contains({name}, '.') OR contains({name}, '+'))"
        is_float = f"{maybe} AND regexp_full_match({name}, '{_FLOAT_ID}')"
        faults.append((is_float, f"{name} went through a float and lost digits", name))
    by_code = "code_time" in kinds
    typed["from_code"] = "false"
    for name in ("uploaded_at", "downloaded_at"):
        if name in kinds:
            typed[name], no_zone = _time(name, kinds[name])
            written = _text(name) if name == "uploaded_at" else _known(_text(name))
            typed[f"{name}_written"] = written if kinds[name] == "text" else name
            naive.append(f"({no_zone}) AND {name} IS NOT NULL")
            is_written = "" if name == "uploaded_at" else f" AND {name}_written IS NOT NULL"
        if name == "uploaded_at" and by_code:
            # code_time is null wherever a time is written.
            typed["from_code"] = "code_time IS NOT NULL"
            typed[name] = f"coalesce(code_time, {typed[name]})"
            typed.setdefault(f"{name}_written", "NULL")
            is_written = ""
        if f"{name}_written" in typed:
            # 1970-01-02 and 2200: outside, a unit or a default went wrong.
            typed[f"{name}_bad"] = (
                f"coalesce({typed[name]}, 0) NOT BETWEEN 86400000000 AND 7258118400000000"
            )
            faults.append((f"{name}_bad{is_written}", f"{name} is not a time", f"{name}_written"))
            late = f"{name} > epoch_us($now::TIMESTAMPTZ) + 86400000000"
            faults.append((late, f"{name} is in the future", f"{name}_written"))
    for name in COUNTS:
        if name in kinds:
            number, wrong = _count(name, kinds[name])
            # A score counts down-votes too and may well be negative.
            least = "" if name == "score" else f"({number}) < 0"
            typed[name] = f"CASE WHEN {least} THEN NULL ELSE {number} END" if least else number
            negative += [least] if least else []
            typed[f"{name}_bad"] = wrong
            typed[f"{name}_written"] = _text(name) if kinds[name] == "text" else name
            faults.append((f"{name}_bad", f"{name} is not a whole number", f"{name}_written"))
    if "image_count" in kinds:
        number, wrong = _count("image_count", kinds["image_count"])
        beyond = f"coalesce(({number}) NOT BETWEEN 0 AND {MAX_IMAGES}, false)"
        typed["image_count"] = f"CASE WHEN NOT {beyond} THEN {number} END"
        typed["count_bad"] = f"({wrong}) OR {beyond}"
        is_text = kinds["image_count"] == "text"
        typed["count_written"] = _text("image_count") if is_text else "image_count"
        faults.append(("count_bad", "image_count is not a whole number", "count_written"))
    if "media_type" in kinds:
        written = f"lower({_known(_text('media_type'))})"
        cases = " ".join(f"WHEN {written} IN {words} THEN '{t}'" for t, words in _MEDIA.items())
        typed["media_type"] = f"CASE {cases} END"
        typed["media_written"] = written
        wrong = "media_type IS NULL AND media_written IS NOT NULL"
        faults.append((wrong, "media_type is not image, carousel or video", "media_written"))
    for name in ("caption", "image"):
        if name in kinds:
            typed[name] = f"nullif({name}::VARCHAR, '')"
            if kinds[name] == "text":
                faults.append(_nul_fault(name))
    # Folded, so that no spelling makes two platforms of one.
    own = f"lower({_known(_text('platform'))})" if "platform" in kinds else "NULL"
    typed["platform"] = f"coalesce($platform, {own}, '{UNKNOWN_PLATFORM}')"
    # Many exports give the day of download only, as its first midnight.
    given = "epoch_us($downloaded_at::TIMESTAMPTZ)"
    late = f"uploaded_at > coalesce(downloaded_at, {given}) + 86400000000"
    faults.append((late, "uploaded_at is later than downloaded_at", "uploaded_at_written"))

    names = [name for name in TYPED if name not in ("downloaded_at", "media_type", "image_count")]
    times = ("uploaded_at", "downloaded_at")
    shown = [f"make_timestamptz({n}) AS {n}" if n in times else n for n in names]
    guessed_type = "CASE WHEN image_count > 1 THEN 'carousel' ELSE 'image' END"
    final_type = f"coalesce(media_type, {guessed_type})"
    single = f"image_count IS NULL AND {final_type} = 'image'"
    measured = " AND ".join(f"{name} IS NULL" for name in MEASURES)
    tests = " ".join(f"WHEN {test} THEN {i}" for i, (test, _, _) in enumerate(faults))
    reasons = " ".join(f"WHEN {i} THEN '{reason}'" for i, (_, reason, _) in enumerate(faults))
    values = " ".join(f"WHEN {i} THEN {value}::VARCHAR" for i, (_, _, value) in enumerate(faults))
    # `::BIGINT` settles the type of columns that the export does not have at all.
    stage = ", ".join(f"{sql} AS {name}" for name, sql in typed.items())
    return (
        f"WITH typed AS (SELECT row, {stage}, {_any(negative)} AS negative, {_any(naive)} AS naive "
        f"FROM raw), judged AS (SELECT *, CASE {tests} END AS fault FROM typed) "
        f"SELECT row, {', '.join(shown)}, "
        f"make_timestamptz(coalesce(downloaded_at, {given})) AS downloaded_at, "
        f"{final_type} AS media_type, "
        f"CASE WHEN {single} THEN 1 ELSE image_count END AS image_count, "
        f"CASE fault {reasons} END AS reason, left(CASE fault {values} END, 200) AS value, "
        f"naive::INT AS naive, from_code::INT AS from_code, negative::INT AS negative, "
        f"({measured})::INT AS no_measure, "
        f"(downloaded_at IS NULL AND $downloaded_at IS NOT NULL)::INT AS given_download, "
        f"(downloaded_at IS NULL AND $downloaded_at IS NULL)::INT AS no_download, "
        f"(media_type IS NULL)::INT AS guessed_type, ({single})::INT AS guessed_count FROM judged",
        {"platform": platform, "downloaded_at": downloaded_at, "now": now},
    )


def _nul_fault(name: str) -> tuple[str, str, str]:
    return f"contains({name}, chr(0))", f"{name} holds a NUL byte", "NULL"


def _any(tests: list[str]) -> str:
    return f"coalesce({' OR '.join(f'({test})' for test in tests) or 'false'}, false)"
