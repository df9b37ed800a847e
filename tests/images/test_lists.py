import contextlib
import gzip
import io
import os
import random
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from i2pa.errors import DataError, ImageError, UserInputError
from i2pa.images.find import pictures_in
from i2pa.images.globs import matches, may_match
from i2pa.images.lists import is_list
from i2pa.images.regular import read_bytes
from i2pa.images.rows import listed
from i2pa.images.tables import COLUMNS
from i2pa.scoring.gallery import line_of
from odd_pictures import encoded, quarters


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


parts = st.sampled_from(["a", "b", ".a", "ab", "a.jpg"])
wild = st.sampled_from(["a", "*", "**", "?", ".*", "[ab]*", "*.jpg"])


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(parts, min_size=1, max_size=4), max_size=8), st.lists(wild, min_size=1))
def test_what_a_pattern_may_match_is_what_it_finds(paths, pattern):
    with tempfile.TemporaryDirectory() as folder:
        for path in paths:
            place = Path(folder, *path[:-1])
            with contextlib.suppress(FileExistsError, NotADirectoryError):
                place.mkdir(parents=True, exist_ok=True)
                (place / path[-1]).touch()
        whole = Path(folder, *pattern)
        files = [path for path in Path(folder).rglob("*") if path.is_file()]
        found = set(matches(whole))
        assert [may_match(whole, path) for path in files] == [path in found for path in files]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "TIFF", "WEBP", "HEIF", "AVIF"])
def test_a_picture_called_txt_is_a_picture(tmp_path, kind):
    odd = tmp_path / "odd.txt"
    odd.write_bytes(encoded(quarters().convert("RGB"), kind))
    assert listed([odd]) == [odd]
    assert not is_list(odd)


def test_a_text_called_txt_is_a_list_whatever_it_says(album):
    text = album / "notes.txt"
    text.write_text("a.jpg\nnothing of the kind\n")
    assert names_of(album, listed([text])) == ["a.jpg", "nothing of the kind"]


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


@pytest.mark.parametrize("data", [bytes(1 << 20), gzip.compress(random.Random(0).randbytes(9999))])
def test_what_is_no_text_on_stdin_is_no_list(data):
    with pytest.raises(UserInputError, match="standard input is no text, so no list of paths"):
        listed(["-"], stdin=io.BytesIO(data))


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
    table.write_text("likes,user\n1,2\n")
    with pytest.raises(UserInputError, match=r"no column called image.*: 'likes', 'user'"):
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
    with pytest.raises(UserInputError, match="run: pip install pyarrow"):
        listed([album / "t.parquet"])


def test_a_damaged_table_is_one_line(album):
    table = album / "t.csv"
    table.write_bytes(b"image\n" + b'"' + b"x" * 2_000_000)
    with pytest.raises(UserInputError, match=r"t\.csv: line \d+ cannot be read"):
        listed([table])


AWKWARD = [
    "new\nline.jpg",
    "latin\udce9.jpg",
    '"quoted".jpg',
    " spaced .jpg",
    "a\u2028b.jpg",
    "plain.jpg",
]


@pytest.mark.skipif(os.name == "nt", reason="no such names there")
@pytest.mark.parametrize("name", ["favourites.txt", "favourites.lst", "favourites"])
def test_the_favourites_of_a_page_are_read_back(tmp_path, name):
    paths = [tmp_path / "names" / one for one in AWKWARD]
    paths[0].parent.mkdir()
    for path in paths:
        path.touch()
    lines = "".join(line_of(f"names/{one}") + "\n" for one in AWKWARD)
    favourites = tmp_path / name
    favourites.write_text(lines)
    assert listed([favourites]) == paths
    stdin = io.BytesIO(lines.encode())
    assert [tmp_path / path for path in listed(["-"], stdin=stdin)] == paths
    (tmp_path / "saved").mkdir()
    moved = favourites.rename(tmp_path / "saved" / name)
    assert listed([moved], base=tmp_path) == paths


@pytest.mark.parametrize("coding", ["utf-8-sig", "utf-16"])
def test_a_list_as_windows_programs_save_it(album, coding):
    (album / "list.txt").write_bytes("a.jpg\r\n  deep/d.jpg \r\n\r\n".encode(coding))
    assert names_of(album, listed([album / "list.txt"])) == ["a.jpg", "deep/d.jpg"]


def test_a_space_that_belongs_to_a_name_stays(album):
    (album / " a.jpg").touch()
    assert listed(["-"], stdin=io.BytesIO(b" a.jpg\n b.jpg\n"), base=album) == [
        album / " a.jpg",
        album / "b.jpg",
    ]


@pytest.mark.parametrize(
    "text", ["", "notes on a.jpg and more\na.jpg\n", "<x>a.jpg</x>\n", "\0\1\n"]
)
def test_other_files_are_no_lists(album, text):
    other = album / "other.xmp"
    other.write_text(text)
    assert listed([other]) == [other]


@pytest.mark.parametrize(
    "line", ['"no \\u0000 name.jpg"', '"half \\ud800.jpg"', '"open.jpg', '"x" y.jpg']
)
def test_hostile_lines_are_names_that_cannot_be_read(album, line):
    (path,) = listed(["-"], stdin=io.BytesIO(line.encode()), base=album)
    with pytest.raises(ImageError):
        read_bytes(path)


def test_empty_lists_and_tables_say_so(album):
    for name, text in (("none.txt", "\n \n"), ("none.csv", "image\n")):
        (album / name).write_text(text)
        with pytest.raises(DataError, match=f"{name}: the (list is empty|table names no)"):
            listed([album / name])
    with pytest.raises(DataError, match="-: the list is empty"):
        listed(["-"], stdin=io.BytesIO(b""))


def test_a_column_needs_a_table(album):
    with pytest.raises(UserInputError, match="no table to take the column 'x' from"):
        listed([album], column="x")


@pytest.mark.skipif(os.name == "nt", reason="links are for administrators there")
def test_globs_end_where_folders_link_to_themselves(album):
    for name in ("0self", "self", "deep/up"):
        (album / name).symlink_to(album)
    every = ["a.jpg", "b.jpg", "deep/d.jpg"]
    assert names_of(album, listed([album / "**" / "*.jpg"])) == every
    assert [path.name for path in pictures_in([album / "**"])] == [
        "a.jpg",
        "b.jpg",
        "c.png",
        "d.jpg",
    ]
    assert len(pictures_in([album / "*"])) == 4
    assert len(pictures_in([album / "self", album / "deep", album / "a.jpg", album])) == 4


def test_a_list_away_from_its_folder_says_where_it_looked(album):
    favourites = album / "deep" / "favourites.txt"
    favourites.write_text("a.jpg\nb.jpg\n")
    said = rf"favourites\.txt: 2 of the 2 files .* below {album / 'deep'}, .*; put it into"
    with pytest.raises(DataError, match=said):
        listed([favourites])
    assert names_of(album, listed([favourites], base=album)) == ["a.jpg", "b.jpg"]
    favourites.write_text("a.jpg\nd.jpg\n")
    assert names_of(album, listed([favourites])) == ["deep/a.jpg", "deep/d.jpg"]
