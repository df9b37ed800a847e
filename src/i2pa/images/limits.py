"""What a picture may cost, checked before its pixels are decoded."""

from __future__ import annotations

from dataclasses import dataclass

from i2pa.errors import ImageError, require

_MEGA = 1_000_000


@dataclass(frozen=True)
class Limits:
    """What a picture may cost. Raises UserInputError for what is no whole number above 0.

    `file_bytes` of the file; `pixels` of the picture, of a baseline JPEG `baseline_jpeg_pixels`,
    since it is decoded at a reduced scale in bounded memory; pixels on a `side`. `decode_bytes` is
    the memory that its decoder is expected to take. Pictures of more than `light_pixels` are left
    to the worker process of a `Decoder`.
    """

    file_bytes: int = 256 * _MEGA
    pixels: int = 80 * _MEGA
    baseline_jpeg_pixels: int = 250 * _MEGA
    side: int = 50_000
    decode_bytes: int = 400 * _MEGA
    light_pixels: int = 40 * _MEGA

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            whole = isinstance(value, int) and not isinstance(value, bool)
            require(whole and value > 0, f"the limit {name}", value, "a whole number above 0")

    def check_size(self, width: int, height: int, pixels: int) -> None:
        """Raise ImageError for more than `pixels`, or too many on a side."""
        if width * height > pixels or max(width, height) > self.side:
            raise ImageError(
                f"{width:,} × {height:,} pixels, over the limit of {shown_pixels(pixels)} and "
                f"{self.side:,} pixels a side",
                kind="too_large",
                remedy="save it smaller",
            )

    def check_memory(self, format: str, width: int, height: int, memory: int) -> None:
        """Raise ImageError for a picture that takes too many bytes of `memory` to decode."""
        if memory > self.decode_bytes:
            enough = -(-memory // (100 * _MEGA)) * 100
            raise ImageError(
                f"{width:,} × {height:,} pixels of {format} as it is saved take "
                f"{_shown_bytes(memory)} to decode, over the limit of "
                f"{_shown_bytes(self.decode_bytes)}",
                kind="too_large",
                remedy="save it smaller, or as baseline JPEG; rank, score and compare take more "
                f"with --decode-memory {enough}",
            )

    def check_file(self, size: int, where: str) -> None:
        """Raise ImageError for a file of too many bytes, or none."""
        if size > self.file_bytes:
            raise ImageError(
                f"{_shown_bytes(size)}, over the limit of {_shown_bytes(self.file_bytes)} a file",
                kind="too_large",
                where=where,
                remedy="save it smaller",
            )
        if not size:
            raise ImageError("the file is empty", kind="damaged", where=where)


LIMITS = Limits()


def shown_pixels(number: int) -> str:
    """A number of pixels in an error: in millions where those tell it."""
    return f"{number:,} pixels" if number % _MEGA else f"{number // _MEGA:,} megapixels"


def _shown_bytes(number: int) -> str:
    if number < _MEGA:
        return f"{number:,} bytes"
    return f"{number / _MEGA:,.{int(number < 10 * _MEGA)}f}".removesuffix(".0") + " MB"
