"""Pictures named by something else than themselves: globs, lists on stdin, columns of tables."""

from __future__ import annotations

import csv
import glob
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from i2pa.errors import UserInputError, needs_extra

COLUMNS = ("image", "path", "file", "filename")
"""Names that a table's column of pictures may have, in any case; the first found counts."""

STDIN = Path("-")
_TABLES = frozenset({".csv", ".tsv", ".parquet"})
_WILD = frozenset("*?[")
_LONGEST_FIELD = 1 << 20


def listed(
    places: Iterable[str | Path], *, column: str | None = None, stdin: BinaryIO | None = None
) -> list[Path]:
    """Files and folders named by `places`, in the order given, repeats kept.

    A place is a file or folder; `-` for paths on `stdin` (the process's own where None), one a
    line or ended by NUL; a glob that the shell left alone (`**` for any depth); or a `.csv`,
    `.tsv` or `.parquet` table with a column of paths relative to the table's folder, one of
    COLUMNS or `column`. Files that lists and tables name may be missing: that is for reading to
    say. Raises UserInputError where a place does not exist, matches nothing or lacks the column.
    """
    return [path for place in map(Path, places) for path in _named_by(place, column, stdin)]


def _named_by(place: Path, column: str | None, stdin: BinaryIO | None) -> Iterable[Path]:
    if place == STDIN:
        return _from_stream(stdin or sys.stdin.buffer)
    if os.path.lexists(place):
        table = place.suffix.lower() in _TABLES and place.is_file()
        return _from_table(place, column) if table else [place]
    if _WILD & set(str(place)):
        matches = sorted(glob.glob(str(place), recursive=True))  # noqa: PTH207 (any root)
        if not matches:
            raise UserInputError("matches no file", where=str(place))
        return map(Path, matches)
    raise UserInputError("no such file or folder", where=str(place))


def _from_stream(stream: BinaryIO) -> list[Path]:
    data = stream.read()
    lines = data.split(b"\0") if b"\0" in data else data.splitlines()
    return [Path(os.fsdecode(line)) for line in lines if line.strip()]


def _from_table(table: Path, column: str | None) -> list[Path]:
    try:
        if table.suffix.lower() == ".parquet":
            names = list(_parquet_column(table, column))
        else:
            names = _text_column(table, column)
        return [table.parent / name for name in names if name]
    except OSError as error:
        raise UserInputError(
            f"cannot be read ({error.strerror or error})", where=str(table)
        ) from error


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
