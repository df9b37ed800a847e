"""The picture files that pairs name: what each says of itself without being looked at, and a
fingerprint to find it again.

Opening is `images`' business; comparing fingerprints is `duplicates`'.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from i2pa.audit.pairlist import Ints
from i2pa.cores import usable_cores
from i2pa.errors import DataError, ImageError
from i2pa.images.failure import Failure
from i2pa.images.named import Folders, existing_folders, find_named
from i2pa.images.open import decode, read_header
from i2pa.images.regular import read_bytes
from i2pa.words import many

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")

_SIDE = 32
_KEPT = 8
_FLAT = 4.0
"""Standard deviation of grey (0 to 255) under which a picture is too even to have a fingerprint."""


@dataclass(frozen=True)
class Pictures:
    """Facts of m readable pictures, named as the pairs name them.

    `size` is in bytes; `width` and `height` in pixels as shown (EXIF turn made); `format` indexes
    FORMATS, -1 for another. `sha256` is of the file. `fingerprint` [m] is a 64-bit perceptual hash,
    0 for a picture too even to have one; `grey` [m, 32, 32] uint8 the small picture it was made of.
    """

    names: pa.Array
    size: Ints
    width: Ints
    height: Ints
    format: Ints
    sha256: pa.Array
    fingerprint: npt.NDArray[np.uint64]
    grey: npt.NDArray[np.uint8]
    unreadable: tuple[Failure, ...]

    def rows(self, names: pa.ChunkedArray) -> Ints:
        """Where each name [n] is found, -1 where it is null or was not read."""
        found = pc.index_in(names, value_set=self.names).fill_null(-1)
        rows: Ints = found.to_numpy().astype(np.int64)
        return rows


def read_pictures(
    names: Sequence[str],
    folders: Folders,
    progress: Callable[[int, int], None] | None = None,
) -> Pictures:
    """Read the pictures `names`, each relative to the first of `folders` that holds it.

    `progress` is called with (done, total). A picture that is missing or cannot be read is listed.
    Raises UserInputError for a folder that does not exist, DataError where none can be read.
    """
    places = existing_folders(folders)
    read: list[_Facts | Failure] = []
    with ThreadPoolExecutor(usable_cores()) as pool:
        for facts in pool.map(lambda name: _facts(name, places), names):
            read.append(facts)
            if progress:
                progress(len(read), len(names))
    kept = [facts for facts in read if isinstance(facts, _Facts)]
    lost = tuple(facts for facts in read if isinstance(facts, Failure))
    if not read:
        raise DataError("the pairs name no picture", remedy="leave --images away")
    if not kept:
        raise DataError(
            f"none of {many(len(names), 'picture')} can be read; first: {lost[0].path}: "
            f"{lost[0].reason}",
            where=", ".join(map(str, places)),
            remedy="check --images: picture paths in the pairs are relative to it",
        )
    grey = np.stack([facts.grey for facts in kept])
    return Pictures(
        names=pa.array([facts.name for facts in kept], pa.string()),
        size=np.array([facts.size for facts in kept], dtype=np.int64),
        width=np.array([facts.width for facts in kept], dtype=np.int64),
        height=np.array([facts.height for facts in kept], dtype=np.int64),
        format=np.array(
            [FORMATS.index(f.format) if f.format in FORMATS else -1 for f in kept], dtype=np.int64
        ),
        sha256=pa.array([facts.sha256 for facts in kept], pa.string()),
        fingerprint=fingerprints(grey),
        grey=grey,
        unreadable=lost,
    )


def fingerprints(grey: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """Perceptual hashes [m] of grey pictures [m, 32, 32]: the signs of their slow waves.

    The 8 × 8 lowest frequencies of the type-II cosine transform; bit i says whether coefficient i
    is above the median of the 63 without the mean ("pHash": Zauner 2010). Robust to resizing,
    recompression and brightness, not to cropping or mirroring. 0 for an even picture.
    """
    frequency, place = np.arange(_KEPT)[:, None], np.arange(_SIDE)[None, :]
    cosine = np.cos(np.pi * frequency * (2 * place + 1) / (2 * _SIDE))
    waves = (cosine @ grey.astype(np.float64) @ cosine.T).reshape(len(grey), -1)
    bits = waves > np.median(waves[:, 1:], axis=1, keepdims=True)
    bits[:, 0] = True  # keeps 0 free for "none"
    packed = np.packbits(bits, axis=1).view(">u8").ravel().astype(np.uint64)
    even = grey.reshape(len(grey), -1).std(axis=1) < _FLAT
    return np.where(even, np.uint64(0), packed)


@dataclass(frozen=True)
class _Facts:
    name: str
    size: int
    width: int
    height: int
    format: str
    sha256: str
    grey: npt.NDArray[np.uint8]


def _facts(name: str, folders: Sequence[Path]) -> _Facts | Failure:
    if (path := find_named(name, folders)) is None:
        return Failure(name, "missing", "in none of the folders")
    try:
        data = read_bytes(path)
        header = read_header(data, where=str(path))
        grey = decode(data, at_least=2 * _SIDE, where=str(path)).convert("L")
    except ImageError as error:
        return Failure.of(name, error)
    return _Facts(
        name=name,
        size=len(data),
        width=header.width,
        height=header.height,
        format=header.format,
        sha256=hashlib.sha256(data).hexdigest(),
        grey=np.asarray(grey.resize((_SIDE, _SIDE), Image.Resampling.BOX)),
    )
