"""What every reader hands over: raw columns, row numbers, and rows that could not even be split.

No format and no meaning lives here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

BROKEN = pa.schema(
    [pa.field("row", pa.int64()), pa.field("reason", pa.string()), pa.field("value", pa.string())]
)

Broken = tuple[int, str, str | None]
"""Row, reason, value."""

NESTED, BOOLEAN = "nested", "boolean"
"""What a value can be that is neither text nor a number."""


@dataclass(frozen=True)
class Raw:
    """Columns as written (text, numbers or times), their row numbers (int64), and broken rows.

    `notes` counts what is no post and no fault either. `damage` says how the file's bytes end
    before their time, in which case nobody knows how many rows are lost. `odd` has the columns with
    values that are neither text nor numbers: NESTED, BOOLEAN or null for each row.
    """

    columns: pa.Table
    rows: pa.Array
    broken: pa.Table
    notes: tuple[tuple[str, int], ...] = ()
    damage: str = ""
    odd: Mapping[str, pa.ChunkedArray] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """One opened export: the names of its columns, and a function that reads some of them.

    Of a folder, `parts` names the file that row 1, 2, … stands for. `no_likes`: the format never
    holds a measure of success. `warning` says what the format lacks and how to go on.
    """

    names: Sequence[str]
    read: Callable[[Sequence[str]], Raw]
    parts: Sequence[str] | None = None
    no_likes: bool = False
    warning: str = ""


def broken_table(broken: Sequence[Broken]) -> pa.Table:
    """Broken rows as a table."""
    numbers, reasons, values = zip(*broken, strict=True) if broken else ((), (), ())
    return pa.table([list(numbers), list(reasons), list(values)], schema=BROKEN)


def as_text(table: pa.Table, rows: pa.Array, broken: Sequence[Broken]) -> Raw:
    """Decode columns of bytes as UTF-8, leaving others; rows that are not are broken."""
    found = list(broken)
    good = np.ones(table.num_rows, dtype=bool)
    columns = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if not (pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)):
            columns.append(column)
            continue
        try:
            columns.append(column.cast(pa.string()))
        except pa.ArrowInvalid:
            values = column.to_pylist()
            texts = [value and value.decode(errors="replace") for value in values]
            for i, (value, text) in enumerate(zip(values, texts, strict=True)):
                if value and value != text.encode() and good[i]:
                    good[i] = False
                    found.append((rows[i].as_py(), f"{name} is not UTF-8", text[:200]))
            columns.append(pa.chunked_array([texts], pa.string()))
    keep = pa.array(good)
    decoded = pa.table(columns, names=table.column_names)
    return Raw(
        decoded if good.all() else decoded.filter(keep),
        rows if good.all() else rows.filter(keep),
        broken_table(found),
    )
