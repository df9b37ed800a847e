"""The SQLite file that scores are kept in: where it lies, how it is opened, what if it is bad.

What is in it is `score_cache`'s. A file that cannot be written is read; a damaged one is set aside
under another name, so that the next run does not fall over it again.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from i2pa.errors import UserInputError
from i2pa.models.cache import cache_folder, make_private_file, make_private_folder, make_tables

LIMIT_MB = 2000
"""What the file may grow to, unless `LIMIT_VARIABLE` says otherwise."""
LIMIT_VARIABLE = "I2PA_CACHE_MB"

# The number is that of the tables; a file of another number is left to the version that made it.
_NAME = "scores-2.sqlite"
_ALL = "scores-*.sqlite*"
_ASIDE = ".damaged"
_TABLES = """
CREATE TABLE IF NOT EXISTS variants (
    id INTEGER PRIMARY KEY, model TEXT, transform TEXT, engine TEXT, versions TEXT,
    UNIQUE (model, transform, engine, versions));
CREATE TABLE IF NOT EXISTS scores (
    sha256 BLOB, variant INTEGER, score REAL, spread REAL, embedding BLOB, taken TEXT,
    UNIQUE (sha256, variant));
CREATE TABLE IF NOT EXISTS files (
    path BLOB UNIQUE, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER, inode INTEGER,
    sha256 BLOB);
"""

_NOT_TO_BE_WRITTEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_NOT_TO_BE_WRITTEN_BY_SQLITE = {
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class DamagedError(sqlite3.DatabaseError):
    """A value that was written whole cannot be read as what it is."""


def scores_file(folder: str | os.PathLike[str] | None = None) -> Path:
    """The file of the cache of scores in `folder` (None: as `ScoreCache`)."""
    return Path(folder or cache_folder()) / _NAME


def delete_scores(folder: str | os.PathLike[str] | None = None) -> None:
    """Delete the cache of scores in `folder` (None: as `ScoreCache`), if there is one.

    With what earlier versions kept, and what was set aside. Raises OSError where it cannot be
    deleted.
    """
    for path in _all_files(scores_file(folder).parent):
        path.unlink(missing_ok=True)


def bytes_on_disk(folder: str | os.PathLike[str] | None = None) -> int:
    """What `delete_scores` would free."""
    return sum(path.stat().st_size for path in _all_files(scores_file(folder).parent))


def allowed_bytes() -> int:
    """What the environment allows the file. Raises UserInputError for what is no size."""
    said = os.environ.get(LIMIT_VARIABLE) or str(LIMIT_MB)
    if not (said.isascii() and said.isdigit() and int(said)):
        raise UserInputError(
            f"holds {said!r}, not a size",
            where=f"the environment variable {LIMIT_VARIABLE}",
            remedy=f"give a whole number of megabytes, such as {LIMIT_MB}",
        )
    return int(said) * 1_000_000


def open_scores(path: Path, wait_seconds: float) -> tuple[sqlite3.Connection, bool]:
    """The database at `path`, made if there is none, and whether it can only be read.

    Raises OSError or sqlite3.Error where it cannot be used at all.
    """
    try:
        return _to_write(path, wait_seconds), False
    except (sqlite3.OperationalError, OSError) as error:
        if not (path.is_file() and _forbids_writing(error)):
            raise
        return _to_read(path, wait_seconds), True


def is_damage(error: Exception) -> bool:
    """Whether an error says that what is in the file is broken."""
    return isinstance(error, DamagedError) or _code(error) in _DAMAGED


def set_aside(path: Path) -> Path:
    """Give a damaged file another name, in the place of an earlier one. Raises OSError."""
    aside = path.with_name(path.name + _ASIDE)
    for end in ("-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)
    path.replace(aside)
    return aside


def _all_files(folder: Path) -> Iterator[Path]:
    return folder.glob(_ALL)


def _to_write(path: Path, wait_seconds: float) -> sqlite3.Connection:
    # Paths of pictures are nobody else's business.
    make_private_folder(path.parent)
    make_private_file(path)
    if not os.access(path, os.W_OK):
        # SQLite would open it all the same, and complain when it is to write.
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    connection = sqlite3.connect(
        path, timeout=wait_seconds, isolation_level=None, check_same_thread=False
    )
    try:
        # Pages that hold several embeddings; it counts only where the file is new.
        connection.execute("PRAGMA page_size = 16384")
        make_tables(connection, _TABLES, wait_seconds)
        # A killed process loses nothing; a power cut may cost the last few scores.
        connection.execute("PRAGMA synchronous = NORMAL")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _to_read(path: Path, wait_seconds: float) -> sqlite3.Connection:
    """Of a write-ahead log that cannot be looked at, SQLite must be told that none is written."""
    try:
        return _read_only(path, wait_seconds, "mode=ro")
    except sqlite3.OperationalError:
        return _read_only(path, wait_seconds, "mode=ro&immutable=1")


def _read_only(path: Path, wait_seconds: float, options: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{options}",
        uri=True,
        timeout=wait_seconds,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        connection.execute("SELECT count(*) FROM variants").fetchone()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _forbids_writing(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno in _NOT_TO_BE_WRITTEN
    return _code(error) in _NOT_TO_BE_WRITTEN_BY_SQLITE


def _code(error: Exception) -> int | None:
    """SQLite's primary code of an error; those of Python's own making have none."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else int(code) & 0xFF
