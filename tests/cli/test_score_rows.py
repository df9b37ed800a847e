"""`score` as a job: a row out for each row in, whatever becomes of it, written as it is known."""

import codecs
import csv
import io
import json
import os
import sys

import pytest
from command_runner import one_line, run
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from i2pa.cli import output, writers
from i2pa.cli.writers import Heading, writer
from i2pa.images.failure import Failure
from i2pa.images.rows import Row
from i2pa.scoring.results import ScoredPicture, Scores
from odd_names import NAMES
from ranked_set import MODEL

FORMS = ("csv", "jsonl", "parquet")
ENCODINGS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def rows_of(path):
    """The rows of an output as text, null as an empty one."""
    if path.suffix == ".parquet":
        pq = pytest.importorskip("pyarrow.parquet")
        rows = pq.read_table(path).to_pylist()
    elif path.suffix == ".jsonl":
        rows = [json.loads(line) for line in path.read_text().splitlines()]
    else:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            return list(csv.DictReader(file))
    return [{k: "" if v is None else str(v) for k, v in row.items()} for row in rows]


@pytest.mark.parametrize("form", FORMS)
def test_each_row_of_a_table_comes_out_in_order_as_it_was(score, album, form):
    (album / "broken.jpg").write_text("hello")
    deep = album / "tables"
    deep.mkdir()
    rows = [
        ("1", "..//a.png"),
        ("2", ""),
        ("3", "../gone.png"),
        ("4", "./../b.png"),
        ("5", "../broken.jpg"),
        ("6", str(album / "c.png")),
        ("7", "https://example.com/x.jpg"),
        ("8", ".."),
        ("9", "..//a.png"),
    ]
    with (deep / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("id", "image"), *rows])
        file.write("10\n")
    out = album / f"out.{form}"
    code, printed, err = score("tables/t.csv", "--carry", "id", "-o", out)
    assert (code, printed) == (0, "")
    found = rows_of(out)
    assert [(row["id"], row["path"]) for row in found] == [*rows, ("10", "")]
    assert [row["status"] for row in found] == [
        *("ok", "no_path", "missing", "ok", "not_a_picture", "ok", "missing", "not_a_file", "ok"),
        "no_path",
    ]
    assert [bool(row["score"]) for row in found] == [row["status"] == "ok" for row in found]
    assert [bool(row["reason"]) for row in found] == [row["status"] != "ok" for row in found]
    assert found[1]["reason"] == "row 3 of tables/t.csv names no picture"
    assert found[0]["score"] == found[8]["score"] != found[3]["score"]
    assert f"i2pa: wrote {out}: 10 rows" in err.splitlines()
    assert "i2pa: row 11 of tables/t.csv names no picture" in err.splitlines()
    assert err.splitlines()[-1] == (
        "i2pa: 6 of 10 pictures could not be scored: 2 no path, 2 missing, 1 not a picture, "
        "1 not a file"
    )


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_what_is_printed_is_what_is_written(score, album, form):
    places = ("b.png", "./a.png", "gone.png", ".//b.png")
    code, printed, _ = score(*places, f"--{form}")
    assert code == 0
    assert score(*places, "-o", f"out.{form}")[0] == 0
    assert (album / f"out.{form}").read_text() == printed
    assert [row["path"] for row in rows_of(album / f"out.{form}")] == list(places)


def test_json_has_items_and_failures_with_what_they_carry(score, album):
    (album / "t.jsonl").write_text('{"photo": "a.png", "id": {"n": 1}}\n{"photo": "x.png"}\n')
    code, printed, _ = score("t.jsonl", "--column", "photo", "--carry", "id", "--json")
    assert code == 0
    answer = json.loads(printed)
    assert answer["schema"] == "i2pa.score/1"
    assert [(one["path"], one["id"]) for one in answer["items"]] == [("a.png", {"n": 1})]
    assert [(f["path"], f["kind"], f["id"]) for f in answer["failures"]] == [
        ("x.png", "missing", None)
    ]


def test_json_in_pieces_is_that_of_the_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(writers, "_IN_MEMORY", 100)
    item = ScoredPicture("a\nb\udcff.png", 0.5, 50.0, "fair")
    failure = Failure("x", "missing", "gone", "look")
    for items, failures in (((item, item), (failure,)), ((), (failure, failure)), ((), ())):
        with writer("json", tmp_path / "r.json", Heading(MODEL, "a set []")) as write:
            for one in (*failures, *items):
                write(Row(one.path, None), one)
        whole = output.as_json("i2pa.score/1", Scores(MODEL, "a set []", items, failures))
        assert (tmp_path / "r.json").read_text() == whole + "\n"


def test_a_table_shows_what_was_scored_and_what_it_carries(score, album):
    (album / "t.csv").write_text("image,id\na.png,first\ngone.png,second\n")
    code, printed, err = score("t.csv", "--carry", "id")
    assert code == 0
    header, row = printed.splitlines()[1:]
    assert header.split() == ["percentile", "level", "score", "picture", "id"]
    assert row.split()[-2:] == ["a.png", "first"]
    assert "gone.png: cannot be read (No such file" in err


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(names=st.lists(NAMES, min_size=1, max_size=6), form=st.sampled_from(FORMS))
def test_rows_out_are_rows_in_verbatim(score, album, names, form):
    table = album / "names.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, quoting=csv.QUOTE_ALL)
        rows.writerows([("image", "n"), *((name, n) for n, name in enumerate(names))])
        rows.writerow(["a.png", len(names)])
    out = album / f"out.{form}"
    code, _, _ = score(table, "--carry", "n", "-o", out)
    assert code == 0
    found = rows_of(out)
    assert [row["path"] for row in found] == [*names, "a.png"]
    assert [int(row["n"]) for row in found] == list(range(len(names) + 1))
    assert [row["status"] for row in found if not row["path"]] == ["no_path"] * names.count("")
    assert found[-1]["status"] == "ok"


@pytest.mark.skipif(os.name == "nt", reason="no such names there")
@settings(
    deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(names=st.lists(st.binary(min_size=1, max_size=8), min_size=1, max_size=4))
def test_names_of_any_bytes_come_back_as_bytes(score, album, monkeypatch, names):
    names = [name.replace(b"\0", b"x") for name in names if name.strip(b"\0").strip()]
    given_names = b"\0".join([*names, b"a.png"])
    # What a list begins with may name its encoding.
    assume(not given_names.startswith(ENCODINGS))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given_names + b"\0")))
    code, _, _ = score("-", "-o", "out.csv")
    assert code == 0
    found = [os.fsencode(row["path"]) for row in rows_of(album / "out.csv")]
    assert found == [*names, b"a.png"]


def test_columns_of_parquet_are_carried_in_their_own_type(score, album):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    carried = {
        "whole": pa.array([True, None, False]),
        "number": pa.array([1 << 62, None, 3], pa.uint64()),
        "when": pa.array([1_700_000_000_123_456_789, 0, None], pa.timestamp("ns", "UTC")),
        "tag": pa.array(["x", None, "x"]).dictionary_encode(),
        "days": pa.array([[1], [2], [None]]).flatten().cast(pa.duration("s")),
        "share": pa.array([0.5, float("nan"), float("inf")]),
        "raw": pa.array([b"\xff", b"ab", None]),
    }
    names = pa.array(["a.png", None, "gone.png"], pa.large_string()).dictionary_encode()
    pq.write_table(pa.table({"image": names} | carried), album / "t.parquet")
    options = [part for name in carried for part in ("--carry", name)]
    for form in (*FORMS, "json"):
        assert score("t.parquet", *options, "-o", f"out.{form}")[0] == 0
    table = pq.read_table(album / "out.parquet")
    for name, column in carried.items():
        plain = column.dictionary_decode() if name == "tag" else column
        written = table.column(name).combine_chunks()
        assert written.type == plain.type
        assert str(written) == str(plain)
    rows = [json.loads(line) for line in (album / "out.jsonl").read_text().splitlines()]
    assert [row["number"] for row in rows] == [1 << 62, None, 3]
    assert [row["share"] for row in rows] == [0.5, None, None]
    assert rows[0]["when"].startswith("2023-11-14 22:13:20.123456789")
    assert [row["whole"] for row in rows] == [True, None, False]
    assert [row["raw"] for row in rows] == ["ff", "6162", None]
    assert [row["tag"] for row in rows_of(album / "out.csv")] == ["x", "", "x"]
    assert [row["raw"] for row in rows_of(album / "out.csv")] == ["ff", "6162", ""]
    assert [row["share"] for row in rows_of(album / "out.csv")] == ["0.5", "nan", "inf"]
    pq.write_table(pa.table({"image": ["a.png"], "tags": [["x"]]}), album / "t.parquet")
    code, _, err = score("t.parquet", "--carry", "tags", "--csv")
    assert code == 2
    assert "'tags' holds list<" in one_line(err)


def test_text_of_parquet_that_is_no_utf_8(score, album):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    ends = pa.py_buffer(bytes([0, 0, 0, 0, 2, 0, 0, 0]))
    bad = pa.Array.from_buffers(pa.string(), 1, [None, ends, pa.py_buffer(b"\xffa")])
    pq.write_table(pa.table({"image": ["a.png"], "id": bad}), album / "t.parquet")
    code, printed, _ = score("t.parquet", "--carry", "id", "--jsonl")
    assert (code, json.loads(printed)["id"]) == (0, "\udcffa")
    code, _, err = score("t.parquet", "--column", "id")
    assert code == 2
    assert "t.parquet: a name is no UTF-8" in one_line(err)


@pytest.mark.parametrize("form", ["jsonl", "json"])
def test_what_is_written_as_json_is_json(score, album, form):
    (album / "t.jsonl").write_text('{"image": "a.png", "id": {"n": [1e400, 2.5, -1e400]}}\n')
    assert score("t.jsonl", "--carry", "id", "-o", f"out.{form}")[0] == 0

    def refuse(constant):
        raise AssertionError(constant)

    answer = json.loads((album / f"out.{form}").read_text(), parse_constant=refuse)
    row = answer["items"][0] if form == "json" else answer
    assert row["id"] == {"n": [None, 2.5, None]}


@pytest.mark.parametrize("command", ["score", "rank"])
def test_a_quote_left_open_costs_no_row_silently(capsys, tiny, album, command):
    rows = "".join(f"a.png,{n}\n" for n in range(5000))
    (album / "t.csv").write_text(f'image,id\na.png,1\na.png,"oops\n{rows}')
    (album / "out.csv").write_text("kept")
    code, printed, err = run(capsys, command, "t.csv", "-o", "out.csv", "--model", tiny)
    assert (code, printed) == (2, "")
    assert "t.csv: line 3: a quote is left open" in one_line(err)
    assert (album / "out.csv").read_text() == "kept"


def test_a_long_name_is_shortened_where_people_read_it(score, album):
    (album / "t.jsonl").write_text(json.dumps({"image": "x" * 150_000}) + '\n{"image": "a.png"}\n')
    code, printed, err = score("t.jsonl", "--jsonl")
    assert code == 0
    assert json.loads(printed.splitlines()[0])["path"] == "x" * 150_000
    assert max(map(len, err.splitlines())) < 500
    assert "xxx … xxx" in err
    code, _, err = score("x" * 150_000 + ".csv")
    assert code == 2
    assert len(one_line(err)) < 2100


def test_tables_of_two_kinds_carry_text(score, album):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"image": ["a.png"], "id": [7]}), album / "t.parquet")
    (album / "t.csv").write_text("image,id\nb.png,x\n")
    assert score("t.parquet", "t.csv", "c.png", "--carry", "id", "-o", "out.parquet")[0] == 0
    assert pq.read_table(album / "out.parquet").column("id").to_pylist() == ["7", "x", None]


def test_parquet_comes_in_groups_of_rows(score, album, monkeypatch):
    pq = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(writers, "_ROW_GROUP", 2)
    for number in (1, 2, 5):
        assert score(*["a.png"] * number, "-o", "out.parquet")[0] == 0
        about = pq.ParquetFile(album / "out.parquet").metadata
        assert (about.num_rows, about.num_row_groups) == (number, (number + 1) // 2)
        assert json.loads(about.metadata[b"i2pa.model"])["name"] == "tiny"


def test_columns_that_cannot_be_carried_are_one_line(score, album):
    (album / "t.csv").write_text("image,score\na.png,1\n")
    for arguments, message in (
        (("t.csv", "--carry", "score"), "--carry score: the output has a column of that name"),
        (("t.csv", "--carry", "no"), "t.csv: no column 'no'; it has 'image', 'score'"),
        (("a.png", "--carry", "id"), "there is no table to take the column 'id' from"),
    ):
        code, printed, err = score(*arguments, "--csv")
        assert (code, printed) == (2, "")
        assert message in one_line(err)
