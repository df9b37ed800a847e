"""What identifies the posts that pairs were made of, however they were stored or cut in blocks."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import pyarrow as pa


class Fingerprint:
    """SHA-256 of columns that arrive in pieces, row order counted; cuts change nothing."""

    def __init__(self) -> None:
        self._columns: dict[str, hashlib._Hash] = {}

    def add(self, columns: Mapping[str, np.ndarray | pa.Array]) -> None:
        """The next rows: numbers, or texts (null is not the empty text)."""
        for name, column in columns.items():
            hashed = self._columns.setdefault(name, hashlib.sha256())
            if isinstance(column, np.ndarray):
                hashed.update(np.ascontiguousarray(column).data)
                continue
            texts = self._columns.setdefault(f"{name} bytes", hashlib.sha256())
            offsets = np.frombuffer(column.buffers()[1], np.int32)[column.offset :]
            edges = offsets[: len(column) + 1]
            lengths = np.diff(edges)
            if column.null_count:
                lengths[column.is_null().to_numpy(zero_copy_only=False)] = -1
            hashed.update(lengths.data)
            if len(column) and column.buffers()[2] is not None:
                texts.update(memoryview(column.buffers()[2])[edges[0] : edges[-1]])

    def hexdigest(self) -> str:
        """64 hex digits."""
        whole = hashlib.sha256()
        for name, hashed in sorted(self._columns.items()):
            whole.update(name.encode() + hashed.digest())
        return whole.hexdigest()
