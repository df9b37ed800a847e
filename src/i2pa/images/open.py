"""Hostile bytes in, a decoded picture out.

The one chain from bytes to RGB that every model shares: tell the format from the bytes (never the
suffix), bound size and memory before decoding, decode (JPEG at a reduced scale where the caller
allows it), turn by EXIF, take the first frame, 16 bits to 8, ICC profile to sRGB, alpha on white.
Files are opened by `regular`. The steps after decoding are `upright`'s; camera RAW is `raw`'s;
geometry and resizing belong to `transforms`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import io
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, cast

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
    features,
)
from PIL.JpegImagePlugin import JpegImageFile

from i2pa.errors import ImageError, MissingExtraError, UserInputError
from i2pa.images.cost import bytes_to_decode, is_slow_to_decode, needs_whole_picture
from i2pa.images.exif import FIRST_QUARTER_TURN, TURNS, orientation, taken
from i2pa.images.failure import unreadable
from i2pa.images.formats import Kind, kind_of
from i2pa.images.limits import LIMITS, Limits, shown_pixels
from i2pa.images.meter import Metered, TooMuchWorkError
from i2pa.images.upright import Turn, upright_rgb

# Formats beside JPEG, AVIF, HEIC and RAW. Pillow knows many more; each is one more parser for
# hostile files to attack.
FORMATS = ("PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF")
# What tells Image.OPEN of them, once imported.
_PLUGINS = (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)
READABLE = "JPEG, PNG, WebP, AVIF, HEIC, RAW, GIF, BMP or TIFF"

# Of a disk, a network or this process; hostile bytes make decoders raise others.
_NO_FAULT_OF_THE_PICTURE = frozenset(
    {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EMFILE, errno.ENFILE, errno.ENOSPC}
)
_LOADING = threading.Lock()


@dataclass(frozen=True)
class Loaded:
    """A picture as its decoder gave it, with the turn that makes it upright."""

    image: Image.Image
    turn: Turn | None
    taken: datetime | None


@dataclass(frozen=True)
class Opened:
    """A picture whose header has been read and is within limits, not yet decoded.

    `width` and `height` are as shown. `bytes` is the memory that decoding is expected to take;
    `heavy` says that it is better done where it can be stopped. `taken` tells the time, undecoded.
    """

    format: str
    width: int
    height: int
    bytes: int
    heavy: bool
    taken: Callable[[], datetime | None]
    load: Callable[[], Loaded]


@contextlib.contextmanager
def opened(
    source: bytes | BinaryIO,
    *,
    at_least: int | None = None,
    where: str = "",
    limits: Limits = LIMITS,
    light: bool = False,
) -> Iterator[Opened]:
    """The picture in `source`, to be looked at and decoded while the context lasts.

    `at_least` permits a JPEG to be decoded at 1/2, 1/4 or 1/8 scale as long as both sides keep at
    least that many pixels, and a RAW file's preview of at least that size to stand for it; None
    decodes in full. `where` names the picture in errors. Raises ImageError for anything that is
    not a complete picture within `limits`, and for whatever a decoder raises inside the context;
    with `light`, TooMuchWorkError where reading it would take longer than it may in this process.
    """
    with as_image_error(where, limits):
        if isinstance(source, bytes):
            limits.check_file(len(source), where)
        file = io.BytesIO(source) if isinstance(source, bytes) else source
        kind = kind_of(file)
        if kind == "RAW":
            with _opened_raw(file, at_least, limits) as raw:
                if raw is not None:
                    yield raw
                    return
            file.seek(0)
        meter = Metered(file)
        with _parse_header(cast(BinaryIO, meter) if light else file, kind) as image:
            meter.header_is_read()
            yield _opened_image(image, file, at_least, limits)


def decode(
    source: bytes | BinaryIO,
    *,
    at_least: int | None = None,
    where: str = "",
    limits: Limits = LIMITS,
) -> Image.Image:
    """Decode one picture to an upright RGB image (8 bits a channel, sRGB); see `opened`."""
    with opened(source, at_least=at_least, where=where, limits=limits) as picture:
        loaded = picture.load()
        return upright_rgb(loaded.image, loaded.turn)


@dataclass(frozen=True)
class Header:
    """What a picture file says before it is decoded: format, and size as shown (EXIF turn made)."""

    format: str
    width: int
    height: int


def read_header(data: bytes, *, where: str = "", limits: Limits = LIMITS) -> Header:
    """Format and upright size of one picture, undecoded. Raises ImageError as `opened` does.

    Of a RAW file: those of what stands for it.
    """
    with opened(data, at_least=1, where=where, limits=limits) as picture:
        return Header(picture.format, picture.width, picture.height)


def loaded_image(image: Image.Image) -> Loaded:
    """What `opened` gives for a picture that a caller opened with PIL, in full.

    The caller's image is loaded, nothing more; threads may share it. Raises ImageError where it
    cannot be loaded.
    """
    # Opened images decode when first used, and not from two threads at once.
    with as_image_error(name_of(image)), _LOADING:
        image.load()
        loaded = image.copy()
    return Loaded(loaded, TURNS.get(orientation(loaded)), taken(loaded))


def name_of(image: object) -> str:
    """What errors call a picture that a caller opened with PIL."""
    return str(getattr(image, "filename", "") or "<PIL image>")


@contextlib.contextmanager
def as_image_error(where: str, limits: Limits = LIMITS) -> Iterator[None]:
    """Whatever a decoder raises becomes an ImageError that names the picture."""
    try:
        yield
    except ImageError as error:
        if error.where or not where:
            raise
        raise error.at(where) from error
    except MissingExtraError as error:
        raise ImageError(
            error.what, kind="needs_extra", where=where, remedy=error.remedy
        ) from error
    except (TooMuchWorkError, UserInputError):
        raise
    except UnidentifiedImageError as error:
        raise ImageError(
            "not a picture that can be read",
            kind="not_a_picture",
            where=where,
            remedy=f"give {READABLE}",
        ) from error
    except Image.DecompressionBombError as error:
        raise ImageError(
            f"over the limit of {shown_pixels(limits.pixels)}",
            kind="too_large",
            where=where,
            remedy="save it smaller",
        ) from error
    except MemoryError as error:
        raise ImageError(
            "needs more memory to decode than there is",
            kind="out_of_memory",
            where=where,
            remedy="save it smaller",
        ) from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _NO_FAULT_OF_THE_PICTURE:
            raise unreadable(where, error) from error
        # Decoders fed hostile bytes raise nearly any type; a batch must outlive all of them.
        raise ImageError(
            f"damaged or incomplete picture ({_first_line(error)})",
            kind="damaged",
            where=where,
            remedy="save it again from its source",
        ) from error


def _parse_header(file: BinaryIO, kind: Kind) -> Image.Image:
    if kind == "JPEG":
        # Image.open refuses large pictures before it tells whether they are baseline JPEG.
        return JpegImageFile(file)
    if kind == "HEIC":
        return _open_heic(file)
    if kind == "AVIF":
        return _open_avif(file)
    return _identified(file, FORMATS)


def _identified(file: BinaryIO, formats: Sequence[str]) -> Image.Image:
    """As `Image.open`, which warns of many pixels before they can be held against our limits."""
    file.seek(0)
    head = file.read(16)
    for name in formats:
        factory, accepts = Image.OPEN[name]
        # The first bytes may be those of a format by chance.
        with contextlib.suppress(SyntaxError, IndexError, TypeError, struct.error):
            if accepts is None or accepts(head) is True:
                file.seek(0)
                return factory(file, "")
    raise UnidentifiedImageError


def _open_heic(file: BinaryIO) -> Image.Image:
    try:
        from pillow_heif import HeifImageFile
    except ImportError as error:
        raise MissingExtraError("HEIC", "formats") from error
    open_heif: Callable[[BinaryIO], Image.Image] = HeifImageFile
    try:
        return open_heif(file)
    except SyntaxError as error:
        raise ValueError(str(error)) from error


def _open_avif(file: BinaryIO) -> Image.Image:
    if features.check("avif"):
        return _identified(file, ("AVIF",))
    try:
        from pillow_avif.AvifImagePlugin import AvifImageFile
    except ImportError as error:
        raise MissingExtraError("AVIF", "formats") from error
    open_avif: Callable[[BinaryIO], Image.Image] = AvifImageFile
    return open_avif(file)


@contextlib.contextmanager
def _opened_raw(file: BinaryIO, at_least: int | None, limits: Limits) -> Iterator[Opened | None]:
    """None where the file turns out to be no RAW that can be read."""
    from i2pa.images.raw import RawPicture, open_raw

    with open_raw(file, at_least) as raw:
        if raw is None:
            yield None
        elif isinstance(raw, RawPicture):
            limits.check_size(raw.width, raw.height, limits.pixels)
            limits.check_memory(raw.format, raw.width, raw.height, raw.bytes)
            yield Opened(
                raw.format,
                raw.width,
                raw.height,
                raw.bytes,
                heavy=True,
                taken=lambda: raw.taken,
                load=lambda: Loaded(raw.develop(), None, raw.taken),
            )
        else:
            with JpegImageFile(raw.jpeg) as image:
                preview = _opened_image(
                    image, raw.jpeg, at_least, limits, raw.orientation, raw.taken
                )
                yield dataclasses.replace(preview, format=f"RAW ({preview.format})", heavy=True)


def _opened_image(
    image: Image.Image,
    file: BinaryIO,
    at_least: int | None,
    limits: Limits,
    default_orientation: int = 1,
    default_taken: datetime | None = None,
) -> Opened:
    kind = image.format or ""
    width, height = image.size
    small_jpeg = kind == "JPEG" and at_least is not None and not needs_whole_picture(image, file)
    pixels = limits.baseline_jpeg_pixels if small_jpeg else limits.pixels
    limits.check_size(width, height, pixels)
    heavy = width * height > limits.light_pixels or kind == "HEIF" or is_slow_to_decode(image, file)
    if kind == "JPEG" and at_least is not None:
        image.draft(None, (at_least, at_least))
    memory = bytes_to_decode(image, file, (width, height))
    limits.check_memory(kind, width, height, memory)
    # Pillow gives the size of a TIFF as shown, and would decode a PNG to look for EXIF behind it.
    known = kind != "TIFF" and (kind != "PNG" or "exif" in image.info)
    if known and orientation(image, default_orientation) >= FIRST_QUARTER_TURN:
        width, height = height, width

    def when() -> datetime | None:
        return taken(image) or default_taken

    def load() -> Loaded:
        # Once loaded, a TIFF has lost its EXIF; before, a PNG may not have found it.
        before = when() if kind == "TIFF" else None
        image.load()
        turn = TURNS.get(orientation(image, default_orientation))
        return Loaded(image, turn, before or when())

    return Opened(kind, width, height, memory, heavy, when, load)


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__
