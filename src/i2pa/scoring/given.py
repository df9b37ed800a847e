"""The forms in which a caller may give a picture."""

from __future__ import annotations

import os
from collections.abc import Iterable
from io import IOBase
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np
from PIL import Image

from i2pa.errors import UserInputError, require
from i2pa.images.failure import unreadable
from i2pa.images.find import Found
from i2pa.images.limits import Limits
from i2pa.images.transforms import Picture

Plain: TypeAlias = Picture | bytearray | memoryview | BinaryIO
"""A path, the bytes of a file, a binary file, a PIL image or a uint8 array."""
Given: TypeAlias = Plain | Found

_KINDS = (str, Path, bytes, bytearray, memoryview, Image.Image, np.ndarray, Found, IOBase)


def check_several(given: object) -> None:
    """Raise UserInputError unless these are pictures, not one of them or a folder."""
    if isinstance(given, str | Path) and os.path.isdir(given):  # noqa: PTH112 (never raises)
        raise UserInputError(
            "a list of pictures is needed, not a folder",
            where=str(given),
            remedy="give i2pa.pictures_in(folder)",
        )
    if isinstance(given, _KINDS) or hasattr(given, "read"):
        raise UserInputError(
            "a list of pictures is needed",
            remedy="use score_one, or give i2pa.pictures_in(place) for what a list or table names",
        )
    require(isinstance(given, Iterable), "pictures", given, "a list of pictures")


def as_picture(given: Plain, name: str, limits: Limits) -> Picture:
    """The same with bytes for what holds them; a file is read on from where it is, then left.

    Raises ImageError where it cannot be read, or holds too much or nothing; UserInputError for a
    file of text.
    """
    if isinstance(given, bytearray | memoryview):
        return bytes(given)
    if isinstance(given, str | Path | bytes | Image.Image | np.ndarray):
        return given
    return _read(given, name, limits)


def name_of(given: object, place: int) -> str:
    """What results call a picture that has no path: the name it brings, or its place."""
    for attribute in ("filename", "name"):
        name = getattr(given, attribute, None)
        # A file opened by its number has that for a name.
        if isinstance(name, str | Path) and str(name):
            return str(name)
    return f"#{place}"


def _read(file: BinaryIO, name: str, limits: Limits) -> bytes:
    if not hasattr(file, "read"):
        raise UserInputError(
            f"cannot score a picture given as {type(file).__name__}",
            remedy="give a path, bytes, a PIL image or a uint8 array with values 0 to 255",
        )
    data = bytearray()
    try:
        # Some give less than was asked for.
        while len(data) <= limits.file_bytes:
            piece = file.read(limits.file_bytes + 1 - len(data))
            if isinstance(piece, str):
                raise UserInputError("a file of text", where=name, remedy="open it with 'rb'")
            if not piece:
                break
            data += piece
    except (OSError, ValueError) as error:
        raise unreadable(name, error) from error
    limits.check_file(len(data), name)
    return bytes(data)
