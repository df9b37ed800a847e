"""What decoding a picture will cost, told from its header: memory, and whether it may take long.

Bytes a pixel were measured (`benchmarks/pictures.py`) and are what the decoder and Pillow hold at
their peak, together; they are estimates to plan by, not promises.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

# Pillow keeps every mode but these at four bytes a pixel.
_BYTES_OF_MODE = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16L": 2, "I;16B": 2, "I;16N": 2}
_WEBP = 16
_AVIF, _AVIF_DEEP = 11, 16
_HEIC, _HEIC_DENSE, _HEIC_DENSE_AND_DEEP = 8, 11, 15

_ROWS_PER_STRIP, _TILE_WIDTH, _TILE_LENGTH, _BITS, _ORIENTATION = 278, 322, 323, 258, 274
_ONLY_STRIP = 2**32 - 1

# A progressive JPEG works through all its pixels once a scan; cameras and tools write ten or so.
_SLOW_SCAN_PIXELS = 400_000_000
_CHUNK = 1 << 20


def bytes_to_decode(image: Image.Image, file: BinaryIO, full_size: tuple[int, int]) -> int:
    """Expected peak memory of `image.load()`; `full_size` is that before any reduced scale."""
    pixels = image.width * image.height
    kind = image.format
    if kind == "WEBP":
        return _WEBP * pixels
    if kind == "AVIF":
        return (_AVIF_DEEP if _is_deep_avif(file) else _AVIF) * pixels
    if kind == "HEIF":
        return _bytes_of_heic_pixel(image.info) * pixels
    decoded = _BYTES_OF_MODE.get(image.mode, 4) * pixels
    if isinstance(image, JpegImageFile) and needs_whole_picture(image, file):
        return decoded + _coefficient_bytes(image, full_size)
    if kind == "TIFF":
        return _bytes_of_tiff(image, decoded)
    return decoded


def needs_whole_picture(image: Image.Image, file: BinaryIO) -> bool:
    """Whether the JPEG's decoder must hold all of its coefficients, however small the result.

    So it is where a scan holds less than the whole picture: progressive JPEG, and baseline JPEG
    with a scan for each component. `file` must be where Pillow's parser left it or anywhere else.
    """
    if not isinstance(image, JpegImageFile) or "progressive" in image.info:
        return True
    components: int = image.layers
    length = 6 + 2 * components
    scan = b"\xff\xda" + length.to_bytes(2, "big") + bytes([components])
    place = file.tell()
    start = place - 2 - length
    if start < 0:
        return True
    file.seek(start)
    found = file.read(len(scan))
    file.seek(place)
    return found != scan


def is_slow_to_decode(image: Image.Image, file: BinaryIO) -> bool:
    """Whether a JPEG holds so many scans of so many pixels that it may take many seconds.

    One inside a TIFF as well; there each strip has scans of its own, so this errs to the safe side.
    """
    if image.format == "JPEG":
        scanned = needs_whole_picture(image, file)
    else:
        scanned = image.format == "TIFF" and image.info.get("compression") == "jpeg"
    if not scanned:
        return False
    place = file.tell()
    file.seek(0)
    scans = sum(chunk.count(b"\xff\xda") for chunk in _chunks(file))
    file.seek(place)
    return scans * image.width * image.height > _SLOW_SCAN_PIXELS


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk


def _coefficient_bytes(image: JpegImageFile, full_size: tuple[int, int]) -> int:
    """Two bytes for each coefficient of each component, subsampled as the picture is."""
    layers: list[tuple[int, int, int, int]] = image.layer
    most = max(across for _, across, _, _ in layers) * max(down for _, _, down, _ in layers)
    share = sum(across * down for _, across, down, _ in layers) / max(1, most)
    return int(2 * full_size[0] * full_size[1] * share)


def _is_deep_avif(file: BinaryIO) -> bool:
    """Whether samples have more than 8 bits, by the configuration box `av1C`."""
    file.seek(0)
    _, found, after = file.read(1 << 16).partition(b"av1C")
    deep = 0x40
    return not found or len(after) < 3 or bool(after[2] & deep)


def _bytes_of_heic_pixel(info: dict[Any, Any]) -> int:
    if str(info.get("chroma", 420)) in ("420", "400"):
        return _HEIC
    return _HEIC_DENSE_AND_DEEP if info.get("bit_depth", 8) > 8 else _HEIC_DENSE


def _bytes_of_tiff(image: Image.Image, decoded: int) -> int:
    """With the strip or tile that libtiff unpacks at once, and the copy that turning makes."""
    tags: Any = getattr(image, "tag_v2", {})
    if int(tags.get(_ORIENTATION, 1)) != 1:
        decoded *= 2
    tiles: Any = getattr(image, "tile", None)
    if tiles and tiles[0][0] == "raw":
        return decoded
    width, height = image.size
    rows = min(int(tags.get(_ROWS_PER_STRIP, _ONLY_STRIP)), height)
    across = int(tags.get(_TILE_WIDTH, width))
    rows = int(tags.get(_TILE_LENGTH, rows))
    bits = tags.get(_BITS, (8,))
    bits = bits if isinstance(bits, tuple) else (bits,)
    return decoded + across * rows * (sum(map(int, bits)) + 7) // 8
