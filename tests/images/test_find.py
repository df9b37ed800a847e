import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from i2pa.errors import DataError, UserInputError
from i2pa.images.find import found_in, pictures_in


def test_looks_in_depth_skips_dots_and_survives_link_loops(tmp_path):
    deep = tmp_path / "b" / "c"
    deep.mkdir(parents=True)
    (tmp_path / ".hidden").mkdir()
    wanted = [tmp_path / "a.JPG", tmp_path / "b" / "x.webp", deep / "y.tiff"]
    for path in (
        *wanted,
        tmp_path / ".hidden" / "z.jpg",
        tmp_path / ".dot.png",
        deep / "notes.txt",
    ):
        path.touch()
    (deep / "loop").symlink_to(tmp_path)
    assert pictures_in([tmp_path]) == wanted


def test_files_given_are_taken_whatever_their_suffix_and_only_once(tmp_path):
    odd = tmp_path / "picture.dat"
    odd.touch()
    jpg = tmp_path / "a.jpg"
    jpg.touch()
    assert pictures_in([odd, tmp_path, jpg]) == [odd, jpg]


def test_missing_and_empty_places(tmp_path):
    with pytest.raises(UserInputError, match="no such file or folder"):
        pictures_in([tmp_path / "nowhere"])
    with pytest.raises(DataError, match="no pictures found"):
        pictures_in([tmp_path])


def test_one_folder_may_be_given_as_it_is(tmp_path):
    (tmp_path / "a.jpg").touch()
    for place in (tmp_path, str(tmp_path), [tmp_path]):
        assert pictures_in(place) == [tmp_path / "a.jpg"]


def touched(folder, *names):
    paths = [folder / name for name in names]
    for path in paths:
        path.touch()
    return paths


def test_raw_beside_a_jpeg_is_its_twin(tmp_path):
    jpg, _, _, alone, png, _ = touched(
        tmp_path, "IMG_1.JPG", "img_1.cr2", "IMG_1.dng", "b.nef", "c.png", "d.xmp"
    )
    found = found_in([tmp_path])
    assert {f.path for f in found} == {jpg, alone, png}
    first = next(f for f in found if f.path == jpg)
    assert {twin.name for twin in first.twins} == {"img_1.cr2", "IMG_1.dng"}
    assert first.files == (jpg, *first.twins)
    assert all(f.twins == () for f in found if f.path != jpg)
    assert set(pictures_in([tmp_path])) == {jpg, alone, png}


def test_the_jpeg_stands_before_the_heic_and_only_beside_raw(tmp_path):
    touched(tmp_path, "a.heic", "a.jpg", "a.arw", "b.heic", "b.jpg", "c.HEIC", "c.RAF")
    names = {f.path.name: [twin.name for twin in f.twins] for f in found_in([tmp_path])}
    assert names == {
        "a.heic": [],
        "a.jpg": ["a.arw"],
        "b.heic": [],
        "b.jpg": [],
        "c.HEIC": ["c.RAF"],
    }


def test_twins_are_of_one_folder(tmp_path):
    (tmp_path / "raw").mkdir()
    touched(tmp_path, "a.jpg", "raw/a.dng")
    assert [f.twins for f in found_in([tmp_path])] == [(), ()]


@given(
    st.lists(
        st.tuples(
            st.sampled_from("ab"),
            st.sampled_from([".jpg", ".JPG", ".heic", ".dng", ".nef", ".png"]),
        ),
        unique=True,
        min_size=1,
    )
)
def test_every_file_belongs_to_one_picture(names):
    with tempfile.TemporaryDirectory() as folder:
        paths = touched(Path(folder), *("".join(name) for name in names))
        found = found_in([folder])
        belonging = [path for f in found for path in f.files]
        assert sorted(belonging) == sorted(paths)
        assert [f.path for f in found] == pictures_in([folder])


@pytest.mark.skipif(os.name == "nt", reason="no such names there")
def test_names_of_any_bytes_are_found(tmp_path):
    names = [b"new\nline.jpg", b"bad\xff.jpg", "\N{SLICE OF PIZZA}.png".encode(), b"-.jpg"]
    for name in names:
        (tmp_path / os.fsdecode(name)).touch()
    assert {os.fsencode(p.name) for p in pictures_in([tmp_path])} == set(names)
    (tmp_path / "x.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    # A folder is looked into whatever its name; a pipe is for reading to refuse.
    assert {p.name for p in pictures_in([tmp_path])} == {*map(os.fsdecode, names), "pipe.jpg"}


def test_a_file_named_in_two_ways_is_one_picture(tmp_path, monkeypatch):
    for name in ("a.jpg", "a.nef", "b.jpg"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    found = found_in(["a.jpg", tmp_path / "b.jpg", tmp_path])
    assert [(f.path.name, [t.name for t in f.twins]) for f in found] == [
        ("a.jpg", ["a.nef"]),
        ("b.jpg", []),
    ]
    assert found[0].path == Path("a.jpg")


@pytest.mark.skipif(os.name == "nt", reason="links are for administrators there")
def test_a_picture_and_its_raw_named_by_two_spellings_of_a_folder_are_one(tmp_path, monkeypatch):
    (tmp_path / "album").mkdir()
    jpg, raw = touched(tmp_path / "album", "a.jpg", "a.nef")
    (tmp_path / "link").symlink_to(tmp_path / "album")
    monkeypatch.chdir(tmp_path / "album")
    for places in (["a.jpg", raw, jpg], [jpg, tmp_path / "link" / "a.nef", tmp_path / "link"]):
        (found,) = found_in(places)
        assert (found.path, found.twins) == (Path(places[0]), (Path(places[1]),))
