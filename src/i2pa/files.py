"""Files that appear whole or not at all (written aside, then renamed), and their digests."""

from __future__ import annotations

import codecs
import errno
import glob
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from i2pa.errors import DataError, UserInputError

# The place is good, but for now it takes no more; no fault of who named it.
_FULL = {errno.ENOSPC, errno.EDQUOT}
FAILED_DISK = frozenset(_FULL | {errno.EIO})
"""Numbers of errors that say that a disk takes no more, or fails."""


_OTHER_TABLES = {".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".xlsx"}

# What `mkstemp` puts after a prefix.
_RANDOM_SIGNS = 8
_HEAD = 1 << 16


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Gives a path beside `path` to write to, and renames it to `path` when all went well.

    Folders on the way are made. Raises UserInputError where the place cannot be written, and
    DataError where the disk is full or fails; after any error the old file, or none, is there.
    """
    # A link stays a link: what it points to is replaced.
    final = Path(os.path.realpath(path))
    try:
        if final.exists() and not final.is_file():
            kind = "is a folder" if final.is_dir() else "is no regular file"
            raise UserInputError(kind, where=str(path), remedy="name a file to write")
        final.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=final.parent, prefix=_aside_prefix(final))
    except OSError as error:
        raise _unwritable(final, error) from error
    os.close(handle)
    aside = Path(name)
    try:
        yield aside
        # mkstemp makes files for their owner alone; results are as readable as any other file.
        aside.chmod(0o666 & ~_umask())
        aside.replace(final)
    except OSError as error:
        raise _unwritable(final, error) from error
    finally:
        aside.unlink(missing_ok=True)


def left_aside(path: Path) -> list[Path]:
    """What writers of `path` that were killed left beside it; nobody may be writing it now."""
    prefix = glob.escape(_aside_prefix(path))
    return sorted(path.parent.glob(f"{prefix}{'?' * _RANDOM_SIGNS}"))


def check_not_input(path: str | os.PathLike[str], *inputs: str | os.PathLike[str]) -> None:
    """Raise UserInputError where a file to write is one that is to be read."""
    out = _identity(path)
    if out is not None and any(out == _identity(given) for given in inputs):
        raise UserInputError(
            "is the input itself", where=str(path), remedy="name another file to write"
        )


def check_input(path: Path, what: str) -> None:
    """Raise UserInputError where there is no regular file to read; `what` it should be."""
    if path.is_dir():
        raise UserInputError("is a folder", where=str(path), remedy=f"name {what}")
    if not path.exists():
        raise UserInputError("no such file", where=str(path))
    if not path.is_file():
        raise UserInputError("is no regular file", where=str(path), remedy=f"name {what}")


def begins_as_text(path: Path) -> bool:
    """Whether a file begins with UTF-8 text, as a CSV does and a Parquet does not."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return b"\0" not in head


def check_text_name(path: str | os.PathLike[str]) -> None:
    """Raise UserInputError for a name of bytes that are no text: libraries of tables take none."""
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError as error:
        raise UserInputError(
            "the name is no valid text", where=str(path), remedy="rename the file or its folder"
        ) from error


def as_text_name(path: str | os.PathLike[str]) -> str:
    r"""A path as text of UTF-8: bytes that are no text become the six characters `\udcff`."""
    return os.fspath(path).encode("utf-8", "backslashreplace").decode()


def check_parquet_name(path: str | os.PathLike[str]) -> None:
    """Raise UserInputError for the name of another kind of table, which is not to hold Parquet."""
    out = Path(path)
    if out.suffix.lower() in _OTHER_TABLES:
        raise UserInputError(
            f"would hold Parquet, not {out.suffix[1:]}",
            where=str(out),
            remedy=f"name it {out.with_suffix('.parquet').name}",
        )


def _identity(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    """What two names of one file share; None where there is no such file."""
    try:
        status = os.stat(path)  # noqa: PTH116
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _aside_prefix(path: Path) -> str:
    # A name of the longest that a disk takes leaves no room for more.
    return f".{path.name[:40]}."


def _unwritable(path: Path, error: OSError) -> UserInputError | DataError:
    what = f"cannot be written ({error.strerror or error})"
    if error.errno in FAILED_DISK:
        remedy = "make room, or choose" if error.errno in _FULL else "choose"
        return DataError(what, where=str(path), remedy=f"{remedy} another place for the output")
    return UserInputError(what, where=str(path), remedy="choose another place for the output")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def make_run_folder(folder: Path) -> None:
    """Make it, if it is not there. Raises UserInputError where it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserInputError(
            f"cannot be made a run folder ({error.strerror or error})",
            where=str(folder),
            remedy="name another",
        ) from error
