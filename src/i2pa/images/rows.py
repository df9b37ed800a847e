"""Pictures asked for, row by row: by their own names, globs, lists of paths, columns of tables.

Whether a file is there, and is a picture, is for reading to say.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from i2pa.errors import DataError, UserInputError
from i2pa.images.formats import SUFFIXES
from i2pa.images.globs import is_pattern, matches
from i2pa.images.lists import (
    LIST_SUFFIX,
    STDIN,
    empty_list,
    is_list,
    names_in,
    open_list,
    path_below,
    paths_in,
    read_stdin,
)
from i2pa.images.tables import SUFFIXES as TABLES
from i2pa.images.tables import Table, is_table, open_table


@dataclass(frozen=True)
class Row:
    """One picture that is asked for.

    `given` is what was written, unchanged; None where a table has no value. `path` is the file that
    it means, None where it means none, as `fault` says. `carried` is that of the table's `Record`.
    """

    given: str | None
    path: Path | None
    carried: tuple[object, ...] = ()
    fault: str = ""


class Rows:
    """What places name, row by row, in the order given, repeats and rows without a path kept.

    They may be gone through as often as wanted: lists and tables are read anew each time, so that
    none is held in memory, but for a list on stdin.
    """

    def __init__(
        self,
        places: Iterable[str | Path],
        *,
        column: str | None = None,
        carry: Sequence[str] = (),
        stdin: BinaryIO | None = None,
        base: Path | None = None,
        each_by_itself: bool = False,
    ) -> None:
        """Look at the `places`, as `listed` says; of tables `carry` names columns to carry along.

        With `each_by_itself` whatever may be a picture is a row, for reading to say that it is not
        there: a place that does not exist unless it is called like a list or table, and each line
        of a list of which no file exists. Raises as `listed` does, for what can be told before
        lists and tables are read; going through the rows for the rest.
        """
        given = [os.fspath(place) for place in places]
        for option, names in (("column", [column] if column is not None else []), ("carry", carry)):
            if names and not any(map(is_table, given)):
                raise UserInputError(
                    f"there is no table to take the column {names[0]!r} from",
                    remedy=f"--{option} goes with a .csv, .tsv, .jsonl or .parquet file",
                )
        self._column, self._carry, self._base = column, tuple(carry), base
        self._nothing = (None,) * len(self._carry)
        self._each_by_itself = each_by_itself
        self._tables: list[Table] = []
        self._sources = [self._source(place, stdin) for place in given]

    @property
    def types(self) -> tuple[Any, ...]:
        """The Arrow type of each carried column; None where tables differ or have none."""
        kinds = zip(*(table.types for table in self._tables), strict=True)
        return tuple(some[0] if len(set(map(str, some))) == 1 else None for some in kinds)

    def __iter__(self) -> Iterator[Row]:
        for source in self._sources:
            yield from source()

    def _source(self, place: str, stdin: BinaryIO | None) -> Callable[[], Iterator[Row]]:
        """What gives the rows of one place, each time that it is called."""
        if not place:
            raise UserInputError(
                "an empty path names no picture", remedy="give a file, or . for the folder here"
            )
        path = Path(place)
        if place == STDIN:
            data = read_stdin(stdin)
            return partial(self._in_list, place, partial(io.BytesIO, data), self._base or Path())
        if is_table(path):
            table = open_table(path, self._column, self._carry)
            self._tables.append(table)
            return partial(self._in_table, path, table)
        if is_list(path):
            if not self._each_by_itself:
                paths_in(path, self._base)
            folder = self._base or path.parent
            return partial(self._in_list, place, partial(open_list, path), folder)
        if is_pattern(path) and not os.path.lexists(path):
            found = matches(path)
            if not found:
                raise UserInputError("matches no file", where=place)
            return partial(iter, [Row(str(one), one, self._nothing) for one in found])
        if os.path.lexists(path) or self._may_be_a_picture(path):
            return partial(iter, [Row(place, path, self._nothing)])
        raise UserInputError("no such file or folder", where=place)

    def _may_be_a_picture(self, missing: Path) -> bool:
        suffix = missing.suffix.lower()
        if not self._each_by_itself:
            return suffix in SUFFIXES
        return suffix not in TABLES and suffix != LIST_SUFFIX

    def _in_list(
        self, where: str, opened: Callable[[], AbstractContextManager[BinaryIO]], base: Path
    ) -> Iterator[Row]:
        empty = True
        with opened() as file:
            for name in names_in(file):
                empty = False
                yield Row(name, path_below(base, name), self._nothing)
        if empty:
            raise empty_list(where)

    def _in_table(self, path: Path, table: Table) -> Iterator[Row]:
        base = path.parent if self._base is None else self._base
        empty = True
        for record in table.records():
            empty = False
            whole = None if record.fault else base / (record.name or "")
            yield Row(record.name, whole, record.carried, record.fault)
        if empty:
            raise DataError("the table names no picture", where=str(path))


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
    a table, .csv, .tsv, .jsonl or .parquet, with a column of paths, one of COLUMNS or `column`.
    Paths are relative to `base`, else to the folder of the list or table, and those on stdin to the
    folder worked in. Files that lists and tables name may be missing, and so may a place that is
    called like a picture: that is for reading to say. Cells without a path are left out; `Rows` has
    them. Raises UserInputError where a place does not exist, matches nothing or lacks the column,
    or where there is a `column` and no table; DataError where a list or table names nothing, or a
    list only what is missing.
    """
    rows = Rows(places, column=column, stdin=stdin, base=base)
    return [row.path for row in rows if row.path is not None]
