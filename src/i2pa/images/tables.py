"""Tables of pictures, row by row: CSV, TSV, Parquet and JSON Lines, however long they are.

A table has a column that names pictures, and may have others that are carried along unchanged.
Where the names lead is `lists`' business.
"""

from __future__ import annotations

import codecs
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from i2pa.errors import DataError, UserInputError
from i2pa.images.separated import separated_rows

COLUMNS = ("image", "path", "file", "filename")
"""Names that a table's column of pictures may have, in any case; the first found counts."""

_CSV = frozenset({".csv", ".tsv"})
_JSON_LINES = frozenset({".jsonl", ".ndjson"})
_PARQUET = frozenset({".parquet"})
SUFFIXES = _CSV | _JSON_LINES | _PARQUET

_JSON_LINE = 'write a line a picture, such as {"path": "a.jpg"}'
# Rows of Parquet that are made Python's at once.
_BATCH = 4096


@dataclass(frozen=True)
class Record:
    """One row of a table.

    `name` is the cell of the picture as it stands there, None where there is none; `fault` says why
    no picture can be named by it, if so. `carried` has a value for each column carried, None where
    there is none: text, what JSON holds, or a scalar of Arrow.
    """

    name: str | None
    carried: tuple[object, ...]
    fault: str = ""


@dataclass(frozen=True)
class Table:
    """One table whose columns are known.

    `types` has the Arrow type of each carried column, None where it has none. `records` gives each
    row, as often as it is called, and raises UserInputError where the file cannot be read on.
    """

    types: tuple[Any, ...]
    records: Callable[[], Iterator[Record]]


def is_table(place: str | Path) -> bool:
    """Whether a place is a table: a file with the suffix of one."""
    return Path(place).suffix.lower() in SUFFIXES and os.path.isfile(place)  # noqa: PTH113


def open_table(path: Path, column: str | None, carry: Sequence[str]) -> Table:
    """The table at `path`, with pictures in `column` (None: one of COLUMNS).

    Raises UserInputError where it cannot be read, or lacks a column, or has it twice; DataError
    where it is empty.
    """
    suffix = path.suffix.lower()
    if suffix in _PARQUET:
        return _parquet(path, column, carry)
    return (_json_lines if suffix in _JSON_LINES else _csv)(path, column, carry)


def _csv(path: Path, column: str | None, carry: Sequence[str]) -> Table:
    with _csv_rows(path) as rows:
        header = next(rows, None)
    if header is None:
        raise _empty(path, "write a line of columns' names, then one a picture")
    if not any(header):
        raise UserInputError(
            "the first line names no column", where=str(path), remedy="write the names there"
        )
    at = header.index(_column(header, column, path))
    carried = [header.index(_column(header, name, path)) for name in carry]
    return Table((None,) * len(carried), partial(_csv_records, path, at, carried))


def _csv_records(path: Path, at: int, carried: Sequence[int]) -> Iterator[Record]:
    with _csv_rows(path) as rows:
        next(rows, None)
        for number, row in enumerate(rows, start=2):
            # A blank line is no row to any reader of CSV.
            if row:
                cells = dict(enumerate(row))
                yield _record(path, f"row {number}", cells.get(at), map(cells.get, carried))


@contextmanager
def _csv_rows(path: Path) -> Iterator[Iterator[list[str]]]:
    _check_utf8(path)
    opened = partial(path.open, encoding="utf-8-sig", errors="surrogateescape", newline="")
    with _readable(path), opened() as file:
        yield separated_rows(file, str(path))


def _check_utf8(path: Path) -> None:
    """Raise UserInputError for UTF-16, which some spreadsheets call text."""
    with _readable(path), path.open("rb") as file:
        head = file.read(4)
    # Without a mark, every other byte of plain letters is 0.
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in head:
        raise UserInputError(
            "is UTF-16, where UTF-8 is needed", where=str(path), remedy="save it again as UTF-8"
        )


def _json_lines(path: Path, column: str | None, carry: Sequence[str]) -> Table:
    known: dict[str, None] = {}
    empty = True
    wanted = {*carry, *([] if column is None else [column])}
    # Writers leave out fields that have no value, so the first line may lack some.
    for _, record in _json_objects(path):
        empty = False
        known.update(dict.fromkeys(record or ()))
        if wanted <= known.keys() and (column is not None or _known_column(list(known))):
            break
    if not known:
        if empty:
            raise _empty(path, _JSON_LINE)
        raise DataError("no line is a JSON object with fields", where=str(path), remedy=_JSON_LINE)
    for name in carry:
        _column(list(known), name, path)
    field = _column(list(known), column, path)
    return Table((None,) * len(carry), partial(_json_records, path, field, carry))


def _json_records(path: Path, field: str, carry: Sequence[str]) -> Iterator[Record]:
    for number, record in _json_objects(path):
        place = f"line {number}"
        if record is None:
            yield Record(None, (None,) * len(carry), f"{place} of {path} is no JSON object")
        else:
            yield _record(path, place, record.get(field), map(record.get, carry))


def _json_objects(path: Path) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """Lines that are not blank, by number; None where one holds no object."""
    _check_utf8(path)
    with _readable(path), path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield number, _json_object(line)


def _json_object(line: bytes) -> dict[str, Any] | None:
    try:
        text = line.decode("utf-8-sig", "surrogateescape")
        record = json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _finite(number: str) -> float | None:
    """None for a number too large for a float: infinity has no form in JSON."""
    value = float(number)
    return value if math.isfinite(value) else None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _parquet(path: Path, column: str | None, carry: Sequence[str]) -> Table:
    pa, _ = pyarrow_for("a table of pictures in Parquet")
    with _parquet_file(path) as file:
        schema = file.schema_arrow
    field = _column(schema.names, column, path)
    for name in carry:
        _column(schema.names, name, path)
    kind, *types = (_plain_type(schema.field(name).type) for name in (field, *carry))
    for name, carried in zip(carry, types, strict=True):
        if pa.types.is_nested(carried):
            raise UserInputError(
                f"column {name!r} holds {carried}, which cannot be carried",
                where=str(path),
                remedy="--carry takes columns of single values",
            )
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    if not any(test(kind) for test in (*texts, pa.types.is_null)):
        raise UserInputError(
            f"column {field!r} holds {kind}, not text",
            where=str(path),
            remedy="name a column of paths with --column",
        )
    return Table(tuple(types), partial(_parquet_records, path, field, carry))


def _parquet_records(path: Path, field: str, carry: Sequence[str]) -> Iterator[Record]:
    wanted = list(dict.fromkeys((field, *carry)))
    number = 0
    with _parquet_file(path) as file:
        for batch in file.iter_batches(batch_size=_BATCH, columns=wanted):
            columns = {name: _plain(batch.column(name)) for name in wanted}
            carried = [columns[name] for name in carry]
            for at, name in enumerate(columns[field].to_pylist()):
                number += 1
                cells = (column[at] for column in carried)
                held = (cell if cell.is_valid else None for cell in cells)
                yield _record(path, f"row {number}", name, held)


def _plain_type(kind: Any) -> Any:
    """Of a dictionary that of its values, of an extension what it is stored as."""
    pa, _ = pyarrow_for("a table of pictures in Parquet")
    if isinstance(kind, pa.BaseExtensionType):
        return _plain_type(kind.storage_type)
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _plain(column: Any) -> Any:
    """The same values in their plain type."""
    if hasattr(column, "storage"):
        return _plain(column.storage)
    return column.dictionary_decode() if hasattr(column, "dictionary_decode") else column


@contextmanager
def _parquet_file(path: Path) -> Iterator[Any]:
    pa, pq = pyarrow_for("a table of pictures in Parquet")
    try:
        with _readable(path), pq.ParquetFile(path) as file:
            yield file
    except UnicodeDecodeError as error:
        raise UserInputError(
            f"a name is no UTF-8 ({error})", where=str(path), remedy="write the table again"
        ) from error
    except pa.ArrowException as error:
        raise UserInputError(
            f"cannot be read as Parquet ({str(error).splitlines()[0]})", where=str(path)
        ) from error


def pyarrow_for(job: str) -> tuple[Any, Any]:
    """The modules pyarrow and pyarrow.parquet, which are all that Parquet needs here.

    Raises UserInputError that names the `job` where they are not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError as error:
        raise UserInputError(
            f"{job} needs pyarrow, which is not installed", remedy="run: pip install pyarrow"
        ) from error
    return pa, pq


def _record(path: Path, place: str, name: object, carried: Iterable[object]) -> Record:
    cells = tuple(carried)
    if name is None or name == "":
        return Record("" if name == "" else None, cells, f"{place} of {path} names no picture")
    if isinstance(name, str):
        return Record(name, cells)
    return Record(None, cells, f"{place} of {path} names its picture by something else than text")


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        what = error.strerror or (str(error).splitlines() or [type(error).__name__])[0]
        raise UserInputError(f"cannot be read ({what})", where=str(path)) from error


def _empty(path: Path, remedy: str) -> DataError:
    return DataError("the table is empty", where=str(path), remedy=remedy)


def _column(names: Sequence[str], wanted: str | None, table: Path) -> str:
    if wanted is not None and wanted not in names:
        raise UserInputError(
            f"no column {wanted!r}", where=str(table), remedy=f"it has {_some(names)}"
        )
    found = _known_column(names) if wanted is None else wanted
    if found is not None:
        if names.count(found) > 1:
            raise UserInputError(
                f"has two columns {found!r}", where=str(table), remedy="rename one of them"
            )
        return found
    raise UserInputError(
        f"no column called {', '.join(COLUMNS[:-1])} or {COLUMNS[-1]}",
        where=str(table),
        remedy=f"name one of its columns with --column: {_some(names)}",
    )


def _known_column(names: Sequence[str]) -> str | None:
    folded = {name.strip().casefold(): name for name in reversed(names)}
    return next((folded[known] for known in COLUMNS if known in folded), None)


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:20])
    return f"{shown}, …" if len(names) > 20 else shown or "none"
