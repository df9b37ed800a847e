"""Bytes out of files, compressed or not, and lines out of bytes, in bounded memory.

gzip, zstd, xz and bzip2 are told by their first bytes. A file that is cut short or damaged gives
all that came before the fault, then `CutShortError`. What the lines say stays out.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa

from i2pa.errors import needs_extra
from i2pa.posts.readers.source import Broken

LONGEST_LINE = 1 << 25
"""Bytes; longer lines are broken rows, and never held in memory."""

_BATCH = 1 << 24
# zstd makes up to 32,768 bytes of one; so little at a time keeps even a hostile file bounded.
_ZSTD_IN = 1 << 13
_XZ_IN = 1 << 16
_GZIP_OUT = 1 << 20
_XZ_MEMORY = 1 << 30
# Reddit's dumps are made with a window of 2 GB.
_ZSTD_WINDOW = 1 << 31

_MAGIC = {
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ\x00": "xz",
    b"BZh": "bzip2",
    b"\x1f\x8b": "gzip",
}


class CutShortError(Exception):
    """A compressed file ends before its time, or is damaged; says how."""


@dataclass(frozen=True)
class Lines:
    """Lines that are not empty (binary), their numbers from 1 (int64), and broken rows.

    `damage` of a compressed file comes with the last lines, and stands among the broken rows too.
    """

    lines: pa.Array
    rows: pa.Array
    broken: list[Broken]
    damage: str = ""


def compression(path: Path) -> str | None:
    """`gzip`, `zstd`, `xz`, `bzip2` or None, by the first bytes."""
    with path.open("rb") as file:
        head = file.read(6)
    return next((name for magic, name in _MAGIC.items() if head.startswith(magic)), None)


def chunks(path: Path) -> Iterator[bytes]:
    """The decompressed bytes of a file, some megabytes at most at a time."""
    packed = compression(path)
    with path.open("rb") as file:
        if packed is None:
            yield from iter(lambda: file.read(_BATCH), b"")
        elif packed == "zstd":
            yield from _unpack_zstd(file)
        elif packed == "gzip":
            yield from _unpack_gzip(file)
        else:
            yield from _unpack(file, packed)


def _unpack_zstd(file: IO[bytes]) -> Iterator[bytes]:
    with needs_extra("reading .zst", "data"):
        import zstandard
    factory = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    machine = factory.decompressobj()
    begun = False
    for data in iter(lambda: file.read(_ZSTD_IN), b""):
        left = data
        while left:
            try:
                made = machine.decompress(left)
            except zstandard.ZstdError as error:
                raise CutShortError(f"the zstd data is damaged ({error})") from error
            begun = not machine.eof
            left = machine.unused_data if machine.eof else b""
            if machine.eof:
                machine = factory.decompressobj()
            if made:
                yield made
    if begun:
        raise CutShortError("the zstd data is cut short")


def _unpack_gzip(file: IO[bytes]) -> Iterator[bytes]:
    with gzip.GzipFile(fileobj=file) as unpacked:
        try:
            yield from iter(lambda: unpacked.read1(_GZIP_OUT), b"")
        except EOFError as error:
            raise CutShortError("the gzip data is cut short") from error
        except (zlib.error, gzip.BadGzipFile) as error:
            raise CutShortError(f"the gzip data is damaged ({error})") from error


def _unpack(file: IO[bytes], packed: str) -> Iterator[bytes]:
    """xz and bzip2, of one stream or several."""

    def begin() -> Any:
        if packed == "xz":
            return lzma.LZMADecompressor(memlimit=_XZ_MEMORY)
        return bz2.BZ2Decompressor()

    machine, data = begin(), file.read(_XZ_IN)
    while data or not machine.needs_input:
        try:
            made = machine.decompress(data, _BATCH)
        except (lzma.LZMAError, OSError, ValueError) as error:
            raise CutShortError(f"the {packed} data is damaged ({error})") from error
        if made:
            yield made
        data = b""
        if machine.eof:
            # Streams may be padded with zeros.
            data = machine.unused_data.lstrip(b"\0") or file.read(_XZ_IN).lstrip(b"\0")
            if not data:
                return
            machine = begin()
        elif machine.needs_input:
            data = file.read(_XZ_IN)
    raise CutShortError(f"the {packed} data is cut short")


def peek(path: Path, n: int = 1 << 16) -> bytes:
    """The first `n` decompressed bytes, or fewer where there are no more; damage is ignored."""
    found = b""
    try:
        for chunk in chunks(path):
            found += chunk
            if len(found) >= n:
                break
    except CutShortError:
        pass
    return found[:n].removeprefix(b"\xef\xbb\xbf")


def line_batches(path: Path) -> Iterator[Lines]:
    """The lines of a file, a batch at a time; what came before a fault stays."""
    row = 1
    pieces: list[bytes] = []
    size = 0
    damage = ""
    stream = _gathered(path)
    while True:
        try:
            chunk = next(stream, None)
        except CutShortError as error:
            damage, chunk = str(error), None
        broken: list[Broken] = []
        closed: list[bytes] = []
        parts = chunk.split(b"\n") if chunk is not None else [b"", b""]
        first = row
        for i, part in enumerate(parts):
            if i:
                if size > LONGEST_LINE:
                    reason = f"the line is longer than {LONGEST_LINE >> 20} MB"
                    broken.append((row, reason, b"".join(pieces)[:100].decode(errors="replace")))
                    closed.append(b"")
                else:
                    closed.append(b"".join(pieces))
                row, pieces, size = row + 1, [], 0
            # The text of a line that is too long is not kept.
            if part and size <= LONGEST_LINE:
                pieces.append(part)
            size += len(part)
        if damage:
            closed, broken = [], [(first, f"{damage}; the rest is lost", None)]
        elif closed and first == 1:
            closed[0] = closed[0].removeprefix(b"\xef\xbb\xbf")
        filled = [(n, line) for n, line in enumerate(closed, first) if line and line != b"\r"]
        lines = pa.array([line for _, line in filled], pa.binary())
        rows = pa.array(np.array([n for n, _ in filled], dtype=np.int64))
        yield Lines(lines, rows, broken, damage)
        if chunk is None:
            return


def _gathered(path: Path) -> Iterator[bytes]:
    """Chunks joined to at least a batch each; what came before a fault is given before it."""
    found: list[bytes] = []
    size = 0
    fault: CutShortError | None = None
    try:
        for chunk in chunks(path):
            found.append(chunk)
            size += len(chunk)
            if size >= _BATCH:
                yield b"".join(found)
                found, size = [], 0
    except CutShortError as error:
        fault = error
    if found:
        yield b"".join(found)
    if fault is not None:
        raise fault
