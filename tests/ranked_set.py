"""A ranking made by hand, for the tests of what is made of rankings."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from i2pa.metrics.reference import level
from i2pa.scoring.results import ModelUsed, RankedPicture, Ranking
from made_versions import VERSIONS

MODEL = ModelUsed("i2pa-lite2", 1, "0" * 64, "squash260@1", "onnxruntime", VERSIONS)


def picture(
    path: Path | str,
    rank: int,
    percentile: float = 50.0,
    *,
    twins: Iterable[Path] = (),
    **fields: Any,
) -> RankedPicture:
    names = tuple(map(str, twins))
    at = level(percentile)
    return RankedPicture(str(path), 0.0, percentile, at, rank, twins=names, **fields)


def ranking_of(items: Iterable[RankedPicture]) -> Ranking:
    pictures = tuple(items)
    reference = "182 pictures of 13 public figures, never trained on"
    return Ranking(MODEL, reference, len(pictures), pictures, ())


def ranked(*paths: Path, **fields: Any) -> Ranking:
    """`paths`, best first, percentiles evenly spread."""
    n = len(paths)
    return ranking_of(
        picture(path, rank, 100 * (n - rank + 0.5) / n, **fields)
        for rank, path in enumerate(paths, start=1)
    )
