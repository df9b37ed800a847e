"""Star ratings in sidecars beside the pictures, for Lightroom, darktable, digiKam and their kin.

Decides how many stars a picture gets, which sidecar says so, and when a rating is left alone. A
picture itself is never changed. How a sidecar is read and edited is the business of `xmp`.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal

from PIL import Image

from i2pa.errors import DataError, I2paError
from i2pa.files import whole_file
from i2pa.images.failure import Failure
from i2pa.images.formats import RAW_SUFFIXES
from i2pa.metrics.reference import LEVELS
from i2pa.scoring.results import Progress, RankedPicture
from i2pa.scoring.xmp import REJECTED, new_sidecar, rating_of, with_rating

LARGEST = 64_000_000
"""Bytes of a sidecar; masks painted by hand make some of several megabytes."""

_SUFFIX = ".xmp"
_EXIF_RATING = 0x4746
_REMEDIES: dict[int | None, str] = {
    errno.ENAMETOOLONG: "shorten the picture's name",
    errno.ENOSPC: "make room and run the same command again",
    errno.EDQUOT: "make room and run the same command again",
}
_WITH_METADATA = ("JPEG", "PNG", "WEBP", "TIFF")


class StarsBy(StrEnum):
    """What stars stand for: a picture's fifth of this set, or its level in the reference."""

    RANK = "rank"
    LEVELS = "levels"


class SidecarName(StrEnum):
    """How a new sidecar of `a.jpg` is called: `a.xmp` or `a.jpg.xmp`."""

    LIGHTROOM = "lightroom"
    DARKTABLE = "darktable"


Outcome = Literal["created", "changed", "kept", "same"]


@dataclass(frozen=True)
class Rated:
    """One sidecar: the stars of its picture, and what became of it.

    `kept` left the rating `was` alone, which somebody else has given; `same` had these stars.
    """

    path: str
    stars: int
    outcome: Outcome
    was: float | None


@dataclass(frozen=True)
class Ratings:
    """Every sidecar looked at, and those that could not be rated."""

    rated: tuple[Rated, ...]
    failures: tuple[Failure, ...]


def stars_of(items: Sequence[RankedPicture], by: StarsBy = StarsBy.RANK) -> list[int]:
    """1 to 5 stars for each picture.

    By rank, the best fifth of `items` gets five; pictures of one rank share the middle of their
    places. By levels, poor to excellent.
    """
    if by is StarsBy.LEVELS:
        return [LEVELS.index(item.level) + 1 for item in items]
    ranks = sorted(item.rank for item in items)
    first = {rank: place for place, rank in reversed(list(enumerate(ranks)))}
    last = {rank: place for place, rank in enumerate(ranks)}
    middles = [(first[item.rank] + last[item.rank] + 1) / 2 for item in items]
    return [5 - int(5 * middle / len(items)) for middle in middles]


def rate(
    items: Sequence[RankedPicture],
    *,
    by: StarsBy = StarsBy.RANK,
    name: SidecarName = SidecarName.LIGHTROOM,
    overwrite: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Ratings:
    """Write the stars of ranked pictures into sidecars beside them.

    Sidecars that exist, in either manner of naming, are changed; where a picture has none, one is
    made. A rating that is there is kept unless `overwrite`; a rejected picture stays rejected
    always. `dry_run` writes nothing and tells all the same.
    """
    folders = _Folders()
    rated: list[Rated] = []
    failures: list[Failure] = []
    done: set[Path] = set()
    for number, (item, stars) in enumerate(zip(items, stars_of(items, by), strict=True), start=1):
        files = item.files
        for sidecar, exists in _sidecars(files, folders, done, name):
            try:
                rated.append(_rate_one(sidecar, files, stars, exists, overwrite, dry_run))
            except I2paError as error:
                failures.append(Failure.of(sidecar, error))
            done.add(sidecar)
        if progress:
            progress(number, len(items))
    return Ratings(tuple(rated), tuple(failures))


class _Folders:
    """Which sidecars and RAW files a folder holds, each folder read once."""

    def __init__(self) -> None:
        self._listed: dict[Path, tuple[dict[str, Path], set[str]]] = {}

    def sidecar(self, folder: Path, stem: str) -> Path | None:
        """The sidecar `stem.xmp`, its suffix in capitals or not."""
        return self._of(folder)[0].get(stem)

    def raw(self, folder: Path, stem: str) -> bool:
        """Whether there is a RAW file of that stem, in capitals or not."""
        return stem.casefold() in self._of(folder)[1]

    def _of(self, folder: Path) -> tuple[dict[str, Path], set[str]]:
        if folder not in self._listed:
            try:
                files = list(folder.iterdir())
            except OSError:
                # Whoever writes there will say so.
                files = []
            self._listed[folder] = (
                {file.stem: file for file in files if file.suffix.lower() == _SUFFIX},
                {file.stem.casefold() for file in files if file.suffix.lower() in RAW_SUFFIXES},
            )
        return self._listed[folder]


def _sidecars(
    files: Sequence[Path], folders: _Folders, done: set[Path], name: SidecarName
) -> list[tuple[Path, bool]]:
    """The sidecars of one picture and its twins, and whether they exist; some, never none.

    A sidecar that a better picture of the same stem has claimed is not shared. Beside a RAW file,
    `a.xmp` is that file's and its twins', whoever comes first.
    """
    last = files[-1]
    foreign = last.suffix.lower() not in RAW_SUFFIXES and folders.raw(last.parent, last.stem)
    stems = [(file.parent, file.name) for file in files]
    if not foreign:
        stems += [(file.parent, file.stem) for file in files]
    found = [sidecar for at in stems if (sidecar := folders.sidecar(*at)) is not None]
    if found := [sidecar for sidecar in dict.fromkeys(found) if sidecar not in done]:
        return [(sidecar, True) for sidecar in found]
    full = [file.parent / f"{file.name}{_SUFFIX}" for file in files]
    if name is SidecarName.DARKTABLE:
        return [(sidecar, False) for sidecar in full]
    # Lightroom looks for the name of the RAW file, which is a twin wherever there is one.
    short = last.parent / f"{last.stem}{_SUFFIX}"
    taken = foreign or short in done or os.path.lexists(short)
    return [(full[0] if taken else short, False)]


def _rate_one(
    sidecar: Path, files: Sequence[Path], stars: int, exists: bool, overwrite: bool, dry_run: bool
) -> Rated:
    data = _read(sidecar) if exists else b""
    was = rating_of(data) if exists else _rating_within(files)
    kept: Outcome = "same" if was == stars else "kept"
    if was in (REJECTED, stars) or (was is not None and not overwrite):
        return Rated(str(sidecar), stars, kept, was)
    written = with_rating(data, stars) if exists else new_sidecar(stars)
    # Renaming would replace what its owner has locked.
    if exists and not os.access(sidecar, os.W_OK):
        raise DataError("is write-protected", remedy="left alone")
    if not dry_run:
        _write(sidecar, written, exists)
    return Rated(str(sidecar), stars, "changed" if exists else "created", was)


def _read(sidecar: Path) -> bytes:
    try:
        if not sidecar.is_file():
            raise DataError("is no regular file")
        if sidecar.stat().st_size > LARGEST:
            raise DataError(f"is larger than {LARGEST // 1_000_000} MB, so no sidecar")
        return sidecar.read_bytes()
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror or error})") from error


def _write(sidecar: Path, data: bytes, exists: bool) -> None:
    try:
        mode = sidecar.stat().st_mode if exists else None
        with whole_file(sidecar) as aside:
            aside.write_bytes(data)
        if mode is not None:
            sidecar.chmod(mode)
    except OSError as error:
        raise DataError(f"cannot be written ({error.strerror or error})") from error
    except I2paError as error:
        # A sidecar has its place beside the picture, so another is no remedy.
        number = error.__cause__.errno if isinstance(error.__cause__, OSError) else None
        raise DataError(error.what, remedy=_REMEDIES.get(number, "")) from error


def _rating_within(files: Sequence[Path]) -> float | None:
    """A rating that a camera or program wrote into a picture, which a new sidecar would hide."""
    return next((rating for file in files for rating in _embedded(file) if rating), None)


def _embedded(file: Path) -> Iterator[float | None]:
    try:
        with Image.open(file, formats=_WITH_METADATA) as image:
            packet = image.info.get("xmp")
            exif = image.getexif().get(_EXIF_RATING)
    except Exception:
        # A file of another kind, or a damaged one: no rating to be read there.
        return
    if packet:
        yield _or_none(lambda: rating_of(packet if isinstance(packet, bytes) else packet.encode()))
    if exif is not None:
        yield _or_none(lambda: float(exif))


def _or_none(rating: Callable[[], float | None]) -> float | None:
    try:
        return rating()
    except (DataError, TypeError, ValueError):
        return None
