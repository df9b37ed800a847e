import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from i2pa.errors import ImageError, ModelError, UserInputError
from i2pa.images.properties import brightness, colourfulness
from i2pa.images.transforms import transform_named

SQUASH = transform_named("squash260@1")
CROP = transform_named("crop224@1")


def test_all_kinds_of_input_give_the_same_pixels(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (300, 200, 3), dtype=np.uint8)
    path = tmp_path / "a.png"
    Image.fromarray(pixels).save(path)
    with Image.open(path) as opened:
        variants = [str(path), path, path.read_bytes(), opened, pixels]
        results = [SQUASH.pixels(variant) for variant in variants]
    assert results[0].shape == (260, 260, 3)
    assert results[0].dtype == np.uint8
    assert all((result == results[0]).all() for result in results)


def test_crop_keeps_the_aspect_ratio_and_the_centre():
    pixels = np.zeros((256, 1024, 3), np.uint8)
    pixels[:, 400:624] = 255
    assert (CROP.pixels(pixels)[:, 2:-2] > 250).all()
    assert SQUASH.pixels(pixels).mean() < 70


@given(st.integers(1, 700), st.integers(1, 700), st.sampled_from([SQUASH, CROP]))
@settings(deadline=None)
def test_any_size_fits(width, height, transform):
    image = Image.new("RGB", (width, height), (10, 20, 30))
    pixels = transform.pixels(image)
    assert pixels.shape == (transform.size, transform.size, 3)
    assert (pixels == (10, 20, 30)).all()


def test_scaled_decoding_stays_close_to_full():
    x, y = np.meshgrid(np.linspace(0, 9, 1600), np.linspace(0, 7, 1200))
    smooth = np.stack([np.sin(x) * np.cos(y), np.sin(x + y), np.cos(x - y)], -1)
    buffer = io.BytesIO()
    Image.fromarray((127 + 120 * smooth).astype(np.uint8)).save(buffer, "JPEG", quality=92)
    with Image.open(io.BytesIO(buffer.getvalue())) as opened:
        full = SQUASH.pixels(opened).astype(int)
    assert np.abs(SQUASH.pixels(buffer.getvalue()) - full).mean() < 1.5


def test_grey_and_rgba_arrays():
    grey = np.full((20, 30), 77, np.uint8)
    clear = np.zeros((20, 30, 4), np.uint8)
    assert (SQUASH.pixels(grey) == 77).all()
    assert (SQUASH.pixels(clear) == 255).all()


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((10, 10, 3), np.float32),
        np.zeros((3, 10, 10), np.uint8),
        np.zeros(10, np.uint8),
        np.zeros((0, 10, 3), np.uint8),
        [[1, 2], [3, 4]],
    ],
)
def test_other_arrays_are_refused_with_the_remedy(array):
    with pytest.raises(UserInputError, match="cannot score"):
        SQUASH.pixels(array)


def test_an_unknown_transform_lists_the_known():
    with pytest.raises(ModelError, match="squash260@1"):
        transform_named("squash260@99")


def test_properties_of_plain_colours():
    def plain(*colour):
        return np.full((4, 4, 3), colour, np.uint8)

    assert brightness(plain(255, 255, 255)) == pytest.approx(255)
    assert brightness(plain(255, 0, 0)) == pytest.approx(0.299 * 255)
    assert colourfulness(plain(90, 90, 90)) == 0
    # Hasler and Süsstrunk M3 of one colour is .3 times the length of its mean opponent vector.
    assert colourfulness(plain(255, 0, 0)) == pytest.approx(0.3 * np.hypot(255, 127.5), rel=1e-5)
    half = np.concatenate([plain(255, 0, 0), plain(0, 255, 0)])
    assert colourfulness(half) == pytest.approx(255 + 0.3 * 127.5, rel=1e-5)


def test_an_opened_picture_may_be_shared_between_threads(tmp_path):
    path = tmp_path / "a.jpg"
    noise = np.random.default_rng(0).integers(0, 256, (600, 800, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    alone = CROP.pixels(Image.open(path))
    for _ in range(5):
        with Image.open(path) as shared, ThreadPoolExecutor(4) as pool:
            together = list(pool.map(CROP.pixels, [shared] * 8))
        assert all((pixels == alone).all() for pixels in together)


def test_an_opened_tiff_is_turned_once(tmp_path):
    path = tmp_path / "turned.tif"
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(path, exif=exif)
    with Image.open(path) as opened:
        assert (SQUASH.pixels(opened) == SQUASH.pixels(path)).all()


def test_an_opened_picture_that_is_cut_short_is_named(tmp_path):
    path = tmp_path / "cut.png"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:4000])
    with Image.open(path) as opened, pytest.raises(ImageError, match=r"cut\.png: damaged"):
        SQUASH.pixels(opened)


def test_a_line_of_pixels_is_not_enlarged_to_gigabytes():
    line = np.zeros((1, 50_000, 3), np.uint8)
    line[:, 24_000:26_000] = 200
    assert CROP.resized(line).nbytes < 20_000_000
    assert (CROP.pixels(line)[:, 4:-4] == 200).all()
    assert CROP.pixels(np.ascontiguousarray(line.transpose(1, 0, 2))).shape == (224, 224, 3)
