"""From columns as written to typed posts: what each value means, and which rows are broken.

One SQL statement an export judges every row: it types the values, names the first thing wrong
with a row, and flags what was assumed on the way. Finding columns and reading files stay out, and
so do the facts of captions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from i2pa.posts.readers.source import BROKEN, Raw
from i2pa.posts.schema import MEASURES, POSTS

COUNTS = ("likes", "views", "comments", "followers", "followings", "user_posts", "score")
TYPED = tuple(
    name
    for name in POSTS.names
    if name not in ("tags_key", "mentions_key", "tags", "mentions", "caption_words", "utc_date")
)
UNKNOWN_PLATFORM = "unknown"
MAX_IMAGES = 1000
"""More pictures in one post are a mistake; platforms allow tens."""

_EMPTY_WORDS = "('', 'nan', 'none', 'null', 'na', 'n/a', '<na>', 'nat')"
# 17-digit ids that went through a float: 1.234e17, 1e+17 or 123.0; the digits are gone.
_FLOAT_ID = r"[0-9]+\.0|[0-9](\.[0-9]+)?[eE]\+[0-9]+|[0-9]\.[0-9]+[eE][0-9]+"
_ZONE = r"(?i):[0-9]{2}.*(z|utc|gmt|[+-][0-9]{2}(:?[0-9]{2})?|[a-z]+/[a-z_/]+)$"
_MEDIA = {
    "image": ("image", "photo", "picture", "graphimage", "1"),
    "carousel": ("carousel", "album", "sidecar", "graphsidecar", "carousel_album", "8"),
    "video": ("video", "graphvideo", "reel", "reels", "igtv", "clip", "2"),
}
_NOTES = {
    "naive": "times without a zone, taken as UTC",
    "given_download": "posts without downloaded_at, given the one asked for",
    "no_download": "posts without downloaded_at",
    "negative": "negative (hidden) counts, left empty",
    "no_measure": "posts with no likes, views or score",
    "guessed_type": "posts without media_type, taken as image (carousel if image_count > 1)",
    "guessed_count": "single images without image_count, taken as 1",
}


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
) -> Cleaned:
    """Judge and type one export; `names` maps our column names to its own.

    `platform` overrules the export; `downloaded_at` (UTC if naive) fills what the export lacks.
    """
    columns, kinds = [raw.rows], {}
    for ours, theirs in names.items():
        column, kinds[ours] = _loosen(raw.columns[theirs], is_time=ours.endswith("_at"))
        columns.append(column)
    table = pa.table(columns, names=["row", *names])
    sql, parameters = _judge_sql(kinds, platform, downloaded_at)
    with duckdb.connect() as connection:
        # Only now does a naive time mean UTC, whatever this machine's zone is.
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("raw", table)
        judged = connection.sql(sql, params=parameters).to_arrow_table()
    good = pc.is_null(judged["reason"])
    typed = judged.filter(good)
    notes = tuple(
        Count(text, n) for name, text in _NOTES.items() if (n := pc.sum(typed[name]).as_py() or 0)
    )
    fields = [pa.field("row", pa.int64()), *(POSTS.field(name) for name in TYPED)]
    bad = judged.filter(pc.invert(good)).select(BROKEN.names).cast(BROKEN)
    return Cleaned(
        typed=typed.select(["row", *TYPED]).cast(pa.schema(fields)),
        broken=pa.concat_tables([raw.broken, bad]),
        notes=notes,
    )


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
    return f"nullif(trim({name}::VARCHAR, ' \t\r\n'), '')"


def _count(name: str, kind: str) -> tuple[str, str]:
    """SQL of a whole number (null if none or negative), and of 'this is no whole number'."""
    if kind == "integer":
        return name, "false"
    if kind == "text":
        text = f"lower({_text(name)})"
        number = (
            f"CASE WHEN {text} IN {_EMPTY_WORDS} THEN NULL "
            f"WHEN regexp_full_match({text}, '[+-]?[0-9]{{1,18}}') THEN {text}::BIGINT "
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
    text = _text(f"try_cast({name} AS BIGINT)" if kind == "float" else name)
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
    kinds: Mapping[str, str], platform: str | None, downloaded_at: datetime | None
) -> tuple[str, dict[str, object]]:
    """One SELECT: typed columns, `reason` and `value` of the first fault, and the flags."""
    typed: dict[str, str] = dict.fromkeys(TYPED, "NULL")
    faults: list[tuple[str, str, str]] = []
    negative: list[str] = []
    naive: list[str] = []
    for name in ("post_id", "user_id"):
        text = _text(name)
        typed[name] = f"CASE WHEN lower({text}) NOT IN {_EMPTY_WORDS} THEN {text} END"
        faults.append((f"{name} IS NULL", f"{name} is missing", "NULL"))
        is_float = f"regexp_full_match({name}, '{_FLOAT_ID}')"
        faults.append((is_float, f"{name} went through a float and lost digits", name))
    for name in ("uploaded_at", "downloaded_at"):
        if name in kinds:
            typed[name], no_zone = _time(name, kinds[name])
            naive.append(f"({no_zone}) AND {name} IS NOT NULL")
            # 1970-01-02 and 2200: outside, a unit or a default went wrong.
            typed[f"{name}_bad"] = (
                f"coalesce({typed[name]}, 0) NOT BETWEEN 86400000000 AND 7258118400000000"
            )
            given = "" if name == "uploaded_at" else f" AND {name}_written IS NOT NULL"
            typed[f"{name}_written"] = _text(name)
            faults.append((f"{name}_bad{given}", f"{name} is not a time", f"{name}_written"))
    for name in COUNTS:
        if name in kinds:
            number, wrong = _count(name, kinds[name])
            # A score counts down-votes too and may well be negative.
            least = "" if name == "score" else f"({number}) < 0"
            typed[name] = f"CASE WHEN {least} THEN NULL ELSE {number} END" if least else number
            negative += [least] if least else []
            typed[f"{name}_bad"] = wrong
            typed[f"{name}_written"] = _text(name)
            faults.append((f"{name}_bad", f"{name} is not a whole number", f"{name}_written"))
    if "image_count" in kinds:
        number, wrong = _count("image_count", kinds["image_count"])
        beyond = f"coalesce(({number}) NOT BETWEEN 0 AND {MAX_IMAGES}, false)"
        typed["image_count"] = f"CASE WHEN NOT {beyond} THEN {number} END"
        typed["count_bad"] = f"({wrong}) OR {beyond}"
        typed["count_written"] = _text("image_count")
        faults.append(("count_bad", "image_count is not a whole number", "count_written"))
    if "media_type" in kinds:
        # Numbers that went through a float end in .0.
        written = f"regexp_replace(lower({_text('media_type')}), '^([0-9])\\.0$', '\\1')"
        cases = " ".join(f"WHEN {written} IN {words} THEN '{t}'" for t, words in _MEDIA.items())
        typed["media_type"] = f"CASE {cases} END"
        typed["media_written"] = written
        wrong = "media_type IS NULL AND media_written IS NOT NULL"
        faults.append((wrong, "media_type is not image, carousel or video", "media_written"))
    for name in ("caption", "image"):
        if name in kinds:
            typed[name] = f"nullif({name}::VARCHAR, '')"
    own = _text("platform") if "platform" in kinds else "NULL"
    typed["platform"] = f"coalesce($platform, {own}, '{UNKNOWN_PLATFORM}')"
    # Many exports give the day of download only, as its first midnight.
    late = "uploaded_at > downloaded_at + 86400000000"
    faults.append((late, "uploaded_at is later than downloaded_at", "uploaded_at_written"))

    given = "epoch_us($downloaded_at::TIMESTAMPTZ)"
    names = [name for name in TYPED if name not in ("downloaded_at", "media_type", "image_count")]
    times = ("uploaded_at", "downloaded_at")
    shown = [f"make_timestamptz({n}) AS {n}" if n in times else n for n in names]
    guessed_type = "CASE WHEN image_count > 1 THEN 'carousel' ELSE 'image' END"
    final_type = f"coalesce(media_type, {guessed_type})"
    single = f"image_count IS NULL AND {final_type} = 'image'"
    measured = " AND ".join(f"{name} IS NULL" for name in MEASURES)
    reasons = " ".join(f"WHEN {test} THEN '{reason}'" for test, reason, _ in faults)
    values = " ".join(f"WHEN {test} THEN {value}" for test, _, value in faults)
    # `::BIGINT` settles the type of columns that the export does not have at all.
    stage = ", ".join(f"{sql} AS {name}" for name, sql in typed.items())
    return (
        f"WITH typed AS (SELECT row, {stage}, {_any(negative)} AS negative, {_any(naive)} AS naive "
        "FROM raw) "
        f"SELECT row, {', '.join(shown)}, "
        f"make_timestamptz(coalesce(downloaded_at, {given})) AS downloaded_at, "
        f"{final_type} AS media_type, "
        f"CASE WHEN {single} THEN 1 ELSE image_count END AS image_count, "
        f"CASE {reasons} END AS reason, left(CASE {values} END, 200) AS value, "
        f"naive::INT AS naive, negative::INT AS negative, ({measured})::INT AS no_measure, "
        f"(downloaded_at IS NULL AND $downloaded_at IS NOT NULL)::INT AS given_download, "
        f"(downloaded_at IS NULL AND $downloaded_at IS NULL)::INT AS no_download, "
        f"(media_type IS NULL)::INT AS guessed_type, ({single})::INT AS guessed_count FROM typed",
        {"platform": platform, "downloaded_at": downloaded_at},
    )


def _any(tests: list[str]) -> str:
    return f"coalesce({' OR '.join(f'({test})' for test in tests) or 'false'}, false)"
