"""Exports become one table; what is broken is counted and kept, nothing is guessed silently."""

from __future__ import annotations

import json
import os
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from i2pa.errors import DataError, UserInputError
from i2pa.posts import POSTS, PostsRead, load_posts, read_posts, write_posts

HEADER = "post_id,user_id,uploaded_at,downloaded_at,likes,caption,media_type,image_count"
ROW = "p1,u,2019-06-01T10:00:00Z,2019-08-01T00:00:00Z,100,hello,image,1"


def read_rows(folder: Path, *rows: str, header: str = HEADER) -> PostsRead:
    path = folder / "posts.csv"
    path.write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    return read_posts(path)


def rejects(read: PostsRead) -> list[tuple[int, str, str | None]]:
    return [(r["row"], r["reason"], r["value"]) for r in read.rejects.to_pylist()]


def test_every_format_gives_the_same_table(tmp_path: Path) -> None:
    record = {
        "post_id": "p1",
        "user_id": "u",
        "uploaded_at": "2019-06-01T12:00:00+02:00",
        "likes": 100,
        "caption": 'two\nlines, "quoted" #日本',
    }
    quoted = record | {"caption": '"two\nlines, ""quoted"" #日本"'}
    (tmp_path / "a.csv").write_text(",".join(record) + "\n" + ",".join(map(str, quoted.values())))
    (tmp_path / "b.tsv").write_text("\t".join(record) + "\n" + "\t".join(map(str, quoted.values())))
    (tmp_path / "c.jsonl").write_text(json.dumps(record) + "\n\n")
    pq.write_table(pa.Table.from_pylist([record]), tmp_path / "d.parquet")
    tables = [read_posts(path).posts for path in sorted(tmp_path.iterdir())]
    assert tables[0].schema == POSTS
    assert all(table.equals(tables[0]) for table in tables)
    (post,) = tables[0].to_pylist()
    assert post["uploaded_at"] == datetime(2019, 6, 1, 10, tzinfo=UTC)
    assert post["caption"] == 'two\nlines, "quoted" #日本'
    assert (post["media_type"], post["image_count"], post["caption_words"]) == ("image", 1, 3)


def test_broken_rows_are_kept_apart_with_row_and_reason(tmp_path: Path) -> None:
    read = read_rows(
        tmp_path,
        ROW,
        "p2,u,2019-06-01,,many,,image,1",
        "p3,u,yesterday,,5,,image,1",
        ",u,2019-06-01,,5,,image,1",
        "1.234e17,u,2019-06-01,,5,,image,1",
        "p4,u",
        "p1,u,2019-06-02,,7,,image,1",
        "p5,u,2019-06-01,,5,,hologram,1",
        "p6,u,2019-06-01,2019-01-01,5,,image,1",
    )
    assert read.posts["post_id"].to_pylist() == ["p1"]
    assert read.read == 9
    assert sorted(rejects(read)) == [
        (3, "likes is not a whole number", "many"),
        (4, "uploaded_at is not a time", "yesterday"),
        (5, "post_id is missing", None),
        (6, "post_id went through a float and lost digits", "1.234e17"),
        (7, "has 2 fields where the header has 8", "p4,u"),
        (8, "post_id appears before", "p1"),
        (9, "media_type is not image, carousel or video", "hologram"),
        (10, "uploaded_at is later than downloaded_at", "2019-06-01"),
    ]
    assert {reason.n for reason in read.reasons} == {1}


def test_bytes_that_are_not_utf8_and_lines_that_are_not_json(tmp_path: Path) -> None:
    csv = tmp_path / "posts.csv"
    csv.write_bytes(f"{HEADER}\n{ROW}\n".encode() + b"p2,u,2019-06-01,,5,caf\xe9,image,1\n")
    assert [r[:2] for r in rejects(read_posts(csv))] == [(3, "caption is not UTF-8")]
    lines = tmp_path / "posts.jsonl"
    lines.write_text(
        '{"id": "p", "user": "u", "taken_at": 1559383200, "like_count": 3}\n{oops\n7\n'
    )
    read = read_posts(lines)
    assert sorted(rejects(read)) == [
        (2, "is not a JSON object", "{oops"),
        (3, "is not a JSON object", "7"),
    ]
    assert read.posts["uploaded_at"][0].as_py() == datetime(2019, 6, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "meant"),
    [("97900.0", 97900), ("1e3", 1000), ("", None), ("NaN", None), ("-1", None), ("0", 0)],
)
def test_counts(tmp_path: Path, written: str, meant: int | None) -> None:
    read = read_rows(tmp_path, f"p1,u,2019-06-01T00:00:00Z,,{written},,image,1")
    assert read.posts["likes"].to_pylist() == [meant]


@pytest.mark.parametrize(
    "written",
    ["2019-06-01T10:00:00Z", "2019-06-01 12:00:00+0200", "2019-06-01 10:00", "1559383200",
     "1559383200000", "1559383200000000", "1559383200.0"],
)  # fmt: skip
def test_times(tmp_path: Path, written: str) -> None:
    read = read_rows(tmp_path, f"p1,u,{written},,5,,image,1")
    assert read.posts["uploaded_at"][0].as_py() == datetime(2019, 6, 1, 10, tzinfo=UTC)
    naive = written == "2019-06-01 10:00"
    assert naive == any("without a zone" in note.what for note in read.notes)


def test_typed_parquet_columns(tmp_path: Path) -> None:
    hour = datetime(2019, 6, 1, 10)
    table = pa.table(
        {
            "post_id": pa.array([10**17 + 3, 5]),
            "user_id": pa.array([1, 2]),
            "uploaded_at": pa.array([hour, hour], pa.timestamp("ms")),
            "downloaded_at": pa.array([hour, None], pa.timestamp("s", tz="Europe/Berlin")),
            "likes": pa.array([5.0, 5.5]),
        }
    )
    pq.write_table(table, tmp_path / "posts.parquet")
    read = read_posts(tmp_path / "posts.parquet")
    assert read.posts["post_id"].to_pylist() == ["100000000000000003"]
    assert rejects(read) == [(2, "likes is not a whole number", "5.5")]
    pq.write_table(table.set_column(0, "post_id", pa.array([1.5e17, 5.0])), tmp_path / "f.parquet")
    with pytest.raises(DataError, match="went through a float"):
        read_posts(tmp_path / "f.parquet")


def test_assumptions_are_counted(tmp_path: Path) -> None:
    rows = ["p1,u,2019-06-01T00:00:00Z,,,,,", "p2,u,2019-06-01T00:00:00Z,,-1,,,3"]
    read = read_rows(tmp_path, *rows)
    assert read.posts["media_type"].to_pylist() == ["image", "carousel"]
    assert read.posts["image_count"].to_pylist() == [1, 3]
    notes = {note.what.split(",")[0]: note.n for note in read.notes}
    assert notes["posts without downloaded_at"] == 2
    assert notes["negative (hidden) counts"] == 1
    assert notes["posts without media_type"] == 2
    assert notes["single images without image_count"] == 1
    given = read_posts(tmp_path / "posts.csv", platform="x", downloaded_at=datetime(2020, 1, 1))
    assert given.posts["downloaded_at"][0].as_py() == datetime(2020, 1, 1, tzinfo=UTC)
    assert given.posts["platform"].unique().to_pylist() == ["x"]


def test_missing_columns_are_one_error_with_the_map_that_helps(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_rows(tmp_path, "a,b,2019-06-01,5", header="post,user_id,uploaded_at,like_total")
    line = str(caught.value)
    assert "no column for post_id and for likes, views or score" in line
    assert "it has post, user_id, uploaded_at, like_total" in line
    assert "--map post_id=post" in line
    assert "--map likes=like_total" in line
    mapped = read_posts(tmp_path / "posts.csv", columns={"post_id": "post", "likes": "like_total"})
    assert mapped.posts["likes"].to_pylist() == [5]
    with pytest.raises(DataError, match="no column 'nope'"):
        read_posts(tmp_path / "posts.csv", columns={"likes": "nope"})
    with pytest.raises(UserInputError, match="no column 'stars'"):
        read_posts(tmp_path / "posts.csv", columns={"stars": "nope"})


def test_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(UserInputError, match="no such file"):
        read_posts(tmp_path / "none.csv")
    with pytest.raises(UserInputError, match="is a folder"):
        read_posts(tmp_path)
    with pytest.raises(DataError, match="there are no posts in it"):
        read_rows(tmp_path)
    with pytest.raises(DataError, match=r"none of 2 rows is sound; 2: likes .* row 2.*\(many\)"):
        read_rows(tmp_path, "p,u,2019-06-01,,many,,,", "q,u,2019-06-01,,few,,,")
    with pytest.raises(UserInputError, match="unknown format"):
        read_posts(tmp_path / "posts.csv", format="xml")
    (tmp_path / "empty.csv").touch()
    with pytest.raises(DataError, match="file is empty"):
        read_posts(tmp_path / "empty.csv")
    (tmp_path / "array.json").write_text('[{"id": 1}]')
    with pytest.raises(DataError, match="jq -c"):
        read_posts(tmp_path / "array.json")
    (tmp_path / "none.jsonl").write_text("{oops\n[1]\n")
    with pytest.raises(DataError, match="none of its lines is a JSON object"):
        read_posts(tmp_path / "none.jsonl")
    (tmp_path / "bad.parquet").write_text("PAR1, or is it?")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        read_posts(tmp_path / "bad.parquet")


def test_posts_parquet_comes_back_as_written(tmp_path: Path) -> None:
    posts = read_rows(tmp_path, ROW).posts
    write_posts(posts, tmp_path / "out.parquet")
    assert load_posts(tmp_path / "out.parquet").equals(posts)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.parquet", "posts.csv"]
    with pytest.raises(DataError, match="i2pa posts"):
        load_posts(tmp_path / "posts.csv")


@pytest.mark.parametrize(
    ("folder", "n"),
    [
        ("instagram_public_figures", 226),
        ("instagram_previews", 5783),
        ("youtube_thumbnails", 3141),
        ("bilibili_covers", 1385),
    ],
)
def test_real_exports_read_cleanly(shared_data: Path, folder: str, n: int) -> None:
    read = read_posts(shared_data / folder / "posts.csv")
    assert (read.posts.num_rows, read.rejects.num_rows, read.notes) == (n, 0, ())


def test_an_open_quote_is_refused_before_it_swallows_the_rows_after_it(tmp_path):
    path = tmp_path / "open.csv"
    rows = ["post_id,user_id,uploaded_at,likes,caption"]
    rows += [f"p{i},u,2020-01-01,5,fine {i}" for i in range(3)]
    path.write_text("\n".join([*rows, 'p3,u,2020-01-01,5,"never closed', *rows[1:]]) + "\n")
    with pytest.raises(DataError, match="row 5: a quote is never closed"):
        read_posts(path)


def test_two_open_quotes_cannot_hide_rows_in_one_caption(tmp_path):
    path = tmp_path / "open.csv"
    rows = [f"p{i},u,2020-01-0{i + 1},5,fine {i}" for i in range(6)]
    rows[1], rows[4] = 'p1,u,2020-01-02,5,"never closed', 'p4,u,2020-01-05,5,nor this"'
    path.write_text("\n".join(["post_id,user_id,uploaded_at,likes,caption", *rows]) + "\n")
    read = read_posts(path)
    assert read.posts["post_id"].to_pylist() == ["p0", "p5"]
    (reject,) = read.rejects.to_pylist()
    assert (reject["row"], "is a quote left open?" in reject["reason"]) == (3, True)


def test_a_caption_of_many_lines_and_commas_is_no_row(tmp_path):
    path = tmp_path / "commas.csv"
    path.write_text(
        'post_id,user_id,uploaded_at,likes,caption\np,u,2020-01-01,5,"one\na, b, c, d, e\n"\n'
    )
    assert read_posts(path).posts["caption"].to_pylist() == ["one\na, b, c, d, e\n"]


def test_ids_and_numbers_that_pandas_lost_are_missing(tmp_path):
    path = tmp_path / "floats.parquet"
    day = 1559383200.0
    table = pa.table(
        {
            "post_id": ["a", "b", "c", "d"],
            "user_id": ["u", "nan", "u", "u"],
            "uploaded_at": [day, day, float("nan"), 1e30],
            "likes": [5.0, 5.0, 5.0, 5.0],
            "image_count": [1, 1, 1, 1],
        }
    )
    pq.write_table(table, path)
    read = read_posts(path)
    assert read.posts["post_id"].to_pylist() == ["a"]
    assert [r["reason"] for r in read.rejects.to_pylist()] == [
        "user_id is missing",
        "uploaded_at is missing",
        "uploaded_at is not a time",
    ]


def test_counts_of_images_beyond_reason_are_rejected(tmp_path):
    path = tmp_path / "counts.csv"
    path.write_text(
        "post_id,user_id,uploaded_at,likes,image_count,media_type\n"
        "a,u,2020-01-01,5,3000000000,image\nb,u,2020-01-01,5,-1,image\nc,u,2020-01-01,5,1,1.0\n"
    )
    read = read_posts(path)
    assert (read.posts["post_id"].to_pylist(), read.rejects.num_rows) == (["c"], 2)


def test_utf_16_and_damaged_pages_are_named(tmp_path):
    (tmp_path / "wide.csv").write_text("post_id,user_id,uploaded_at,likes\n", encoding="utf-16")
    with pytest.raises(DataError, match="UTF-16"):
        read_posts(tmp_path / "wide.csv")
    file = tmp_path / "page.parquet"
    columns = {"post_id": [f"p{i}" for i in range(500)], "user_id": ["u"] * 500}
    pq.write_table(pa.table(columns | {"uploaded_at": [1] * 500, "likes": [1] * 500}), file)
    data = bytearray(file.read_bytes())
    data[10:400] = b"\xff" * 390
    file.write_bytes(data)
    with pytest.raises(DataError, match="cannot be read"):
        read_posts(file)


def test_a_quote_inside_a_bare_field_is_just_a_character(tmp_path):
    path = tmp_path / "inch.csv"
    path.write_text('post_id,user_id,uploaded_at,likes,caption\np,u,2020-01-01,5,a 5" screen\n')
    assert read_posts(path).posts["caption"].to_pylist() == ['a 5" screen']


def test_arrow_reads_csv_where_it_handles_no_signal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main, read = [], pa_csv.read_csv

    def watched(*given: object) -> pa.Table:
        main.append(threading.current_thread() is threading.main_thread())
        return read(*given)

    monkeypatch.setattr(pa_csv, "read_csv", watched)
    assert read_rows(tmp_path, ROW, "too,few").kept == 1
    assert main == [False]


def test_numbers_with_underscores_are_broken(tmp_path: Path) -> None:
    read = read_rows(tmp_path, ROW, "p2,u,2019-06-01,,1_000,,image,1", "p3,u,2019-06-01,,5,,,1_0")
    assert rejects(read) == [
        (3, "likes is not a whole number", "1_000"),
        (4, "image_count is not a whole number", "1_0"),
    ]


def test_rejects_come_by_file_and_row(tmp_path: Path) -> None:
    header = "post_id,user_id,uploaded_at,likes\n"
    rows = ["a,u,2019-06-01,5", "a,u,2019-06-01,5", "b,u,soon,5", "c", "d,u,2019-06-01,x"]
    for name in ("z.csv", "a.csv"):
        (tmp_path / name).write_text(header + "\n".join(rows))
    read = read_posts([tmp_path / "z.csv", tmp_path / "a.csv"])
    places = [(Path(r["file"]).name, r["row"]) for r in read.rejects.to_pylist()]
    assert places == [(name, row) for name in ("z.csv", "a.csv") for row in range(2, 7)][1:]


def test_all_missing_columns_are_named_and_each_spare_one_is_offered_once(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_rows(tmp_path, "1,x", header="pid,thing")
    assert "post_id and for user_id and for uploaded_at and for likes" in str(caught.value)
    assert str(caught.value).count("=pid") == 1
    with pytest.raises(DataError) as caught:
        read_posts(tmp_path / "posts.csv", platform="instagram")
    assert "uploaded_at" not in str(caught.value)


@pytest.mark.parametrize("start", ['{"post_id": "a0", "likes": 3}\n', '[\n{"post_id"', "{\n"])
def test_json_that_is_forced_to_be_csv_is_told(start: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(start)
    with pytest.raises(DataError, match=r"seems to be JSON.*--format jsonl"):
        read_posts(path, "csv")


def test_an_empty_platform_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserInputError, match="platform is empty"):
        read_posts(tmp_path / "a.csv", platform=" ")


@pytest.mark.skipif(sys.platform == "win32", reason="has no such files")
def test_a_pipe_is_refused_without_waiting_for_its_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.csv")
    with pytest.raises(UserInputError, match="no regular file"):
        read_posts(tmp_path / "a.csv")


def test_tables_in_a_folder_are_not_left_out_silently(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv", "c.tsv", "d.jsonl", "posts.parquet", "x.rejects.csv"):
        (tmp_path / name).write_text("post_id\n")
    (tmp_path / "empty.json").touch()
    with pytest.raises(UserInputError, match=r"a\.csv, b\.csv, c\.tsv and 1 more; name its files"):
        read_posts(tmp_path)
    node = {"shortcode": "BAtmQcgIpQY", "owner": {"id": "7"}, "date": 1453132800}
    node |= {"edge_media_preview_like": {"count": 5}, "__typename": "GraphImage"}
    (tmp_path / "p.json").write_text(json.dumps({"node": node, "instaloader": {}}))
    read = read_posts(tmp_path)
    assert read.kept == 1
    assert "read as instaloader, without a.csv, b.csv, c.tsv and 1 more" in read.warnings[0]
