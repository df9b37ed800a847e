"""Vectors computed from pictures, kept on disk under the SHA-256 of the picture's bytes.

One folder holds one kind of vector (a backbone and transform, say): an append-only float array
that is read memory-mapped, and an SQLite index from digest to row. Two processes may share it, a
crash loses at most the batch being written, and deleting the folder is always safe.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import platformdirs

from i2pa.errors import UserInputError

_CHUNK = 500


def cache_folder() -> Path:
    """`I2PA_CACHE` where set, else the platform's folder for caches."""
    return Path(os.environ.get("I2PA_CACHE") or platformdirs.user_cache_dir("i2pa"))


class VectorStore:
    """Float vectors of one width, by content digest."""

    def __init__(self, folder: Path, width: int, dtype: npt.DTypeLike) -> None:
        """Open or create the store in `folder`. Raises UserInputError if it cannot be written."""
        self.width = width
        self.dtype = np.dtype(dtype)
        self._array = folder / f"vectors-{width}.{self.dtype.name}"
        self._index = folder / f"index-{width}.sqlite"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with self._connect() as connection:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS vectors (sha256 TEXT PRIMARY KEY, row INTEGER)"
                )
        except OSError as error:
            raise self._unusable(error) from error

    def rows(self, digests: Sequence[str]) -> dict[str, int]:
        """The row of each digest that the store holds; rows lost from the array are left out."""
        whole = self._whole_rows()
        found: dict[str, int] = {}
        with self._connect() as connection:
            for start in range(0, len(digests), _CHUNK):
                part = list(digests[start : start + _CHUNK])
                marks = ",".join("?" * len(part))
                found.update(
                    connection.execute(
                        f"SELECT sha256, row FROM vectors WHERE row < ? AND sha256 IN ({marks})",
                        [whole, *part],
                    )
                )
        return found

    def read(self, rows: Sequence[int]) -> npt.NDArray[np.floating]:
        """The vectors [n, width] in those rows, as stored."""
        if not rows:
            return np.empty((0, self.width), self.dtype)
        stored = np.memmap(self._array, self.dtype, mode="r")
        whole = len(stored) // self.width
        return np.asarray(stored[: whole * self.width].reshape(whole, self.width)[list(rows)])

    def append(self, digests: Sequence[str], vectors: npt.NDArray[np.floating]) -> None:
        """Keep `vectors` [n, width] under their digests; those known already stay as they were."""
        with self._connect() as connection:
            # The write lock comes first, so that no other process appends to the same rows.
            connection.execute("BEGIN IMMEDIATE")
            with self._array.open("ab") as file:
                row_bytes = self.width * self.dtype.itemsize
                first = file.tell() // row_bytes
                file.truncate(first * row_bytes)
                file.seek(0, os.SEEK_END)
                file.write(np.ascontiguousarray(vectors, self.dtype).tobytes())
                file.flush()
                os.fsync(file.fileno())
            # Rows that a damaged array has lost must not come to mean the new ones.
            connection.execute("DELETE FROM vectors WHERE row >= ?", (first,))
            connection.executemany(
                "INSERT OR IGNORE INTO vectors VALUES (?, ?)",
                [(digest, first + place) for place, digest in enumerate(digests)],
            )

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self._index, timeout=60)) as connection, connection:
                yield connection
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def _whole_rows(self) -> int:
        try:
            return self._array.stat().st_size // (self.width * self.dtype.itemsize)
        except FileNotFoundError:
            return 0

    def _unusable(self, error: Exception) -> UserInputError:
        return UserInputError(
            f"the cache cannot be used ({error})",
            where=str(self._index.parent),
            remedy="delete it, or set I2PA_CACHE to a writable folder",
        )
