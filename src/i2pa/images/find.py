"""Which files are the pictures to look at: places on a command line to a list of files.

What a list, a glob or a table names is `rows`' business; whether a file really is a picture, its
bytes decide later.
"""

from __future__ import annotations

import functools
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from i2pa.errors import DataError
from i2pa.images.formats import HEIC_SUFFIXES, JPEG_SUFFIXES, RAW_SUFFIXES, SUFFIXES
from i2pa.images.rows import listed
from i2pa.images.walk import folders_below


@dataclass(frozen=True)
class Found:
    """One picture: the file to look at, and the camera's RAW files of the same picture."""

    path: Path
    twins: tuple[Path, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """All files of the picture, the one to look at first: they are moved or rated together."""
        return (self.path, *self.twins)


def pictures_in(
    places: str | Path | Iterable[str | Path],
    *,
    column: str | None = None,
    stdin: BinaryIO | None = None,
) -> list[Path]:
    """The files of `found_in` to look at, without their twins; `places` may be one folder."""
    places = [places] if isinstance(places, str | Path) else places
    return [found.path for found in found_in(places, column=column, stdin=stdin)]


def found_in(
    places: Iterable[str | Path],
    *,
    column: str | None = None,
    stdin: BinaryIO | None = None,
    base: Path | None = None,
) -> list[Found]:
    """The pictures of all places: files, folders, globs, lists, tables, as `rows.listed` reads.

    Raises UserInputError where a place does not exist and DataError where no picture is found.
    """
    return found_among(listed(places, column=column, stdin=stdin, base=base))


def found_among(named: Iterable[Path]) -> list[Found]:
    """Files named, and pictures (by suffix) in and below the folders named, in a stable order.

    Dot-files and dot-folders are skipped; linked folders are followed once, so loops end. A file
    reached twice, by links to its folder too, is listed once, as it was first reached. A folder
    that cannot be opened is listed itself, so that scoring names it among the failures. A RAW file
    beside a JPEG or HEIC of the same name is its twin, not a picture of its own. Raises DataError
    where no picture is found.
    """
    named = list(named)
    found: dict[str, Path] = {}
    seen: set[tuple[int, int]] = set()
    real_folder = functools.cache(os.path.realpath)
    for place in named:
        for path in _below(place, seen) if _is_folder(place) else (place,):
            found.setdefault(os.path.join(real_folder(path.parent), path.name), path)  # noqa: PTH118
    if not found:
        raise DataError(
            "no pictures found",
            where=", ".join(map(str, named)),
            remedy=f"looked for files ending in {' '.join(sorted(SUFFIXES))}",
        )
    return _with_twins(found)


def _with_twins(found: dict[str, Path]) -> list[Found]:
    """The first JPEG, else HEIC, of each name in a folder takes the RAW files of that name.

    `found` has the paths by where they really are, however their folders are called.
    """
    alike: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for whole, path in found.items():
        alike[os.path.dirname(whole), path.stem.casefold()].append(path)  # noqa: PTH120
    twins: dict[Path, tuple[Path, ...]] = {}
    for group in alike.values():
        raws = tuple(path for path in group if path.suffix.lower() in RAW_SUFFIXES)
        shown = [
            path
            for suffixes in (JPEG_SUFFIXES, HEIC_SUFFIXES)
            for path in group
            if path.suffix.lower() in suffixes
        ]
        if raws and shown:
            twins[shown[0]] = raws
    hidden = {raw for raws in twins.values() for raw in raws}
    return [Found(path, twins.get(path, ())) for path in found.values() if path not in hidden]


def _is_folder(place: Path) -> bool:
    return os.path.isdir(place)  # noqa: PTH112 (never raises)


def _below(folder: Path, seen: set[tuple[int, int]]) -> Iterator[Path]:
    closed: list[Path] = []

    def remember(error: OSError) -> None:
        closed.append(Path(error.filename))

    for parent, files in folders_below(folder, seen, remember):
        for name in files:
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                yield parent / name
    yield from closed
