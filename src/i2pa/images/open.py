"""Hostile bytes in, an upright 8-bit sRGB picture out.

The one chain from bytes to RGB that every model shares: sniff the format from the bytes (never
the suffix), bound the size before decoding, decode (JPEG at a reduced scale where the caller
allows it), turn by EXIF, take the first frame, 16 bits to 8, ICC profile to sRGB, alpha on white.
Geometry and resizing belong to `transforms`.
"""

from __future__ import annotations

import contextlib
import functools
import io
import stat
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from i2pa.errors import ImageError

# Formats beside JPEG. Pillow knows many more; each is one more parser for hostile files to attack.
FORMATS = ("PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF")
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff"}
)

_LOADING = threading.Lock()
_MEGA = 1_000_000
_JPEG_MAGIC = b"\xff\xd8\xff"
_EXIF_ORIENTATION = 0x0112
_FIRST_QUARTER_TURN = 5
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Limits:
    """What a picture may cost, checked before its pixels are decoded.

    A baseline JPEG may hold more pixels than the rest because it is decoded at a reduced scale
    in bounded memory.
    """

    file_bytes: int = 256 * _MEGA
    pixels: int = 80 * _MEGA
    baseline_jpeg_pixels: int = 250 * _MEGA
    side: int = 50_000


LIMITS = Limits()


def read_bytes(path: Path, limits: Limits = LIMITS) -> bytes:
    """The bytes of the regular file at `path`.

    Raises ImageError where there is no such file, it is no regular file (a pipe would block), it
    is empty, cannot be read, or is larger than `limits.file_bytes`.
    """
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise ImageError("a folder that cannot be opened", where=str(path))
        if not stat.S_ISREG(status.st_mode):
            raise ImageError("not a file", where=str(path))
        if status.st_size > limits.file_bytes:
            raise ImageError(
                f"{status.st_size / _MEGA:,.0f} MB, over the limit of "
                f"{limits.file_bytes / _MEGA:,.0f} MB a file",
                where=str(path),
                remedy="save it smaller",
            )
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"cannot be read ({reason})", where=str(path)) from error
    if not data:
        raise ImageError("the file is empty", where=str(path))
    return data


def decode(
    data: bytes, *, at_least: int | None = None, where: str = "", limits: Limits = LIMITS
) -> Image.Image:
    """Decode one picture to an upright RGB image (8 bits a channel, sRGB).

    `at_least` permits a JPEG to be decoded at 1/2, 1/4 or 1/8 scale as long as both sides keep at
    least that many pixels; None decodes in full. `where` names the picture in errors. Raises
    ImageError for anything that is not a complete picture within `limits`.
    """
    with _as_image_error(where, limits), _parse_header(data) as image:
        _check_size(image, where, limits, scaled=at_least is not None)
        if at_least is not None and image.format == "JPEG":
            image.draft(None, (at_least, at_least))
        image.load()
        return to_upright_rgb(image)


@dataclass(frozen=True)
class Header:
    """What a picture file says before it is decoded: format, and size as shown (EXIF turn made)."""

    format: str
    width: int
    height: int


def read_header(data: bytes, *, where: str = "", limits: Limits = LIMITS) -> Header:
    """Format and upright size of one picture, undecoded. Raises ImageError as `decode` does."""
    with _as_image_error(where, limits), _parse_header(data) as image:
        _check_size(image, where, limits, scaled=True)
        width, height = image.size
        if _orientation(image) >= _FIRST_QUARTER_TURN:
            width, height = height, width
        return Header(image.format or "", width, height)


@contextlib.contextmanager
def _as_image_error(where: str, limits: Limits) -> Iterator[None]:
    """Whatever a decoder raises becomes an ImageError that names the picture."""
    try:
        yield
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(
            "not a picture that can be read",
            where=where,
            remedy="give JPEG, PNG, WebP, GIF, BMP or TIFF",
        ) from error
    except Image.DecompressionBombError as error:
        raise ImageError(
            f"over the limit of {limits.pixels / _MEGA:.0f} megapixels",
            where=where,
            remedy="save it smaller",
        ) from error
    except Exception as error:
        # Decoders fed hostile bytes raise nearly any type; a batch must outlive all of them.
        raise ImageError(
            f"damaged or incomplete picture ({_first_line(error)})",
            where=where,
            remedy="save it again from its source",
        ) from error


def upright_rgb_of(image: Image.Image) -> Image.Image:
    """What `decode` gives for a picture that a caller opened with PIL, in full.

    The caller's image is loaded, nothing more; threads may share it. Raises ImageError where it
    cannot be loaded.
    """
    where = str(getattr(image, "filename", "") or "<PIL image>")
    with _as_image_error(where, LIMITS):
        # Opened images decode when first used, and not from two threads at once.
        with _LOADING:
            image.load()
            loaded = image.copy()
        return to_upright_rgb(loaded)


def to_upright_rgb(image: Image.Image) -> Image.Image:
    """Turn a loaded PIL image by its EXIF tag and convert it to 8-bit sRGB, alpha on white."""
    turn = _TURNS.get(_orientation(image))
    rgb = _to_srgb(_to_8_bit(image))
    return rgb.transpose(turn) if turn is not None else rgb


def _parse_header(data: bytes) -> Image.Image:
    if data.startswith(_JPEG_MAGIC):
        # Image.open refuses large pictures before it tells whether they are baseline JPEG.
        return JpegImageFile(io.BytesIO(data))
    return Image.open(io.BytesIO(data), formats=FORMATS)


def _check_size(image: Image.Image, where: str, limits: Limits, *, scaled: bool) -> None:
    width, height = image.size
    baseline_jpeg = scaled and image.format == "JPEG" and "progressive" not in image.info
    pixels = limits.baseline_jpeg_pixels if baseline_jpeg else limits.pixels
    if width * height > pixels or max(width, height) > limits.side:
        raise ImageError(
            f"{width:,} × {height:,} pixels, over the limit of {pixels / _MEGA:.0f} megapixels "
            f"and {limits.side:,} pixels a side",
            where=where,
            remedy="save it smaller",
        )


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_EXIF_ORIENTATION, 1))
    except Exception:
        # A damaged EXIF block must not cost the picture.
        return 1


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Grey pictures of more than 8 bits to mode L: the high byte, as Pillow does for colour."""
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.dtype.itemsize > 2:
            values = np.clip(values, 0, 65535).astype(np.uint16)
            if values.max(initial=0) <= 255:
                return Image.fromarray(values.astype(np.uint8))
        return Image.fromarray((values >> 8).astype(np.uint8))
    if image.mode == "F":
        values = np.nan_to_num(np.asarray(image, dtype=np.float64))
        scale = 255.0 if values.max(initial=0.0) <= 1.0 else 1.0
        return Image.fromarray(np.clip(values * scale, 0, 255).astype(np.uint8))
    return image


def _to_srgb(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        colour = rgba.convert("RGB")
        colour.info["icc_profile"] = image.info.get("icc_profile")
        on_white = Image.new("RGB", image.size, "white")
        on_white.paste(_apply_profile(colour), mask=rgba.getchannel("A"))
        return on_white
    if image.mode not in ("RGB", "CMYK", "L"):
        profile = image.info.get("icc_profile")
        image = image.convert("RGB")
        image.info["icc_profile"] = profile
    return _apply_profile(image)


def _apply_profile(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    transform = _transform_to_srgb(profile, image.mode) if profile else None
    if transform is None:
        return image if image.mode == "RGB" else image.convert("RGB")
    converted = ImageCms.applyTransform(image, transform)
    if converted is None:
        raise ValueError("the colour profile could not be applied")
    return converted


@functools.lru_cache(maxsize=32)
def _transform_to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """None where the profile is sRGB already, damaged, or of another colour model."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(source).casefold():
            return None
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__
