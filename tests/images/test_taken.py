from datetime import datetime
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from i2pa.images.open import time_taken


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


def test_the_time_of_exposure_counts_that_of_a_change_does_not():
    both = jpeg(taken="2024:05:01 12:30:15", changed="2024:06:01 00:00:00")
    assert time_taken(both) == datetime(2024, 5, 1, 12, 30, 15)
    assert time_taken(jpeg(changed="2024:06:01 00:00:00")) is None


@pytest.mark.parametrize("said", ["", "0000:00:00 00:00:00", "yesterday", "2024:13:01 12:00:00"])
def test_nonsense_is_no_time(said):
    assert time_taken(jpeg(taken=said)) is None


def test_most_pictures_say_nothing():
    assert time_taken(jpeg()) is None


@given(st.binary(max_size=200))
def test_hostile_bytes_are_no_time(data):
    assert time_taken(data) is None
    assert time_taken(b"\xff\xd8\xff\xe1" + data) is None
