"""The table of pairs, on disk and in memory: winner first, always.

Knows columns, metadata and files; how pairs come about stays out.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from i2pa.errors import DataError, require
from i2pa.files import check_input, check_parquet_name, check_text_name, whole_file

TIME = pa.timestamp("us", tz="UTC")

# user_id is null in a pair of two users; times are null where none are known, delta_hours (the
# winner's less the loser's) with them.
PAIRS = pa.schema(
    [
        pa.field("platform", pa.string()),
        pa.field("user_id", pa.string()),
        pa.field("winner_id", pa.string()),
        pa.field("loser_id", pa.string()),
        pa.field("winner_image", pa.string()),
        pa.field("loser_image", pa.string()),
        pa.field("winner_time", TIME),
        pa.field("loser_time", TIME),
        pa.field("winner_s", pa.float64()),
        pa.field("loser_s", pa.float64()),
        pa.field("delta_s", pa.float64()),
        pa.field("delta_hours", pa.float64()),
        pa.field("p", pa.float64()),
        pa.field("weight", pa.float64()),
        pa.field("split", pa.string()),
        pa.field("rules_sha256", pa.dictionary(pa.int32(), pa.string())),
    ]
)

# Numbers with many digits shrink by a tenth, and ids by no bounds: neither is worth its time.
_NUMBERS = {*PAIRS.names[PAIRS.get_field_index("winner_time") : PAIRS.get_field_index("weight")]}
_NAMES = {"winner_id", "loser_id", "winner_image", "loser_image"}
_PARQUET: dict[str, Any] = {
    "compression": {name: "none" if name in _NUMBERS else "zstd" for name in PAIRS.names},
    "write_statistics": [name for name in PAIRS.names if name not in _NAMES],
    "use_dictionary": ["platform", "user_id", "weight", "split", "rules_sha256"],
}

_ROW_GROUP = 1 << 14

FORMAT = "pairs/1"

MOST_WEIGHT = 1e100
"""Sums and squares of weights beyond it may be infinite; where all are below 1 / that, 0."""


def check_pairs_table(pairs: object, name: str = "pairs") -> None:
    """Refuse anything but a table of pairs as the argument `name`.

    Raises ArgumentError where it is no table, DataError naming the columns that it lacks.
    """
    remedy = "i2pa.pairs.read_pairs reads one"
    require(isinstance(pairs, pa.Table), name, pairs, "a pyarrow Table", remedy=remedy)
    assert isinstance(pairs, pa.Table)
    missing = [column for column in PAIRS.names if column not in pairs.column_names]
    if missing:
        raise DataError(
            f"{name} is not a table of pairs: it has no {', '.join(missing[:4])}", remedy=remedy
        )


def check_pair_weights(pairs: pa.Table, where: str) -> None:
    """Refuse pairs whose `weight` cannot weigh: unknown, not finite, huge, below 0, or all 0.

    Raises DataError naming `where` they come from, the column, and how many.
    """
    weight = pairs["weight"].cast(pa.float64()).to_numpy()
    bad = int((~(np.isfinite(weight) & (weight >= 0))).sum())
    huge = int((weight > MOST_WEIGHT).sum())
    if bad:
        what = f"{bad:,} of {len(weight):,} values are empty, NaN, infinite or below 0"
    elif huge:
        what = f"{huge:,} of {len(weight):,} values are above {MOST_WEIGHT:g}"
    elif len(weight) and weight.max() < 1 / MOST_WEIGHT:
        what = f"all {len(weight):,} pairs weigh 0{' or next to it' if weight.any() else ''}"
    else:
        return
    raise DataError(
        f"column weight: {what}", where=where, remedy="fill it with numbers above 0, such as 1"
    )


def check_labelled_pairs(pairs: pa.Table, where: str) -> None:
    """Refuse pairs that cannot be learnt from or measured on by their `weight` or their `p`.

    Raises DataError as `check_pair_weights`, and where some `p` is no probability.
    """
    check_pair_weights(pairs, where)
    p = pairs["p"].cast(pa.float64()).to_numpy()
    bad = int((~((p >= 0) & (p <= 1))).sum())
    if bad:
        raise DataError(
            f"column p: {bad:,} of {len(p):,} values are empty, NaN or outside 0 to 1",
            where=where,
            remedy="fill it with the probability that the winner is the better one, such as 1",
        )


def with_metadata(pairs: pa.Table, facts: Mapping[str, str]) -> pa.Table:
    """Say in the table's metadata how its pairs were made; keys get the prefix `i2pa.`."""
    all_facts = {"format": FORMAT, "version": version("i2pa"), **facts}
    return pairs.replace_schema_metadata({f"i2pa.{k}": v for k, v in sorted(all_facts.items())})


def metadata(pairs: pa.Table) -> dict[str, str]:
    """What `with_metadata` wrote, without the prefix: rules, rules_sha256, seed, matching…"""
    raw: Mapping[bytes, bytes] = pairs.schema.metadata or {}
    return {
        key.decode().removeprefix("i2pa."): value.decode()
        for key, value in raw.items()
        if key.startswith(b"i2pa.")
    }


def rules_json(pairs: pa.Table) -> dict[str, object]:
    """The rules that made these pairs, as recorded; empty when nothing was."""
    found: dict[str, object] = json.loads(metadata(pairs).get("rules", "{}"))
    return found


def write_pairs(pairs: pa.Table, path: str | os.PathLike[str]) -> None:
    """Write pairs as Parquet with their metadata; the file appears whole or not at all.

    Raises ArgumentError or DataError for what is no table of pairs, UserInputError for the name of
    another kind of table or a place that cannot be written.
    """
    check_pairs_table(pairs)
    check_parquet_name(path)
    schema = PAIRS.with_metadata(pairs.schema.metadata)
    with whole_file(path) as aside:
        pq.write_table(pairs.select(PAIRS.names).cast(schema), aside, **_PARQUET)


@contextmanager
def pairs_writer(path: str | os.PathLike[str], facts: Mapping[str, str]) -> Iterator[PairsWriter]:
    """Write pairs part by part; the file appears whole, when all went well, or not at all.

    `facts` say how the pairs are made, as in `with_metadata`.
    """
    # The schema carries the metadata, so it is stored when all of that is known: at the end.
    with (
        whole_file(path) as aside,
        pq.ParquetWriter(aside, PAIRS, store_schema=False, **_PARQUET) as file,
    ):
        writer = PairsWriter(file, facts)
        yield writer
        writer.finish()


class PairsWriter:
    """A file of pairs that is being written; what is known only after them may come last.

    Row groups have one size, so that the bytes do not tell in what parts the pairs came.
    """

    def __init__(self, file: pq.ParquetWriter, facts: Mapping[str, str]) -> None:
        self._file = file
        self._facts = dict(facts)
        self._held = [PAIRS.empty_table()]
        self._n_held = 0

    def add(self, pairs: pa.Table) -> None:
        """The next pairs (schema PAIRS)."""
        self._held.append(pairs.replace_schema_metadata())
        self._n_held += pairs.num_rows
        if self._n_held >= _ROW_GROUP:
            held = pa.concat_tables(self._held)
            whole = self._n_held // _ROW_GROUP * _ROW_GROUP
            self._file.write_table(_plain(held.slice(0, whole)), row_group_size=_ROW_GROUP)
            self._held, self._n_held = [held.slice(whole)], self._n_held - whole

    def describe(self, facts: Mapping[str, str]) -> None:
        """More of how the pairs were made."""
        self._facts |= facts

    def finish(self) -> None:
        """Write what is left, and how the pairs were made."""
        self._file.write_table(_plain(pa.concat_tables(self._held)), row_group_size=_ROW_GROUP)
        schema = with_metadata(PAIRS.empty_table(), self._facts).schema
        stored = {b"ARROW:schema": base64.b64encode(schema.serialize())}
        self._file.add_key_value_metadata(schema.metadata | stored)


def _plain(pairs: pa.Table) -> pa.Table:
    """In one piece with one dictionary, however many parts it came in."""
    return pairs.unify_dictionaries().combine_chunks()


def read_pairs(path: str | os.PathLike[str]) -> pa.Table:
    """Read pairs.parquet (schema PAIRS, metadata kept).

    Raises UserInputError when there is no such file, DataError when it holds no pairs table or
    weights that cannot weigh.
    """
    file = Path(path)
    check_input(file, "a file of pairs")
    check_text_name(file)
    remedy = "make one: i2pa pairs posts.parquet -o pairs.parquet"
    try:
        names = pq.read_schema(file).names
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError("this is not a pairs.parquet", where=str(file), remedy=remedy) from error
    missing = [name for name in PAIRS.names if name not in names]
    if missing:
        raise DataError(
            f"this is not a pairs.parquet: it has no {', '.join(missing[:4])}",
            where=str(file),
            remedy=remedy,
        )
    try:
        table = pq.read_table(file, columns=PAIRS.names)
        pairs = table.cast(PAIRS.with_metadata(table.schema.metadata))
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"damaged ({error})", where=str(file), remedy=remedy) from error
    check_pair_weights(pairs, str(file))
    return pairs


def read_labelled_pairs(path: str | os.PathLike[str]) -> pa.Table:
    """Pairs to learn from or to measure on: as `read_pairs`, and each has its `p`."""
    pairs = read_pairs(path)
    check_labelled_pairs(pairs, str(Path(path)))
    return pairs
