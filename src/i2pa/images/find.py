"""Which files below a folder are pictures to look at."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from i2pa.errors import DataError, UserInputError
from i2pa.images.open import SUFFIXES


def pictures_in(places: Iterable[str | Path]) -> list[Path]:
    """Files given, and pictures (by suffix) in and below the folders given, in a stable order.

    Dot-files and dot-folders are skipped; linked folders are followed once, so loops end. A file
    reached twice is listed once. A folder that cannot be opened is listed itself, so that scoring
    names it among the failures. Raises UserInputError where a place does not exist and DataError
    where no picture is found.
    """
    paths = [Path(place) for place in places]
    found: dict[Path, None] = {}
    for place in paths:
        if place.is_dir():
            found.update(dict.fromkeys(_below(place)))
        elif os.path.lexists(place):
            found[place] = None
        else:
            raise UserInputError("no such file or folder", where=str(place))
    if not found:
        raise DataError(
            "no pictures found",
            where=", ".join(map(str, paths)),
            remedy=f"looked for files ending in {' '.join(sorted(SUFFIXES))}",
        )
    return list(found)


def _below(folder: Path) -> Iterator[Path]:
    seen: set[tuple[int, int]] = set()
    closed: list[Path] = []

    def remember(error: OSError) -> None:
        closed.append(Path(error.filename))

    for parent, folders, files in os.walk(folder, onerror=remember, followlinks=True):
        status = Path(parent).stat()
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                yield Path(parent, name)
    yield from closed
