"""The two facts of a picture's EXIF that i2pa uses: which way is up, and when it was taken."""

from __future__ import annotations

from datetime import datetime, timedelta

from PIL import Image

ORIENTATION = 0x0112
_EXIF_IFD = 0x8769
_TAKEN = 0x9003
_TAKEN_FRACTION = 0x9291

# What undoes each orientation. From 5 on, width and height change places.
FIRST_QUARTER_TURN = 5
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def orientation(image: Image.Image, default: int = 1) -> int:
    """The EXIF orientation of `image`, 1 to 8; `default` where it names none or is damaged."""
    try:
        found = int(image.getexif().get(ORIENTATION, default))
    except Exception:
        # A damaged EXIF block must not cost the picture.
        return default
    return found if found in TURNS else 1


def taken(image: Image.Image) -> datetime | None:
    """When `image` was taken by its camera's clock, without a zone; None where it does not say.

    DateTimeOriginal with SubSecTimeOriginal. Times of scanning, editing or saving do not count.
    """
    try:
        tags = image.getexif().get_ifd(_EXIF_IFD)
        return _parse(_text(tags.get(_TAKEN)), _text(tags.get(_TAKEN_FRACTION)))
    except Exception:
        return None


def _parse(time: str, fraction: str) -> datetime | None:
    try:
        whole = datetime.strptime(time, "%Y:%m:%d %H:%M:%S")
    except ValueError:
        return None
    if not (fraction.isascii() and fraction.isdigit()):
        return whole
    return whole + timedelta(microseconds=int(fraction[:6].ljust(6, "0")))


def _text(value: object) -> str:
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else str(value or "")
    return text.strip("\0 ")
