"""When a picture was taken, told without decoding it."""

import tempfile
from datetime import datetime
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from i2pa.images.decoder import Decoder
from i2pa.images.transforms import transform_named
from odd_pictures import dng, encoded, noise, png_of_size, quarters, taken_exif, tiff_taken

SQUASH = transform_named("squash260@1")
SAID, MEANT = "2024:05:06 07:08:09", datetime(2024, 5, 6, 7, 8, 9)


@pytest.fixture(scope="module")
def decoder():
    with Decoder(SQUASH) as made:
        yield made


def time_taken(data, decoder):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture"
        path.write_bytes(data)
        return decoder.time_taken(path)


def jpeg(**times):
    """A picture whose EXIF block says these times."""
    exif = Image.Exif()
    if "changed" in times:
        exif[0x0132] = times["changed"]
    if "taken" in times:
        exif.get_ifd(0x8769)[0x9003] = times["taken"]
    out = BytesIO()
    Image.new("RGB", (8, 8)).save(out, "JPEG", exif=exif)
    return out.getvalue()


TIMED = {
    **{
        kind: lambda kind=kind: encoded(noise(), kind, exif=taken_exif(SAID, "5"))
        for kind in ("JPEG", "PNG", "WEBP", "HEIF", "AVIF")
    },
    "TIFF": lambda: tiff_taken(noise(), SAID, "5"),
}


@pytest.mark.parametrize("kind", TIMED)
def test_every_kind_tells_its_time_and_the_same_once_decoded(kind, decoder):
    data = TIMED[kind]()
    wanted = MEANT.replace(microsecond=500_000)
    assert time_taken(data, decoder) == wanted
    assert decoder.decode(data).taken == wanted


@pytest.mark.parametrize("preview", [None, quarters(600, 600)])
def test_raw_tells_it_by_its_own_decoder(preview, decoder):
    data = dng(quarters(300, 200), preview=preview, taken=SAID)
    assert time_taken(data, decoder) == MEANT
    assert time_taken(dng(quarters(300, 200), preview=preview), decoder) is None


def test_raw_and_heic_are_looked_at_in_the_process(decoder):
    with Decoder(SQUASH) as fresh:
        time_taken(jpeg(taken=SAID), fresh)
        assert fresh._worker._process is None
        time_taken(dng(quarters(300, 200)), fresh)
        process = fresh._worker._process
        assert process is not None
        heic = TIMED["HEIF"]()
        assert time_taken(heic, fresh) is not None
        assert (fresh.decode(heic).pixels == SQUASH.pixels(heic)).all()
        assert fresh._worker._process is process


def test_the_time_of_exposure_counts_that_of_a_change_does_not(decoder):
    both = jpeg(taken="2024:05:01 12:30:15", changed="2024:06:01 00:00:00")
    assert time_taken(both, decoder) == datetime(2024, 5, 1, 12, 30, 15)
    assert time_taken(jpeg(changed="2024:06:01 00:00:00"), decoder) is None


@pytest.mark.parametrize("said", ["", "0000:00:00 00:00:00", "yesterday", "2024:13:01 12:00:00"])
def test_nonsense_is_no_time(said, decoder):
    assert time_taken(jpeg(taken=said), decoder) is None


def test_most_pictures_say_nothing(decoder):
    assert time_taken(jpeg(), decoder) is None


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_what_cannot_be_read_says_nothing(decoder, tmp_path):
    cut = TIMED["HEIF"]()[:200]
    for data in (b"", b"text", cut, dng(quarters(300, 200))[:50], png_of_size(50_000, 50_000)):
        assert time_taken(data, decoder) is None
    assert decoder.time_taken(tmp_path / "none.jpg") is None
    assert decoder.time_taken(tmp_path) is None


@settings(deadline=None)
@given(data=st.binary(max_size=200))
def test_hostile_bytes_are_no_time(data, decoder):
    assert time_taken(data, decoder) is None
    assert time_taken(b"\xff\xd8\xff\xe1" + data, decoder) is None
