"""A decoded picture turned upright and brought to 8-bit sRGB, alpha on white, strip by strip.

All of it works on single pixels, so a picture can be worked on in strips: besides what the decoder
gave, memory holds one strip and the small result. Every way gives the same bytes as working on the
whole picture at once.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image, ImageCms

Turn = Image.Transpose
Size = tuple[int, int]

_STRIP_PIXELS = 1 << 20
_QUARTER_TURNS = frozenset({Turn.TRANSPOSE, Turn.ROTATE_270, Turn.TRANSVERSE, Turn.ROTATE_90})
# Turns whose first row shown is the last row, or column, stored.
_FROM_THE_END = frozenset({Turn.ROTATE_180, Turn.FLIP_TOP_BOTTOM, Turn.TRANSVERSE, Turn.ROTATE_90})


def upright_size(size: Size, turn: Turn | None) -> Size:
    """Width and height as shown of a picture stored with `size`."""
    return size[::-1] if turn in _QUARTER_TURNS else size


def upright_rgb(image: Image.Image, turn: Turn | None) -> Image.Image:
    """The loaded `image` as one upright RGB picture; itself where nothing is to be done."""
    if turn is None and _is_srgb(image):
        return image
    size = upright_size(image.size, turn)
    whole = Image.new("RGB", size)
    top = 0
    for strip in _strips(image, turn):
        whole.paste(strip, (0, top))
        top += strip.height
    return whole


def upright_resized(
    image: Image.Image, turn: Turn | None, size: Size, resample: Image.Resampling
) -> Image.Image:
    """`upright_rgb(image, turn).resize(size, resample)`, byte for byte, in little memory."""
    if turn is None and _is_srgb(image):
        return image.resize(size, resample)
    # Pillow resizes rows first and columns of that result after, which is what happens here.
    width, height = size[0], upright_size(image.size, turn)[1]
    narrow = Image.new("RGB", (width, height))
    top = 0
    for strip in _strips(image, turn):
        narrow.paste(strip.resize((width, strip.height), resample), (0, top))
        top += strip.height
    return narrow.resize(size, resample)


def _strips(image: Image.Image, turn: Turn | None) -> Iterator[Image.Image]:
    """The picture as upright RGB in full-width strips, from the top down."""
    to_8_bit = _reduction_to_8_bit(image)
    for box in _boxes(image.size, turn):
        rgb = _to_srgb(to_8_bit(image.crop(box)))
        yield rgb.transpose(turn) if turn is not None else rgb


def _boxes(stored: Size, turn: Turn | None) -> Iterator[tuple[int, int, int, int]]:
    """Where the strips lie in the picture as stored."""
    across, down = stored
    width, height = upright_size(stored, turn)
    rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, rows):
        first, last = top, min(top + rows, height)
        if turn in _FROM_THE_END:
            first, last = height - last, height - first
        yield (first, 0, last, down) if turn in _QUARTER_TURNS else (0, first, across, last)


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
    boxes = _boxes(image.size, None)
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
