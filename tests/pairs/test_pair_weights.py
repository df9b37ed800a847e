"""A file of pairs whose weights cannot weigh is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from i2pa.errors import DataError
from i2pa.pairs.schema import PAIRS, check_pair_weights, read_pairs, write_pairs


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


@given(st.lists(st.floats(min_value=0, allow_infinity=False), max_size=9))
def test_weights_that_can_weigh_pass(weights: list[float]) -> None:
    table = weighing(*weights)
    if not weights or any(weights):
        check_pair_weights(table, "pairs")
    else:
        with pytest.raises(DataError):
            check_pair_weights(table, "pairs")
