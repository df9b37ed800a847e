"""What kind of picture a file holds, told by its bytes; suffixes only say what to look at."""

from __future__ import annotations

import struct
from typing import BinaryIO, Literal

Kind = Literal["JPEG", "HEIC", "AVIF", "RAW", "other"]

RAW_SUFFIXES = frozenset(
    {".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".kdc"}
    | {".mef", ".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".rw2", ".rwl", ".sr2"}
    | {".srf", ".srw", ".x3f"}
)
JPEG_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif"})
HEIC_SUFFIXES = frozenset({".heic", ".heif", ".hif"})
SUFFIXES = (
    JPEG_SUFFIXES
    | HEIC_SUFFIXES
    | RAW_SUFFIXES
    | {".avif", ".bmp", ".dib", ".gif", ".mpo", ".png", ".tif", ".tiff", ".webp"}
)

_HEAD = 64
_HEIC_BRANDS = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
)
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
# Fujifilm, Olympus (three), Panasonic and Leica, Canon's CRW, Sigma, Minolta.
_RAW_MAGIC = (
    b"FUJIFILMCCD-RAW",
    b"IIRO",
    b"IIRS",
    b"MMOR",
    b"IIU\0",
    b"II\x1a\0\0\0HEAPCCDR",
    b"FOVb",
    b"\0MRM",
)
_TIFF_MAGIC = (b"II*\0", b"MM\0*")
# Tags of TIFF that tell a camera's RAW from a picture in TIFF.
_SUBFILE_TYPE, _COMPRESSION, _PHOTOMETRIC, _SUB_IFDS, _DNG_VERSION = 254, 259, 262, 330, 50706
_TOLD = frozenset({_SUBFILE_TYPE, _COMPRESSION, _PHOTOMETRIC, _SUB_IFDS, _DNG_VERSION})
# Bytes, 16-bit and 32-bit numbers, and offsets of directories.
_NUMBERS = {1: "B", 3: "H", 4: "I", 13: "I"}
_MOST_NUMBERS = 64
_CFA, _LINEAR_RAW = 32803, 34892
_RAW_COMPRESSIONS = frozenset({32767, 32769, 32770, 34713, 65535})


_PICTURE_HEADS = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", *_TIFF_MAGIC, *_RAW_MAGIC)


def begins_like_a_picture(head: bytes) -> bool:
    """Whether no text begins as a file whose first 16 bytes or more are `head`."""
    return (
        head.startswith(_PICTURE_HEADS)
        or head[4:8] == b"ftyp"
        or (head[:2] == b"BM" and head[6:10] == bytes(4))
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
    )


def kind_of(file: BinaryIO) -> Kind:
    """The kind of picture in `file`; its position is put back to the start.

    RAW of the TIFF family is a guess by its tags; only a RAW decoder can tell for sure.
    """
    file.seek(0)
    head = file.read(_HEAD)
    try:
        return _kind(head, file)
    finally:
        file.seek(0)


def _kind(head: bytes, file: BinaryIO) -> Kind:
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head[4:8] == b"ftyp":
        return _kind_of_iso_file(head)
    if head.startswith(_RAW_MAGIC):
        return "RAW"
    if head.startswith(_TIFF_MAGIC):
        phase_one_or_canon = head[8:12] in (b"IIII", b"MMMM") or head[8:10] == b"CR"
        return "RAW" if phase_one_or_canon or _is_raw_tiff(head, file) else "other"
    return "other"


def _kind_of_iso_file(head: bytes) -> Kind:
    end = min(int.from_bytes(head[:4], "big"), len(head))
    major = head[8:12]
    brands = {major, *(head[at : at + 4] for at in range(16, end, 4))}
    if major == b"crx ":
        return "RAW"
    if brands & _AVIF_BRANDS:
        return "AVIF"
    return "HEIC" if brands & _HEIC_BRANDS else "other"


def _is_raw_tiff(head: bytes, file: BinaryIO) -> bool:
    order = "<" if head.startswith(b"II") else ">"
    try:
        (start,) = struct.unpack_from(f"{order}I", head, 4)
        first = _numbers_in(file, start, order)
        if _DNG_VERSION in first or _holds_sensor_data(first):
            return True
        # A thumbnail in the first place: the picture is elsewhere, as RAW files have it.
        if first.get(_SUBFILE_TYPE, (0,))[0] & 1:
            return True
        others = first.get(_SUB_IFDS, ())
        return any(_holds_sensor_data(_numbers_in(file, at, order)) for at in others)
    except struct.error:
        # A damaged directory is for the decoder of TIFF to complain of.
        return False


def _numbers_in(file: BinaryIO, at: int, order: str) -> dict[int, tuple[int, ...]]:
    """Of the directory of tags at `at`, those in `_TOLD`: nothing else of it is read.

    RAW files keep megabytes in their first directory. Raises struct.error where it is cut short.
    """
    file.seek(at)
    (n,) = struct.unpack(f"{order}H", file.read(2))
    found: dict[int, tuple[int, ...]] = {}
    for tag, kind, count, value in struct.iter_unpack(f"{order}HHI4s", file.read(12 * n)):
        letter = _NUMBERS.get(kind)
        if tag not in _TOLD or letter is None or not 0 < count <= _MOST_NUMBERS:
            continue
        form = f"{order}{count}{letter}"
        if struct.calcsize(form) > len(value):
            file.seek(*struct.unpack(f"{order}I", value))
            value = file.read(struct.calcsize(form))
        found[tag] = struct.unpack_from(form, value)
    return found


def _holds_sensor_data(numbers: dict[int, tuple[int, ...]]) -> bool:
    return (
        numbers.get(_PHOTOMETRIC, (None,))[0] in (_CFA, _LINEAR_RAW)
        or numbers.get(_COMPRESSION, (None,))[0] in _RAW_COMPRESSIONS
    )
