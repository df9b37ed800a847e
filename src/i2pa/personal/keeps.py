"""The pictures a person kept and rejected, from folders, lists of paths or single files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from i2pa.images.find import found_in
from i2pa.images.lists import is_list, paths_in

_MOST_MISSING = 0.5


@dataclass(frozen=True)
class Given:
    """A picture that was given, its folder below the place given (or empty), and its RAW files."""

    path: Path
    subfolder: str
    kept: bool
    twins: tuple[Path, ...] = ()

    @property
    def real_files(self) -> set[str]:
        """All files of the picture, links resolved."""
        return {os.path.realpath(file) for file in (self.path, *self.twins)}


def kept_and_rejected(
    keeps: Sequence[Path], rejects: Sequence[Path], images: Path | None
) -> list[Given]:
    """Every picture of both sides once; what is kept is not rejected.

    So the rejects may be the album that the keeps are from. A RAW file and its JPEG are one
    picture here too. Raises as `given_pictures`.
    """
    kept = given_pictures(keeps, images, kept=True)
    kept_files = {file for picture in kept for file in picture.real_files}
    rejected = [
        picture
        for picture in given_pictures(rejects, images, kept=False)
        if not picture.real_files & kept_files
    ]
    return list({picture.path: picture for picture in (*rejected, *kept)}.values())


def given_pictures(places: Sequence[Path], images: Path | None, *, kept: bool) -> list[Given]:
    """Every picture in `places`, which are all that `find` knows.

    Paths in a list or table are relative to `images`, or, where that is None, to its own folder.
    Raises UserInputError where a place does not exist, and DataError where there is no picture or
    half of the files of a list are missing.
    """
    found: list[Given] = []
    for place in places:
        if is_list(place):
            found += _listed(place, images or place.parent, kept)
        else:
            for one in found_in([place], base=images):
                inside = place.is_dir() and one.path.is_relative_to(place)
                subfolder = _below(one.path.relative_to(place)) if inside else ""
                found.append(Given(one.path, subfolder, kept, one.twins))
    return found


def _listed(place: Path, images: Path, kept: bool) -> list[Given]:
    paths = paths_in(
        place,
        images,
        most_missing=_MOST_MISSING,
        remedy="--images DIR names the folder that its paths start from",
    )
    return [
        Given(path, _below(path.relative_to(images)) if path.is_relative_to(images) else "", kept)
        for path in paths
    ]


def _below(path: Path) -> str:
    parent = path.parent.as_posix()
    return "" if parent == "." else parent
