"""JSON files that are one document each, and objects from them as columns of text.

What an object means is for the reader of its format.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from i2pa.posts.readers.source import Broken, Raw, broken_table
from i2pa.posts.readers.streams import CutShortError, chunks

LARGEST = 1 << 28
"""Bytes of JSON, decompressed, that are parsed at once."""


class UnreadableError(Exception):
    """A file is no whole JSON document; says why."""


def load_json(path: Path, largest: int = LARGEST) -> Any:
    """The document in a file, compressed or not; raises UnreadableError."""
    found, size = [], 0
    try:
        for chunk in chunks(path):
            found.append(chunk)
            size += len(chunk)
            if size > largest:
                raise UnreadableError(f"is larger than {largest >> 20} MB")
        return json.loads(b"".join(found).decode("utf-8-sig"))
    except CutShortError as error:
        raise UnreadableError(str(error)) from error
    except OSError as error:
        raise UnreadableError(f"cannot be opened ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise UnreadableError("is not UTF-8") from error
    except json.JSONDecodeError as error:
        end = b"".join(found).rstrip()[-1:]
        cut = "; it seems cut short" if end not in (b"}", b"]") else ""
        raise UnreadableError(f"is not JSON (line {error.lineno}: {error.msg}{cut})") from error
    except (ValueError, RecursionError) as error:
        raise UnreadableError("is not JSON that can be read") from error


def dig(value: Any, *keys: str | int) -> Any:
    """What lies below `keys` of nested objects and lists; None where the way ends."""
    for key in keys:
        if isinstance(key, int):
            value = value[key] if isinstance(value, list) and len(value) > key else None
        else:
            value = value.get(key) if isinstance(value, dict) else None
    return value


def first_of(*values: Any) -> Any:
    """The first value that is there at all."""
    return next((value for value in values if value is not None), None)


def as_raw(
    names: Sequence[str],
    found: Iterable[tuple[int, Mapping[str, Any]]],
    broken: Sequence[Broken],
    notes: Mapping[str, int] | None = None,
) -> Raw:
    """Rows of (number, object) as columns `names` of text."""
    rows: list[int] = []
    columns: dict[str, list[str | None]] = {name: [] for name in names}
    for row, item in found:
        rows.append(row)
        for name in names:
            columns[name].append(_text(item.get(name)))
    table = pa.table([pa.array(columns[name], pa.string()) for name in names], names=list(names))
    counted = tuple((what, n) for what, n in (notes or {}).items() if n)
    return Raw(table, pa.array(np.array(rows, dtype=np.int64)), broken_table(broken), counted)


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, (dict, list)):
        return None
    text = value if isinstance(value, str) else json.dumps(value)
    try:
        text.encode()
    except UnicodeEncodeError:
        # Half of a pair of UTF-16: two halves join, one alone is replaced.
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
