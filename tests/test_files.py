"""What goes wrong while a file is written: nothing half stays, and whose fault it is."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from i2pa.errors import DataError, I2paError, UserInputError
from i2pa.files import whole_file


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, DataError),
        (errno.EDQUOT, DataError),
        (errno.EIO, DataError),
        (errno.EACCES, UserInputError),
        (errno.EROFS, UserInputError),
    ],
)
def test_a_full_disk_is_failed_work_and_a_bad_place_wrong_usage(
    tmp_path: Path, number: int, kind: type[I2paError]
) -> None:
    out = tmp_path / "r.csv"
    out.write_text("old")

    def write() -> None:
        with whole_file(out) as aside:
            aside.write_text("half")
            raise OSError(number, os.strerror(number))

    with pytest.raises(kind, match=os.strerror(number)):
        write()
    assert [file.read_text() for file in tmp_path.iterdir()] == ["old"]


def test_the_longest_name_a_disk_takes_can_be_written(tmp_path: Path) -> None:
    out = tmp_path / ("日" * 83 + ".csv")
    with whole_file(out) as aside:
        aside.write_text("new")
    assert [file.name for file in tmp_path.iterdir()] == [out.name]


def test_a_name_too_long_and_a_folder_are_wrong_usage(tmp_path: Path) -> None:
    for out in (tmp_path / ("x" * 300), tmp_path / ("x" * 300) / "r.csv", tmp_path):
        with pytest.raises(UserInputError), whole_file(out):
            pass
