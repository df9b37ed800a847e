"""Scores kept on disk under the SHA-256 of the picture's bytes, so that none is computed twice.

One SQLite file in the cache folder, written ahead (WAL): two processes may share it, whatever was
written survives the process being killed, and deleting it is always safe. It holds scores,
embeddings, times taken, and which file (path, size, time of change, inode) had which bytes, so
that an unchanged file is not even read; never a picture. A cache that cannot be used costs one
warning and nothing else.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from i2pa.models.cache import (
    cache_folder,
    make_private_file,
    make_private_folder,
    make_tables,
)

# A file changed after this long before it was read may change again within one tick of its clock.
SETTLED_AFTER_NS = 2_000_000_000
LIMIT_BYTES = 2_000_000_000
KEEP_SHARE = 0.8

_NAME = "scores-1.sqlite"
_WAIT_SECONDS = 20
_CHUNK = 500
_CHECK_SIZE_EVERY = 1000

_TABLES = """
CREATE TABLE IF NOT EXISTS variants (
    id INTEGER PRIMARY KEY, model TEXT, transform TEXT, precision TEXT,
    UNIQUE (model, transform, precision));
CREATE TABLE IF NOT EXISTS scores (
    sha256 BLOB, variant INTEGER, score REAL, spread REAL, embedding BLOB, taken TEXT,
    UNIQUE (sha256, variant));
CREATE TABLE IF NOT EXISTS files (
    path BLOB UNIQUE, size INTEGER, mtime_ns INTEGER, inode INTEGER, sha256 BLOB);
"""


@dataclass(frozen=True)
class Variant:
    """What made a score, beside the picture: the model's SHA-256, transform and precision."""

    model: str
    transform: str
    precision: str


@dataclass(frozen=True, eq=False)
class KeptScore:
    """One picture's numbers: `embedding` is float16 [d] of unit length."""

    score: float
    spread: float | None
    embedding: npt.NDArray[np.float16]
    taken: datetime | None


@dataclass(frozen=True)
class FileState:
    """What tells, without reading it, that a file is still the same."""

    path: str
    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> FileState | None:
        """The state now; None where there is no such file."""
        try:
            status = path.stat()
        except (OSError, ValueError):
            return None
        whole = os.path.abspath(path)  # noqa: PTH100 (resolving links costs a call a folder)
        return cls(whole, status.st_size, status.st_mtime_ns, status.st_ino)

    def settled(self) -> bool:
        """Whether a change from now on would show in the time of change."""
        return time.time_ns() - self.mtime_ns > SETTLED_AFTER_NS


@dataclass(frozen=True)
class CacheSize:
    """How many scores and files a cache knows, and what it takes on disk."""

    scores: int
    files: int
    bytes: int


def scores_file(folder: Path | None = None) -> Path:
    """The file of the cache of scores in `folder` (None: as `ScoreCache`)."""
    return (folder or cache_folder()) / _NAME


def delete_scores(folder: Path | None = None) -> None:
    """Delete the cache of scores in `folder` (None: as `ScoreCache`), if there is one.

    Raises OSError where it cannot be deleted.
    """
    for path in _files(scores_file(folder)):
        path.unlink(missing_ok=True)


def _files(path: Path) -> list[Path]:
    """What SQLite keeps a database in."""
    return [p for end in ("-wal", "-shm", "") if (p := Path(f"{path}{end}")).exists()]


def _as_warning(message: str) -> None:
    warnings.warn(message, RuntimeWarning, stacklevel=2)


class ScoreCache:
    """The scores of one cache folder; threads may share it. Close it, or use it with `with`."""

    def __init__(
        self,
        folder: Path | None = None,
        *,
        verify: bool = False,
        warn: Callable[[str], None] | None = None,
        limit_bytes: int = LIMIT_BYTES,
    ) -> None:
        """Open or make the cache in `folder` (None: `I2PA_CACHE`, else the platform's folder).

        `verify` reads and hashes files again even where they seem unchanged. `warn` gets one line
        where the cache cannot be used (None: a RuntimeWarning); all goes on without it then. Above
        `limit_bytes` the scores kept longest go, a fifth at a time.
        """
        self._verify = verify
        self._warn = warn or _as_warning
        self._limit_bytes = limit_bytes
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._since_size_check = 0
        self.path = scores_file(folder)
        with self._going_on_without():
            self._connection = self._open()
            self._bound()

    def digests(self, states: Sequence[FileState]) -> dict[FileState, bytes]:
        """SHA-256 of the bytes of those files that are as they were when last read."""
        if self._verify:
            return {}
        by_path = {os.fsencode(state.path): state for state in states}
        found: dict[FileState, bytes] = {}
        with self._going_on_without() as usable:
            if usable:
                query = "SELECT path, size, mtime_ns, inode, sha256 FROM files WHERE path IN ({})"
                for path, size, mtime_ns, inode, sha256 in self._select(query, list(by_path)):
                    state = by_path[path]
                    if (size, mtime_ns, inode) == (state.size, state.mtime_ns, state.inode):
                        found[state] = sha256
        return found

    def read(self, variant: Variant, digests: Sequence[bytes]) -> dict[bytes, KeptScore]:
        """The scores that are known of those digests."""
        found: dict[bytes, KeptScore] = {}
        with self._going_on_without() as usable:
            if usable and digests:
                query = (
                    "SELECT sha256, score, spread, embedding, taken FROM scores "
                    f"WHERE variant = {self._variant_id(variant)} AND sha256 IN ({{}})"
                )
                for sha256, score, spread, embedding, taken in self._select(query, list(digests)):
                    found[sha256] = KeptScore(
                        float(score),
                        spread,
                        np.frombuffer(embedding, np.float16),
                        taken and datetime.fromisoformat(taken),
                    )
        return found

    def write(
        self,
        variant: Variant,
        scores: Mapping[bytes, KeptScore],
        files: Mapping[FileState, bytes],
    ) -> None:
        """Keep scores by digest, and which file had which bytes; both last once this returns."""
        with self._going_on_without() as usable:
            if not usable or not (scores or files):
                return
            number = self._variant_id(variant)
            with self._transaction() as connection:
                connection.executemany(
                    "INSERT OR IGNORE INTO scores VALUES (?, ?, ?, ?, ?, ?)",
                    [
                        (
                            digest,
                            number,
                            kept.score,
                            kept.spread,
                            kept.embedding.tobytes(),
                            kept.taken and kept.taken.isoformat(),
                        )
                        for digest, kept in scores.items()
                    ],
                )
                connection.executemany(
                    "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)",
                    [
                        (os.fsencode(state.path), state.size, state.mtime_ns, state.inode, digest)
                        for state, digest in files.items()
                    ],
                )
            self._since_size_check += len(scores) + len(files)
            if self._since_size_check >= _CHECK_SIZE_EVERY:
                self._bound()

    def size(self) -> CacheSize:
        """How much is kept; zeros where the cache cannot be used."""
        with self._going_on_without() as usable:
            if usable:
                scores, files = (
                    self._usable().execute(f"SELECT count(*) FROM {table}").fetchone()[0]
                    for table in ("scores", "files")
                )
                return CacheSize(scores, files, sum(p.stat().st_size for p in _files(self.path)))
        return CacheSize(0, 0, 0)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock, contextlib.suppress(sqlite3.Error):
            if self._connection:
                self._connection.close()
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def _open(self) -> sqlite3.Connection:
        # Paths of pictures are nobody else's business.
        make_private_folder(self.path.parent)
        make_private_file(self.path)
        connection = sqlite3.connect(
            self.path, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            # Pages that hold several embeddings; it counts only where the file is new.
            connection.execute("PRAGMA page_size = 16384")
            make_tables(connection, _TABLES, _WAIT_SECONDS)
            # A killed process loses nothing; a power cut may cost the last few scores.
            connection.execute("PRAGMA synchronous = NORMAL")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    @contextlib.contextmanager
    def _going_on_without(self) -> Iterator[bool]:
        """Gives whether the cache is usable; a fault of it is told once and ends its use."""
        with self._lock:
            try:
                yield self._connection is not None
            except (sqlite3.Error, OSError, ValueError) as error:
                self.close()
                self._warn(
                    f"going on without the cache, which cannot be used ({error}): {self.path}; "
                    "delete it, or set I2PA_CACHE to a writable folder"
                )

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = self._usable()
        # The write lock comes first, so that waiting for another process is all that can happen.
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.rollback()
            raise
        connection.commit()

    def _usable(self) -> sqlite3.Connection:
        if self._connection is None:
            raise sqlite3.ProgrammingError("closed")
        return self._connection

    def _select(self, query: str, keys: Sequence[bytes]) -> Iterator[Any]:
        for start in range(0, len(keys), _CHUNK):
            part = keys[start : start + _CHUNK]
            yield from self._usable().execute(query.format(",".join("?" * len(part))), part)

    def _variant_id(self, variant: Variant) -> int:
        key = (variant.model, variant.transform, variant.precision)
        find = "SELECT id FROM variants WHERE model = ? AND transform = ? AND precision = ?"
        row = self._usable().execute(find, key).fetchone()
        if row is None:
            with self._transaction() as connection:
                insert = (
                    "INSERT OR IGNORE INTO variants (model, transform, precision) VALUES (?, ?, ?)"
                )
                connection.execute(insert, key)
            row = self._usable().execute(find, key).fetchone()
        return int(row[0])

    def _bound(self) -> None:
        """Above the limit, drop what was kept longest; its room in the file is used again."""
        self._since_size_check = 0
        page, pages, free = (
            self._usable().execute(f"PRAGMA {what}").fetchone()[0]
            for what in ("page_size", "page_count", "freelist_count")
        )
        if page * (pages - free) <= self._limit_bytes:
            return
        with self._transaction() as connection:
            for table in ("scores", "files"):
                connection.execute(
                    f"DELETE FROM {table} WHERE rowid <= (SELECT min(rowid) + "
                    f"(max(rowid) - min(rowid)) * {1 - KEEP_SHARE:.2f} FROM {table})"
                )
