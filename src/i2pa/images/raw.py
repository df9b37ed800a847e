"""Camera RAW: which picture stands for a file that holds none yet.

The JPEG that the camera embedded, where it is large enough: that is what the photographer saw.
Otherwise the sensor's data, developed plainly: the camera's white balance, sRGB, LibRaw's own
brightness, at half size where that is large enough.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from i2pa.errors import needs_extra

# What a preview must measure where the caller asks for a picture in full.
_LARGE_ENOUGH = 512
# LibRaw's turns (0, 3, 5, 6) as EXIF orientations.
_ORIENTATION_OF_FLIP = {0: 1, 3: 3, 5: 8, 6: 6}
# Sensor data and its interpolation, two bytes a sample; a whole pixel has four samples.
_SENSOR_BYTES, _FULL_BYTES, _HALF_BYTES = 2, 8 + 3 + 4, (8 + 3 + 4) // 4 + 1


@dataclass(frozen=True)
class Preview:
    """The JPEG that the camera put into the file; `orientation` is for want of its own."""

    jpeg: BinaryIO
    orientation: int
    taken: datetime | None


@dataclass(frozen=True)
class RawPicture:
    """Sensor data to develop; width and height as shown, of the picture that comes out."""

    width: int
    height: int
    bytes: int
    half: bool
    taken: datetime | None
    _raw: Any
    format: str = "RAW"

    def develop(self) -> Image.Image:
        """An upright RGB picture in sRGB."""
        import rawpy

        pixels = self._raw.postprocess(
            half_size=self.half,
            use_camera_wb=True,
            output_color=rawpy.ColorSpace.sRGB,
            output_bps=8,
        )
        return Image.fromarray(pixels)


@contextmanager
def open_raw(file: BinaryIO, at_least: int | None) -> Iterator[Preview | RawPicture | None]:
    """What stands for the RAW in `file`, or None where LibRaw knows no such camera or format.

    `at_least` as in `open.opened`. Raises MissingExtraError without the extra `formats`, and what
    LibRaw raises of damaged files.
    """
    with needs_extra("RAW", "formats"):
        import rawpy
    try:
        raw = rawpy.imread(file)
    except rawpy.LibRawFileUnsupportedError:
        yield None
        return
    with raw:
        side = at_least or _LARGE_ENOUGH
        preview = _preview(raw, side)
        yield preview if preview is not None else _sensor_data(raw, side, file)


def _preview(raw: Any, side: int) -> Preview | None:
    import rawpy

    try:
        thumbnail = raw.extract_thumb()
    except (rawpy.LibRawNoThumbnailError, rawpy.LibRawUnsupportedThumbnailError):
        return None
    if thumbnail.format != rawpy.ThumbFormat.JPEG:
        return None
    try:
        with JpegImageFile(io.BytesIO(thumbnail.data)) as image:
            large_enough = min(image.size) >= side
    except (OSError, ValueError, SyntaxError):
        return None
    turn = _ORIENTATION_OF_FLIP.get(raw.sizes.flip, 1)
    return Preview(io.BytesIO(thumbnail.data), turn, _taken(raw)) if large_enough else None


def _sensor_data(raw: Any, side: int, file: BinaryIO) -> RawPicture:
    sizes = raw.sizes
    width, height = sizes.iwidth or sizes.width, sizes.iheight or sizes.height
    if sizes.flip in (5, 6):
        width, height = height, width
    half = min(width, height) // 2 >= side
    sensor = sizes.raw_width * sizes.raw_height
    memory = file.seek(0, io.SEEK_END) + sensor * (
        _SENSOR_BYTES + (_HALF_BYTES if half else _FULL_BYTES)
    )
    return RawPicture(width, height, memory, half, _taken(raw), raw)


def _taken(raw: Any) -> datetime | None:
    try:
        time = raw.other.timestamp
    except Exception:
        return None
    return time if isinstance(time, datetime) and time.year > 1970 else None
