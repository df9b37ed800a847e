"""Camera RAW, from DNG files that the tests write."""

import io
import struct
from datetime import datetime

import pytest
from PIL import Image

from i2pa.errors import ImageError
from i2pa.images.formats import kind_of
from i2pa.images.limits import Limits
from i2pa.images.open import decode, opened, read_header
from odd_pictures import corner_colours, dng, encoded, quarters, shows_quarters, turned

# Cameras store the turn, not turned pixels; these are the four that they write.
ORIENTATIONS = [1, 3, 6, 8]


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_sensor_data_is_developed_upright(orientation):
    stored, _ = turned(quarters(600, 400), orientation)
    image = decode(dng(stored, orientation=orientation), at_least=150)
    assert image.size == (300, 200)
    assert shows_quarters(image), corner_colours(image)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_preview_is_turned_once(orientation):
    stored, _ = turned(quarters(300, 200), orientation)
    preview, _ = turned(quarters(600, 400), orientation)
    data = dng(stored, orientation=orientation, preview=preview)
    image = decode(data, at_least=400)
    assert image.size == (600, 400)
    assert shows_quarters(image), corner_colours(image)
    with opened(data, at_least=400) as picture:
        assert (picture.format, picture.width, picture.height) == ("RAW (JPEG)", 600, 400)


def test_a_preview_that_is_too_small_does_not_count():
    grey = Image.new("RGB", (120, 80), (128, 128, 128))
    data = dng(quarters(600, 400), preview=grey)
    assert shows_quarters(decode(data, at_least=100))
    assert decode(data, at_least=80).getpixel((60, 40)) == (128, 128, 128)


def test_half_size_only_where_it_is_large_enough():
    data = dng(quarters(600, 400))
    assert decode(data, at_least=200).size == (300, 200)
    assert decode(data, at_least=201).size == (600, 400)
    assert decode(data).size == (600, 400)


@pytest.mark.parametrize("preview", [None, quarters(300, 200)])
def test_the_time_of_taking(preview):
    data = dng(quarters(300, 200), preview=preview, taken="2024:05:06 07:08:09")
    with opened(data, at_least=100) as picture:
        loaded = picture.load()
    assert loaded.taken == datetime(2024, 5, 6, 7, 8, 9)
    with opened(dng(quarters(300, 200), preview=preview), at_least=100) as picture:
        loaded = picture.load()
    assert loaded.taken is None


def test_limits_hold_for_sensor_data():
    data = dng(quarters(600, 400))
    with pytest.raises(ImageError, match="over the limit of 200,000 pixels"):
        decode(data, limits=Limits(pixels=200_000), where="a.dng")
    with pytest.raises(ImageError, match=r"a\.dng: .* take \d\.\d MB to decode"):
        decode(data, limits=Limits(decode_bytes=1_000_000), where="a.dng")


def test_raw_that_is_cut_short_is_named():
    data = dng(quarters(600, 400))
    for part in (0.01, 0.5):
        with pytest.raises(ImageError, match=r"a\.dng: "):
            decode(data[: int(len(data) * part)], where="a.dng")


def test_a_tiff_that_only_looks_like_raw_is_still_read():
    # A first directory marked as a reduced picture is how RAW files begin, and some scans too.
    data = encoded(quarters(), "TIFF", tiffinfo={254: 1})
    assert shows_quarters(decode(data))


def test_raw_stays_raw_however_much_its_first_directory_holds():
    data = dng(quarters(300, 200))
    # Its camera's name, moved to the end and grown to two megabytes.
    at = data.index(struct.pack("<HHI", 272, 2, 7))
    name = bytes(2_000_000)
    data = data[:at] + struct.pack("<HHII", 272, 2, len(name), len(data)) + data[at + 12 :] + name
    assert kind_of(io.BytesIO(data)) == "RAW"


@pytest.mark.parametrize("length", [*range(8, 40, 3), 200])
def test_the_kind_of_a_cut_or_looping_directory_is_left_to_the_decoder(length):
    data = dng(quarters(300, 200), preview=quarters(60, 40))
    assert kind_of(io.BytesIO(data[:length])) == "other"
    loop = data[:4] + struct.pack("<I", 4) + data[8:]
    assert kind_of(io.BytesIO(loop)) in ("other", "RAW")


def test_a_header_of_raw():
    data = dng(quarters(300, 200), preview=quarters(600, 400))
    assert (read_header(data).width, read_header(data).height) == (600, 400)
