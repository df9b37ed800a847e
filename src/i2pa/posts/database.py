"""DuckDB as every room uses it: times in UTC, nothing printed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb


@contextmanager
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in memory that is gone afterwards."""
    with duckdb.connect() as connection:
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
