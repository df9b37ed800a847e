"""Pairs whose weights cannot weigh, or whose p is no probability, are refused in one line."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from i2pa.errors import DataError
from i2pa.pairs.schema import (
    MOST_WEIGHT,
    PAIRS,
    check_labelled_pairs,
    check_pair_weights,
    read_labelled_pairs,
    read_pairs,
    write_pairs,
)


def weighing(*weights: float | None) -> pa.Table:
    nothing = {name: pa.nulls(len(weights), PAIRS.field(name).type) for name in PAIRS.names}
    return pa.table(nothing | {"weight": pa.array(weights, pa.float64())}, schema=PAIRS)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), -0.5, None])
def test_the_file_the_column_how_many_and_the_remedy_are_named(
    bad: float | None, tmp_path: Path
) -> None:
    file = tmp_path / "pairs.parquet"
    write_pairs(weighing(1.0, bad, 0.0, bad), file)
    with pytest.raises(DataError) as refused:
        read_pairs(file)
    assert str(refused.value) == (
        f"{file}: column weight: 2 of 4 values are empty, NaN, infinite or below 0; "
        "fill it with numbers above 0, such as 1"
    )


def test_pairs_that_all_weigh_nothing_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "pairs.parquet"
    write_pairs(weighing(0.0, 0.0), file)
    with pytest.raises(DataError, match="column weight: all 2 pairs weigh 0"):
        read_pairs(file)


@pytest.mark.parametrize(
    ("weights", "fault"),
    [
        ((1.0, 1e308, 1e308), "2 of 3 values are above 1e+100"),
        ((0.0, 1e-320), "all 2 pairs weigh 0 or next to it"),
    ],
)
def test_weights_whose_sums_are_no_numbers_are_refused(
    weights: tuple[float, ...], fault: str, tmp_path: Path
) -> None:
    file = tmp_path / "pairs.parquet"
    write_pairs(weighing(*weights), file)
    with pytest.raises(DataError, match=f"column weight: {re.escape(fault)}"):
        read_pairs(file)


@given(st.lists(st.floats(min_value=0, max_value=MOST_WEIGHT), max_size=9))
def test_weights_that_can_weigh_pass(weights: list[float]) -> None:
    table = weighing(*weights)
    if not weights or max(weights) >= 1 / MOST_WEIGHT:
        check_pair_weights(table, "pairs")
    else:
        with pytest.raises(DataError):
            check_pair_weights(table, "pairs")


def labelled(*p: float | None) -> pa.Table:
    table = weighing(*[1.0] * len(p))
    return table.set_column(table.column_names.index("p"), "p", pa.array(p, pa.float64()))


@pytest.mark.parametrize("bad", [None, float("nan"), -0.01, 1.01, float("inf")])
def test_learning_refuses_what_is_no_probability(bad: float | None, tmp_path: Path) -> None:
    file = tmp_path / "pairs.parquet"
    write_pairs(labelled(1.0, bad, 0.0, bad), file)
    with pytest.raises(DataError) as refused:
        read_labelled_pairs(file)
    assert str(refused.value) == (
        f"{file}: column p: 2 of 4 values are empty, NaN or outside 0 to 1; "
        "fill it with the probability that the winner is the better one, such as 1"
    )
    # The audit of a list needs none.
    assert read_pairs(file).num_rows == 4


def test_every_probability_passes() -> None:
    check_labelled_pairs(labelled(0.0, 0.3, 1.0), "pairs")
    check_labelled_pairs(labelled(), "pairs")
