"""Scores of rows, written as they come: CSV, JSON Lines, Parquet, one JSON object, a table.

Each writer is a context that gives a function of a row and its result. Whatever the number of rows,
it holds no more than some of them; only the table for people needs them all.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from i2pa.cli import output
from i2pa.errors import DataError, UserInputError
from i2pa.files import whole_file
from i2pa.images.failure import Failure
from i2pa.images.rows import Row
from i2pa.images.tables import pyarrow_for
from i2pa.scoring import ScoredPicture
from i2pa.scoring.names import readable
from i2pa.scoring.results import ModelUsed

Write = Callable[[Row, ScoredPicture | Failure], None]

COLUMNS = ("path", "score", "percentile", "level", "status", "reason")
# What an item or a failure in JSON has beside.
_TAKEN = {*COLUMNS, "kind", "remedy"}
_ROW_GROUP = 1 << 16
_IN_MEMORY = 1 << 24
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Heading:
    """What is true of all rows: the model, and the columns carried along with their Arrow types."""

    model: ModelUsed
    reference: str
    carry: tuple[str, ...] = ()
    types: tuple[Any, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of CSV, JSON Lines and Parquet."""
        return (*COLUMNS, *self.carry)


def check_carried(carry: Sequence[str] | None) -> tuple[str, ...]:
    """The columns to carry along, each once. Raises UserInputError for one that is ours."""
    for name in carry or ():
        if name in _TAKEN:
            raise UserInputError(
                f"--carry {name}: the output has a column of that name already",
                remedy="rename it in the table",
            )
    return tuple(dict.fromkeys(carry or ()))


@contextmanager
def writer(form: str, out: Path | None, heading: Heading) -> Iterator[Write]:
    """A writer of the `form` to `out`, which appears whole or not at all, or to stdout (None)."""
    if form == "parquet" and out is not None:
        with whole_file(out) as aside, _parquet(aside, heading) as write:
            yield write
    elif form == "table":
        with _table(heading) as write:
            yield write
    elif out is None:
        with _TEXTS[form](sys.stdout, heading) as write:
            yield write
    else:
        with (
            whole_file(out) as aside,
            aside.open("w", encoding="utf-8", errors=output.UNPRINTABLE, newline="") as file,
            _TEXTS[form](file, heading) as write,
        ):
            yield write


class Lines:
    """A file of text to write whole lines to; on stdout each leaves at once.

    The csv module quotes what ends its own lines, so that these have to end by both characters for
    either to be quoted; they are written with a line feed.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._flush = file is sys.stdout

    def write(self, line: str) -> None:
        """Write one line, however it ends."""
        self._file.write(line.removesuffix("\r\n") + "\n")
        if self._flush:
            self._file.flush()


def csv_writer(file: TextIO) -> Any:
    """A writer of CSV in which every name survives, whatever line breaks are in it."""
    return csv.writer(Lines(file), lineterminator="\r\n")


def _fields(row: Row, result: ScoredPicture | Failure) -> tuple[object, ...]:
    """The values of COLUMNS."""
    if isinstance(result, Failure):
        return (row.given, None, None, None, result.kind, result.reason)
    return (row.given, result.score, result.percentile, result.level, "ok", None)


@contextmanager
def _csv(file: TextIO, heading: Heading) -> Iterator[Write]:
    rows = csv_writer(file)
    for_people = file.isatty()
    rows.writerow(heading.columns)

    def write(row: Row, result: ScoredPicture | Failure) -> None:
        values = [*_fields(row, result), *map(_as_text, row.carried)]
        # A file or program gets names as they are.
        rows.writerow(map(harmless, values) if for_people else values)

    yield write


@contextmanager
def _json_lines(file: TextIO, heading: Heading) -> Iterator[Write]:
    lines = Lines(file)

    def write(row: Row, result: ScoredPicture | Failure) -> None:
        values = (*_fields(row, result), *map(_as_json, row.carried))
        lines.write(json.dumps(dict(zip(heading.columns, values, strict=True))))

    yield write


@contextmanager
def _json(file: TextIO, heading: Heading) -> Iterator[Write]:
    """One object, as `output.as_json` writes a whole one; what failed stands after what did not."""
    with _Spool() as items, _Spool() as failures:

        def write(row: Row, result: ScoredPicture | Failure) -> None:
            cells = map(_as_json, row.carried)
            fields = vars(result) | dict(zip(heading.carry, cells, strict=True))
            (failures if isinstance(result, Failure) else items).add(fields)

        yield write
        about = {"model": dataclasses.asdict(heading.model), "reference": heading.reference}
        file.write(output.as_json("i2pa.score/1", about).removesuffix("\n}"))
        for name, spool in (("items", items), ("failures", failures)):
            file.write(f',\n  "{name}": ')
            spool.copy_to(file)
        file.write(',\n  "stand_ins": []\n}\n')


class _Spool:
    """A list of JSON objects that is soon on disk, should it grow."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 (see __exit__)
        self._between = "[\n"

    def __enter__(self) -> _Spool:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def add(self, fields: dict[str, object]) -> None:
        # In JSON no text has a line break of its own.
        text = json.dumps(fields, indent=2).replace("\n", "\n    ")
        try:
            self._file.write(f"{self._between}    {text}".encode("ascii"))
        except OSError as error:
            raise DataError(
                f"cannot be written ({error.strerror or error})",
                where=tempfile.gettempdir(),
                remedy="make room, or set TMPDIR to another folder",
            ) from error
        self._between = ",\n"

    def copy_to(self, file: TextIO) -> None:
        if self._between == "[\n":
            file.write("[]")
            return
        self._file.seek(0)
        while chunk := self._file.read(_CHUNK):
            file.write(chunk.decode("ascii"))
        file.write("\n  ]")


@contextmanager
def _table(heading: Heading) -> Iterator[Write]:
    rows: list[tuple[str, ...]] = []

    def write(row: Row, result: ScoredPicture | Failure) -> None:
        if isinstance(result, ScoredPicture):
            cells = (_as_text(cell) or "" for cell in row.carried)
            rows.append((*score_cells(result), *cells))

    yield write
    if rows:
        title = title_of(heading.model, heading.reference)
        columns = (*SCORE_CELLS, *heading.carry)
        output.print_table(title, columns, rows, numbers=("percentile", "score"))


SCORE_CELLS = ("percentile", "level", "score", "picture")


def score_cells(item: ScoredPicture) -> tuple[str, str, str, str]:
    """The cells of SCORE_CELLS in a table for people."""
    return f"{item.percentile:.1f}", item.level, f"{item.score:+.2f}", item.path


def title_of(model: ModelUsed, reference: str) -> str:
    """The line above a table for people."""
    return f"{model.tag} · percentiles refer to: {reference}"


@contextmanager
def _parquet(path: Path, heading: Heading) -> Iterator[Write]:
    pa, pq = pyarrow_for("writing Parquet")
    numbers = {"score": pa.float64(), "percentile": pa.float64()}
    ours = [(name, numbers.get(name, pa.string())) for name in COLUMNS]
    carried = [
        (name, kind or pa.string()) for name, kind in zip(heading.carry, heading.types, strict=True)
    ]
    schema = pa.schema(ours + carried, metadata=parquet_metadata(heading.model, heading.reference))
    waiting: list[tuple[object, ...]] = []

    with pq.ParquetWriter(path, schema) as file:

        def write(row: Row, result: ScoredPicture | Failure) -> None:
            cells = (
                valid_text(_as_text(cell)) if kind is None else cell
                for cell, kind in zip(row.carried, heading.types, strict=True)
            )
            waiting.append((*map(valid_text, _fields(row, result)), *cells))
            if len(waiting) == _ROW_GROUP:
                flush()

        def flush() -> None:
            arrays = [
                pa.array(cells, field.type)
                for cells, field in zip(zip(*waiting, strict=True), schema, strict=True)
            ]
            file.write_table(pa.Table.from_arrays(arrays, schema=schema))
            waiting.clear()

        yield write
        if waiting:
            flush()


def parquet_metadata(model: ModelUsed, reference: str) -> dict[str, str]:
    """What a Parquet file says of all its rows."""
    return {"i2pa.model": json.dumps(dataclasses.asdict(model)), "i2pa.reference": reference}


def valid_text(value: object) -> object:
    r"""Parquet holds UTF-8: stray bytes in a file name are written as `\udcff`."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    return value


def harmless(value: object) -> object:
    """A cell for a terminal."""
    return readable(value) if isinstance(value, str) else value


def _as_text(cell: Any) -> str | None:
    """A carried cell where only text can stand."""
    if cell is None or isinstance(cell, str):
        return cell
    if hasattr(cell, "as_py"):
        return _arrow_as_text(cell)
    return json.dumps(cell)


def _as_json(cell: Any) -> object:
    """A carried cell in JSON; of Arrow what JSON has no form for as text, or null."""
    if not hasattr(cell, "as_py"):
        return cell
    pa, _ = pyarrow_for("a table in Parquet")
    if pa.types.is_floating(cell.type):
        number = float(cell.as_py())
        # JSON has neither infinity nor what is no number.
        return number if math.isfinite(number) else None
    if pa.types.is_boolean(cell.type) or pa.types.is_integer(cell.type):
        return cell.as_py()
    return _arrow_as_text(cell)


def _arrow_as_text(cell: Any) -> str:
    """Bytes in hexadecimal, also those that happen to be text."""
    pa, _ = pyarrow_for("a table in Parquet")
    bytes_of = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary)
    if any(is_kind(cell.type) for is_kind in (*bytes_of, pa.types.is_binary_view)):
        return str(cell.as_py().hex())
    try:
        text = cell.cast(pa.string())
        # What calls itself text need not be UTF-8; names of files are told in the same way.
        return str(text.as_buffer().to_pybytes().decode("utf-8", "surrogateescape"))
    except pa.ArrowException:
        # What Arrow has no text for.
        return str(cell)


_TEXTS: dict[str, Callable[[TextIO, Heading], AbstractContextManager[Write]]] = {
    "csv": _csv,
    "json": _json,
    "jsonl": _json_lines,
}
