"""The pictures a person kept and rejected, from folders, lists of paths or single files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from i2pa.errors import DataError, UserInputError
from i2pa.images.find import pictures_in

LIST_SUFFIX = ".txt"


@dataclass(frozen=True)
class Given:
    """A picture file that was given, and its folder below the place given (empty if none)."""

    path: Path
    subfolder: str
    kept: bool


def given_pictures(places: Sequence[Path], images: Path | None, *, kept: bool) -> list[Given]:
    """Every picture in `places`: folders (in depth), lists (.txt, a path a line) and files.

    Paths in a list are relative to `images`, or, where that is None, to the list's own folder.
    Raises UserInputError where a place does not exist or is no such list, and DataError where
    there is no picture.
    """
    found: list[Given] = []
    for place in places:
        if place.is_file() and place.suffix.lower() == LIST_SUFFIX:
            found += _listed(place, images or place.parent, kept)
        else:
            paths = pictures_in([place])
            root = place if place.is_dir() else place.parent
            found += [Given(path, _below(path.relative_to(root)), kept) for path in paths]
    return found


def _listed(place: Path, images: Path, kept: bool) -> list[Given]:
    try:
        lines = place.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserInputError(
            f"cannot be read as a list of paths ({error})", where=str(place)
        ) from error
    paths = [Path(line.strip()) for line in lines if line.strip()]
    if not paths:
        raise DataError("the list is empty", where=str(place), remedy="write a path a line")
    return [
        Given(images / path, "" if path.is_absolute() else _below(path), kept) for path in paths
    ]


def _below(path: Path) -> str:
    parent = path.parent.as_posix()
    return "" if parent == "." else parent
