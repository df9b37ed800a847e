import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from i2pa.errors import ImageError
from i2pa.images.limits import Limits
from i2pa.images.open import Header, decode, read_header
from i2pa.images.regular import read_bytes
from odd_pictures import (
    BLUE,
    GREEN,
    RED,
    WHITE,
    corner_colours,
    encoded,
    near,
    png_of_size,
    quarters,
    swapped_primaries_profile,
)


@pytest.fixture(name="quarters")
def four_quarters():
    return quarters()


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"quality": 95, "subsampling": 0}),
        ("JPEG", {"quality": 95, "progressive": True}),
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("GIF", {}),
        ("BMP", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
    ],
)
def test_every_format_gives_the_same_upright_picture(quarters, kind, options):
    image = decode(encoded(quarters, kind, **options))
    assert (image.mode, image.size) == ("RGB", (60, 40))
    for got, wanted in zip(corner_colours(image), (RED, GREEN, BLUE, WHITE), strict=True):
        assert near(got, wanted)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_a_damaged_exif_block_does_not_cost_the_picture(quarters):
    data = encoded(quarters, "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff garbage")
    assert decode(data).size == (60, 40)


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "CMYK", "1", "I;16"])
def test_every_mode_becomes_rgb(mode):
    grey = Image.new("L", (20, 20), 128)
    if mode == "I;16":
        image = Image.fromarray(np.full((20, 20), 0x8080, np.uint16))
    elif mode == "1":
        image = Image.new("1", (20, 20), 1)
    else:
        image = grey.convert("LA") if mode == "LA" else grey.convert("RGB").convert(mode)
    data = encoded(image, "TIFF" if mode == "CMYK" else "PNG")
    wanted = WHITE if mode == "1" else (128, 128, 128)
    rgb = decode(data)
    assert rgb.mode == "RGB"
    assert near(rgb.getpixel((10, 10)), wanted, 3)


def test_cmyk_jpeg_keeps_its_colours():
    image = Image.new("RGB", (32, 32), RED).convert("CMYK")
    assert near(decode(encoded(image, "JPEG", quality=95)).getpixel((16, 16)), RED)


def test_alpha_lies_on_white():
    image = Image.new("RGBA", (10, 10), (255, 0, 0, 0))
    image.paste((0, 0, 255, 255), (0, 0, 5, 10))
    half = Image.new("RGBA", (10, 10), (0, 0, 0, 128))
    assert decode(encoded(image, "PNG")).getpixel((8, 5)) == WHITE
    assert decode(encoded(image, "PNG")).getpixel((2, 5)) == BLUE
    assert near(decode(encoded(half, "PNG")).getpixel((5, 5)), (127, 127, 127), 1)


def test_palette_colours(quarters):
    image = decode(encoded(quarters.quantize(4), "PNG"))
    assert near(image.getpixel((2, 2)), RED)


def test_palette_transparency_lies_on_white():
    image = Image.new("P", (10, 10), 0)
    image.putpalette([0, 0, 0, 255, 0, 0])
    data = encoded(image, "PNG", transparency=0)
    assert decode(data).getpixel((5, 5)) == WHITE


def test_first_frame_of_an_animation():
    frames = [Image.new("RGB", (20, 20), colour) for colour in (RED, BLUE)]
    for kind in ("GIF", "WEBP", "TIFF"):
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
        assert near(decode(data).getpixel((10, 10)), RED)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_colour_profile_is_applied(mode):
    image = Image.new(mode, (10, 10), (255, 0, 0, 255)[: len(mode)])
    data = encoded(image, "PNG", icc_profile=swapped_primaries_profile())
    assert near(decode(data).getpixel((5, 5)), BLUE, 60)


def test_a_damaged_profile_is_ignored():
    data = encoded(Image.new("RGB", (10, 10), RED), "PNG", icc_profile=b"no profile at all")
    assert decode(data).getpixel((5, 5)) == RED


def test_jpeg_decodes_at_a_reduced_scale_that_still_covers():
    data = encoded(Image.new("RGB", (1080, 1350)), "JPEG")
    assert decode(data, at_least=520).size == (540, 675)
    assert decode(data, at_least=541).size == (1080, 1350)
    assert decode(data).size == (1080, 1350)


@pytest.mark.parametrize("size", [(50_000, 50_000), (10_000, 9_000), (60_000, 10)])
def test_a_huge_picture_is_refused_before_decoding(size):
    with pytest.raises(ImageError, match="over the limit of 80 megapixels"):
        decode(png_of_size(*size), where="bomb.png")


def test_progressive_jpeg_has_the_smaller_limit():
    image = Image.new("L", (400, 300))
    limits = Limits(pixels=100_000, baseline_jpeg_pixels=200_000)
    assert decode(encoded(image, "JPEG"), at_least=50, limits=limits).size <= (400, 300)
    with pytest.raises(ImageError, match="over the limit"):
        decode(encoded(image, "JPEG", progressive=True), at_least=50, limits=limits)
    with pytest.raises(ImageError, match="over the limit"):
        decode(encoded(image, "JPEG"), limits=limits)  # in full it costs as much as any


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF"])
def test_truncated_files_are_named_as_damaged(kind):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    with pytest.raises(ImageError) as caught:
        decode(data[: len(data) * 2 // 3], where="half.file")
    assert "half.file" in str(caught.value)
    assert "\n" not in str(caught.value)


@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a"]),
)
def test_hostile_bytes_raise_nothing_but_image_error(data, magic):
    try:
        image = decode(magic + data)
    except ImageError:
        return
    assert image.mode == "RGB"


def test_reading_refuses_what_is_no_picture_file(tmp_path):
    empty = tmp_path / "empty.jpg"
    empty.touch()
    pipe = tmp_path / "pipe.jpg"
    os.mkfifo(pipe)
    big = tmp_path / "big.jpg"
    big.write_bytes(bytes(100))
    for path, reason in ((empty, "empty"), (pipe, "not a file"), (tmp_path / "no.jpg", "No such")):
        with pytest.raises(ImageError, match=reason):
            read_bytes(path)
    with pytest.raises(ImageError, match="100 bytes, over the limit of 99 bytes a file"):
        read_bytes(big, Limits(file_bytes=99))


def test_no_bytes_are_what_an_empty_file_is():
    for read in (decode, read_header):
        with pytest.raises(ImageError, match=r"<b>: the file is empty") as refused:
            read(b"", where="<b>")
        assert refused.value.kind == "damaged"


def test_limits_are_told_in_units_that_show_them():
    picture = encoded(Image.new("RGB", (40, 30)), "PNG")
    for limits, says in (
        (Limits(pixels=1000), "40 × 30 pixels, over the limit of 1,000 pixels and"),
        (Limits(file_bytes=50), " bytes, over the limit of 50 bytes a file"),
        (Limits(decode_bytes=100), " bytes to decode, over the limit of 100 bytes"),
    ):
        with pytest.raises(ImageError, match=says):
            decode(picture, limits=limits)
    with pytest.raises(ImageError, match=r"1\.4 MB, over the limit of 1\.2 MB a file"):
        Limits(file_bytes=1_200_000).check_file(1_400_000, "")
    with pytest.raises(ImageError, match="over the limit of 80 megapixels"):
        Limits().check_size(10_000, 10_000, 80_000_000)


def test_a_header_tells_format_and_upright_size(tmp_path):
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save(path, exif=exif)
    assert read_header(path.read_bytes()) == Header("JPEG", 20, 40)
    with pytest.raises(ImageError, match="not a picture"):
        read_header(b"nothing of the kind", where="x")
