"""DuckDB as every room uses it: times in UTC, nothing printed, a path meaning one file."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import duckdb


@contextmanager
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in memory that is gone afterwards; Ctrl-C is KeyboardInterrupt."""
    with _signals_kept(), duckdb.connect() as connection:
        # A naive time means UTC, whatever this machine's zone is.
        connection.execute("SET TimeZone = 'UTC'")
        # Its bar would come between a command's own lines, on stdout.
        connection.execute("SET enable_progress_bar = false")
        try:
            yield connection
        except (RuntimeError, duckdb.InterruptException) as error:
            if "interrupted" in str(error).lower():
                raise KeyboardInterrupt from error
            raise


def one_file(path: str | os.PathLike[str]) -> str:
    """A path for DuckDB to read, which would take `[1]`, `*`, `?`, `~` for a pattern or a home."""
    return re.sub(r"([*?[])", r"[\1]", str(Path(path).absolute()))


def quoted(text: str | os.PathLike[str]) -> str:
    """A text as SQL writes it, for statements that take no parameter."""
    return "'" + os.fspath(text).replace("'", "''") + "'"


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Raise KeyboardInterrupt at the end where DuckDB swallowed it, or made it an error of its own.

    It does both while it looks at a table that Python registered.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def remember(number: int, frame: FrameType | None) -> None:
        came.append(number)
        handled[number](number, frame)

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # What Python does not handle (by default SIGTERM) is left to the system.
    handled = {int(number): before for number, before in handlers.items() if callable(before)}
    for number in handled:
        signal.signal(number, remember)
    try:
        yield
    except Exception as error:
        if came:
            raise KeyboardInterrupt from error
        raise
    finally:
        for number, handler in handled.items():
            signal.signal(number, handler)
    if came:
        raise KeyboardInterrupt
