"""A decoded picture turned upright and brought to 8-bit sRGB, alpha on white, strip by strip.

All of it works on single pixels, so a picture can be worked on in strips: besides what the decoder
gave, memory holds one strip and the small result. It gives the same bytes as working on the whole
picture at once.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image, ImageCms

Turn = Image.Transpose
Size = tuple[int, int]

Box = tuple[int, int, int, int]

_STRIP_PIXELS = 1 << 20
_QUARTER_TURNS = frozenset({Turn.TRANSPOSE, Turn.ROTATE_270, Turn.TRANSVERSE, Turn.ROTATE_90})
# Turns whose first row shown is the last stored, or whose first column shown is.
_LAST_ROW_FIRST = frozenset(
    {Turn.ROTATE_180, Turn.FLIP_TOP_BOTTOM, Turn.TRANSVERSE, Turn.ROTATE_90}
)
_LAST_COLUMN_FIRST = frozenset(
    {Turn.ROTATE_180, Turn.FLIP_LEFT_RIGHT, Turn.TRANSVERSE, Turn.ROTATE_270}
)


def upright_size(size: Size, turn: Turn | None) -> Size:
    """Width and height as shown of a picture stored with `size`."""
    return size[::-1] if turn in _QUARTER_TURNS else size


def upright_rgb(image: Image.Image, turn: Turn | None) -> Image.Image:
    """The loaded `image` as one upright RGB picture; itself where nothing is to be done."""
    if turn is None and _is_srgb(image):
        return image
    whole = Image.new("RGB", upright_size(image.size, turn))
    for box, strip in _strips(image, turn, across=True):
        whole.paste(strip, box)
    return whole


def upright_resized(
    image: Image.Image, turn: Turn | None, size: Size, resample: Image.Resampling
) -> Image.Image:
    """`upright_rgb(image, turn)` resized to `size`, in little memory.

    One axis after the other, rounded to 8 bits in between: the rows first unless the picture is
    much taller than wide, whatever this Pillow's own order is (13 has this one, 12 and earlier
    always took rows first).
    """
    width, height = upright_size(image.size, turn)
    down_first = height > size[1] and height - size[1] > 2 * (width - size[0])
    between = (width, size[1]) if down_first else (size[0], height)
    if turn is None and _is_srgb(image):
        return image.resize(between, resample).resize(size, resample)
    halfway = Image.new("RGB", between)
    for (left, top, _, _), strip in _strips(image, turn, across=not down_first):
        shrunk = (strip.width, size[1]) if down_first else (size[0], strip.height)
        halfway.paste(strip.resize(shrunk, resample), (left, top))
    return halfway.resize(size, resample)


def _strips(
    image: Image.Image, turn: Turn | None, *, across: bool
) -> Iterator[tuple[Box, Image.Image]]:
    """The picture as upright RGB, in full-width strips from the top or full-height ones from the
    left, each with its place in the upright picture.
    """
    to_8_bit = _reduction_to_8_bit(image)
    whole = (0, 0, *image.size)
    for shown in _boxes(upright_size(image.size, turn), across=across):
        box = _stored_box(shown, image.size, turn)
        rgb = _to_srgb(to_8_bit(image if box == whole else image.crop(box)))
        yield shown, rgb.transpose(turn) if turn is not None else rgb


def _boxes(size: Size, *, across: bool) -> Iterator[Box]:
    width, height = size
    length, side = (height, width) if across else (width, height)
    step = max(1, _STRIP_PIXELS // side)
    for first in range(0, length, step):
        last = min(first + step, length)
        yield (0, first, width, last) if across else (first, 0, last, height)


def _stored_box(shown: Box, stored: Size, turn: Turn | None) -> Box:
    """Where a part of the upright picture lies in the picture as stored."""
    width, height = upright_size(stored, turn)
    left, top, right, bottom = shown
    if turn in _LAST_COLUMN_FIRST:
        left, right = width - right, width - left
    if turn in _LAST_ROW_FIRST:
        top, bottom = height - bottom, height - top
    return (top, left, bottom, right) if turn in _QUARTER_TURNS else (left, top, right, bottom)


def _reduction_to_8_bit(image: Image.Image) -> Callable[[Image.Image], Image.Image]:
    """What makes strips of this picture 8 bits deep: the high byte, as Pillow does for colour.

    Modes I and F have no fixed range: the whole picture's largest value tells it.
    """
    if image.mode == "I":
        return functools.partial(_whole_numbers, wide=_largest(image) > 255)
    if image.mode.startswith("I"):
        return functools.partial(_whole_numbers, wide=True)
    if image.mode == "F":
        return functools.partial(_fractions, scale=255.0 if _largest(image) <= 1.0 else 1.0)
    return lambda strip: strip


def _largest(image: Image.Image) -> float:
    boxes = _boxes(image.size, across=True)
    return max(float(np.nan_to_num(np.asarray(image.crop(box))).max(initial=0)) for box in boxes)


def _whole_numbers(strip: Image.Image, *, wide: bool) -> Image.Image:
    values = np.clip(np.asarray(strip), 0, 65535).astype(np.uint16)
    return Image.fromarray((values >> 8 if wide else values).astype(np.uint8))


def _fractions(strip: Image.Image, *, scale: float) -> Image.Image:
    values = np.nan_to_num(np.asarray(strip, dtype=np.float64))
    return Image.fromarray(np.clip(values * scale, 0, 255).astype(np.uint8))


def _is_srgb(image: Image.Image) -> bool:
    return (
        image.mode == "RGB"
        and not image.has_transparency_data
        and _profile_transform(image) is None
    )


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
    transform = _profile_transform(image)
    if transform is None:
        return image if image.mode == "RGB" else image.convert("RGB")
    converted = ImageCms.applyTransform(image, transform)
    if converted is None:
        raise ValueError("the colour profile could not be applied")
    return converted


def _profile_transform(image: Image.Image) -> ImageCms.ImageCmsTransform | None:
    profile = image.info.get("icc_profile")
    return _transform_to_srgb(profile, image.mode) if profile else None


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
