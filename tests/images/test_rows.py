"""Rows asked for: nothing that is named gets lost, and each keeps the name it was given."""

import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from i2pa.errors import DataError, UserInputError
from i2pa.images.rows import Rows, listed


@pytest.fixture
def album(tmp_path, monkeypatch):
    (tmp_path / "deep").mkdir()
    for name in ("a.jpg", "b.jpg", "deep/d.jpg"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_rows_keep_what_was_written_and_say_what_it_means(album):
    (album / "deep" / "list.txt").write_text('..//a.jpg\n d.jpg \n"new\\nline.jpg"\n')
    (album / "deep" / "t.csv").write_text("path\n./d.jpg\n\n,\n")
    rows = Rows([".//a.jpg", "deep/list.txt", "deep/t.csv", "*.jpg", Path("b.jpg")])
    assert [(row.given, row.path) for row in rows] == [
        (".//a.jpg", Path("a.jpg")),
        ("..//a.jpg", Path("deep/../a.jpg")),
        (" d.jpg ", Path("deep/d.jpg")),
        ("new\nline.jpg", Path("deep/new\nline.jpg")),
        ("./d.jpg", Path("deep/d.jpg")),
        ("", None),
        ("a.jpg", Path("a.jpg")),
        ("b.jpg", Path("b.jpg")),
        ("b.jpg", Path("b.jpg")),
    ]
    assert [row.fault for row in rows if row.path is None] == [
        "row 4 of deep/t.csv names no picture"
    ]


def test_rows_may_be_gone_through_again_and_are_read_anew(album):
    table = album / "t.csv"
    table.write_text("path\na.jpg\n")
    rows = Rows(["-", table], stdin=io.BytesIO(b"x.jpg\n"))
    assert [row.given for row in rows] == ["x.jpg", "a.jpg"]
    table.write_text("path\na.jpg\nb.jpg\n")
    assert [row.given for row in rows] == ["x.jpg", "a.jpg", "b.jpg"]


def test_what_is_missing_is_a_row_if_it_may_be_a_picture(album):
    for place in ("gone.jpg", "gone.NEF"):
        assert listed([place]) == [Path(place)]
    for place in ("gone", "gone.txt", "gone.csv", "gone.parquet"):
        with pytest.raises(UserInputError, match=f"{place}: no such file or folder"):
            listed([place])
    (row,) = Rows(["gone"], each_by_itself=True)
    assert (row.given, row.path) == ("gone", Path("gone"))
    for place in ("gone.txt", "gone.jsonl", "gone.csv"):
        with pytest.raises(UserInputError, match=f"{place}: no such file or folder"):
            Rows([place], each_by_itself=True)
    with pytest.raises(UserInputError, match="matches no file"):
        Rows(["*.tif"], each_by_itself=True)


def test_a_list_without_any_of_its_files_is_refused_or_so_many_rows(album):
    (album / "list.txt").write_text("x.jpg\ny.jpg\n")
    with pytest.raises(DataError, match="2 of the 2 files it names are not there"):
        Rows(["list.txt"])
    assert [row.given for row in Rows(["list.txt"], each_by_itself=True)] == ["x.jpg", "y.jpg"]


def test_a_file_called_dash_is_none_on_stdin(album):
    (album / "-").touch()
    assert [row.given for row in Rows(["./-"], stdin=io.BytesIO(b"x.jpg\n"))] == ["./-"]


def test_empty_lists_and_tables_say_so_when_they_are_read(album):
    (album / "t.jsonl").write_text('{"path": null}\n')
    assert [row.path for row in Rows(["t.jsonl"])] == [None]
    (album / "t.csv").write_text("path\n")
    with pytest.raises(DataError, match="the table names no picture"):
        list(Rows(["t.csv"]))


lines = st.binary(min_size=1, max_size=6).filter(lambda name: name.strip())


@given(st.lists(lines.map(lambda name: name.replace(b"\0", b"x")), min_size=1, max_size=5))
def test_a_list_ended_by_nul_has_every_name_whatever_the_chunks(names):
    for ending in (b"", b"\0"):
        stdin = io.BytesIO(b"\0".join([b"first", *names]) + ending)
        assert [os.fsencode(row.given) for row in Rows(["-"], stdin=stdin)] == [b"first", *names]


@given(st.lists(st.binary(max_size=6), max_size=6), st.sampled_from([b"\n", b"\r", b"\r\n"]))
def test_lines_end_as_any_system_ends_them(names, ending):
    plain = [bytes(byte for byte in name if byte > 0x22) for name in names]
    text = ending.join([b"first", *plain, b""])
    stdin = io.BytesIO(text)
    wanted = [b"first", *(name for name in plain if name)]
    assert [os.fsencode(row.given) for row in Rows(["-"], stdin=stdin)] == wanted
