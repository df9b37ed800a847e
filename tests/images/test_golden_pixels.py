"""Pixels that published scores were computed from: the chain may grow, these may not change."""

import functools
import hashlib

import numpy as np
import pytest
from PIL import Image

from i2pa.images.transforms import transform_named
from odd_pictures import encoded, swapped_primaries_profile, turned

TRANSFORMS = ("squash260@1", "squash224@1", "crop224@1")


def waves(width, height):
    """A picture made with whole numbers alone, the same on every machine."""
    y, x = np.mgrid[:height, :width]
    planes = [(x * x // 97 + y * 3) % 256, (x * 5 + y * y // 89) % 256, (x * y // 61) % 256]
    return Image.fromarray(np.stack(planes, -1).astype(np.uint8))


@functools.cache
def pictures():
    wide, tall = waves(1500, 900), waves(400, 1700)
    alpha = wide.copy()
    alpha.putalpha(wide.getchannel(0))
    grey = np.asarray(wide.convert("L")).astype(np.uint16)
    return {
        "wide": encoded(wide, "PNG", compress_level=1),
        "tall": encoded(tall, "PNG", compress_level=1),
        "turned": encoded(turned(wide, 6)[0], "PNG", exif=turned(wide, 6)[1], compress_level=1),
        "mirrored": encoded(turned(tall, 7)[0], "TIFF", exif=turned(tall, 7)[1]),
        "alpha": encoded(alpha, "PNG", compress_level=1),
        "profile": encoded(wide, "PNG", icc_profile=swapped_primaries_profile(), compress_level=1),
        "palette": encoded(wide.convert("P"), "PNG", transparency=7, compress_level=1),
        "deep": encoded(Image.fromarray(grey * 257 - grey // 3), "PNG", compress_level=1),
        "print": encoded(wide.convert("CMYK"), "TIFF"),
        "fractions": encoded(Image.fromarray((grey / 256).astype(np.float32)), "TIFF"),
    }


GOLDEN = {
    "wide": ("ae945d126469", "85249caff2ee", "041bd39373dc"),
    "tall": ("2c1e39cf283c", "71c347dd6f66", "5d80fb43c18c"),
    "turned": ("ae945d126469", "85249caff2ee", "041bd39373dc"),
    "mirrored": ("2c1e39cf283c", "71c347dd6f66", "5d80fb43c18c"),
    "alpha": ("119e39623f5b", "58b7a697dcdb", "03e7424c3181"),
    "profile": ("e03aa7a16025", "068cc65145c0", "29df4a5777ae"),
    "palette": ("0ddc3abe9d56", "15530d93b0c4", "f98c8d4f9ef8"),
    "deep": ("7a7e3079501b", "4ff1027d0480", "afac5518c6f7"),
    "print": ("ae945d126469", "85249caff2ee", "041bd39373dc"),
    "fractions": ("0d9fc57253a4", "17d6e309f9b5", "df1d04c49de6"),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_pixels_are_as_published(name):
    data = pictures()[name]
    for tag, wanted in zip(TRANSFORMS, GOLDEN[name], strict=True):
        got = hashlib.sha256(transform_named(tag).pixels(data).tobytes()).hexdigest()[:12]
        assert got == wanted, tag
