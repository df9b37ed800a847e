import pytest

from i2pa.errors import DataError, UserInputError
from i2pa.images.find import pictures_in


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
