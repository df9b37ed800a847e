"""Embeddings as a head is fitted to them: kept in float16, given in float64."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from i2pa.training.pairset import Floats, Ints

_IN_MEMORY_BYTES = 1 << 29


@dataclass(frozen=True)
class Embeddings:
    """Embeddings [n, d]: those in the rows `at` [n] of `kept` [m, d], which may be a mapped file.

    Indexed by rows it gives float64 of these alone.
    """

    kept: npt.NDArray[np.floating[Any]]
    at: Ints

    def __len__(self) -> int:
        return len(self.at)

    def __getitem__(self, rows: Ints | slice) -> Floats:
        return np.asarray(self.kept[self.at[rows]]).astype(np.float64)

    def __matmul__(self, weights: Floats) -> Floats:
        """Products [n] with weights [d]."""
        # Whole, for a moment: in parts a last digit may be another, and a fit takes more anyway.
        return self[:] @ weights

    def in_memory(self) -> Vectors:
        """The same, as an array where that is small enough: numbers are read again and again."""
        size = 8 * len(self) * self.kept.shape[1]
        return self[:] if size <= _IN_MEMORY_BYTES else self


Vectors: TypeAlias = Floats | Embeddings
"""Embeddings [n, d], float64 in memory or not."""
