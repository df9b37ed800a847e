"""Small files that would keep their decoder busy for minutes go where they can be stopped."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from i2pa.errors import ImageError
from i2pa.images.decoder import Decoder
from i2pa.images.meter import HEADER_BYTES, HEADER_READS, Metered, TooMuchWorkError
from i2pa.images.open import opened
from i2pa.images.transforms import transform_named
from i2pa.images.worker_process import WorkerProcess
from odd_pictures import encoded, noise, quarters

SQUASH = transform_named("squash260@1")
MANY = HEADER_READS


def in_a_jpeg(segment):
    data = encoded(quarters(), "JPEG")
    return data[:2] + segment + data[2:]


def exif_segment():
    body = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 0) + bytes(4)
    return b"\xff\xe1" + struct.pack(">H", 2 + len(body)) + body


def in_a_png(kind, n):
    """Before its first data, or where the kind is theirs among them."""
    data = encoded(quarters(), "PNG")
    at = data.index(b"IDAT") - 4
    chunk = bytes(4) + kind + struct.pack(">I", zlib.crc32(kind))
    return data[:at] + chunk * n + data[at:]


def in_a_gif(extension):
    data = encoded(quarters().quantize(16), "GIF")
    at = 13 + 3 * 2 ** ((data[10] & 7) + 1)
    return data[:at] + extension + data[at:]


def bmp_of_runs(side):
    body = (b"\x01\x07" * side + b"\0\0") * side + b"\0\x01"
    start = 14 + 40 + 1024
    head = b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start)
    info = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, len(body), 0, 0, 256, 0)
    return head + info + bytes(1024) + body


def tiff_of_strips(n):
    about = [
        *((256, 4, 1, 64), (257, 4, 1, 64), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)),
        *((273, 4, n, 122), (277, 3, 1, 1), (278, 4, 1, 1), (279, 4, 1, 64)),
    ]
    directory = b"".join(struct.pack("<HHII", *entry) for entry in about)
    head = b"II*\0" + struct.pack("<IH", 8, len(about)) + directory + bytes(4)
    assert len(head) == 122
    return head + np.full(n, 122, "<u4").tobytes() + bytes(64)


def tiff_of_jpeg_scans():
    """A JPEG of 90 scans inside a TIFF of 9 megapixels; libtiff stops at a hundred."""
    data = encoded(Image.new("L", (3000, 3000)), "JPEG", progressive=True)
    at = data.rindex(b"\xff\xda")
    data = data[:at] + data[at:-2] * 80 + data[-2:]
    about = [
        *((256, 4, 1, 3000), (257, 4, 1, 3000), (258, 3, 1, 8), (259, 3, 1, 7), (262, 3, 1, 1)),
        *((273, 4, 1, 122), (277, 3, 1, 1), (278, 4, 1, 3000), (279, 4, 1, len(data))),
    ]
    directory = b"".join(struct.pack("<HHII", *entry) for entry in about)
    return b"II*\0" + struct.pack("<IH", 8, len(about)) + directory + bytes(4) + data


LABORIOUS = {
    "segments": lambda: in_a_jpeg(b"\xff\xef\0\2" * MANY),
    "EXIF segments": lambda: in_a_jpeg(exif_segment() * MANY),
    "a long header": lambda: in_a_jpeg((b"\xff\xef\xff\xff" + bytes(65533)) * 20),
    "chunks": lambda: in_a_png(b"aaAa", MANY),
    "empty data": lambda: in_a_png(b"IDAT", 10 * MANY),
    "comments": lambda: in_a_gif(b"\x21\xfe\0" * MANY),
    "parts of a comment": lambda: in_a_gif(b"\x21\xfe" + b"\1a" * MANY + b"\0"),
    "runs": lambda: bmp_of_runs(300),
    "strips": lambda: tiff_of_strips(HEADER_BYTES // 4),
    "scans in a TIFF": tiff_of_jpeg_scans,
}


@pytest.fixture(scope="module")
def laborious():
    return {name: make() for name, make in LABORIOUS.items()}


@pytest.mark.parametrize("name", LABORIOUS)
def test_laborious_pictures_are_left_to_the_process(laborious, name):
    data = laborious[name]
    with Decoder(SQUASH) as decoder:
        decoded = decoder.decode_bytes(data, name)
        assert decoder._worker._process is not None
        # The process has no meter, and makes of it what there is.
        assert (decoded.pixels == SQUASH.pixels(data)).all()


def test_there_they_end_after_their_time(laborious):
    code = (
        "from i2pa.images import worker; "
        "worker.opened = lambda *a, **k: [None for _ in iter(int, 1)]; worker.main()"
    )
    with Decoder(SQUASH) as decoder:
        decoder._worker = WorkerProcess(SQUASH, decoder.limits, 1.0, code=code)
        # Left alone it would never end.
        with pytest.raises(ImageError, match="x: took more than 1 s of processor time"):
            decoder.decode_bytes(laborious["segments"], "x")


def test_ordinary_pictures_with_much_in_their_header_stay_light(tmp_path):
    profile = bytes(600_000)
    plain = noise(1500, 1000)
    animated = io.BytesIO()
    frames = [noise(60, 60, seed=n).quantize(32) for n in range(20)]
    frames[0].save(animated, "GIF", save_all=True, append_images=frames[1:], comment=b"c" * 9000)
    pictures = [
        encoded(plain, "JPEG", icc_profile=profile),
        encoded(plain, "JPEG", progressive=True, comment=b"c" * 60_000),
        encoded(plain, "PNG", icc_profile=profile),
        encoded(plain, "TIFF", compression="tiff_lzw"),
        encoded(plain, "TIFF", tiffinfo={278: 1}),
        encoded(plain, "WEBP", lossless=True),
        encoded(plain, "AVIF"),
        encoded(plain, "BMP"),
        animated.getvalue(),
    ]
    with Decoder(SQUASH) as decoder:
        for data in pictures:
            assert (decoder.decode(data).pixels == SQUASH.pixels(data)).all()
        assert decoder._worker._process is None


def test_a_meter_stays_shut():
    meter = Metered(io.BytesIO(bytes(2 * HEADER_BYTES)))
    assert len(meter.read()) == 2 * HEADER_BYTES
    meter.seek(0)
    assert len(meter.read(HEADER_BYTES)) == HEADER_BYTES
    for _ in range(2):
        with pytest.raises(TooMuchWorkError):
            meter.read(1)
    assert meter.getvalue() == bytes(2 * HEADER_BYTES)


def test_only_who_asks_for_light_pictures_is_refused(laborious):
    with opened(laborious["segments"]) as picture:
        assert picture.format == "JPEG"
    with pytest.raises(TooMuchWorkError), opened(laborious["segments"], light=True):
        pass
