"""Embeddings of a person's own pictures as a saved model sees them, kept on disk.

The model runs as it does when it scores, without torch, so that a head fitted here meets the very
numbers that it will be used on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from i2pa.cores import usable_cores
from i2pa.errors import DataError, ImageError
from i2pa.images.decoder import Decoder
from i2pa.images.failure import Failure
from i2pa.images.regular import read_bytes
from i2pa.images.transforms import Pixels
from i2pa.models.cache import KeptVectors
from i2pa.models.engine import Engine

MOST_UNREADABLE = 0.05

# Kept batch by batch, so a stopped call goes on where it was; run two at a time, as scoring does.
_BATCH = 32
_AT_ONCE = 2

Floats: TypeAlias = npt.NDArray[np.float64]
Progress = Callable[[int, int], None]


def _say_nothing(_: object) -> None:
    return None


@dataclass(frozen=True)
class Reading:
    """How pictures are read, and who hears of it.

    With `allow_unreadable` it goes on though over 5 % cannot be read; without `use_cache` nothing
    is taken from the cache or kept there. `progress` is told pictures done, of those to compute;
    `left_out` the pictures that cannot be read, before anything else fails; `warn` a line where
    the cache cannot be used.
    """

    allow_unreadable: bool = False
    use_cache: bool = True
    progress: Progress | None = None
    left_out: Callable[[Sequence[Failure]], None] = _say_nothing
    warn: Callable[[str], None] = _say_nothing


@dataclass(frozen=True)
class Read:
    """A readable picture file, its content's SHA-256, and when it was taken, if it says."""

    path: Path
    sha256: str
    taken: datetime | None


def read_pictures(paths: Iterable[Path], decoder: Decoder) -> tuple[list[Read], list[Failure]]:
    """Digest and time of each file, in order, and those that cannot be read."""
    read: list[Read] = []
    failures: list[Failure] = []
    with decoder.threads(usable_cores()) as pool:
        for result in pool.map(lambda path: _read(path, decoder), paths):
            if isinstance(result, Read):
                read.append(result)
            else:
                failures.append(result)
    return read, failures


def _read(path: Path, decoder: Decoder) -> Read | Failure:
    try:
        data = read_bytes(path)
    except ImageError as error:
        return Failure.of(path, error)
    return Read(path, hashlib.sha256(data).hexdigest(), decoder.time_taken(path))


def embed(
    pictures: Sequence[Read],
    engine: Engine,
    name: str,
    width: int,
    decoder: Decoder,
    reading: Reading,
) -> tuple[dict[str, Floats], list[Failure]]:
    """Embedding [width] of each picture by its SHA-256, and the pictures that cannot be decoded.

    What the cache holds under `name`, that of the model file and transform, is not computed again.
    """
    kept = KeptVectors(name, width, np.float32, reading.warn) if reading.use_cache else None
    by_digest = {picture.sha256: picture for picture in pictures}
    known = kept.read(list(by_digest)) if kept else {}
    found = {digest: vector.astype(np.float64) for digest, vector in known.items()}
    missing = [picture for digest, picture in by_digest.items() if digest not in found]
    broken: dict[str, Failure] = {}
    done = 0
    with decoder.threads(usable_cores()) as pool:
        for batch in _parts(missing, _BATCH):
            new: dict[str, npt.NDArray[np.floating]] = {}
            work = pool.map(lambda few: _run(few, engine, decoder), _parts(batch, _AT_ONCE))
            for picture, result in (pair for few in work for pair in few):
                if isinstance(result, Failure):
                    broken[picture.sha256] = result
                else:
                    new[picture.sha256] = result
            if kept and new:
                kept.add(list(new), np.stack(list(new.values())))
            found |= {digest: vector.astype(np.float64) for digest, vector in new.items()}
            done += len(batch)
            if reading.progress:
                reading.progress(done, len(missing))
    failures = [
        replace(broken[picture.sha256], path=str(picture.path))
        for picture in pictures
        if picture.sha256 in broken
    ]
    return found, failures


def check_readable(given: int, failures: Sequence[Failure], *, allow: bool) -> None:
    """Raise DataError where none of `given` pictures can be read, or over 5 % cannot."""
    if len(failures) == given:
        raise DataError(
            f"none of {given:,} pictures can be read; first: {failures[0].reason}",
            where=failures[0].path,
            remedy=failures[0].remedy,
        )
    if len(failures) > MOST_UNREADABLE * given and not allow:
        raise DataError(
            f"{len(failures):,} of {given:,} pictures cannot be read, over "
            f"{MOST_UNREADABLE:.0%}; first: {failures[0].reason}",
            where=failures[0].path,
            remedy="mend the pictures, or --allow-unreadable",
        )


def _run(
    pictures: Sequence[Read], engine: Engine, decoder: Decoder
) -> list[tuple[Read, npt.NDArray[np.floating] | Failure]]:
    decoded: list[Pixels | Failure] = []
    for picture in pictures:
        try:
            decoded.append(decoder.decode(picture.path).pixels)
        except ImageError as error:
            decoded.append(Failure.of(picture.path, error))
    pixels = [result for result in decoded if not isinstance(result, Failure)]
    vectors = iter(engine.run(np.stack(pixels), ("embedding",))["embedding"] if pixels else ())
    return [
        (picture, result if isinstance(result, Failure) else next(vectors))
        for picture, result in zip(pictures, decoded, strict=True)
    ]


def _parts(items: Sequence[Read], size: int) -> Iterator[Sequence[Read]]:
    return (items[start : start + size] for start in range(0, len(items), size))
