"""Vectors computed from pictures, kept on disk under the SHA-256 of the picture's bytes.

Also where caches lie, and how their folders and files are made: for their owner alone.

One folder holds one kind of vector (a backbone and transform, say): an append-only float array
that is read memory-mapped, and an SQLite index from digest to row. Two processes may share it, a
crash loses at most the batch being written, and deleting the folder is always safe.
"""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt
import platformdirs

from i2pa.errors import UserInputError

_CHUNK = 500
_WAIT_SECONDS = 60.0
_RETRY_SECONDS = 0.02
_TABLE = "CREATE TABLE IF NOT EXISTS vectors (sha256 TEXT PRIMARY KEY, row INTEGER)"


def cache_folder() -> Path:
    """`I2PA_CACHE` where set, else the platform's folder for caches."""
    return Path(os.environ.get("I2PA_CACHE") or platformdirs.user_cache_dir("i2pa"))


def embeddings_folder() -> Path:
    """Where `VectorStore`s of pictures lie, a folder each."""
    return cache_folder() / "embeddings"


def embeddings_bytes() -> int:
    """What all embeddings take on disk. Raises UserInputError where they cannot be read."""
    with _told(embeddings_folder()):
        return sum(p.stat().st_size for p in embeddings_folder().rglob("*") if p.is_file())


def delete_embeddings() -> None:
    """Delete all embeddings, if there are any. Raises UserInputError where that cannot be done."""
    with _told(embeddings_folder()):
        if embeddings_folder().exists():
            shutil.rmtree(embeddings_folder())


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserInputError(
            f"cannot be read or deleted ({error.strerror or error})", where=str(folder)
        ) from error


def make_private_folder(folder: Path) -> None:
    """Make a folder and those on the way to it, for their owner alone.

    Those that are there stay as they are. Raises OSError where they cannot be made.
    """
    for missing in reversed([p for p in (folder, *folder.parents) if not p.exists()]):
        with suppress(FileExistsError):
            missing.mkdir(mode=0o700)
            missing.chmod(0o700)
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))


def make_private_file(path: Path) -> None:
    """Make an empty file for its owner alone, if there is none. Raises OSError."""
    with suppress(FileExistsError):
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        os.close(handle)
        path.chmod(0o600)


def make_tables(connection: sqlite3.Connection, script: str, seconds: float) -> None:
    """Run a script that makes tables (if there are none) in a database with a write-ahead log.

    Waits up to `seconds` for another process that is doing the same, as SQLite itself does not.
    """
    give_up = time.monotonic() + seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(script)
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > give_up:
                raise
            time.sleep(_RETRY_SECONDS)


class VectorStore:
    """Float vectors of one width, by content digest."""

    def __init__(self, folder: Path, width: int, dtype: npt.DTypeLike) -> None:
        """Open or create the store in `folder`. Raises UserInputError if it cannot be written."""
        self.width = width
        self.dtype = np.dtype(dtype)
        self._array = folder / f"vectors-{width}.{self.dtype.name}"
        self._index = folder / f"index-{width}.sqlite"
        try:
            make_private_folder(folder)
            # SQLite gives the files it makes beside this one the same mode.
            make_private_file(self._index)
            with self._connect() as connection:
                make_tables(connection, _TABLE, _WAIT_SECONDS)
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
        return np.asarray(self.mapped()[list(rows)])

    def mapped(self) -> npt.NDArray[np.floating]:
        """All vectors [m, width] as stored, mapped from the file, which must hold some."""
        stored = np.memmap(self._array, self.dtype, mode="r")
        whole = len(stored) // self.width
        return stored[: whole * self.width].reshape(whole, self.width)

    def append(self, digests: Sequence[str], vectors: npt.NDArray[np.floating]) -> None:
        """Keep `vectors` [n, width] under their digests; those known already stay as they were."""
        with self._connect() as connection:
            # The write lock comes first, so that no other process appends to the same rows.
            connection.execute("BEGIN IMMEDIATE")
            make_private_file(self._array)
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
            with (
                closing(sqlite3.connect(self._index, timeout=_WAIT_SECONDS)) as connection,
                connection,
            ):
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


class KeptVectors:
    """A `VectorStore` in the cache folder that costs one warning where it cannot be used."""

    def __init__(
        self, name: str, width: int, dtype: npt.DTypeLike, warn: Callable[[str], None]
    ) -> None:
        """`name` is the store's folder among the embeddings; `warn` hears that one line."""
        self._width = width
        self._dtype = np.dtype(dtype)
        self._warn = warn
        self._store: VectorStore | None = None
        with self._going_on_without():
            self._store = VectorStore(embeddings_folder() / name, width, dtype)

    def read(self, digests: Sequence[str]) -> dict[str, npt.NDArray[np.floating]]:
        """The vector [width] of each digest that is kept."""
        with self._going_on_without():
            if self._store:
                rows = self._store.rows(digests)
                return dict(zip(rows, self._store.read(list(rows.values())), strict=True))
        return {}

    def mapped(self, digests: Sequence[str]) -> tuple[npt.NDArray[np.floating], dict[str, int]]:
        """Vectors [m, width] mapped from the file, and the row of each digest that is kept.

        What is mapped stays there though the cache be deleted meanwhile.
        """
        with self._going_on_without():
            if self._store and (rows := self._store.rows(digests)):
                return self._store.mapped(), rows
        return np.empty((0, self._width), self._dtype), {}

    def add(
        self, digests: Sequence[str], vectors: npt.NDArray[np.floating]
    ) -> dict[str, npt.NDArray[np.floating]]:
        """Keep `vectors` [n, width] under their digests; gives them as a later `read` will."""
        with self._going_on_without():
            if self._store:
                self._store.append(digests, vectors)
        return dict(zip(digests, vectors.astype(self._dtype), strict=True))

    @contextmanager
    def _going_on_without(self) -> Iterator[None]:
        try:
            yield
        except (UserInputError, OSError) as error:
            self._store = None
            self._warn(f"going on without the cache: {error}")
