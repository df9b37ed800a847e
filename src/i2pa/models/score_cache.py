"""Scores kept on disk under the SHA-256 of the picture's bytes, so that none is computed twice.

One SQLite file in the cache folder, written ahead (WAL): two processes may share it, whatever was
written survives the process being killed, and deleting it is always safe. It holds scores,
embeddings, times taken, and which file (path, size, times of change, inode) had which bytes, so
that an unchanged file is not even read; never a picture. A cache that cannot be used costs one
warning and nothing else. The file itself is `score_file`'s.
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

from i2pa.models.score_file import (
    DamagedError,
    allowed_bytes,
    bytes_on_disk,
    is_damage,
    open_scores,
    scores_file,
    set_aside,
)

# A file changed after this long before it was read may change again within one tick of its clock.
SETTLED_AFTER_NS = 2_000_000_000
KEEP_SHARE = 0.8

_WAIT_SECONDS = 20
_CHUNK = 500
_CHECK_SIZE_EVERY = 1000


@dataclass(frozen=True)
class Variant:
    """What made a score, beside the picture: a score is never given out for another's.

    The model's SHA-256, its transform, the engine by name, and the `Versions` of all libraries.
    """

    model: str
    transform: str
    engine: str
    versions: str


@dataclass(frozen=True, eq=False)
class KeptScore:
    """One picture's numbers: `embedding` is float16 [d] of unit length."""

    score: float
    spread: float | None
    embedding: npt.NDArray[np.float16]
    taken: datetime | None


@dataclass(frozen=True)
class FileState:
    """What tells, without reading it, that a file is still the same.

    `mtime_ns` can be set back by whoever changed the contents, `ctime_ns` cannot (on Windows it
    says when the file was made).
    """

    path: str
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> FileState | None:
        """The state now; None where there is no such file."""
        try:
            status = path.stat()
        except (OSError, ValueError):
            return None
        whole = os.path.abspath(path)  # noqa: PTH100 (resolving links costs a call a folder)
        return cls(whole, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)

    def settled(self) -> bool:
        """Whether a change from now on would show in the time of change."""
        return time.time_ns() - self.mtime_ns > SETTLED_AFTER_NS


@dataclass(frozen=True)
class CacheSize:
    """How many scores and files a cache knows, and what it takes on disk."""

    scores: int
    files: int
    bytes: int


def _as_warning(message: str) -> None:
    warnings.warn(message, RuntimeWarning, stacklevel=2)


class ScoreCache:
    """The scores of one cache folder; threads may share it. Close it, or use it with `with`."""

    def __init__(
        self,
        folder: str | os.PathLike[str] | None = None,
        *,
        verify: bool = False,
        warn: Callable[[str], None] | None = None,
        limit_bytes: int | None = None,
    ) -> None:
        """Open or make the cache in `folder` (None: `I2PA_CACHE`, else the platform's folder).

        `verify` reads and hashes files again even where they seem unchanged. `warn` gets one line
        (None: a RuntimeWarning) where the cache can only be read, was damaged and is begun anew, or
        cannot be used; all goes on without it then. Above `limit_bytes` (None: `I2PA_CACHE_MB`,
        else 2 GB) the scores kept longest go, a fifth at a time. Raises UserInputError where
        `I2PA_CACHE_MB` holds no size.
        """
        self._verify = verify
        self._warn = warn or _as_warning
        self._limit_bytes = allowed_bytes() if limit_bytes is None else limit_bytes
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._read_only = False
        self._begun_anew = False
        self._identity: tuple[int, int] | None = None
        self._since_size_check = 0
        self.path = scores_file(folder)
        with self._going_on_without():
            self._open()

    def digests(self, states: Sequence[FileState]) -> dict[FileState, bytes]:
        """SHA-256 of the bytes of those files that are as they were when last read."""
        if self._verify:
            return {}
        by_path = {os.fsencode(state.path): state for state in states}
        found: dict[FileState, bytes] = {}
        with self._going_on_without() as usable:
            if usable:
                query = (
                    "SELECT path, size, mtime_ns, ctime_ns, inode, sha256 FROM files "
                    "WHERE path IN ({})"
                )
                for path, *known, sha256 in self._select(query, list(by_path)):
                    state = by_path[path]
                    if known == [state.size, state.mtime_ns, state.ctime_ns, state.inode]:
                        found[state] = sha256
        return found

    def read(self, variant: Variant, digests: Sequence[bytes]) -> dict[bytes, KeptScore]:
        """The scores that are known of those digests."""
        found: dict[bytes, KeptScore] = {}
        with self._going_on_without() as usable:
            number = self._variant_id(variant) if usable and digests else None
            if number is not None:
                query = (
                    "SELECT sha256, score, spread, embedding, taken FROM scores "
                    f"WHERE variant = {number} AND sha256 IN ({{}})"
                )
                for sha256, *values in self._select(query, list(digests)):
                    found[sha256] = _kept(*values)
        return found

    def write(
        self,
        variant: Variant,
        scores: Mapping[bytes, KeptScore],
        files: Mapping[FileState, bytes],
    ) -> None:
        """Keep scores by digest, and which file had which bytes; both last once this returns."""
        with self._going_on_without() as usable:
            if not usable or self._read_only or not (scores or files):
                return
            with self._transaction() as connection:
                number = self._variant_id(variant, make=True)
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
                    "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)",
                    [
                        (
                            os.fsencode(state.path),
                            state.size,
                            state.mtime_ns,
                            state.ctime_ns,
                            state.inode,
                            digest,
                        )
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
                return CacheSize(scores, files, bytes_on_disk(self.path.parent))
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

    def _open(self) -> None:
        self._identity = _identity(self.path)
        self._connection, self._read_only = open_scores(self.path, _WAIT_SECONDS)
        self._identity = _identity(self.path)
        if self._read_only:
            self._warn(f"the cache can only be read, so no new scores are kept: {self.path}")
        else:
            self._bound()

    @contextlib.contextmanager
    def _going_on_without(self) -> Iterator[bool]:
        """Gives whether the cache is usable; a fault of it is told once and ends its use.

        Where the fault is in the file, another one is begun; what was asked of it is then unknown.
        """
        with self._lock:
            try:
                yield self._connection is not None
            except (sqlite3.Error, OSError, ValueError) as error:
                self.close()
                if not (is_damage(error) and self._begin_anew()):
                    self._warn(
                        f"going on without the cache, which cannot be used ({error}): {self.path}; "
                        "delete it, or set I2PA_CACHE to a writable folder"
                    )

    def _begin_anew(self) -> bool:
        """Whether the damaged file could be set aside, and a new one begun."""
        if self._begun_anew:
            return False
        self._begun_anew = True
        try:
            # Another process may have been quicker.
            if _identity(self.path) == self._identity:
                aside = set_aside(self.path)
                self._warn(f"the cache was damaged: set aside as {aside}, and a new one begun")
            self._open()
        except (sqlite3.Error, OSError):
            self.close()
            return False
        return True

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

    def _variant_id(self, variant: Variant, *, make: bool = False) -> int | None:
        """The number of a variant; None where there is none and none is to be made."""
        key = (variant.model, variant.transform, variant.engine, variant.versions)
        find = (
            "SELECT id FROM variants WHERE model = ? AND transform = ? AND engine = ? "
            "AND versions = ?"
        )
        row = self._usable().execute(find, key).fetchone()
        if row is None and make:
            insert = "INSERT INTO variants (model, transform, engine, versions) VALUES (?, ?, ?, ?)"
            return self._usable().execute(insert, key).lastrowid
        return None if row is None else int(row[0])

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


def _kept(score: Any, spread: Any, embedding: Any, taken: Any) -> KeptScore:
    """One row of the table. Raises DamagedError."""
    try:
        time = taken and datetime.fromisoformat(taken)
        return KeptScore(float(score), spread, np.frombuffer(embedding, np.float16), time)
    except (ValueError, TypeError) as error:
        raise DamagedError(f"a kept score is none: {error}") from error


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells one file of a name from another."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
