"""Pictures named by something else than themselves: globs, lists of paths, columns of tables.

A list has one path a line, as the page of a ranking saves its favourites: a path that a line cannot
hold stands as a JSON string. On stdin each may end with NUL instead, and is then taken as it is.
"""

from __future__ import annotations

import codecs
import csv
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from i2pa.errors import DataError, UserInputError, needs_extra
from i2pa.images.formats import SUFFIXES, begins_like_a_picture
from i2pa.images.globs import is_pattern, matches

COLUMNS = ("image", "path", "file", "filename")
"""Names that a table's column of pictures may have, in any case; the first found counts."""

STDIN = Path("-")
_TABLES = frozenset({".csv", ".tsv", ".parquet"})
_LIST_SUFFIX = ".txt"
_LONGEST_FIELD = 1 << 20
# Enough to tell a list by its first lines.
_HEAD = 1 << 14
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def listed(
    places: Iterable[str | Path],
    *,
    column: str | None = None,
    stdin: BinaryIO | None = None,
    base: Path | None = None,
) -> list[Path]:
    """Files and folders named by `places`, in the order given, repeats kept.

    A place is a file or folder; `-` for a list on `stdin` (the process's own where None); a glob
    that the shell left alone (`**` for any depth); a list of paths (see `is_list`), one a line; or
    a `.csv`, `.tsv` or `.parquet` table with a column of paths, one of COLUMNS or `column`. Paths
    are relative to `base`, else to the folder of the list or table, and those on stdin to the
    folder worked in. Files that lists and tables name may be missing: that is for reading to say.
    Raises UserInputError where a place does not exist, matches nothing or lacks the column, or
    where there is a `column` and no table; DataError where a list or table names nothing, or a
    list only what is missing.
    """
    given = [Path(place) for place in places]
    if column is not None and not any(map(_is_table, given)):
        raise UserInputError(
            f"there is no table to take the column {column!r} from",
            remedy="--column goes with a .csv, .tsv or .parquet file",
        )
    return [path for place in given for path in _named_by(place, column, stdin, base)]


def is_list(place: Path) -> bool:
    """Whether a file is a list of paths: called .txt, or a text whose first lines name pictures.

    What begins like a picture is one, whatever it is called.
    """
    suffix = place.suffix.lower()
    if suffix in SUFFIXES or suffix in _TABLES or not place.is_file():
        return False
    try:
        with place.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        # Reading it as a list says why it cannot be.
        return suffix == _LIST_SUFFIX
    if begins_like_a_picture(head):
        return False
    if suffix == _LIST_SUFFIX:
        return True
    whole = head if len(head) < _HEAD else head[: head.rfind(b"\n") + 1]
    names = list(_names_in(whole))[:20]
    return bool(names) and all(Path(name).suffix.lower() in SUFFIXES for name in names)


def paths_in(
    place: Path, base: Path | None = None, *, most_missing: float = 1.0, remedy: str = ""
) -> list[Path]:
    """The paths that the list at `place` names, below `base` (None: below the list's folder).

    Raises UserInputError where it cannot be read; DataError where it is empty, or where so large a
    share of its files is missing (`most_missing`; 1: all) that the folder must be wrong, with the
    `remedy`.
    """
    try:
        data = place.read_bytes()
    except OSError as error:
        raise UserInputError(
            f"cannot be read as a list of paths ({error.strerror or error})", where=str(place)
        ) from error
    folder = place.parent if base is None else base
    paths = _paths(data, folder, str(place))
    missing = [path for path in paths if not os.path.lexists(path)]
    if len(missing) >= most_missing * len(paths):
        raise DataError(
            f"{len(missing):,} of the {len(paths):,} files it names are not there; they were "
            f"looked for below {folder.absolute()}, the first as {missing[0]}",
            where=str(place),
            remedy=remedy
            or "put it into the folder that its paths start from, or give it there as: - < LIST",
        )
    return paths


def _named_by(
    place: Path, column: str | None, stdin: BinaryIO | None, base: Path | None
) -> Iterable[Path]:
    if place == STDIN:
        return _paths((stdin or sys.stdin.buffer).read(), base or Path(), "-")
    if os.path.lexists(place):
        if _is_table(place):
            return _from_table(place, column, base)
        return paths_in(place, base) if is_list(place) else [place]
    if is_pattern(place):
        found = matches(place)
        if not found:
            raise UserInputError("matches no file", where=str(place))
        return found
    raise UserInputError("no such file or folder", where=str(place))


def _is_table(place: Path) -> bool:
    return place.suffix.lower() in _TABLES and place.is_file()


def _paths(data: bytes, base: Path, where: str) -> list[Path]:
    paths = [_path(name, base) for name in _names_in(data)]
    if not paths:
        raise DataError("the list is empty", where=where, remedy="write a path a line")
    return paths


def _path(name: str, base: Path) -> Path:
    path = base / name
    # Spaces around a name belong to it only where such a file is there.
    return path if name == name.strip() or os.path.lexists(path) else base / name.strip()


def _names_in(data: bytes) -> Iterator[str]:
    """The names in a list: by line, or ended by NUL and then as they are."""
    if data.startswith(_UTF16):
        data = data.decode("utf-16", errors="replace").encode(errors="replace")
    data = data.removeprefix(codecs.BOM_UTF8)
    if b"\0" in data:
        yield from (os.fsdecode(name) for name in data.split(b"\0") if name.strip())
        return
    for line in data.splitlines():
        if line.strip():
            yield _unquoted(os.fsdecode(line))


def _unquoted(line: str) -> str:
    """A name that stands as a JSON string in a line of its own; other lines as they are."""
    text = line.strip()
    if text.startswith('"'):
        try:
            name = json.loads(text)
            if isinstance(name, str):
                # Halves of characters stand for bytes only where the system reads them so.
                os.fsencode(name)
                return name
        except ValueError:
            pass
    return line


def _from_table(table: Path, column: str | None, base: Path | None) -> list[Path]:
    folder = table.parent if base is None else base
    try:
        if table.suffix.lower() == ".parquet":
            names = list(_parquet_column(table, column))
        else:
            names = _text_column(table, column)
        paths = [folder / name for name in names if name]
    except OSError as error:
        raise UserInputError(
            f"cannot be read ({error.strerror or error})", where=str(table)
        ) from error
    if not paths:
        raise DataError("the table names no picture", where=str(table))
    return paths


def _text_column(table: Path, column: str | None) -> list[str]:
    with table.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        delimiter = "\t" if table.suffix.lower() == ".tsv" else _delimiter(file.readline())
        file.seek(0)
        csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_FIELD))
        rows = csv.reader(file, delimiter=delimiter)
        try:
            header = next(rows, [])
            at = header.index(_column(header, column, table))
            return [row[at] for row in rows if len(row) > at]
        except csv.Error as error:
            raise UserInputError(
                f"line {rows.line_num} cannot be read ({error})",
                where=str(table),
                remedy="save it again as UTF-8 CSV",
            ) from error


def _delimiter(header: str) -> str:
    """Spreadsheets of countries with a decimal comma write semicolons."""
    return ";" if ";" in header and "," not in header else ","


def _parquet_column(table: Path, column: str | None) -> Iterator[str]:
    with needs_extra("a list of pictures in Parquet", "data"):
        import pyarrow as pa
        import pyarrow.parquet as pq
    try:
        with pq.ParquetFile(table) as file:
            name = _column(file.schema_arrow.names, column, table)
            kind = file.schema_arrow.field(name).type
            if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
                raise UserInputError(
                    f"column {name!r} holds {kind}, not text",
                    where=str(table),
                    remedy="name a column of paths with --column",
                )
            for batch in file.iter_batches(columns=[name]):
                yield from (str(value) for value in batch.column(0).to_pylist() if value)
    except pa.ArrowException as error:
        raise UserInputError(
            f"cannot be read as Parquet ({str(error).splitlines()[0]})", where=str(table)
        ) from error


def _column(names: Sequence[str], wanted: str | None, table: Path) -> str:
    if wanted is not None:
        if wanted in names:
            return wanted
        raise UserInputError(
            f"no column {wanted!r}", where=str(table), remedy=f"it has {_some(names)}"
        )
    folded = {name.strip().casefold(): name for name in reversed(names)}
    for known in COLUMNS:
        if known in folded:
            return folded[known]
    raise UserInputError(
        f"no column called {', '.join(COLUMNS[:-1])} or {COLUMNS[-1]}",
        where=str(table),
        remedy=f"name one of its columns with --column: {_some(names)}",
    )


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:20])
    return f"{shown}, …" if len(names) > 20 else shown or "none"
