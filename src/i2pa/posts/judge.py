"""The SQL that judges the rows of one export: each value typed, and the first fault of each row.

Which columns there are and how they are stored is given; running the statement stays out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from i2pa.posts.facts import DERIVED
from i2pa.posts.readers.source import BOOLEAN, NESTED
from i2pa.posts.schema import MEASURES, POSTS

IDS = ("post_id", "user_id")
COUNTS = ("likes", "views", "comments", "followers", "followings", "user_posts", "score")
TYPED = tuple(name for name in POSTS.names if name not in DERIVED)
UNKNOWN_PLATFORM = "unknown"
MAX_IMAGES = 1000
"""More pictures in one post are a mistake; platforms allow tens."""
NOTHING = ("", "nan", "none", "null", "na", "n/a", "<na>", "nat")
"""Words for an unknown value, in lower case."""

_EMPTY_WORDS = str(NOTHING)
# 17-digit ids that went through a float: 1.234e17, 1e+17 or 123.0; the digits are gone.
_FLOAT_ID = r"[0-9]+\.0|[0-9](\.[0-9]+)?[eE]\+[0-9]+|[0-9]\.[0-9]+[eE][0-9]+"
_ZONE = r"(?i):[0-9]{2}.*(z|utc|gmt|[+-][0-9]{2}(:?[0-9]{2})?|[a-z]+/[a-z_/]+)$"
# No zone is further from UTC than 14 hours; DuckDB takes +25:00 and +05:75 for zones.
_NO_ZONE = (
    r":[0-9]{2}.*[+-]((1[5-9]|[2-9][0-9])(:?[0-9]{2}){0,2}|[0-9]{2}:?[6-9][0-9](:?[0-9]{2})?)$"
)
# A day after 1970 began: earlier times are a default or a wrong unit.
_FIRST_TIME = 86_400_000_000
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
        f"WHEN regexp_matches({text}, '{_NO_ZONE}') THEN NULL "
        f"ELSE epoch_us(try_cast({text} AS TIMESTAMPTZ)) END"
    )
    naive = f"NOT regexp_full_match({text}, '[0-9.]+') AND NOT regexp_matches({text}, '{_ZONE}')"
    return micros, f"coalesce({naive}, false)"


def judge_sql(
    kinds: Mapping[str, str],
    odd: Iterable[str],
    platform: str | None,
    downloaded_at: datetime | None,
    now: datetime,
) -> tuple[str, dict[str, object]]:
    """One SELECT from `raw`: typed columns, `reason` and `value` of the first fault, and the flags.

    `kinds` tells how each column is stored: text, integer, float, time (µs since 1970) or naive
    time; `raw` has `by_code` beside `code_time`, and `NAME_odd` (see Raw) for the names in `odd`.
    """
    typed: dict[str, str] = dict.fromkeys(TYPED, "NULL")
    faults: list[tuple[str, str, str]] = []
    negative: list[str] = []
    naive: list[str] = []
    for name in odd:
        typed[f"{name}_odd"], typed[f"{name}_as_read"] = f"{name}_odd", name
        marks = {NESTED: "nested JSON, not a value"}
        if name in IDS:
            marks[BOOLEAN] = "true or false, not an id"
        for mark, what in marks.items():
            faults.append((f"{name}_odd = '{mark}'", f"{name} is {what}", f"{name}_as_read"))
    for name in IDS:
        typed[name] = _known(_text(name))
        faults.append((f"{name} IS NULL", f"{name} is missing", "NULL"))
        if kinds[name] == "text":
            faults.append(_nul_fault(name))
        maybe = f"(contains({name}, '.') OR contains({name}, '+'))"
        is_float = f"{maybe} AND regexp_full_match({name}, '{_FLOAT_ID}')"
        faults.append((is_float, f"{name} went through a float and lost digits", name))
    typed["from_code"] = "false"
    # As the rejects show them.
    written_times = {"uploaded_at": "NULL"}
    for name in ("uploaded_at", "downloaded_at"):
        written = f"{name}_written"
        if name in kinds:
            typed[name], no_zone = _time(name, kinds[name])
            typed[written] = _known(_text(name)) if kinds[name] == "text" else name
            written_times[name] = _shown_time(written, kinds[name])
            naive.append(f"({no_zone}) AND {name} IS NOT NULL")
        if name == "uploaded_at":
            if "code_time" in kinds:
                # code_time is null wherever a time is written.
                typed["from_code"] = "code_time IS NOT NULL"
                typed[name] = f"coalesce(code_time, {typed[name]})"
                typed["no_code"] = "by_code AND code_time IS NULL"
                said = "uploaded_at is missing, and post_id is no shortcode that tells it"
                faults.append(("no_code", said, "post_id"))
            typed.setdefault(written, "NULL")
            is_missing = f"{written} IS NULL AND {name} IS NULL"
            faults.append((is_missing, f"{name} is missing", "NULL"))
        if name in written_times:
            value = written_times[name]
            is_none = f"{name} IS NULL AND {written} IS NOT NULL"
            faults.append((is_none, f"{name} is not a time", value))
            faults.append((f"{name} < {_FIRST_TIME}", f"{name} is before 1970-01-02", value))
            late = f"{name} > epoch_us($now::TIMESTAMPTZ) + 86400000000"
            faults.append((late, f"{name} is in the future", value))
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
    faults.append((late, "uploaded_at is later than downloaded_at", written_times["uploaded_at"]))

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


def _shown_time(written: str, kind: str) -> str:
    """SQL of a time as people read it."""
    if kind.endswith("time"):
        return f"make_timestamp{'' if kind == 'naive time' else 'tz'}({written})"
    return written


def _nul_fault(name: str) -> tuple[str, str, str]:
    return f"contains({name}, chr(0))", f"{name} holds a NUL byte", "NULL"


def _any(tests: list[str]) -> str:
    return f"coalesce({' OR '.join(f'({test})' for test in tests) or 'false'}, false)"
