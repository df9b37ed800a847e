import io
import os
import sys
from pathlib import Path

import pytest

from i2pa.errors import UserInputError
from i2pa.images.find import pictures_in
from i2pa.images.lists import COLUMNS, listed


@pytest.fixture
def album(tmp_path):
    (tmp_path / "deep").mkdir()
    for name in ("a.jpg", "b.jpg", "c.png", "deep/d.jpg", ".dot.jpg"):
        (tmp_path / name).touch()
    return tmp_path


def names_of(folder, paths):
    return [path.relative_to(folder).as_posix() for path in paths]


def test_globs_that_the_shell_left_alone(album):
    assert names_of(album, listed([album / "*.jpg"])) == ["a.jpg", "b.jpg"]
    assert names_of(album, listed([album / "**" / "*.jpg"])) == ["a.jpg", "b.jpg", "deep/d.jpg"]
    assert names_of(album, pictures_in([album / "[ab].*", album / "d*"])) == [
        "a.jpg",
        "b.jpg",
        "deep/d.jpg",
    ]
    with pytest.raises(UserInputError, match=r"\*\.tif: matches no file"):
        listed([album / "*.tif"])


def test_a_file_whose_name_is_a_glob_is_a_file(album):
    odd = album / "[ab].jpg"
    odd.touch()
    assert listed([odd]) == [odd]


@pytest.mark.parametrize(
    "text", [b"a.jpg\nb c.jpg\n", b"a.jpg\r\nb c.jpg", b"a.jpg\0b c.jpg\0", b"\na.jpg\n\nb c.jpg\n"]
)
def test_a_list_on_stdin(text):
    assert listed(["-"], stdin=io.BytesIO(text)) == [Path("a.jpg"), Path("b c.jpg")]


def test_a_list_ended_by_nul_keeps_line_breaks_and_odd_bytes():
    (path,) = listed(["-"], stdin=io.BytesIO(b"new\nline\xff.jpg\0"))
    assert os.fsencode(path) == b"new\nline\xff.jpg"


def test_stdin_names_folders_and_missing_files(album):
    text = f"{album / 'deep'}\n{album / 'gone.jpg'}\n".encode()
    # That a file is gone is for reading to say: the rest of the list goes on.
    found = pictures_in(["-"], stdin=io.BytesIO(text))
    assert names_of(album, found) == ["deep/d.jpg", "gone.jpg"]


def test_the_process_own_stdin_is_the_default(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"x.jpg\n")))
    assert listed(["-"]) == [Path("x.jpg")]


@pytest.mark.parametrize("column", [*COLUMNS, "Image", " FileName "])
@pytest.mark.parametrize(("suffix", "mark"), [(".csv", ","), (".csv", ";"), (".tsv", "\t")])
def test_a_table_with_a_column_of_paths(album, column, suffix, mark):
    table = album / f"album{suffix}"
    rows = [["id", column, "likes"], ["1", "b.jpg", "3"], ["2", "", "4"], ["3", "deep/d.jpg", "5"]]
    table.write_text("\n".join(mark.join(row) for row in rows), encoding="utf-8-sig")
    assert names_of(album, listed([table])) == ["b.jpg", "deep/d.jpg"]


def test_quoted_fields_absolute_paths_and_repeats(album):
    table = album / "t.csv"
    table.write_text(f'path,note\n"a.jpg","x, ""y""\nz"\n{album / "b.jpg"},\na.jpg\n')
    assert names_of(album, listed([table])) == ["a.jpg", "b.jpg", "a.jpg"]
    assert names_of(album, pictures_in([table])) == ["a.jpg", "b.jpg"]


def test_the_column_may_be_named(album):
    table = album / "t.csv"
    table.write_text("image,preview\na.jpg,b.jpg\n")
    assert names_of(album, listed([table], column="preview")) == ["b.jpg"]
    with pytest.raises(UserInputError, match="no column 'nope'; it has 'image', 'preview'"):
        listed([table], column="nope")


def test_tables_without_a_column_of_paths_say_what_they_have(album):
    table = album / "t.csv"
    for text, has in (("likes,user\n1,2\n", "'likes', 'user'"), ("", "none")):
        table.write_text(text)
        with pytest.raises(UserInputError, match=f"no column called image.*--column: {has}"):
            listed([table])


def test_parquet(album):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    table = album / "t.parquet"
    pq.write_table(pa.table({"likes": [1, 2, 3], "image": ["a.jpg", None, "c.png"]}), table)
    assert names_of(album, listed([table])) == ["a.jpg", "c.png"]
    with pytest.raises(UserInputError, match="'likes' holds int64, not text"):
        listed([table], column="likes")
    table.write_bytes(b"PAR1 no more")
    with pytest.raises(UserInputError, match=r"t\.parquet: cannot be read as Parquet"):
        listed([table])


def test_parquet_without_its_packages(album, monkeypatch):
    (album / "t.parquet").touch()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserInputError, match=r"pip install 'i2pa\[data\]'"):
        listed([album / "t.parquet"])


def test_a_damaged_table_is_one_line(album):
    table = album / "t.csv"
    table.write_bytes(b"image\n" + b'"' + b"x" * 2_000_000)
    with pytest.raises(UserInputError, match=r"t\.csv: line \d+ cannot be read"):
        listed([table])
