"""Copies of ranked pictures in a folder of their own, their names in the order of the ranking.

Originals are only read. A file that exists is never written over.
"""

from __future__ import annotations

import errno
import filecmp
import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from i2pa.errors import DataError, ImageError, UserInputError
from i2pa.files import whole_file
from i2pa.images.failure import Failure
from i2pa.images.globs import is_pattern, may_match
from i2pa.scoring.results import Progress, RankedPicture

_CHUNK = 1 << 20
_DIGITS = 3
_NUMBERED = re.compile(r"\d{3,}_")
# Of this name alone, as file systems have it; any other error stops them all.
_BAD_NAME = {errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ}
_FULL = {errno.ENOSPC, errno.EDQUOT}
_GO_ON = "make room and run the same command again"


@dataclass(frozen=True)
class Copy:
    """One file to copy, and where to."""

    source: Path
    target: Path


@dataclass(frozen=True)
class Copies:
    """What became of a plan: files copied, those that were there already, and failures."""

    copied: tuple[Copy, ...]
    same: tuple[Copy, ...]
    failures: tuple[Failure, ...]


def check_apart(folder: Path, places: Iterable[str | Path], names: Iterable[str] = ()) -> None:
    """Raise UserInputError where copies in `folder` would be ranked with the originals next time.

    `places` are the folders, files and patterns of files that are ranked, `names` those of the
    files that may be copied.
    """
    if folder.exists() and not folder.is_dir():
        raise UserInputError("is no folder", where=str(folder), remedy="name a folder to copy to")
    places = list(places)
    real = Path(os.path.realpath(folder))
    for place in places:
        ranked = Path(os.path.realpath(place))
        if ranked.is_dir() and real.is_relative_to(ranked):
            raise UserInputError(
                f"lies in the ranked folder {place}, so its copies would be ranked next time",
                where=str(folder),
                remedy=f"name a folder elsewhere, such as {ranked.parent / f'{ranked.name}-best'}",
            )
    copies = [folder / f"{1:0{_DIGITS}}_{name}" for name in names]
    folders = (folder, *folder.parents)
    for pattern in (Path(p) for p in places if is_pattern(Path(p)) and not os.path.lexists(p)):
        if any(may_match(pattern, found) for found in (*copies, *folders)):
            raise UserInputError(
                f"lies where {pattern} looks, so its copies would be ranked next time",
                where=str(folder),
                remedy="name a folder elsewhere",
            )


def plan_copies(items: Sequence[RankedPicture], folder: Path) -> list[Copy]:
    """Which file goes where: `001_name.jpg` by rank, twins under the same number.

    Two pictures of one rank and name are told apart by `_2`, `_3` and so on.
    """
    width = max([_DIGITS, *(len(str(item.rank)) for item in items)])
    taken: set[str] = set()
    plan: list[Copy] = []
    for item in items:
        files = item.files
        prefix = f"{item.rank:0{width}}_"
        number = 1
        while True:
            mark = "" if number == 1 else f"_{number}"
            names = [f"{prefix}{file.stem}{mark}{file.suffix}" for file in files]
            # A disk may take names for equal that differ in case or in how accents are written.
            folded = {unicodedata.normalize("NFC", name).casefold() for name in names}
            if not folded & taken:
                break
            number += 1
        taken |= folded
        plan += [Copy(file, folder / name) for file, name in zip(files, names, strict=True)]
    return plan


def leftovers(plan: Sequence[Copy], folder: Path) -> int:
    """How many numbered files of other runs `folder` holds."""
    if not folder.is_dir():
        return 0
    ours = {copy.target.name for copy in plan}
    names = (entry.name for entry in folder.iterdir())
    return sum(1 for name in names if _NUMBERED.match(name) and name not in ours)


def copy_files(
    plan: Sequence[Copy], *, dry_run: bool = False, progress: Progress | None = None
) -> Copies:
    """Copy contents and times of change; a copy that is there already is skipped.

    An original that cannot be read is a failure, and the rest go on. Raises DataError, before
    anything is copied, where a target exists with other content; and where the folder cannot be
    written any more, such as on a full disk: no half file stays, and the same call goes on later.
    """
    same = [copy for copy in plan if _is_copy(copy)]
    there = set(same)
    others = [c for c in plan if c not in there and os.path.lexists(c.target)]
    if others:
        more = f" (and {len(others) - 1:,} more)" if len(others) > 1 else ""
        raise DataError(
            f"exists with other content{more}; nothing was copied",
            where=str(others[0].target),
            remedy="move it away, or name another folder",
        )
    copied: list[Copy] = []
    failures: list[Failure] = []
    for copy in plan:
        if copy not in there:
            try:
                if not dry_run:
                    _copy_one(copy)
                copied.append(copy)
            except ImageError as error:
                failures.append(Failure.of(copy.source, error))
            except (UserInputError, DataError) as error:
                number = error.__cause__.errno if isinstance(error.__cause__, OSError) else None
                if number in _BAD_NAME:
                    failures.append(Failure(str(copy.target), error.what, "rename the original"))
                    continue
                raise DataError(
                    f"{error.what}; {len(copied):,} of {len(plan) - len(same):,} files copied",
                    where=str(copy.target),
                    remedy=_GO_ON if number in _FULL else error.remedy,
                ) from error
        if progress:
            progress(len(copied) + len(same) + len(failures), len(plan))
    return Copies(tuple(copied), tuple(same), tuple(failures))


def _is_copy(copy: Copy) -> bool:
    try:
        return copy.target.is_file() and filecmp.cmp(copy.source, copy.target, shallow=False)
    except OSError:
        return False


def _copy_one(copy: Copy) -> None:
    try:
        if not copy.source.is_file():
            raise ImageError("there is no such file any more", where=str(copy.source))
        source = copy.source.open("rb")
    except OSError as error:
        raise _unreadable(copy.source, error) from error
    with source, whole_file(copy.target) as aside:
        with aside.open("wb") as out:
            while chunk := _chunk(source, copy.source):
                out.write(chunk)
            out.flush()
            os.fsync(out.fileno())
        times = os.fstat(source.fileno())
        os.utime(aside, ns=(times.st_atime_ns, times.st_mtime_ns))


def _chunk(source: IO[bytes], path: Path) -> bytes:
    try:
        return source.read(_CHUNK)
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> ImageError:
    return ImageError(f"cannot be read ({error.strerror or error})", where=str(path))
