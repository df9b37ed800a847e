"""How long small hostile files, within all bounds, hold up the decoder that scoring uses.

Run: python benchmarks/hostile.py [--megabytes 20] [--seconds 20] [NAME ...]

Each file is made to cost as much as its format allows for its size: JPEGs of very many scans or
segments, PNGs of empty chunks, and so on. Processor seconds are of this process alone: what the
worker process takes is in the wall time, and ends at `--seconds` (and is told as a failure).
"""

from __future__ import annotations

import argparse
import io
import struct
import time
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image

from i2pa.errors import ImageError
from i2pa.images.decoder import Decoder
from i2pa.images.transforms import transform_named


def jpeg(width: int, height: int, **options: object) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(out, "JPEG", **options)
    return out.getvalue()


def jpeg_of_scans(pixels: int, scans: int) -> bytes:
    """A progressive JPEG whose last scan stands in it many times."""
    side = int(pixels**0.5)
    data = jpeg(side, side, progressive=True)
    at = data.rindex(b"\xff\xda")
    return data[:at] + data[at:-2] * scans + data[-2:]


def jpeg_of_segments(size: int, segment: bytes) -> bytes:
    data = jpeg(64, 64)
    return data[:2] + segment * (size // len(segment)) + data[2:]


def exif_segment(length: int) -> bytes:
    body = b"Exif\0\0" + b"II*\0" + struct.pack("<IH", 8, 0) + bytes(length)
    return b"\xff\xe1" + struct.pack(">H", 2 + len(body)) + body


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, before: bytes = b"", between: bytes = b"", **kind: int) -> bytes:
    bits, colour, laced = kind.get("bits", 8), kind.get("colour", 0), kind.get("laced", 0)
    channels = {0: 1, 2: 3, 6: 4}[colour]
    rows = range(0) if laced else range(height)
    packer, row = zlib.compressobj(9), bytes(1 + width * channels * bits // 8)
    data = b"".join(packer.compress(row) for _ in rows)
    if laced:
        for x0, y0, dx, dy in (
            *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
            *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
        ):
            across, down = -(-(width - x0) // dx), -(-(height - y0) // dy)
            row = bytes(1 + across * channels * bits // 8)
            data += b"".join(packer.compress(row) for _ in range(down))
    data += packer.flush()
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, laced)
    body = chunk(b"IHDR", header) + before + chunk(b"IDAT", data[:8]) + between
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IDAT", data[8:]) + chunk(b"IEND", b"")


def gif(width: int, height: int, before: bytes = b"") -> bytes:
    out = io.BytesIO()
    Image.new("P", (width, height)).save(out, "GIF")
    data = out.getvalue()
    at = 13 + 3 * 2 ** ((data[10] & 7) + 1) if data[10] & 0x80 else 13
    return data[:at] + before + data[at:]


def bmp_of_runs(width: int, height: int) -> bytes:
    """RLE8, each pixel a run of its own."""
    row = b"\x01\x07" * width + b"\0\0"
    body = row * height + b"\0\x01"
    start = 14 + 40 + 1024
    head = b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start)
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(body), 0, 0, 256, 0)
    return head + info + bytes(1024) + body


def tiff(entries: dict[int, tuple[str, int, bytes]], pixels: bytes) -> bytes:
    """Little-endian, with values behind the directory; tag: type, count, value."""
    numbers = {"H": 3, "I": 4, "B": 1, "U": 7}
    at = 8 + 2 + 12 * len(entries) + 4
    directory, behind = struct.pack("<H", len(entries)), b""
    for tag, (kind, count, value) in sorted(entries.items()):
        directory += struct.pack("<HHI", tag, numbers[kind], count)
        if len(value) <= 4:
            directory += value.ljust(4, b"\0")
        else:
            directory += struct.pack("<I", at + len(behind))
            behind += value
    return b"II*\0" + struct.pack("<I", 8) + directory + bytes(4) + behind + pixels


def about_tiff(width: int, height: int, compression: int = 1) -> dict[int, tuple[str, int, bytes]]:
    return {
        256: ("I", 1, struct.pack("<I", width)),
        257: ("I", 1, struct.pack("<I", height)),
        258: ("H", 1, struct.pack("<H", 8)),
        259: ("H", 1, struct.pack("<H", compression)),
        262: ("H", 1, struct.pack("<H", 1)),
        277: ("H", 1, struct.pack("<H", 1)),
    }


def tiff_of_strips(size: int) -> bytes:
    n = size // 4
    return tiff(
        about_tiff(1000, 1000)
        | {
            278: ("I", 1, struct.pack("<I", 1)),
            273: ("I", n, np.full(n, 200, "<u4").tobytes()),
            279: ("I", 1, struct.pack("<I", 1000)),
        },
        b"",
    )


def tiff_of_tags(size: int) -> bytes:
    """Tags by the thousand that all name the same bytes."""
    data = tiff_of_strips(4)[:8]
    n = 60_000
    at = 8 + 2 + 12 * (n + 6) + 4
    entries = about_tiff(10, 10)
    directory = struct.pack("<H", n + len(entries))
    for tag, (_, count, value) in sorted(entries.items()):
        directory += struct.pack("<HHI", tag, 4, count) + value.ljust(4, b"\0")
    for tag in range(1000, 1000 + n):
        directory += struct.pack("<HHII", tag, 7, size, at)
    return data + directory + bytes(4) + bytes(size)


def tiff_of_jpeg_scans(pixels: int, scans: int) -> bytes:
    side = int(pixels**0.5)
    grey = io.BytesIO()
    Image.new("L", (side, side)).save(grey, "JPEG", progressive=True)
    data = grey.getvalue()
    at = data.rindex(b"\xff\xda")
    data = data[:at] + data[at:-2] * scans + data[-2:]
    entries = about_tiff(side, side, 7) | {
        278: ("I", 1, struct.pack("<I", side)),
        279: ("I", 1, struct.pack("<I", len(data))),
        273: ("I", 1, struct.pack("<I", 8 + 2 + 12 * 9 + 4)),
    }
    return tiff(entries, data)


def picture(kind: str, width: int, height: int, **options: object) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, kind, **options)
    return out.getvalue()


def files(size: int) -> dict[str, Callable[[], bytes]]:
    empty_comment = b"\x21\xfe\0"
    return {
        "JPEG, 4 MP, 5,000 scans": lambda: jpeg_of_scans(4_000_000, 5000),
        "JPEG, 4 MP, just too few scans to be heavy": lambda: jpeg_of_scans(4_000_000, 88),
        "JPEG, 36 MP, just too few scans": lambda: jpeg_of_scans(36_000_000, 2),
        "JPEG of empty segments": lambda: jpeg_of_segments(size, b"\xff\xef\0\2"),
        "JPEG of EXIF segments": lambda: jpeg_of_segments(size, exif_segment(8000)),
        "JPEG of tiny EXIF segments": lambda: jpeg_of_segments(size, exif_segment(0)),
        "PNG, 40 MP, black": lambda: png(8000, 5000),
        "PNG, 40 MP, 16-bit RGBA, interlaced": lambda: png(8000, 5000, bits=16, colour=6, laced=1),
        "PNG of empty chunks": lambda: png(64, 64, chunk(b"aaAa", b"") * (size // 12)),
        "PNG of empty data chunks": lambda: png(64, 64, between=chunk(b"IDAT", b"") * (size // 12)),
        "GIF, 40 MP": lambda: gif(8000, 5000),
        "GIF of comments": lambda: gif(64, 64, empty_comment * (size // 3)),
        "GIF of one comment in small parts": lambda: gif(
            64, 64, b"\x21\xfe" + b"\1a" * (size // 2) + b"\0"
        ),
        "BMP of runs of one pixel": lambda: bmp_of_runs(1000, size // 2000),
        "TIFF of strips": lambda: tiff_of_strips(size),
        "TIFF of overlapping tags": lambda: tiff_of_tags(size // 2),
        "TIFF of a JPEG of 90 scans, 40 MP": lambda: tiff_of_jpeg_scans(40_000_000, 80),
        "WebP, 25 MP, lossless noise": lambda: picture("WEBP", 5000, 5000, lossless=True, method=0),
        "AVIF, 4 MP of noise": lambda: picture("AVIF", 2000, 2000, quality=100, speed=10),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="parts of names of files; all where none is given")
    parser.add_argument("--megabytes", type=float, default=20.0, help="of files made large")
    parser.add_argument("--seconds", type=float, default=20.0, help="what a heavy file may take")
    options = parser.parse_args()
    transform = transform_named("squash260@1")
    for name, make in files(int(options.megabytes * 1e6)).items():
        if options.names and not any(part in name for part in options.names):
            continue
        data = make()
        # The process for heavy pictures is started beforehand.
        with Decoder(transform, seconds=options.seconds) as decoder:
            begun, worked = time.perf_counter(), time.process_time()
            try:
                decoder.decode_bytes(data, "it")
                said = "decoded"
            except ImageError as error:
                said = str(error)
            wall, worked = time.perf_counter() - begun, time.process_time() - worked
        print(f"{name} ({len(data) / 1e6:,.2f} MB): {wall:.1f} s, here {worked:.1f} s; {said}")


if __name__ == "__main__":
    main()
