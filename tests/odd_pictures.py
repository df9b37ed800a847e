"""Pictures that tests make: odd, hostile, or of formats that few programs write."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
CORNERS = (RED, GREEN, BLUE, WHITE)
"""Colours of the quarters, clockwise from the top left."""

# What a camera that was held so has stored: undone by the EXIF turn.
STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
_ORIENTATION, _TAKEN, _FRACTION, _EXIF_IFD = 0x0112, 0x9003, 0x9291, 0x8769


def quarters(width=60, height=40):
    """Red, green, blue and white quarters, clockwise from the top left."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2], pixels[: height // 2, width // 2 :] = RED, GREEN
    pixels[height // 2 :, width // 2 :], pixels[height // 2 :, : width // 2] = BLUE, WHITE
    return Image.fromarray(pixels)


def turned(image, orientation):
    """`image` as stored, and the EXIF that turns it upright."""
    exif = Image.Exif()
    exif[_ORIENTATION] = orientation
    stored = image.transpose(STORED[orientation]) if orientation in STORED else image
    return stored, exif


def corner_colours(image):
    """Colours near the four corners, clockwise from the top left."""
    w, h = image.size
    at = ((2, 2), (w - 3, 2), (w - 3, h - 3), (2, h - 3))
    return [image.getpixel(xy) for xy in at]


def near(colour, wanted, tolerance=40):
    return max(abs(a - b) for a, b in zip(colour, wanted, strict=True)) <= tolerance


def shows_quarters(image, tolerance=60):
    """Whether an RGB picture shows the quarters upright."""
    pairs = zip(corner_colours(image), CORNERS, strict=True)
    return all(near(got, wanted, tolerance) for got, wanted in pairs)


def noise(width=64, height=64, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def encoded(image, kind, **options):
    """The bytes of `image` in a format of Pillow's, or HEIF."""
    if kind == "HEIF":
        import pillow_heif

        pillow_heif.register_heif_opener()
        # Its encoder turns by EXIF given as bytes alone.
        if isinstance(exif := options.get("exif"), Image.Exif):
            options["exif"] = exif.tobytes()
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def taken_exif(time, fraction=None):
    """EXIF that says when the picture was taken."""
    exif = Image.Exif()
    exif[0x010F] = "Camera"  # without a tag of its own, EXIF counts as empty
    ifd = exif.get_ifd(_EXIF_IFD)
    ifd[_TAKEN] = time
    if fraction is not None:
        ifd[_FRACTION] = fraction
    return exif


def png_of_size(width, height):
    """A PNG's header for any size, with next to no pixel data: a decompression bomb."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(bytes(999)))
    return b"\x89PNG\r\n\x1a\n" + body


def zeros_png(width, height):
    """A whole PNG of black grey pixels, a few kilobytes for many megapixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    packer, row = zlib.compressobj(9), bytes(1 + width)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    body = _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def _chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def swapped_primaries_profile():
    """A minimal ICC profile of a display whose red and blue primaries are swapped."""
    return rgb_profile(
        (0.1431, 0.0606, 0.7141), (0.3851, 0.7169, 0.0971), (0.4361, 0.2225, 0.0139), b"swapped"
    )


def wide_profile():
    """A minimal ICC profile of ProPhoto's wide primaries."""
    return rgb_profile((0.7977, 0.2880, 0.0), (0.1352, 0.7119, 0.0), (0.0313, 0.0001, 0.8249))


def rgb_profile(red, green, blue, name=b"wide"):
    def fixed(*values):
        return b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    def xyz(*values):
        return b"XYZ \0\0\0\0" + fixed(*values)

    described = struct.pack(">I", len(name) + 1) + name + b"\0"
    tags = {
        b"rXYZ": xyz(*red),
        b"gXYZ": xyz(*green),
        b"bXYZ": xyz(*blue),
        b"wtpt": xyz(0.9642, 1.0, 0.8249),
        b"desc": b"desc\0\0\0\0" + described + bytes(79),
        b"cprt": b"text\0\0\0\0CC0\0",
    }
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(2.2 * 256)) + b"\0\0"
    tags |= {b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}
    table, body, offset = b"", b"", 128 + 4 + 12 * len(tags)
    for tag, data in tags.items():
        data += bytes(-len(data) % 4)
        table += tag + struct.pack(">II", offset + len(body), len(data))
        body += data
    header = bytearray(128)
    header[4:8] = b"lcms"
    header[8:12] = bytes([2, 0x40, 0, 0])
    header[12:24] = b"mntrRGB XYZ "
    header[36:40] = b"acsp"
    header[68:80] = fixed(0.9642, 1.0, 0.8249)
    whole = bytes(header) + struct.pack(">I", len(tags)) + table + body
    return struct.pack(">I", len(whole)) + whole[4:]


def jpeg_with_a_scan_for_each_component(width, height):
    """The header of a baseline JPEG whose first scan holds one component of three."""
    data = encoded(Image.new("RGB", (16, 16)), "JPEG", subsampling=0)
    frame = data.index(b"\xff\xc0")
    size = struct.pack(">HH", height, width)
    data = data[: frame + 5] + size + data[frame + 9 :]
    scan = data.index(b"\xff\xda")
    one = b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00"
    return data[:scan] + one + data[scan + 14 :]


def dng(image, *, orientation=1, preview=None, taken=None):
    """A small, valid DNG of `image` (even sides), uncompressed, with or without a JPEG preview."""
    width, height = image.size
    linear = (np.asarray(image, np.float64) / 255) ** 2.2 * 60000
    mosaic = np.zeros((height, width), np.uint16)
    for row, column, channel in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
        mosaic[row::2, column::2] = linear[row::2, column::2, channel]
    sensor = mosaic.tobytes()
    srgb = (32405, -15371, -4985, -9693, 18760, 416, 556, -2040, 10572)
    about_sensor = {
        254: ("I", (0,)),
        256: ("I", (width,)),
        257: ("I", (height,)),
        258: ("H", (16,)),
        259: ("H", (1,)),
        262: ("H", (32803,)),  # colour filter array
        277: ("H", (1,)),
        278: ("I", (height,)),
        279: ("I", (len(sensor),)),
        33421: ("H", (2, 2)),
        33422: ("B", (0, 1, 1, 2)),
        50717: ("I", (60000,)),
    }
    about_camera = {
        271: ("s", b"Test\0"),
        272: ("s", b"Camera\0"),
        274: ("H", (orientation,)),
        50706: ("B", (1, 4, 0, 0)),
        50708: ("s", b"Test Camera\0"),
        50721: ("ii", tuple((value, 10000) for value in srgb)),
        50728: ("II", ((1, 1),) * 3),
        50778: ("H", (21,)),
    }
    exif = {36867: ("s", taken.encode() + b"\0")} if taken else None
    if preview is None:
        return _tiff({**about_sensor, **about_camera}, sensor, exif)
    jpeg = encoded(preview, "JPEG", quality=95, subsampling=0)
    about_preview = {
        254: ("I", (1,)),
        256: ("I", (preview.width,)),
        257: ("I", (preview.height,)),
        258: ("H", (8, 8, 8)),
        259: ("H", (7,)),
        262: ("H", (6,)),
        277: ("H", (3,)),
        278: ("I", (preview.height,)),
        279: ("I", (len(jpeg),)),
    }
    return _tiff({**about_preview, **about_camera}, jpeg, exif, (about_sensor, sensor))


def tiff_taken(image, time, fraction):
    """An uncompressed TIFF with the time of taking in its EXIF, which Pillow does not write."""
    data = image.tobytes()
    tags = {
        256: ("I", (image.width,)),
        257: ("I", (image.height,)),
        258: ("H", (8, 8, 8)),
        259: ("H", (1,)),
        262: ("H", (2,)),
        277: ("H", (3,)),
        278: ("I", (image.height,)),
        279: ("I", (len(data),)),
    }
    exif = {36867: ("s", time.encode() + b"\0"), 37521: ("s", fraction.encode() + b"\0")}
    return _tiff(tags, data, exif)


def _tiff(tags, strip, exif=None, below=None):
    """Directories one after the other, then the strips; offsets are filled in on a second pass."""
    tags = {**tags, 273: ("I", (0,))}
    if exif:
        tags[34665] = ("I", (0,))
    if below:
        tags[330] = ("I", (0,))
        below = ({**below[0], 273: ("I", (0,))}, below[1])
    exif_at = 8 + len(_directory(tags, 8))
    below_at = exif_at + (len(_directory(exif, exif_at)) if exif else 0)
    strip_at = below_at + (len(_directory(below[0], below_at)) if below else 0)
    tags[273] = ("I", (strip_at,))
    out = b"II*\0" + struct.pack("<I", 8)
    if exif:
        tags[34665] = ("I", (exif_at,))
    if below:
        tags[330] = ("I", (below_at,))
        below[0][273] = ("I", (strip_at + len(strip),))
    out += _directory(tags, 8)
    out += _directory(exif, exif_at) if exif else b""
    out += _directory(below[0], below_at) if below else b""
    return out + strip + (below[1] if below else b"")


_TYPES = {"B": 1, "s": 2, "H": 3, "I": 4, "II": 5, "ii": 10}


def _directory(tags, at):
    entries, extra = b"", b""
    after = at + 2 + 12 * len(tags) + 4
    for tag, (kind, values) in sorted(tags.items()):
        if kind == "s":
            data = values
        elif kind in ("II", "ii"):
            data = b"".join(struct.pack("<" + kind, *value) for value in values)
        else:
            data = struct.pack(f"<{len(values)}{kind}", *values)
        entries += struct.pack("<HHI", tag, _TYPES[kind], len(values))
        if len(data) <= 4:
            entries += data.ljust(4, b"\0")
        else:
            entries += struct.pack("<I", after + len(extra))
            extra += data + bytes(len(data) % 2)
    return struct.pack("<H", len(tags)) + entries + bytes(4) + extra
