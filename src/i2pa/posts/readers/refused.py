"""Files that are told by their bytes and refused before anything of them is read as a table."""

from __future__ import annotations

import shlex
from pathlib import Path

from i2pa.errors import DataError

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_HEAD = 1 << 12
_CONTROLS = bytes({*range(0x20)} - set(b"\t\n\v\f\r"))
# Text has next to none; of noise and compressed data they are a tenth.
_MOST_CONTROLS = 0.02


def refuse_zip(path: Path) -> None:
    """Raise DataError for a ZIP file, which is how Instagram hands out an account's export."""
    if _head(path).startswith(_ZIP):
        raise DataError("is a ZIP file", where=str(path), remedy="unpack it first")


def refuse_utf_16(path: Path) -> None:
    """Raise DataError for text in UTF-16, with or without a mark of its byte order."""
    codec = _utf_16(_head(path))
    if codec is not None:
        old, new = shlex.quote(path.name), shlex.quote(f"{path.stem}-utf8{path.suffix}")
        raise DataError(
            "is UTF-16, where UTF-8 is needed",
            where=str(path),
            remedy=f"convert it: iconv -f {codec} -t utf-8 {old} > {new}",
        )


def refuse_binary(path: Path) -> None:
    """Raise DataError for what is no text: pictures, noise. Single bytes that are none may be."""
    head = _head(path)
    first = head.split(b"\n", 1)[0]
    controls = len(head) - len(head.translate(None, _CONTROLS))
    if b"\0" in first or (controls > _MOST_CONTROLS * len(head) and not _is_utf_8(head)):
        raise DataError(
            "is binary data, not a table",
            where=str(path),
            remedy="name an export: CSV, TSV, JSON Lines, Parquet or another of --format",
        )


def _utf_16(head: bytes) -> str | None:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    zeros = [byte == 0 for byte in head[:4]]
    if zeros == [False, True, False, True]:
        return "utf-16le"
    return "utf-16be" if zeros == [True, False, True, False] else None


def _is_utf_8(head: bytes) -> bool:
    try:
        head.decode()
    except UnicodeDecodeError as error:
        # A character that the head's end cuts in two is none the less text.
        return error.reason == "unexpected end of data"
    return True


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD)
