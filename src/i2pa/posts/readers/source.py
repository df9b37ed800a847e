"""What every reader hands over: raw columns, row numbers, and rows that could not even be split.

No format and no meaning lives here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa

BROKEN = pa.schema(
    [pa.field("row", pa.int64()), pa.field("reason", pa.string()), pa.field("value", pa.string())]
)


@dataclass(frozen=True)
class Raw:
    """Columns as written (text, numbers or times), their row numbers (int64), and broken rows."""

    columns: pa.Table
    rows: pa.Array
    broken: pa.Table


@dataclass(frozen=True)
class Source:
    """One opened export: the names of its columns, and a function that reads some of them."""

    names: Sequence[str]
    read: Callable[[Sequence[str]], Raw]
