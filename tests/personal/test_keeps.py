"""Which pictures are kept and which rejected, from the places given."""

import io
import sys
from pathlib import Path

import pytest

from i2pa.errors import DataError
from i2pa.personal.keeps import given_pictures, kept_and_rejected


@pytest.fixture
def album(tmp_path):
    for name in ("a.jpg", "a.nef", "b.jpg", "2024/c.jpg", "keep/2024/d.jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def sides(album, pictures):
    return {str(one.path.relative_to(album)): one.kept for one in pictures}


def test_the_album_may_hold_what_is_kept_also_as_raw(album):
    everything = {"a.jpg": False, "b.jpg": False, "2024/c.jpg": False, "keep/2024/d.jpg": False}
    for kept in ("a.jpg", "b.jpg", "2024/c.jpg"):
        found = kept_and_rejected([album / kept], [album], None)
        assert sides(album, found) == everything | {kept: True}
    (album / "list.txt").write_text("a.nef\n")
    found = kept_and_rejected([album / "list.txt"], [album], None)
    assert sides(album, found) == {
        "a.nef": True,
        "b.jpg": False,
        "2024/c.jpg": False,
        "keep/2024/d.jpg": False,
    }


def test_subfolders_are_those_below_the_folder_given(album):
    found = given_pictures([album, album / "keep"], None, kept=True)
    assert [one.subfolder for one in found] == ["", "", "2024", "keep/2024", "2024"]


def test_globs_tables_and_stdin_are_places_too(album, monkeypatch):
    table = album / "list.csv"
    table.write_text(f"path\n{album / '2024' / 'c.jpg'}\n../{album.name}/b.jpg\n")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{album}/a.jpg".encode())))
    found = given_pictures([table, album / "*" / "c.jpg", Path("-")], None, kept=True)
    assert [one.path.name for one in found] == ["c.jpg", "b.jpg", "c.jpg", "a.jpg"]
    assert {one.subfolder for one in found} == {""}


def test_an_empty_list_is_told(album):
    (album / "none.txt").write_text("\n")
    with pytest.raises(DataError, match="the list is empty"):
        given_pictures([album / "none.txt"], None, kept=True)
