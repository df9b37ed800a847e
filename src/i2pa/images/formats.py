"""What kind of picture a file holds, told by its bytes; suffixes only say what to look at."""

from __future__ import annotations

from typing import BinaryIO, Literal, cast

from PIL.TiffImagePlugin import ImageFileDirectory_v2

from i2pa.images.meter import Metered

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
_CFA, _LINEAR_RAW = 32803, 34892
_RAW_COMPRESSIONS = frozenset({32767, 32769, 32770, 34713, 65535})


_PICTURE_HEADS = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", *_TIFF_MAGIC, *_RAW_MAGIC)


def begins_like_a_picture(head: bytes) -> bool:
    """Whether no text begins as a file whose first 16 bytes or more are `head`."""
    return (
        head.startswith(_PICTURE_HEADS)
        or head[4:8] == b"ftyp"
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
    try:
        file = cast(BinaryIO, Metered(file))
        first = ImageFileDirectory_v2(head[:8])
        file.seek(first.next)
        first.load(file)
        if _DNG_VERSION in first or _holds_sensor_data(first):
            return True
        # A thumbnail in the first place: the picture is elsewhere, as RAW files have it.
        if int(first.get(_SUBFILE_TYPE, 0)) & 1:
            return True
        for offset in first.get(_SUB_IFDS, ()):
            directory = ImageFileDirectory_v2(head[:8])
            file.seek(int(offset))
            directory.load(file)
            if _holds_sensor_data(directory):
                return True
    except Exception:
        # A damaged directory is for the decoder of TIFF to complain of.
        return False
    return False


def _holds_sensor_data(directory: ImageFileDirectory_v2) -> bool:
    return (
        directory.get(_PHOTOMETRIC) in (_CFA, _LINEAR_RAW)
        or directory.get(_COMPRESSION) in _RAW_COMPRESSIONS
    )
