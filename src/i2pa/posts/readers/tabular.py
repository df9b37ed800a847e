"""Tables in files: CSV, TSV and Parquet, column by column as written.

Row numbers are what an editor shows: in CSV and TSV records counted from the header as 1 (blank
lines aside), in Parquet the row from 1. What the columns mean stays out.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from i2pa.errors import DataError
from i2pa.posts.readers.source import Raw, Source, as_text
from i2pa.posts.readers.undisturbed import read_csv

# A record must fit in one block, so this also bounds the longest caption.
_BLOCK_BYTES = 1 << 25

OPEN_QUOTE = "holds lines that are rows: is a quote left open?"
_JSON = re.compile(r'\s*(\{\s*("|$)|\[\s*(\{|$))')
_NUMBER_OR_TIME = re.compile(r"[-+]?[0-9][0-9.:TZ+ -]*")


def open_csv(path: Path, delimiter: str | None = None) -> Source:
    """A file of separated values with a header; the separator is the header's most frequent."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        first = file.readline(1 << 20)
        if _JSON.match(first):
            raise DataError(
                "seems to be JSON or JSON Lines, not a table",
                where=str(path),
                remedy="leave --format out, or name another, such as --format jsonl",
            )
        separator = delimiter or max(",;\t", key=first.count)
        file.seek(0)
        try:
            names = next(csv.reader(file, delimiter=separator), [])
        except csv.Error as error:
            raise DataError(f"the header cannot be read: {error}", where=str(path)) from error
    names = [name.strip().removeprefix("\ufeff") for name in names]
    _refuse_twice(names, names, path)

    def read(wanted: Sequence[str]) -> Raw:
        return _read_csv(path, separator, names, wanted)

    return Source(names, read)


def _refuse_twice(names: Sequence[str], wanted: Sequence[str], path: Path) -> None:
    """Raise DataError where two columns have one name that is wanted."""
    twice = sorted(name for name in set(wanted) if names.count(name) > 1)
    if twice:
        raise DataError(
            f"two columns are called {twice[0]!r}", where=str(path), remedy="rename one of them"
        )


def _read_csv(path: Path, separator: str, names: Sequence[str], wanted: Sequence[str]) -> Raw:
    broken: list[tuple[int, str, str]] = []
    _refuse_open_quote(path, separator)
    # Every column is read where a field may hold a line break, to see if that is an open quote.
    asked, wanted = list(wanted), names if _breaks_lines(path) else list(wanted)

    def skip(row: pa_csv.InvalidRow) -> str:
        reason = f"has {row.actual_columns} fields where the header has {row.expected_columns}"
        broken.append((row.number, reason, row.text[:200]))
        return "skip"

    try:
        table = read_csv(
            path,
            # One thread, or broken rows would come without their numbers.
            pa_csv.ReadOptions(
                use_threads=False,
                block_size=_BLOCK_BYTES,
                column_names=names,
                skip_rows_after_names=1,
            ),
            pa_csv.ParseOptions(
                delimiter=separator, newlines_in_values=True, invalid_row_handler=skip
            ),
            pa_csv.ConvertOptions(
                column_types=dict.fromkeys(wanted, pa.binary()),
                include_columns=list(wanted),
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        if "straddling" in str(error):
            raise DataError(
                f"row {_long_row(path, separator)} is longer than {_BLOCK_BYTES >> 20} MB",
                where=str(path),
                remedy="cut it: is a quote left open?",
            ) from error
        raise DataError(f"cannot be read as CSV: {error}", where=str(path)) from error
    numbers = np.arange(2, 2 + table.num_rows + len(broken))
    numbers = np.setdiff1d(numbers, [number for number, _, _ in broken], assume_unique=True)
    swallowed = _swallowed(table, separator)
    if swallowed.any():
        for i in np.flatnonzero(swallowed).tolist():
            first = table.column(0)[i].as_py().decode(errors="replace")
            broken.append((int(numbers[i]), OPEN_QUOTE, first[:200]))
        table, numbers = table.filter(pa.array(~swallowed)), numbers[~swallowed]
    return as_text(table.select(asked), pa.array(numbers), broken)


def _long_row(path: Path, separator: str) -> int:
    """The number of the first record that does not fit into a block."""
    csv.field_size_limit(_BLOCK_BYTES)
    row = 0
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as text:
        try:
            for fields in csv.reader(text, delimiter=separator):
                # Signs take a byte or more; a blank line is no row.
                if sum(map(len, fields)) > _BLOCK_BYTES:
                    break
                row += bool(fields)
        except csv.Error:
            pass
    return row + 1


def _breaks_lines(path: Path) -> bool:
    """Whether some quoted field may hold a line break: a line with an odd number of quotes."""
    with path.open("rb") as file:
        return any(line.count(b'"') % 2 for line in file)


def _swallowed(table: pa.Table, separator: str) -> npt.NDArray[np.bool_]:
    """Which rows hold, inside one field, a line that is a row of this very file.

    Such a line has as many fields as the header, with numbers or times where the first row has
    some; a caption of many commas has not.
    """
    found = np.zeros(table.num_rows, dtype=bool)
    first = [column[0].as_py().decode(errors="replace") for column in table.columns if len(column)]
    numeric = [place for place, field in enumerate(first) if _NUMBER_OR_TIME.fullmatch(field)]
    if not numeric:
        return found
    for column in table.columns:
        for i in np.flatnonzero(pc.match_substring(column, "\n").to_numpy()).tolist():
            for line in column[i].as_py().decode(errors="replace").splitlines()[1:]:
                if line.count(separator) < len(first) - 1:
                    continue
                fields = next(csv.reader([line], delimiter=separator), [])
                found[i] |= len(fields) == len(first) and all(
                    _NUMBER_OR_TIME.fullmatch(fields[place]) for place in numeric
                )
    return found


def _refuse_open_quote(path: Path, separator: str) -> None:
    """Raise DataError where a quote is never closed: it would swallow every row after it."""
    with path.open("rb") as file:
        quotes = sum(block.count(b'"') for block in iter(lambda: file.read(_BLOCK_BYTES), b""))
    if quotes % 2 == 0:
        return
    # Python's reader is slow, but tells an open quote from one in the middle of a bare field.
    csv.field_size_limit(_BLOCK_BYTES)
    row = 0
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as text:
        try:
            for _ in csv.reader(text, delimiter=separator, strict=True):
                row += 1
        except csv.Error as error:
            if "end of data" in str(error) or "field larger" in str(error):
                raise DataError(
                    f"row {row + 1}: a quote is never closed, so all rows after it would be lost",
                    where=str(path),
                    remedy='close the quote, or write "" for a quote inside a quoted field',
                ) from error


def open_parquet(path: Path) -> Source:
    """A Parquet file; text, numbers and times keep their types."""
    try:
        names = pq.read_schema(path).names
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"cannot be read as Parquet: {error}", where=str(path)) from error

    def read(wanted: Sequence[str]) -> Raw:
        # Two that nobody asks for do no harm.
        _refuse_twice(names, wanted, path)
        table = pq.read_table(path, columns=list(wanted)).select(list(wanted))
        nested = [f.name for f in table.schema if pa.types.is_nested(f.type)]
        if nested:
            raise DataError(f"column {nested[0]!r} holds nested values", where=str(path))
        return as_text(table, pa.array(np.arange(1, table.num_rows + 1)), [])

    return Source(names, read)
