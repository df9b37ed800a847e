"""How commands talk: results to stdout, the rest to stderr, names harmless to a terminal."""

from __future__ import annotations

import codecs
import contextlib
import dataclasses
import json
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from i2pa.images.failure import Failure
from i2pa.scoring.names import readable, shortened
from i2pa.scoring.results import StandIn

PLAIN_PROGRESS_SECONDS = 10.0
MOST_LINES = 20
"""Failures named one by one; the rest are counted."""
LONGEST_NAME = 300
"""Characters of a name in a message; a longer one loses its middle."""
LONGEST_LINE = 2000
"""Characters of a message, whatever is in it."""
LEAST_FOLDED = 20
"""Columns of a terminal that names get, however narrow it is."""
UNPRINTABLE = "i2pa-unprintable"
"""Name of the error handler of stdout, stderr and files of text."""

_quiet = False


def as_bytes_or_mark(error: UnicodeError) -> tuple[str | bytes, int]:
    """File names that are no valid text come out as the bytes they are; other signs as `?`."""
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeError:
        if not isinstance(error, UnicodeEncodeError):
            raise
        return "?" * (error.end - error.start), error.end


codecs.register_error(UNPRINTABLE, as_bytes_or_mark)


class _Stdout(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to the one place where commands end; rich would end with 1."""
        raise BrokenPipeError


def warn(message: str) -> None:
    """One line on stderr, in which no name can drive the terminal."""
    print(f"i2pa: {readable(shortened(message, LONGEST_LINE))}", file=sys.stderr)


def set_quiet(quiet: bool) -> None:
    """Whether this command says nothing but what went wrong."""
    global _quiet
    _quiet = quiet


def note(message: str) -> None:
    """As `warn`, but of what is no trouble: nothing where the command is to be quiet."""
    if not _quiet:
        warn(message)


def warn_of(failures: Sequence[Failure], more: int = 0) -> None:
    """A line for each of the first `MOST_LINES` failures, and how many more there are.

    `more` counts those that are not among `failures`.
    """
    for failure in failures[:MOST_LINES]:
        where = f"{_short(failure.path)}: " if failure.path else ""
        remedy = f"; {failure.remedy}" if failure.remedy else ""
        warn(f"{where}{failure.reason}{remedy}")
    more += max(len(failures) - MOST_LINES, 0)
    if more:
        warn(f"and {more:,} more")


def note_stand_ins(stand_ins: Sequence[StandIn]) -> None:
    """A line for each of the first `MOST_LINES` files scored in another's place."""
    for one in stand_ins[:MOST_LINES]:
        reason = f"{_short(one.instead_of)}: {one.reason}"
        note(f"{reason}; {_short(one.path)} was scored in its place")
    if len(stand_ins) > MOST_LINES:
        note(f"and {len(stand_ins) - MOST_LINES:,} more in the same way")


def _short(name: str) -> str:
    return shortened(name, LONGEST_NAME)


def printable(name: str) -> Text:
    """A file name as inert text: no markup, no control characters that drive a terminal."""
    return Text(readable(name))


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    numbers: Sequence[str] = (),
) -> None:
    """Print rows under a title line, with the columns named in `numbers` aligned right.

    Into a pipe or file each row is one line, however long. On a terminal the last column of text
    takes the room that the others leave it, and folds; the others never do.
    """
    cells = [tuple(columns), *(tuple(map(readable, row)) for row in rows)]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    numeric = [column in numbers for column in columns]
    console = _Stdout()
    if title:
        console.print(printable(title), soft_wrap=True)
    if not console.is_terminal:
        for row in cells:
            print(_line(row, widths, numeric))
        return
    if not all(numeric):
        folds = max(at for at, number in enumerate(numeric) if not number)
        left = console.width - sum(widths) + widths[folds] - 2 * (len(widths) - 1)
        widths[folds] = min(widths[folds], max(left, LEAST_FOLDED))
    made = Table(box=None, pad_edge=False)
    for column, width, number in zip(columns, widths, numeric, strict=True):
        made.add_column(column, justify="right" if number else "left", width=width, overflow="fold")
    for row in cells[1:]:
        made.add_row(*map(Text, row))
    # A terminal too narrow for that wraps the lines by itself.
    console.width = max(console.width, sum(widths) + 2 * len(widths))
    console.print(made)


def _line(cells: Sequence[str], widths: Sequence[int], numeric: Sequence[bool]) -> str:
    parts = []
    for cell, width, number in zip(cells, widths, numeric, strict=True):
        room = " " * (width - cell_len(cell))
        parts.append(room + cell if number else cell + room)
    return "  ".join(parts).rstrip()


def as_json(schema: str, record: Any) -> str:
    """One JSON object: the schema's name, then the fields of a dataclass or mapping."""
    fields = record if isinstance(record, Mapping) else dataclasses.asdict(record)
    return json.dumps({"schema": schema, **fields}, indent=2, default=_time_as_text)


def _time_as_text(value: object) -> str:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def print_json(kind: str, **fields: object) -> None:
    """Print one object of the schema `i2pa.KIND/1`."""
    print(as_json(f"i2pa.{kind}/1", fields))


def print_columns(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table of names in the first column and numbers in the others."""
    print_table(title, columns, rows, numbers=columns[1:])


class _Rate(ProgressColumn):
    """Items a second, once known."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f} {self._unit}/s" if task.speed else "")


@contextlib.contextmanager
def progress(what: str, unit: str, *, hidden: bool = False) -> Iterator[Callable[[int, int], None]]:
    """Gives a function to call with (done, total): a bar on a terminal, plain lines elsewhere.

    Nothing shows before its first call, and nothing at all where it is `hidden`, or the command is
    to be quiet.
    """
    if _quiet or hidden:
        yield _say_nothing
        return
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _plain_progress(what, unit)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(unit),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=None, visible=False)
        yield lambda done, total: bar.update(task, completed=done, total=total, visible=True)


def _say_nothing(done: int, total: int) -> None:
    del done, total


def _plain_progress(what: str, unit: str) -> Callable[[int, int], None]:
    # What is done at the first report was done before, by an earlier start perhaps; where it falls
    # another work has begun.
    start = last = 0.0
    before = at_start = math.inf

    def report(done: int, total: int) -> None:
        nonlocal start, last, before, at_start
        now = time.monotonic()
        if done < before:
            start, last, at_start = now, now, done
        before = done
        if now - last >= PLAIN_PROGRESS_SECONDS and done > at_start:
            last = now
            rate = (done - at_start) / (now - start)
            warn(
                f"{what}: {done:,} of {total:,}, {rate:.1f} {unit}/s, "
                f"{(total - done) / rate:.0f} s left"
            )

    return report
