"""Regular files of pictures, opened within limits: a pipe or a device never blocks."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from i2pa.errors import ImageError
from i2pa.images.failure import unreadable
from i2pa.images.limits import LIMITS, Limits

_OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def read_bytes(path: Path, limits: Limits = LIMITS) -> bytes:
    """The bytes of the regular file at `path`.

    Raises ImageError where there is no such file, it is no regular file (a pipe would block), it
    is empty, cannot be read, or is larger than `limits.file_bytes`.
    """
    with open_file(path, limits) as file, _as_unreadable(path):
        return file.read()


@contextlib.contextmanager
def open_file(path: Path, limits: Limits = LIMITS) -> Iterator[BinaryIO]:
    """The regular file at `path`, opened. Raises ImageError as `read_bytes` does."""
    with _as_unreadable(path), contextlib.ExitStack() as undo:
        # A pipe put in the file's place must not block the opening.
        handle = os.open(path, _OPEN_FLAGS)
        undo.callback(os.close, handle)
        _check_file(os.fstat(handle), path, limits)
        undo.pop_all()
    with open(handle, "rb") as file:  # noqa: PTH123 (a handle has no path)
        yield file


@contextlib.contextmanager
def _as_unreadable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        if isinstance(error, PermissionError) and os.path.isdir(path):  # noqa: PTH112 (never raises)
            what = "a folder that cannot be opened"
            raise ImageError(what, kind="not_a_file", where=str(path)) from error
        raise unreadable(str(path), error) from error


def _check_file(status: os.stat_result, path: Path, limits: Limits) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise ImageError(
            "a folder, not a picture",
            kind="not_a_file",
            where=str(path),
            remedy="i2pa rank takes folders; in Python, give i2pa.pictures_in(folder)",
        )
    if not stat.S_ISREG(status.st_mode):
        raise ImageError("not a file", kind="not_a_file", where=str(path))
    limits.check_file(status.st_size, str(path))
