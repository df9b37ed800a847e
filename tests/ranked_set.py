"""A ranking made by hand, for the tests of what is made of rankings."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from i2pa.metrics.reference import level
from i2pa.scoring.results import ModelUsed

MODEL = ModelUsed("i2pa-lite2", 1, "0" * 64, "squash260@1", "onnxruntime")


@dataclass(frozen=True)
class Picture:
    path: str
    rank: int
    percentile: float = 50.0
    score: float = 0.0
    group: int | None = None
    tied_with: tuple[int, int] | None = None
    twins: tuple[Path, ...] = ()

    @property
    def level(self) -> str:
        return level(self.percentile)


@dataclass(frozen=True)
class Set:
    items: tuple[Picture, ...]
    reference: str = "182 pictures of 13 public figures, never trained on"
    model: ModelUsed = field(default=MODEL)


def ranked(*paths: Path, **fields: object) -> Set:
    """`paths`, best first, percentiles evenly spread."""
    n = len(paths)
    return Set(
        tuple(
            Picture(str(path), rank, 100 * (n - rank + 0.5) / n, **fields)
            for rank, path in enumerate(paths, start=1)
        )
    )
