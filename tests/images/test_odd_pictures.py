"""Every format, turned every way, cut short, mislabelled, or of a size that means no good."""

import io
import struct
import sys
from datetime import datetime

import numpy as np
import pytest
from PIL import Image, ImageCms, features

from i2pa.errors import ImageError
from i2pa.images.formats import kind_of
from i2pa.images.limits import Limits
from i2pa.images.open import decode, opened, read_header
from i2pa.images.regular import read_bytes
from odd_pictures import (
    BLUE,
    RED,
    WHITE,
    corner_colours,
    dng,
    encoded,
    jpeg_with_a_scan_for_each_component,
    near,
    noise,
    png_of_size,
    quarters,
    shows_quarters,
    swapped_primaries_profile,
    taken_exif,
    tiff_taken,
    turned,
    wide_profile,
    zeros_png,
)

KINDS = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "PNG": {},
    "WEBP": {"lossless": True},
    "TIFF": {"compression": "tiff_lzw"},
    "HEIF": {"quality": 95, "chroma": 444},
    "AVIF": {"quality": 95, "subsampling": "4:4:4"},
}
TURNING = [
    pytest.param(
        kind,
        marks=pytest.mark.skipif(
            kind == "AVIF" and not features.check("avif"), reason="this Pillow has no AVIF"
        ),
    )
    for kind in KINDS
]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", TURNING)
def test_every_turn_is_made_once(kind, orientation):
    stored, exif = turned(quarters(96, 64), orientation)
    data = encoded(stored, kind, exif=exif, **KINDS[kind])
    image = decode(data)
    assert (image.mode, image.size) == ("RGB", (96, 64))
    assert shows_quarters(image), corner_colours(image)
    header = read_header(data)
    assert (header.width, header.height) == (96, 64)


@pytest.mark.parametrize("kind", TURNING)
def test_what_is_cut_short_is_named(kind):
    data = encoded(noise(128, 128), kind, **KINDS[kind])
    for part in (0.05, 0.3, 0.7, 0.95):
        with pytest.raises(ImageError) as caught:
            decode(data[: int(len(data) * part)], where="half.file")
        assert str(caught.value).startswith("half.file: ")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", TURNING)
def test_bytes_decide_not_the_suffix(kind, tmp_path):
    path = tmp_path / "picture.bmp"
    path.write_bytes(encoded(quarters(96, 64), kind, **KINDS[kind]))
    assert shows_quarters(decode(read_bytes(path)))


@pytest.mark.parametrize("kind", TURNING)
def test_the_time_of_taking_is_read(kind):
    time = ("2024:05:06 07:08:09", "25")
    if kind == "TIFF":
        data = tiff_taken(quarters(), *time)
    else:
        data = encoded(quarters(), kind, exif=taken_exif(*time), **KINDS[kind])
    with opened(data) as picture:
        loaded = picture.load()
    assert loaded.taken == datetime(2024, 5, 6, 7, 8, 9, 250_000)


@pytest.mark.parametrize(
    "exif",
    [
        taken_exif("0000:00:00 00:00:00"),
        taken_exif("    :  :     :  :  "),
        taken_exif("2024-05-06"),
        taken_exif("2024:13:06 07:08:09", "x"),
        Image.Exif(),
        b"Exif\0\0MM\0*\xff\xff\xff\xff garbage",
    ],
)
@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_a_time_that_is_none_is_no_time(exif):
    with opened(encoded(quarters(), "JPEG", exif=exif)) as picture:
        loaded = picture.load()
    assert (loaded.taken, loaded.turn) == (None, None)


@pytest.mark.parametrize(
    ("fraction", "microseconds"), [("5", 500_000), ("007", 7000), ("123456789", 123_456), ("", 0)]
)
def test_fractions_of_a_second(fraction, microseconds):
    data = encoded(quarters(), "JPEG", exif=taken_exif("2024:05:06 07:08:09", fraction))
    with opened(data) as picture:
        loaded = picture.load()
    assert loaded.taken.microsecond == microseconds


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "HEIF"])
def test_damaged_profiles_are_ignored_and_others_applied(kind):
    options = KINDS[kind]
    plain = encoded(quarters(96, 64), kind, icc_profile=b"no profile at all", **options)
    assert shows_quarters(decode(plain))
    red = Image.new("RGB", (96, 64), RED)
    swapped = encoded(red, kind, icc_profile=swapped_primaries_profile(), **options)
    assert near(decode(swapped).getpixel((30, 30)), BLUE, 60)


def test_wide_colours_are_brought_to_srgb():
    green = Image.new("RGB", (10, 10), (100, 180, 90))
    data = encoded(green, "PNG", icc_profile=wide_profile())
    red, shown, blue = decode(data).getpixel((5, 5))
    # ProPhoto's greens lie outside sRGB: less red and blue, more green.
    assert red < 60
    assert shown > 180
    assert blue < 80


def test_a_profile_of_another_colour_model_is_ignored():
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    assert shows_quarters(decode(encoded(quarters(), "PNG", icc_profile=lab)))


def test_cmyk_with_and_without_a_profile():
    cmyk = Image.new("RGB", (32, 32), RED).convert("CMYK")
    plain = encoded(cmyk, "JPEG", quality=95)
    # An RGB profile in a CMYK picture fits nothing and is left out.
    wrong = encoded(cmyk, "JPEG", quality=95, icc_profile=wide_profile())
    for data in (plain, wrong):
        assert near(decode(data).getpixel((16, 16)), RED)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_the_first_frame_of_an_animation_counts(kind):
    frames = [Image.new("RGB", (20, 20), colour) for colour in (RED, BLUE, WHITE)]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=50)
    assert near(decode(data).getpixel((10, 10)), RED)


def test_the_first_picture_of_an_mpo_counts():
    data = encoded(quarters(), "MPO", save_all=True, append_images=[Image.new("RGB", (60, 40))])
    assert shows_quarters(decode(data))
    assert read_header(data).format == "JPEG"


def test_sixteen_bits_palette_and_alpha():
    grey = Image.fromarray(np.full((20, 20), 0x80FF, np.uint16))
    assert decode(encoded(grey, "PNG")).getpixel((5, 5)) == (128, 128, 128)
    clear = quarters().quantize(4)
    data = encoded(clear, "PNG", transparency=clear.getpixel((2, 2)))
    assert decode(data).getpixel((2, 2)) == WHITE
    assert near(decode(data).getpixel((50, 2)), (0, 255, 0))


def test_bombs_are_refused_by_their_headers():
    tiff = bytearray(encoded(Image.new("L", (64, 64)), "TIFF", compression="tiff_deflate"))
    at = 8 if struct.unpack("<I", tiff[4:8])[0] == 8 else struct.unpack("<I", tiff[4:8])[0]
    for entry in range(at + 2, at + 2 + 12 * struct.unpack("<H", tiff[at : at + 2])[0], 12):
        if struct.unpack("<H", tiff[entry : entry + 2])[0] in (256, 257):
            tiff[entry + 2 : entry + 12] = struct.pack("<HII", 4, 1, 49_000)
    gif = bytearray(encoded(Image.new("P", (8, 8)), "GIF"))
    gif[6:10] = struct.pack("<HH", 65_000, 65_000)
    for bomb in (png_of_size(50_000, 50_000), bytes(tiff), bytes(gif)):
        with pytest.raises(ImageError, match="over the limit"):
            decode(bomb, where="bomb")


def test_a_whole_and_valid_png_of_zeros_is_refused():
    # 100 megapixels in 100 kB; 50,000 × 50,000 of them would be 2.4 MB.
    data = zeros_png(50_000, 2_000)
    assert len(data) < 200_000
    with pytest.raises(ImageError, match="over the limit of 80 megapixels"):
        decode(data)


def test_memory_that_a_decoder_takes_counts_not_pixels_alone():
    limits = Limits(decode_bytes=5_000_000)
    square = Image.new("RGB", (1000, 1000))
    assert decode(encoded(square, "PNG"), limits=limits).size == (1000, 1000)
    for kind, options in (("WEBP", {}), ("JPEG", {"progressive": True, "subsampling": 0})):
        with pytest.raises(ImageError, match=r"take 1?[06] MB to decode, over the limit of 5 MB"):
            decode(encoded(square, kind, **options), limits=limits)


def test_a_jpeg_with_a_scan_for_each_component_is_as_dear_as_a_progressive_one():
    whole = encoded(Image.new("RGB", (2000, 2000)), "JPEG", subsampling=0)
    split = jpeg_with_a_scan_for_each_component(2000, 2000)
    with opened(whole, at_least=200) as cheap, opened(split, at_least=200) as dear:
        assert cheap.bytes < 1_000_000
        assert dear.bytes > 24_000_000
    limits = Limits(pixels=3_000_000, baseline_jpeg_pixels=5_000_000)
    assert read_header(whole, limits=limits).width == 2000
    with pytest.raises(ImageError, match="over the limit of 3 megapixels"):
        read_header(split, limits=limits)


def test_a_jpeg_of_very_many_scans_is_heavy():
    data = encoded(noise(1000, 1000), "JPEG", progressive=True)
    with opened(data) as picture:
        assert not picture.heavy
    with opened(data + b"\xff\xda" * 500) as picture:
        assert picture.heavy


def test_what_is_heavy():
    limits = Limits(light_pixels=10_000)
    for data, heavy in (
        (encoded(noise(99, 99), "PNG"), False),
        (encoded(noise(101, 101), "PNG"), True),
        (encoded(noise(64, 64), "HEIF"), True),
        (dng(quarters(64, 64)), True),
    ):
        with opened(data, at_least=16, limits=limits) as picture:
            assert picture.heavy == heavy


@pytest.mark.parametrize("content", [b"hello, this is text\n" * 9, b"\0" * 500, b"%PDF-1.7 ..."])
def test_what_is_no_picture_is_called_so(content):
    with pytest.raises(ImageError, match="not a picture that can be read"):
        decode(content, where="x.jpg")


def test_kinds_by_their_bytes():
    for data, kind in (
        (encoded(quarters(), "JPEG"), "JPEG"),
        (encoded(quarters(), "PNG"), "other"),
        (encoded(quarters(), "TIFF"), "other"),
        (encoded(quarters(), "HEIF"), "HEIC"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1heic" + bytes(40), "HEIC"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avif" + bytes(40), "AVIF"),
        (b"\0\0\0\x1cftypisom\0\0\0\0mp41isom" + bytes(40), "other"),
        (b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom", "RAW"),
        (b"FUJIFILMCCD-RAW 0201", "RAW"),
        (b"IIU\0\x18\0\0\0", "RAW"),
        (b"II*\0\x10\0\0\0CR\x02\0", "RAW"),
        (dng(quarters()), "RAW"),
        (dng(quarters(), preview=quarters()), "RAW"),
        (b"II*\0\xff\xff\xff\xff", "other"),
        (b"", "other"),
    ):
        file = io.BytesIO(data)
        assert kind_of(file) == kind, data[:32]
        assert file.tell() == 0


def test_a_pillow_without_avif_is_helped_out(monkeypatch):
    data = encoded(quarters(96, 64), "AVIF", **KINDS["AVIF"])
    monkeypatch.setattr(features, "check", lambda name: False)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "pillow_avif", None)
        patch.setitem(sys.modules, "pillow_avif.AvifImagePlugin", None)
        with pytest.raises(ImageError, match=r"AVIF needs packages .*i2pa\[formats\]"):
            decode(data)
    # Importing it puts it in the place of Pillow's own, for good.
    for table in ("OPEN", "SAVE", "SAVE_ALL", "MIME", "EXTENSION"):
        monkeypatch.setattr(Image, table, dict(getattr(Image, table)))
    pytest.importorskip("pillow_avif")
    assert shows_quarters(decode(data))
