"""A pair list as the audit sees it, from pairs.parquet or from the authors' CSV of shortcodes.

Reads and shapes; asks no question.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from i2pa.audit.codes import decode_posts, upload_times
from i2pa.errors import DataError
from i2pa.files import begins_as_text, check_input, check_text_name
from i2pa.pairs.schema import MOST_WEIGHT, PAIRS, TIME, check_pairs_table, read_pairs, with_metadata
from i2pa.pairs.split import PARTS
from i2pa.posts.readers.undisturbed import read_csv
from i2pa.words import many

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Times = npt.NDArray[np.datetime64]

RELEASED = ("Low_popularity", "High_popularity")
"""Columns of the authors' released lists: two Instagram shortcodes, the loser first."""

SEPARATOR = "\x1f"

_LOGARITHM = "fill it with logarithms of likes, or leave it empty"
_NO_CHANCE = (
    "are NaN or outside 0 to 1",
    "fill it with the probability that the winner is the better one, or leave it empty",
)
_WINNER_FIRST = "the winner, with the larger S, comes first"


@dataclass(frozen=True)
class PairList:
    """A pairs table (schema PAIRS) beside its columns as arrays, winner first.

    `users` [n] numbers what is resampled and kept together in cross-fitting: users where they are
    known, else single pairs, in an order that rows cannot change. `clustered`: all users are known.
    Times are UTC, datetime64[us], NaT where unknown; `weight` [n] >= 0 has mean 1.
    """

    table: pa.Table
    users: Ints
    clustered: bool
    weight: Floats
    winner_time: Times
    loser_time: Times

    @property
    def n(self) -> int:
        """How many pairs."""
        return int(self.table.num_rows)

    @property
    def timed(self) -> Bools:
        """Which pairs [n] have both times."""
        return ~(np.isnat(self.winner_time) | np.isnat(self.loser_time))

    @property
    def later_by(self) -> Floats:
        """Seconds [n] by which the winner is the later one; NaN where a time is unknown."""
        gap = self.winner_time - self.loser_time
        return np.where(np.isnat(gap), np.nan, gap.astype(np.float64) / 1e6)

    def keys(self, side: str) -> pa.Array:
        """The posts of one side ('winner' or 'loser') as platform and id in one text [n]."""
        return _joined(self.table["platform"], self.table[f"{side}_id"])

    def rows_of(self, posts: pa.Table) -> tuple[Ints, Ints]:
        """Rows of each pair's winner and loser [n] in a table of posts (schema POSTS); -1: none."""
        known = _joined(posts["platform"], posts["post_id"])
        found = (pc.index_in(self.keys(s), value_set=known) for s in ("winner", "loser"))
        winner, loser = (rows.fill_null(-1).to_numpy().astype(np.int64) for rows in found)
        return winner, loser


def read_pair_list(path: str | os.PathLike[str]) -> tuple[pa.Table, tuple[str, ...]]:
    """The pairs (schema PAIRS) of a pairs.parquet or a CSV of RELEASED, and notes on rows lost.

    Raises UserInputError where there is no such file, DataError where it is neither.
    """
    file = Path(path)
    check_input(file, "a file of pairs")
    check_text_name(file)
    with file.open("rb") as opened:
        head = opened.read(4)
    if not head:
        raise DataError("the file is empty", where=str(file))
    return (read_pairs(file), ()) if head == b"PAR1" else _read_released(file)


def shape(table: pa.Table, where: str = "") -> PairList:
    """A pairs table, from `where`, as a PairList.

    Raises DataError where it has no pair or no positive weight, or columns say what no pair can.
    """
    check_pairs_table(table)
    if table.num_rows == 0:
        raise DataError("there is no pair to audit", where=where)
    weight = table["weight"].fill_null(1.0).to_numpy().astype(np.float64)
    # A comparison with NaN is False.
    if not (weight.min() >= 0 and 1 / MOST_WEIGHT <= weight.max() <= MOST_WEIGHT):
        raise DataError(
            f"weights must be numbers from 0 to {MOST_WEIGHT:g}, not all 0", where=where
        )
    _check_columns(table, where)
    return PairList(
        table=table,
        users=_units(table),
        clustered=table["user_id"].null_count == 0,
        weight=weight / weight.mean(),
        winner_time=table["winner_time"].to_numpy().astype("datetime64[us]"),
        loser_time=table["loser_time"].to_numpy().astype("datetime64[us]"),
    )


def _check_columns(table: pa.Table, where: str) -> None:
    """Refuse pairs without a post, of a winner that lost, of a part or a chance that is none."""
    p = table["p"]
    known = pa.array([*PARTS, None], pa.string())
    no_part = pc.invert(pc.is_in(table["split"], value_set=known))
    parts = ", ".join(PARTS)
    for column, bad, fault, remedy in (
        *(
            (f"{side}_id", pc.is_null(table[f"{side}_id"]), "are empty", "fill in the posts' ids")
            for side in ("winner", "loser")
        ),
        *(
            (name, pc.invert(pc.is_finite(table[name])), "are NaN or infinite", _LOGARITHM)
            for name in ("winner_s", "loser_s", "delta_s")
        ),
        ("p", pc.invert(pc.and_(pc.less_equal(0, p), pc.less_equal(p, 1))), *_NO_CHANCE),
        ("delta_s", pc.less(table["delta_s"], 0), "are below 0", _WINNER_FIRST),
        (
            "winner_s",
            pc.less(table["winner_s"], table["loser_s"]),
            "are below loser_s",
            _WINNER_FIRST,
        ),
        ("split", no_part, f"are none of {parts}", "split again with: i2pa split"),
    ):
        n = pc.sum(bad).as_py()
        if n:
            raise DataError(
                f"column {column}: {n:,} of {many(table.num_rows, 'value')} {fault}",
                where=where,
                remedy=remedy,
            )


def _read_released(file: Path) -> tuple[pa.Table, tuple[str, ...]]:
    remedy = f"give what i2pa pairs wrote, or a CSV with the columns {','.join(RELEASED)}"
    if not begins_as_text(file):
        raise DataError(
            "neither a pairs.parquet nor a CSV (no text in UTF-8)", where=str(file), remedy=remedy
        )
    ragged: list[int] = []

    def skip(row: pa_csv.InvalidRow) -> str:
        ragged.append(row.number)
        return "skip"

    try:
        raw = read_csv(
            file,
            # One thread, or ragged rows would come without their numbers.
            pa_csv.ReadOptions(use_threads=False),
            pa_csv.ParseOptions(invalid_row_handler=skip),
            pa_csv.ConvertOptions(column_types=dict.fromkeys(RELEASED, pa.string())),
        )
        names = raw.column_names
    except (pa.ArrowException, UnicodeDecodeError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(
            f"neither a pairs.parquet nor a CSV ({reason})",
            where=str(file),
            remedy=remedy,
        ) from error
    if any(names.count(name) != 1 for name in RELEASED):
        raise DataError(
            f"a CSV of pairs needs the columns {','.join(RELEASED)}, once each; it has "
            f"{', '.join(names[:6])}",
            where=str(file),
            remedy="make pairs of posts with: i2pa posts, then i2pa pairs",
        )
    loser_ids, winner_ids = (decode_posts(raw[name]) for name in RELEASED)
    sound = (loser_ids > 0) & (winner_ids > 0)
    if not sound.any():
        raise DataError(
            f"none of {many(raw.num_rows + len(ragged), 'row')} holds two Instagram shortcodes",
            where=str(file),
        )
    notes: tuple[str, ...] = ()
    if ragged or not sound.all():
        numbers = np.setdiff1d(np.arange(2, 2 + raw.num_rows + len(ragged)), ragged)
        lost = sorted([*ragged, *numbers[~sound].tolist()])
        notes = (
            f"{many(len(lost), 'row')} left out: not two Instagram shortcodes (first: row "
            f"{lost[0]})",
        )
    kept = raw.filter(pa.array(sound))
    n = kept.num_rows
    columns: dict[str, object] = dict.fromkeys(PAIRS.names, pa.nulls(n))
    columns |= {
        "platform": pa.repeat(pa.scalar("instagram"), n),
        "winner_id": kept[RELEASED[1]],
        "loser_id": kept[RELEASED[0]],
        "winner_time": pa.array(upload_times(winner_ids[sound]), TIME),
        "loser_time": pa.array(upload_times(loser_ids[sound]), TIME),
        "weight": np.ones(n),
    }
    table = pa.table(columns).cast(PAIRS)
    return with_metadata(table, {"rules": '{"kind": "released"}'}), notes


def _units(table: pa.Table) -> Ints:
    """Rank of each row's user in sorted order; a row without a user is a unit of its own."""
    pair = _joined(table["winner_id"].fill_null(""), table["loser_id"].fill_null(""))
    key = _joined(table["platform"], table["user_id"])
    key = pc.coalesce(key, pc.binary_join_element_wise("", "", pair, SEPARATOR))
    found = key.dictionary_encode()
    order = pc.array_sort_indices(found.dictionary).to_numpy()
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    ranks: Ints = rank[found.indices.to_numpy()]
    return ranks


def _joined(first: pa.ChunkedArray, second: pa.ChunkedArray) -> pa.Array:
    joined = pc.binary_join_element_wise(first.fill_null(""), second, SEPARATOR)
    return joined.combine_chunks() if isinstance(joined, pa.ChunkedArray) else joined
