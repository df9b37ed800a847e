"""Rows of separated values (CSV, TSV), in which no quote left open swallows what comes after it."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import TextIO

from i2pa.errors import UserInputError

_LONGEST_FIELD = 1 << 20
_TABS = ".tsv"
# From one quote to the next that is not doubled; possessive, so that no doubled one is tried.
_QUOTED = re.compile(r'"[^"]*+(?:""[^"]*+)*+"')


def separated_rows(file: TextIO, where: str) -> Iterator[list[str]]:
    """The rows of a file that was opened with `newline=""`, blank lines as empty ones.

    Raises UserInputError, which names the line, for a quote that is left open: one that ends
    nowhere, or in the middle of a cell some lines on.
    """
    delimiter = "\t" if where.lower().endswith(_TABS) else _delimiter(file.readline())
    file.seek(0)
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_FIELD))
    taken: list[str] = []
    ended = False

    def lines() -> Iterator[str]:
        nonlocal ended
        for line in file:
            taken.append(line)
            yield line
        ended = True

    reader = csv.reader(lines(), delimiter=delimiter)
    try:
        for row in reader:
            # A row ends with its line, unless a quote is open there.
            if (ended or len(taken) > 1) and not _is_sound(taken, delimiter):
                at = _open_quote(taken, delimiter)
                raise _left_open(where, reader.line_num - len(taken) + 1 + at, "")
            taken.clear()
            yield row
    except csv.Error as error:
        first = reader.line_num - len(taken) + 1
        if len(taken) > 1:
            most = f" within {csv.field_size_limit():,} characters"
            raise _left_open(where, first + _open_quote(taken, delimiter), most) from error
        raise UserInputError(
            f"line {first} cannot be read ({error})",
            where=where,
            remedy="save it again as UTF-8 CSV",
        ) from error


def _left_open(where: str, line: int, within: str) -> UserInputError:
    return UserInputError(
        f"line {line}: a quote is left open{within}, so that rows after it would be lost",
        where=where,
        remedy='close it, or write "" for a quote inside a quoted cell',
    )


def _delimiter(header: str) -> str:
    """Spreadsheets of countries with a decimal comma write semicolons."""
    return ";" if ";" in header and "," not in header else ","


def _is_sound(lines: Sequence[str], delimiter: str) -> bool:
    """Whether each quote of one row is closed, and at the end of a cell."""
    try:
        return len(list(csv.reader(lines, delimiter=delimiter, strict=True))) == 1
    except csv.Error:
        return False


def _open_quote(lines: Sequence[str], delimiter: str) -> int:
    """Which of the lines opens the first quote that does not end a cell."""
    text = "".join(lines)
    at = 0
    while at < len(text):
        if text[at] == '"':
            quoted = _QUOTED.match(text, at)
            after = quoted and text[quoted.end() : quoted.end() + 1]
            if quoted is None or after not in ("", "\r", "\n", delimiter):
                break
            at = quoted.end()
        else:
            found = text.find(delimiter, at)
            at = len(text) if found < 0 else found
        at += 1
    ends = accumulate(map(len, lines))
    return next((place for place, end in enumerate(ends) if at < end), 0)
