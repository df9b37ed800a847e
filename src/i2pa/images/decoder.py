"""Decodes pictures for a model, with the time they were taken."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from PIL import Image

from i2pa.errors import ImageError
from i2pa.images.open import LIMITS, Limits, read_bytes
from i2pa.images.transforms import Picture, Pixels, Transform

_EXIF_IFD = 0x8769
_TAKEN = 0x9003
_TAKEN_SUBSEC = 0x9291


@dataclass(frozen=True)
class Decoded:
    """The model's input, uint8 [size, size, 3], and the camera's time (no zone) where known."""

    pixels: Pixels
    taken: datetime | None


class Decoder:
    """Decodes pictures by one transform; threads may share it."""

    def __init__(self, transform: Transform, *, limits: Limits = LIMITS) -> None:
        self._transform = transform
        self._limits = limits

    def decode(self, picture: Picture) -> Decoded:
        """Raises ImageError where the picture cannot be read."""
        if isinstance(picture, str | Path):
            return self.decode_bytes(read_bytes(Path(picture), self._limits), str(picture))
        if isinstance(picture, bytes):
            return self.decode_bytes(picture, "<bytes>")
        return Decoded(self._transform.pixels(picture, self._limits), None)

    def decode_bytes(self, data: bytes, where: str) -> Decoded:
        """As `decode`, for the bytes of a file that errors call `where`."""
        try:
            return Decoded(self._transform.pixels(data, self._limits), _taken(data))
        except ImageError as error:
            raise ImageError(error.what, where=where, remedy=error.remedy) from error

    def close(self) -> None:
        """Nothing is held here."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()


def _taken(data: bytes) -> datetime | None:
    with contextlib.suppress(Exception), Image.open(io.BytesIO(data)) as image:
        tags = image.getexif().get_ifd(_EXIF_IFD)
        subsec = str(tags.get(_TAKEN_SUBSEC, "0")).strip("\x00 ") or "0"
        return datetime.strptime(f"{tags[_TAKEN]}.{subsec[:6]}", "%Y:%m:%d %H:%M:%S.%f")
    return None
