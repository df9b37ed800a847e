"""Scores of rows: one result for each row asked for, in order, in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from i2pa.images.failure import Failure
from i2pa.images.rows import Row
from i2pa.models.score_cache import ScoreCache
from i2pa.scoring.results import ScoredPicture
from i2pa.scoring.scorer import Scorer


def score_rows(
    scorer: Scorer, rows: Iterable[Row], *, cache: ScoreCache | None = None
) -> Iterator[tuple[Row, ScoredPicture | Failure]]:
    """Each row with its score or failure, as soon as both it and those before it are known.

    Results have the path as it was given, a failure without one an empty path.
    """
    waiting: deque[Row] = deque()

    def paths() -> Iterator[Path]:
        for row in rows:
            waiting.append(row)
            if row.path is not None:
                yield row.path

    with closing(scorer.stream(paths(), cache=cache)) as results:
        for result in results:
            while (row := waiting.popleft()).path is None:
                yield row, failure_of(row)
            yield row, replace(result, path=row.given or "")
    for row in waiting:
        yield row, failure_of(row)


def failure_of(row: Row) -> Failure:
    """The failure of a row that names no file."""
    return Failure(row.given or "", "no_path", row.fault)
