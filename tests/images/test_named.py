"""Pictures that a table names are found in the first folder that holds them."""

from __future__ import annotations

from pathlib import Path

import pytest

from i2pa.errors import UserInputError
from i2pa.images.named import existing_folders, find_named


def test_the_first_folder_wins_and_impossible_names_are_found_nowhere(tmp_path: Path) -> None:
    for folder, name in (("one", "a"), ("two", "a"), ("two", "b")):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / name).touch()
    folders = existing_folders([str(tmp_path / "one"), tmp_path / "two"])
    assert find_named("a", folders) == tmp_path / "one" / "a"
    assert find_named("b", folders) == tmp_path / "two" / "b"
    for name in ("c", "x" * 300, "a\0b", "a/b", "\ud800", "."):
        assert find_named(name, folders) is None


def test_one_folder_may_stand_alone_and_others_are_refused(tmp_path: Path) -> None:
    assert existing_folders(str(tmp_path)) == existing_folders(tmp_path) == [tmp_path]
    with pytest.raises(UserInputError, match="no such folder of pictures"):
        existing_folders([tmp_path, tmp_path / "gone"])
    for given in (3, None, b"folder", [tmp_path, 3]):
        with pytest.raises(UserInputError, match=r"images is .*, but must be the path of a folder"):
            existing_folders(given)  # type: ignore[arg-type]
