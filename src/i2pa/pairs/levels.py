"""Pairs from a graded set: pictures with levels (stars, keeps and rejects, the paper's Fig. 6).

Every picture of a higher level wins over every picture of a lower one. Posts, users and times are
unknown here.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from i2pa.errors import DataError
from i2pa.files import begins_as_text, check_input
from i2pa.pairs.schema import PAIRS, with_metadata
from i2pa.posts.readers.undisturbed import read_csv

MAX_PAIRS = 1_000_000
"""Most pairs of one graded set; more teach nothing new and cost memory."""

Ints = npt.NDArray[np.int64]


def pairs_from_levels(graded: pa.Table | str | os.PathLike[str], name: str = "levels") -> pa.Table:
    """All pairs across levels (schema PAIRS) of a table or CSV with the columns image and level.

    Where there are more than MAX_PAIRS, so many of them, drawn at random with a fixed seed.
    `name` stands for the user and the platform, so that graded sets stay apart from each other;
    S is the level, p is 1, times are null. Raises UserInputError when there is no such file,
    DataError when columns or levels are missing or all levels are the same.
    """
    where = "" if isinstance(graded, pa.Table) else str(graded)
    table = graded if isinstance(graded, pa.Table) else _read(Path(graded))
    wanted = ("image", "level")
    missing = [column for column in wanted if column not in table.column_names]
    twice = [column for column in wanted if table.column_names.count(column) > 1]
    if twice:
        raise DataError(
            f"has {table.column_names.count(twice[0])} columns called {twice[0]}",
            where=where or "the graded set",
            remedy="rename all but one",
        )
    if missing:
        found = ", ".join(table.column_names)
        raise DataError(f"no column {' and '.join(missing)}; it has {found}", where=where)
    # As an editor shows them: the header of a CSV is row 1.
    first = 1 if isinstance(graded, pa.Table) else 2
    level = _numbers(table["level"], where, first)
    image = table["image"].cast(pa.string()).combine_chunks()
    for column, lacks in (
        ("image", pc.fill_null(pc.equal(image, ""), True).to_numpy(zero_copy_only=False)),
        ("level", np.isnan(level)),
    ):
        if lacks.any():
            row = first + int(lacks.argmax())
            raise DataError(f"row {row} has no {column}", where=where, remedy="fill it in")
    codes = image.dictionary_encode().indices.to_numpy()
    again = np.ones(codes.size, dtype=bool)
    again[np.unique(codes, return_index=True)[1]] = False
    if again.any():
        later = int(again.argmax())
        rows = f"rows {first + int((codes == codes[later]).argmax())} and {first + later}"
        raise DataError(f"{image[later]} is listed twice, in {rows}", where=where)
    if np.unique(level).size < 2:
        raise DataError("all pictures have the same level, so none wins", where=where)
    winner, loser = _across_levels(level)
    n = winner.size
    nothing = pa.nulls(n)
    pairs = pa.table(
        [
            *(pa.repeat(pa.scalar(name), n) for _ in ("platform", "user_id")),
            *(image.take(pa.array(side)) for side in (winner, loser) * 2),
            *(nothing, nothing),
            *(level[winner], level[loser], level[winner] - level[loser]),
            *(nothing, np.ones(n), np.ones(n)),
            *(nothing, nothing),
        ],
        names=PAIRS.names,
    ).cast(PAIRS)
    pairs = pairs.sort_by([("winner_id", "ascending"), ("loser_id", "ascending")])
    return with_metadata(pairs, {"rules": '{"kind": "levels"}'})


def _numbers(levels: pa.ChunkedArray, where: str, first: int) -> npt.NDArray[np.float64]:
    """Levels as numbers, NaN where there is none; `first` is the number of the first row."""
    try:
        return np.asarray(levels.cast(pa.float64()).fill_null(np.nan).to_numpy())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        texts = [str(text or "").strip() for text in levels.to_pylist()]
    found = np.full(len(texts), np.nan)
    for i, text in enumerate(texts):
        try:
            found[i] = float(text or "nan")
        except ValueError as error:
            raise DataError(
                f"row {first + i}: the level {text[:60]!r} is not a number", where=where
            ) from error
    return found


def _across_levels(level: npt.NDArray[np.float64]) -> tuple[Ints, Ints]:
    """Indices of winners and losers: all pairs, or MAX_PAIRS of them, drawn with a fixed seed."""
    _, place, counts = np.unique(level, return_inverse=True, return_counts=True)
    below = np.concatenate([[0], np.cumsum(counts)])[place]
    order = np.argsort(place, kind="stable")
    # The winner of rank i beats the first below[i] pictures in the order of levels.
    if below.sum() <= MAX_PAIRS:
        winner = np.repeat(np.arange(level.size), below)
        nth = np.arange(winner.size) - np.repeat(np.cumsum(below) - below, below)
        return winner, order[nth]
    draws = np.random.default_rng(0).choice(int(below.sum()), MAX_PAIRS, replace=False)
    ends = np.cumsum(below)
    winner = np.searchsorted(ends, draws, side="right")
    return winner, order[draws - (ends - below)[winner]]


def _read(path: Path) -> pa.Table:
    check_input(path, "a CSV of image,level")
    if not begins_as_text(path):
        raise DataError(
            "cannot be read as CSV: it is no text in UTF-8",
            where=str(path),
            remedy="levels come from a CSV of image,level",
        )
    try:
        as_text = pa_csv.ConvertOptions(column_types={"image": pa.string()})
        return read_csv(path, None, None, as_text)
    except pa.ArrowInvalid as error:
        raise DataError(f"cannot be read as CSV: {error}", where=str(path)) from error
