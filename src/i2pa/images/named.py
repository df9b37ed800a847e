"""Pictures that a table names: by paths relative to one of some folders."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeAlias

from i2pa.errors import ArgumentError, UserInputError

AnyPath: TypeAlias = str | os.PathLike[str]
Folders: TypeAlias = AnyPath | Sequence[AnyPath]
"""One folder, or several in the order in which they are searched."""


def existing_folders(images: Folders) -> list[Path]:
    """The folders given as `images`.

    Raises UserInputError for anything but paths, and for a folder that does not exist.
    """
    given = [images] if isinstance(images, (str, os.PathLike)) else images
    if not isinstance(given, Iterable) or isinstance(given, bytes):
        raise _no_folders(images)
    folders = []
    for folder in given:
        if not isinstance(folder, (str, os.PathLike)):
            raise _no_folders(folder)
        folders.append(Path(folder))
    for folder in folders:
        if not folder.is_dir():
            raise UserInputError("no such folder of pictures", where=str(folder))
    return folders


def find_named(name: str, folders: Iterable[Path]) -> Path | None:
    """The file called `name` in the first of `folders` that holds it."""
    # What Path.is_file makes of names that no file can have depends on Python's version.
    return next((f / name for f in folders if os.path.isfile(f / name)), None)  # noqa: PTH113


def _no_folders(given: object) -> ArgumentError:
    return ArgumentError("images", given, "the path of a folder, or paths of several")
