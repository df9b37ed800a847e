"""Why a picture was left out, in a word that programs may go by."""

import errno
import io
import os
import re
import sys
from pathlib import Path
from typing import get_args

import pytest
from PIL import Image

from i2pa.errors import DataError, FailureKind, ImageError
from i2pa.images.decoder import Decoder
from i2pa.images.failure import Failure, unreadable
from i2pa.images.limits import LIMITS, Limits
from i2pa.images.open import decode
from i2pa.images.regular import open_file
from i2pa.images.transforms import transform_named
from odd_pictures import encoded, noise, png_of_size, quarters

SQUASH = transform_named("squash260@1")
SMALL = Limits(file_bytes=100_000, pixels=5_000, decode_bytes=1_000_000)


def kind_of(given, limits=LIMITS):
    with Decoder(SQUASH, limits=limits) as decoder, pytest.raises(ImageError) as caught:
        decoder.decode(given)
    failure = Failure.of("a.jpg", caught.value)
    again = failure.as_error()
    assert (again.kind, again.what, again.where) == (failure.kind, caught.value.what, "a.jpg")
    return failure.kind


def test_what_is_wrong_with_a_file(tmp_path):
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "cut.jpg").write_bytes(encoded(noise(), "JPEG")[:2000])
    (tmp_path / "cut.png").write_bytes(encoded(noise(), "PNG")[:2000])
    (tmp_path / "folder.jpg").mkdir()
    kinds = {
        "none.jpg": "missing",
        "text.jpg/a.jpg": "missing",
        "nul\0.jpg": "unreadable",
        "n" * 300 + ".jpg": "unreadable",
        "folder.jpg": "not_a_file",
        "empty.jpg": "damaged",
        "text.jpg": "not_a_picture",
        "cut.jpg": "damaged",
        "cut.png": "damaged",
    }
    assert {name: kind_of(tmp_path / name) for name in kinds} == kinds


def test_what_is_too_large(tmp_path):
    (tmp_path / "a.jpg").write_bytes(bytes(100_001))
    assert kind_of(tmp_path / "a.jpg", SMALL) == "too_large"
    assert kind_of(encoded(noise(90, 70), "PNG"), SMALL) == "too_large"
    assert kind_of(encoded(noise(70, 70), "PNG"), Limits(decode_bytes=1000)) == "too_large"
    assert kind_of(png_of_size(50_000, 50_000)) == "too_large"


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="modes mean little here")
def test_what_the_system_forbids(tmp_path, monkeypatch):
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded(noise(), "JPEG"))
    path.chmod(0)
    if os.geteuid() == 0:

        def forbid(*given):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))

        # Root may read everything.
        monkeypatch.setattr("i2pa.images.regular.os.open", forbid)
    with pytest.raises(ImageError) as caught, open_file(path):
        pass
    assert caught.value.kind == "permission"


class Failing(io.BytesIO):
    """A file whose disk fails once its header was read."""

    def read(self, size=-1):
        if self.tell() > 5000:
            raise OSError(errno.EIO, "Input/output error")
        return super().read(size)


def test_a_disk_that_fails_in_the_middle_is_no_damage_to_the_picture():
    with pytest.raises(ImageError, match="cannot be read") as caught:
        decode(Failing(encoded(noise(600, 600), "PNG")), where="a.png")
    assert caught.value.kind == "unreadable"
    assert unreadable("a", OSError(errno.ENOENT, "gone")).kind == "missing"


def test_missing_packages_have_a_kind(monkeypatch):
    heic = encoded(noise(), "HEIF")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(ImageError) as caught:
        SQUASH.pixels(heic)
    assert caught.value.kind == "needs_extra"


def test_a_picture_opened_by_the_caller():
    image = Image.open(io.BytesIO(encoded(noise(300, 300), "PNG")[:3000]))
    with pytest.raises(ImageError) as caught:
        SQUASH.pixels(image)
    assert caught.value.kind == "damaged"


def test_a_decoder_that_was_closed():
    decoder = Decoder(SQUASH)
    decoder.close()
    with pytest.raises(ImageError) as caught:
        decoder.decode(encoded(quarters(), "PNG"))
    assert caught.value.kind == "stopped"


def test_the_docs_say_what_each_kind_means():
    docs = Path(__file__).parents[2] / "docs" / "platform-engineer.md"
    section = docs.read_text(encoding="utf-8").partition("\n## Failures\n")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.M) == ["kind", *get_args(FailureKind)]


def test_files_that_could_not_be_written_are_told_apart():
    assert Failure.of("a.xmp", DataError("cannot be written")).kind == "not_written"
    assert "not_written" in get_args(FailureKind)
