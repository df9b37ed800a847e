"""How commands talk: results to stdout, the rest to stderr, names harmless to a terminal."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

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
from i2pa.scoring.names import readable

PLAIN_PROGRESS_SECONDS = 10.0


class _Stdout(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to the one place where commands end; rich would end with 1."""
        raise BrokenPipeError


def stdout() -> Console:
    """Tables go here; as wide as they need to be where no terminal limits them."""
    console = _Stdout()
    return console if console.is_terminal else _Stdout(width=160)


def warn(message: str) -> None:
    """One line on stderr, in which no name can drive the terminal."""
    print(f"i2pa: {readable(message)}", file=sys.stderr)


def warn_of(failures: Sequence[Failure], most: int | None = None) -> None:
    """A line for each of the first `most` failures (None: all), and how many more there are."""
    for failure in failures[:most]:
        remedy = f"; {failure.remedy}" if failure.remedy else ""
        warn(f"{failure.path}: {failure.reason}{remedy}")
    if most is not None and len(failures) > most:
        warn(f"and {len(failures) - most:,} more")


def printable(name: str) -> Text:
    """A file name as inert text: no markup, no control characters that drive a terminal."""
    return Text(readable(name))


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    numbers: Sequence[str] = (),
) -> None:
    """Print rows under a title line, with the columns named in `numbers` aligned right."""
    made = Table(box=None, pad_edge=False)
    for column in columns:
        numeric = column in numbers
        made.add_column(
            column, justify="right" if numeric else "left", no_wrap=numeric, overflow="fold"
        )
    for row in rows:
        made.add_row(*map(printable, row))
    console = stdout()
    if title:
        console.print(printable(title))
    console.print(made)


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
def progress(what: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """Gives a function to call with (done, total): a bar on a terminal, plain lines elsewhere.

    Nothing shows before its first call.
    """
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


def _plain_progress(what: str, unit: str) -> Callable[[int, int], None]:
    start = last = time.monotonic()

    def report(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= PLAIN_PROGRESS_SECONDS:
            last = now
            rate = done / (now - start)
            warn(
                f"{what}: {done:,} of {total:,}, {rate:.1f} {unit}/s, "
                f"{(total - done) / rate:.0f} s left"
            )

    return report
