"""Strips give what working on the whole picture at once gives, byte for byte."""

import io

import numpy as np
import PIL
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from i2pa.images import upright
from i2pa.images.exif import TURNS
from i2pa.images.upright import upright_resized, upright_rgb, upright_size
from odd_pictures import swapped_primaries_profile

PROFILE = swapped_primaries_profile()
BILINEAR = Image.Resampling.BILINEAR


def whole_at_once(image, turn):
    """The chain as one would write it with memory to spare."""
    values = np.asarray(image)
    if image.mode.startswith("I"):
        values = np.clip(values, 0, 65535).astype(np.uint16)
        wide = image.mode != "I" or values.max() > 255
        image = Image.fromarray((values >> 8 if wide else values).astype(np.uint8))
    elif image.mode == "F":
        values = np.nan_to_num(values.astype(np.float64))
        scale = 255 if values.max() <= 1 else 1
        image = Image.fromarray(np.clip(values * scale, 0, 255).astype(np.uint8))
    profile, alpha = image.info.get("icc_profile"), None
    if image.has_transparency_data:
        image = image.convert("RGBA")
        alpha, image = image.getchannel("A"), image.convert("RGB")
    elif image.mode not in ("RGB", "L", "CMYK"):
        image = image.convert("RGB")
    if profile and image.mode == "RGB":
        image = ImageCms.profileToProfile(
            image,
            ImageCms.getOpenProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
        )
    image = image.convert("RGB")
    if alpha is not None:
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=alpha)
        image = white
    return image.transpose(turn) if turn is not None else image


def resized_at_once(image, size):
    if int(PIL.__version__.split(".")[0]) >= 13:
        return image.resize(size, BILINEAR)
    (width, height), (across, down) = image.size, size
    if height > down and height - down > 2 * (width - across):
        return image.resize((width, down), BILINEAR).resize(size, BILINEAR)
    return image.resize(size, BILINEAR)


def picture(mode, width, height, seed, profile):
    rng = np.random.default_rng(seed)
    if mode == "I":
        top = rng.choice([200, 255, 256, 70_000])
        image = Image.fromarray(rng.integers(-100, top + 1, (height, width), dtype=np.int32))
    elif mode == "I;16":
        image = Image.fromarray(rng.integers(0, 65536, (height, width), dtype=np.uint16))
    elif mode == "F":
        values = rng.random((height, width), dtype=np.float32) * rng.choice([1, 300])
        values[rng.random((height, width)) < 0.05] = rng.choice([np.nan, -1, 0.5])
        image = Image.fromarray(values)
    else:
        rgba = rng.integers(0, 256, (height, width, 4), dtype=np.uint8)
        image = Image.fromarray(rgba)
        if mode == "P":
            image = image.convert("RGB").quantize(16)
            image.info["transparency"] = int(rng.integers(16))
        elif mode in ("CMYK", "1", "YCbCr", "L", "HSV"):
            image = image.convert("RGB").convert(mode)
        else:
            image = image.convert(mode)
    if profile and mode in ("RGB", "RGBA", "P"):
        image.info["icc_profile"] = PROFILE
    return image


@given(
    mode=st.sampled_from(
        ["RGB", "RGBA", "L", "LA", "P", "1", "I", "I;16", "F", "CMYK", "YCbCr", "HSV"]
    ),
    turn=st.sampled_from([None, *TURNS.values()]),
    width=st.integers(1, 60),
    height=st.integers(1, 60),
    size=st.tuples(st.integers(1, 80), st.integers(1, 80)),
    strip=st.integers(1, 300),
    seed=st.integers(0, 2**32 - 1),
    profile=st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_strips_equal_the_whole(mode, turn, width, height, size, strip, seed, profile):
    image = picture(mode, width, height, seed, profile)
    wanted = whole_at_once(image, turn)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(upright, "_STRIP_PIXELS", strip)
        got = upright_rgb(image, turn)
        resized = upright_resized(image, turn, size, BILINEAR)
    assert got.mode == "RGB"
    assert got.size == wanted.size == upright_size(image.size, turn)
    assert got.tobytes() == wanted.tobytes()
    assert resized.tobytes() == resized_at_once(wanted, size).tobytes()


def test_a_plain_picture_is_not_copied():
    image = Image.new("RGB", (10, 10))
    assert upright_rgb(image, None) is image
