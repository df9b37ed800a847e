"""What values mean: times by shortcode, hidden likes, times to come, NUL bytes."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from i2pa.errors import DataError, UserInputError
from i2pa.posts import PostsRead, read_posts


def read_csv(folder: Path, text: str, **options: str) -> PostsRead:
    path = folder / "posts.csv"
    path.write_text(text, encoding="utf-8")
    return read_posts(path, platform=options.get("platform"))


def notes(read: PostsRead) -> dict[str, int]:
    return {note.what: note.n for note in read.notes}


BY_CODE = "posts without uploaded_at, told by their Instagram shortcode"
NO_CODE = "uploaded_at is missing, and post_id is no shortcode that tells it"


def test_a_shortcode_tells_a_missing_time(tmp_path: Path) -> None:
    rows = "platform,post_id,user_id,uploaded_at,likes\n"
    rows += "Instagram,BAaaaaaaaaa,u, ,5\nflickr,7sssssssss,u,,5\n"
    rows += "instagram,7uuuuuuuu_,u,2020-01-01T00:00:00Z,5\ninstagram,17900000000000001,u,,5\n"
    read = read_csv(tmp_path, rows)
    first, third = read.posts.to_pylist()
    assert first["uploaded_at"].isoformat(timespec="minutes") == "2016-01-11T20:47+00:00"
    assert third["uploaded_at"] == datetime(2020, 1, 1, tzinfo=UTC)
    assert [(r["row"], r["reason"], r["value"]) for r in read.rejects.to_pylist()] == [
        (3, "uploaded_at is missing", None),
        (5, NO_CODE, "17900000000000001"),
    ]
    assert notes(read)[BY_CODE] == 1


def test_no_column_of_times_at_all(tmp_path: Path) -> None:
    rows = "shortcode,user_id,likes\nBAaaaaaaaaa,u,5\nnope,u,5\n"
    read = read_csv(tmp_path, rows, platform="instagram")
    assert read.posts["utc_date"].to_pylist()[0].isoformat() == "2016-01-11"
    (reject,) = read.rejects.to_pylist()
    assert (reject["reason"], reject["value"]) == (NO_CODE, "nope")
    assert notes(read)[BY_CODE] == 1
    unnamed = rows.replace("shortcode", "id")
    with pytest.raises(DataError, match="no column for uploaded_at") as caught:
        read_csv(tmp_path, unnamed)
    assert "instagram" not in str(caught.value)
    with pytest.raises(DataError, match=r"uploaded_at=.*, if these are .*: --platform instagram"):
        read_csv(tmp_path, unnamed.replace("nope", "BBaaaaaaaaa"))
    column = rows.replace("likes", "likes,network").replace(",5", ",5,instagram")
    assert read_csv(tmp_path, column).posts.num_rows == 1
    with pytest.raises(DataError, match="no column for uploaded_at"):
        read_csv(tmp_path, column.replace(",instagram", ",flickr"))


def test_a_null_time_in_parquet_is_told_by_the_code(tmp_path: Path) -> None:
    table = pa.table(
        {
            "post_id": ["BAaaaaaaaaa", "7sssssssss"],
            "user_id": [1, 1],
            "uploaded_at": pa.array([None, datetime(2019, 1, 1)], pa.timestamp("us", "UTC")),
            "likes": [5, 6],
        }
    )
    pq.write_table(table, tmp_path / "posts.parquet")
    read = read_posts(tmp_path / "posts.parquet", platform="instagram")
    years = [time.year for time in read.posts["uploaded_at"].to_pylist()]
    assert years == [2016, 2019]


HIDDEN = "likes of 3 on half of a user's posts or more (hidden), left empty"


def likes_csv(likes: dict[str, list[int]], platform: str = "instagram") -> str:
    rows = [
        f"{platform},{user}{i},{user},2019-06-01T00:00:00Z,{n}"
        for user, numbers in likes.items()
        for i, n in enumerate(numbers)
    ]
    return "\n".join(["platform,post_id,user_id,uploaded_at,likes", *rows]) + "\n"


def test_a_user_whose_posts_show_three_likes_hides_them(tmp_path: Path) -> None:
    users = {
        "hides": [3, 3, 3, 900, 800],
        "new": [3, 3],
        "small": [3, 3, 4, 5, 9],
    }
    read = read_csv(tmp_path, likes_csv(users))
    assert read.posts["likes"].to_pylist() == [None] * 3 + [900, 800, 3, 3, 3, 3, 4, 5, 9]
    assert notes(read)[HIDDEN] == 3
    assert notes(read)["posts with no likes, views or score"] == 3
    elsewhere = read_csv(tmp_path, likes_csv(users, "flickr"))
    assert elsewhere.posts["likes"].null_count == 0


def test_times_to_come_are_rejects(tmp_path: Path) -> None:
    soon = (datetime.now(UTC) + timedelta(days=3)).isoformat()
    rows = "post_id,user_id,uploaded_at,downloaded_at,likes\n"
    rows += f"a,u,{soon},,5\nb,u,2019-06-01T00:00:00Z,{soon},5\nc,u,2019-06-01T00:00:00Z,,5\n"
    read = read_csv(tmp_path, rows)
    assert [(r["row"], r["reason"], r["value"]) for r in read.rejects.to_pylist()] == [
        (2, "uploaded_at is in the future", soon),
        (3, "downloaded_at is in the future", soon),
    ]


def test_what_is_wrong_with_a_time_is_told(tmp_path: Path) -> None:
    times = ["", "nan", "yesterday", "1969-12-31T00:00:00Z", "1970-01-02T00:00:00Z"]
    rows = "post_id,user_id,uploaded_at,downloaded_at,likes\n"
    rows += "".join(f"{i},u,{time},,5\n" for i, time in enumerate(times))
    rows += "a,u,2019-06-01T00:00:00Z,1960-01-01,5\n"
    read = read_csv(tmp_path, rows)
    assert [(r["row"], r["reason"], r["value"]) for r in read.rejects.to_pylist()] == [
        (2, "uploaded_at is missing", None),
        (3, "uploaded_at is missing", None),
        (4, "uploaded_at is not a time", "yesterday"),
        (5, "uploaded_at is before 1970-01-02", "1969-12-31T00:00:00Z"),
        (7, "downloaded_at is before 1970-01-02", "1960-01-01"),
    ]


@pytest.mark.parametrize(
    ("zone", "shown"), [("UTC", "1969-01-01 00:00:00+00"), (None, "1969-01-01 00:00:00")]
)
def test_times_of_parquet_are_shown_as_times(zone: str | None, shown: str, tmp_path: Path) -> None:
    years = [1969, None, 2019, 2020]
    times = pa.array([year and datetime(year, 1, 1) for year in years], pa.timestamp("us", zone))
    downloads = pa.array([datetime(2019, 9, 1)] * 4, pa.timestamp("us", zone))
    columns = {"post_id": list("abcd"), "user_id": ["u"] * 4, "likes": [5] * 4}
    table = pa.table(columns | {"uploaded_at": times, "downloaded_at": downloads})
    pq.write_table(table, tmp_path / "posts.parquet")
    read = read_posts(tmp_path / "posts.parquet")
    assert [(r["row"], r["reason"], r["value"]) for r in read.rejects.to_pylist()] == [
        (1, "uploaded_at is before 1970-01-02", shown),
        (2, "uploaded_at is missing", None),
        (4, "uploaded_at is later than downloaded_at", shown.replace("1969", "2020")),
    ]


@pytest.mark.parametrize(
    ("zone", "is_one"),
    [
        *((z, True) for z in ("+14:00", "-1200", "+0545", "+12:45", "-03", "Z", "+05:30:30")),
        *((z, False) for z in ("+25:00", "+15:00", "-2500", "+99", "+05:75", "-0260", "+15:00:00")),
    ],
)
def test_a_zone_that_is_none_makes_no_time(zone: str, is_one: bool, tmp_path: Path) -> None:
    rows = "post_id,user_id,uploaded_at,likes\na,u,2019-06-01T00:00:00Z,5\n"
    read = read_csv(tmp_path, f"{rows}b,u,2019-06-15T10:00:00{zone},5\n")
    assert read.kept == 1 + is_one
    if not is_one:
        (reject,) = read.rejects.to_pylist()
        assert reject["reason"] == "uploaded_at is not a time"
        assert reject["value"].endswith(zone)


def test_the_time_of_download_given_is_held_against_each_upload(tmp_path: Path) -> None:
    rows = "post_id,user_id,uploaded_at,downloaded_at,likes\n"
    rows += "a,u,2024-06-01T00:00:00Z,,5\nb,u,2019-06-01T00:00:00Z,,5\n"
    rows += "c,u,2024-06-01T00:00:00Z,2024-09-01T00:00:00Z,5\nd,u,2020-01-01T20:00:00Z,,5\n"
    path = tmp_path / "posts.csv"
    path.write_text(rows)
    read = read_posts(path, downloaded_at=datetime(2020, 1, 1))
    assert sorted(read.posts["post_id"].to_pylist()) == ["b", "c", "d"]
    assert [(r["row"], r["reason"]) for r in read.rejects.to_pylist()] == [
        (2, "uploaded_at is later than downloaded_at")
    ]
    soon = datetime.now(UTC) + timedelta(days=2)
    with pytest.raises(UserInputError, match="is in the future; give the day on which"):
        read_posts(path, downloaded_at=soon)


def test_nul_bytes_are_rejects(tmp_path: Path) -> None:
    rows = "post_id,user_id,uploaded_at,likes,caption\n"
    rows += "a,u,2019-06-01T00:00:00Z,5,fine\nb\0,u,2019-06-01T00:00:00Z,5,x\n"
    rows += "c,u,2019-06-01T00:00:00Z,5,a\0b\nd,u,2019-06-01T00:00:00Z,5\0,\n"
    read = read_csv(tmp_path, rows)
    assert [(r["row"], r["reason"]) for r in read.rejects.to_pylist()] == [
        (3, "post_id holds a NUL byte"),
        (4, "caption holds a NUL byte"),
        (5, "likes is not a whole number"),
    ]
    record = {"id": "p", "user": "u", "taken_at": 1559383200, "like_count": 3, "text": "a\0b"}
    lines = tmp_path / "posts.jsonl"
    lines.write_text(json.dumps(record) + "\n" + json.dumps(record | {"text": "b"}) + "\n\0\0\n")
    read = read_posts(lines)
    assert sorted((r["row"], r["reason"]) for r in read.rejects.to_pylist()) == [
        (1, "caption holds a NUL byte"),
        (3, "is not a JSON object"),
    ]


def test_utf_16_and_rows_of_many_megabytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "posts.csv"
    path.write_text("post_id,user_id\n", encoding="utf-16")
    with pytest.raises(DataError, match=r"is UTF-16.*iconv"):
        read_posts(path)
    head = "post_id,user_id,uploaded_at,likes,caption\np,u,2019-06-01,5,"
    path.write_text(head + "x" * (100 << 20) + "\n")
    with pytest.raises(DataError, match="row 2 is longer than 32 MB"):
        read_posts(path)
    monkeypatch.setattr("i2pa.posts.readers.tabular._BLOCK_BYTES", 1 << 12)
    half = '"' + "x\n" * 4000 + '"'
    head = "post_id,user_id,uploaded_at,likes,caption,image\np,u,2019-06-01,5,,\n\n"
    path.write_text(f"{head}q,u,2019-06-01,5,{half},{half}\n" + "r,u,2019-06-01,5,,\n" * 500)
    with pytest.raises(DataError, match="row 3 is longer"):
        read_posts(path)


@pytest.mark.parametrize("unit", [1, 1000, 1_000_000])
def test_seconds_in_floats_keep_their_fraction(tmp_path: Path, unit: int) -> None:
    seconds = [1641340800.5, 1641340801.5, 999999999.25]
    table = {"post_id": list("abc"), "user_id": ["u"] * 3, "likes": [5] * 3}
    pq.write_table(pa.table(table | {"uploaded_at": [s * unit for s in seconds]}), tmp_path / "p")
    rows = "\n".join(f"{name},u,5,{s}" for name, s in zip("abc", seconds, strict=True))
    found = read_posts(tmp_path / "p").posts.sort_by("post_id")["uploaded_at"].to_pylist()
    assert [time.timestamp() for time in found] == seconds
    text = read_csv(tmp_path, "post_id,user_id,likes,uploaded_at\n" + rows + "\n").posts
    assert text.sort_by("post_id")["uploaded_at"].to_pylist() == found


def test_bytes_in_parquet_that_are_no_utf_8_are_broken_rows(tmp_path: Path) -> None:
    columns = {"post_id": [b"a", b"\xff\xfe", b"c", None], "user_id": [1, 2, 3, 4]}
    columns |= {"caption": [b"caf\xc3\xa9", b"x", b"caf\xe9", b"y"], "likes": [5] * 4}
    time = pa.array([datetime(2019, 6, 1)] * 4, pa.timestamp("us", "UTC"))
    table = pa.table(columns | {"uploaded_at": time})
    place = table.column_names.index("caption")
    encoded = table.set_column(place, "caption", table["caption"].dictionary_encode())
    for given in (table, encoded):
        pq.write_table(given, tmp_path / "posts.parquet")
        read = read_posts(tmp_path / "posts.parquet")
        assert read.posts["caption"].to_pylist() == ["café"]
        assert sorted((r["row"], r["reason"]) for r in read.rejects.to_pylist()) == [
            (2, "post_id is not UTF-8"),
            (3, "caption is not UTF-8"),
            (4, "post_id is missing"),
        ]


def test_floats_that_are_no_numbers(tmp_path: Path) -> None:
    table = pa.table(
        {
            "post_id": ["BAaaaaaaaaa", "b", "c", "d"],
            "user_id": ["u"] * 4,
            "uploaded_at": [float("nan"), 1559383200.0, 1e300, 1559383200.0],
            "likes": [5.0, float("nan"), 5.0, float("inf")],
        }
    )
    pq.write_table(table, tmp_path / "posts.parquet")
    read = read_posts(tmp_path / "posts.parquet", platform="instagram")
    assert read.posts["post_id"].to_pylist() == ["BAaaaaaaaaa", "b"]
    assert read.posts["likes"].to_pylist() == [5, None]
    assert [(r["row"], r["reason"]) for r in read.rejects.to_pylist()] == [
        (3, "uploaded_at is not a time"),
        (4, "likes is not a whole number"),
    ]


@pytest.mark.parametrize("nothing", ["", "nan", "NaT", "null", "None", "N/A"])
def test_a_word_for_nothing_is_nothing_where_a_column_may_be_empty(
    nothing: str, tmp_path: Path
) -> None:
    rows = "platform,post_id,user_id,uploaded_at,downloaded_at,media_type,likes\n"
    rows += f"instagram,BAaaaaaaaaa,u,{nothing},{nothing},{nothing},5\n"
    rows += f"{nothing},b,u,2019-06-01T00:00:00Z,{nothing},{nothing},5\n"
    read = read_csv(tmp_path, rows)
    assert read.rejects.num_rows == 0
    columns = ("platform", "downloaded_at", "media_type")
    assert [[row[name] for name in columns] for row in read.posts.to_pylist()] == [
        ["instagram", None, "image"],
        ["unknown", None, "image"],
    ]
    assert notes(read) == {
        "posts without downloaded_at": 2,
        "posts without uploaded_at, told by their Instagram shortcode": 1,
        "posts without media_type, taken as image (carousel if image_count > 1)": 2,
        "single images without image_count, taken as 1": 2,
    }


def test_a_platform_is_one_however_it_is_written(tmp_path: Path) -> None:
    rows = "platform,post_id,user_id,uploaded_at,likes\n"
    rows += "Instagram,a,u,2019-06-01T00:00:00Z,5\n instagram ,b,u,2019-06-01T00:00:00Z,5\n"
    rows += "INSTAGRAM,a,u,2019-06-01T00:00:00Z,5\n"
    read = read_csv(tmp_path, rows)
    assert read.posts["platform"].to_pylist() == ["instagram"] * 2
    assert [(r["row"], r["reason"]) for r in read.rejects.to_pylist()] == [
        (4, "post_id appears before")
    ]
    said = read_posts(tmp_path / "posts.csv", platform=" Reddit ")
    assert set(said.posts["platform"].to_pylist()) == {"reddit"}
