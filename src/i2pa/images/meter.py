"""A file that may be read only so often: what keeps parsers busy for minutes is told by that.

Headers are parsed in Python, segment by segment, strip by strip, so a file of a few megabytes can
cost minutes and gigabytes before any pixel is decoded. No honest picture comes near these bounds,
or it only takes the longer way.
"""

from __future__ import annotations

import io
from typing import Any, BinaryIO

HEADER_READS = 20_000
HEADER_BYTES = 1 << 20
# Data come in pieces of 8 kB and more, each read in a few calls; strips may be rows.
_LOADING_READS = 50_000
_BYTES_A_READ = 1000


class TooMuchWorkError(Exception):
    """The picture is no light one: it is to be decoded where that can be stopped."""


class Metered:
    """Reads as `file` does, until more was read than a light picture needs; then never again.

    What is read whole in one call (WebP, AVIF) does not count. Raises TooMuchWorkError.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._reads = HEADER_READS
        self._bytes: float = HEADER_BYTES

    def read(self, size: int = -1) -> bytes:
        """As the file's, while the allowance lasts."""
        self._reads -= 1
        self._bytes -= max(size, 0)
        if self._reads < 0 or self._bytes < 0:
            raise TooMuchWorkError
        return self._file.read(size)

    def header_is_read(self) -> None:
        """From here on pixels are read: as many bytes as there are, in proportion as often."""
        place = self._file.tell()
        size = self._file.seek(0, io.SEEK_END)
        self._file.seek(place)
        self._reads = _LOADING_READS + size // _BYTES_A_READ
        self._bytes = float("inf")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
