"""When a picture was taken, as its EXIF block says: local time of the camera, no zone."""

from __future__ import annotations

import io
from datetime import datetime

from PIL import Image

from i2pa.images.open import FORMATS

_EXIF_BLOCK = 0x8769
_TAKEN = 0x9003
_CHANGED = 0x0132


def time_taken(data: bytes) -> datetime | None:
    """The time of exposure of one picture's bytes; None where it is not said or cannot be read."""
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", *FORMATS)) as image:
            exif = image.getexif()
            said = exif.get_ifd(_EXIF_BLOCK).get(_TAKEN) or exif.get(_CHANGED)
        return datetime.strptime(str(said)[:19], "%Y:%m:%d %H:%M:%S")
    except Exception:
        # Decoders fed hostile bytes raise nearly any type; a time is never worth a picture.
        return None
