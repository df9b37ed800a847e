"""Lists of paths, in a file or on standard input.

A list has one path a line, as the page of a ranking saves its favourites: a path that a line cannot
hold stands as a JSON string. On stdin each may end with NUL instead, and is then taken as it is.
"""

from __future__ import annotations

import codecs
import io
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

from i2pa.errors import DataError, UserInputError
from i2pa.images.formats import SUFFIXES, begins_like_a_picture
from i2pa.images.tables import SUFFIXES as TABLES

STDIN = "-"
LIST_SUFFIX = ".txt"
# Enough to tell a list by its first lines.
_HEAD = 1 << 14
_CHUNK = 1 << 20
# But for NUL and white space.
_CONTROLS = frozenset({*range(1, 9), *range(14, 32)})
_MOST_CONTROLS = 32
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def is_list(place: Path) -> bool:
    """Whether a file is a list of paths: called .txt, or a text whose first lines name pictures.

    What begins like a picture is one, whatever it is called.
    """
    suffix = place.suffix.lower()
    if suffix in SUFFIXES or suffix in TABLES or not os.path.isfile(place):  # noqa: PTH113
        return False
    try:
        with place.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        # Reading it as a list says why it cannot be.
        return suffix == LIST_SUFFIX
    if begins_like_a_picture(head):
        return False
    if suffix == LIST_SUFFIX:
        return True
    whole = head if len(head) < _HEAD else head[: head.rfind(b"\n") + 1]
    names = list(names_in(io.BytesIO(whole)))[:20]
    return bool(names) and all(Path(name).suffix.lower() in SUFFIXES for name in names)


def paths_in(
    place: Path, base: Path | None = None, *, most_missing: float = 1.0, remedy: str = ""
) -> list[Path]:
    """The paths that the list at `place` names, below `base` (None: below the list's folder).

    Raises UserInputError where it cannot be read; DataError where it is empty, or where so large a
    share of its files is missing (`most_missing`; 1: all) that the folder must be wrong, with the
    `remedy`.
    """
    folder = place.parent if base is None else base
    with open_list(place) as file:
        paths = [path_below(folder, name) for name in names_in(file)]
    if not paths:
        raise empty_list(place)
    missing = [path for path in paths if not os.path.lexists(path)]
    if len(missing) >= most_missing * len(paths):
        raise DataError(
            f"{len(missing):,} of the {len(paths):,} files it names are not there; they were "
            f"looked for below {folder.absolute()}, the first as {missing[0]}",
            where=str(place),
            remedy=remedy
            or "put it into the folder that its paths start from, or give it there as: - < LIST",
        )
    return paths


def path_below(folder: Path, name: str) -> Path:
    """The file that a line of a list means."""
    path = folder / name
    # Spaces around a name belong to it only where such a file is there.
    return path if name == name.strip() or os.path.lexists(path) else folder / name.strip()


def empty_list(place: str | Path) -> DataError:
    """The error of a list without a line."""
    return DataError("the list is empty", where=str(place), remedy="write a path a line")


@contextmanager
def open_list(place: Path) -> Iterator[BinaryIO]:
    """The file of a list. Raises UserInputError where it cannot be read."""
    try:
        with place.open("rb") as file:
            yield file
    except OSError as error:
        raise UserInputError(
            f"cannot be read as a list of paths ({error.strerror or error})", where=str(place)
        ) from error


def read_stdin(stdin: BinaryIO | None) -> bytes:
    """All of `stdin` (the process's own where None).

    Raises UserInputError where it is closed, or begins as no list does.
    """
    try:
        if stdin is None and sys.stdin is None:
            raise OSError("it is closed")
        file = stdin or sys.stdin.buffer
        head = file.read(_HEAD)
        # Before the rest, which of a device need not end.
        _check_head(head)
        return head + file.read()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise UserInputError(
            f"no list can be read from standard input ({why})",
            where=STDIN,
            remedy="pipe a list of paths in, or name its file",
        ) from error


def _check_head(head: bytes) -> None:
    if begins_like_a_picture(head):
        raise UserInputError(
            "standard input is a picture, not a list of paths",
            where=STDIN,
            remedy="give the picture's path",
        )
    if _is_no_text(head):
        raise UserInputError(
            "standard input is no text, so no list of paths",
            where=STDIN,
            remedy="pipe a list of paths in, or name its file",
        )


def _is_no_text(head: bytes) -> bool:
    """Names may hold odd bytes and signs that control a terminal, but not so many."""
    if head.startswith(_UTF16):
        return False
    if len(head) == _HEAD and not head.strip(b"\0"):
        return True
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return sum(byte in _CONTROLS for byte in head) > _MOST_CONTROLS
    return False


def names_in(file: BinaryIO) -> Iterator[str]:
    """The names in a list: by line, or ended by NUL and then as they are."""
    if file.read(2) in _UTF16:
        file.seek(0)
        file = io.BytesIO(file.read().decode("utf-16", errors="replace").encode(errors="replace"))
    file.seek(0)
    with_nul = any(b"\0" in chunk for chunk in _chunks(file))
    file.seek(0)
    if file.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
        file.seek(0)
    if with_nul:
        yield from (os.fsdecode(name) for name in _ended_by_nul(file) if name.strip())
        return
    for lines in file:
        # A carriage return ends a line by itself, too.
        for line in lines.splitlines():
            if line.strip():
                yield _unquoted(os.fsdecode(line))


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    return iter(partial(file.read, _CHUNK), b"")


def _ended_by_nul(file: BinaryIO) -> Iterator[bytes]:
    begun = b""
    for chunk in _chunks(file):
        *whole, begun = (begun + chunk).split(b"\0")
        yield from whole
    yield begun


def _unquoted(line: str) -> str:
    """A name that stands as a JSON string in a line of its own; other lines as they are."""
    text = line.strip()
    if text.startswith('"'):
        try:
            name = json.loads(text)
            if isinstance(name, str):
                # Halves of characters stand for bytes only where the system reads them so.
                os.fsencode(name)
                return name
        except ValueError:
            pass
    return line
