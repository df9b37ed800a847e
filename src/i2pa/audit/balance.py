"""Weights under which the order of two posts says nothing: later wins in exactly half."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from i2pa.audit.pairlist import shape
from i2pa.errors import DataError


def balance_time(table: pa.Table) -> pa.Table:
    """The pairs (schema PAIRS) with `weight` scaled so that weighted later-wins is 50 %.

    Over the whole list, not user by user: pairs whose winner is the later post share half of the
    weight of all pairs with an order, the others the other half. So every pair stays in use, also
    those of users who have but one kind. Pairs without an order (a time missing, or equal times)
    keep their weight. The sum of the weights stays.
    Raises DataError where every pair has the same order.
    """
    pairs = shape(table)
    later_by = np.nan_to_num(pairs.later_by)
    weight = table["weight"].fill_null(1.0).to_numpy().astype(np.float64)
    later, earlier = later_by > 0, later_by < 0
    of_later, of_earlier = weight[later].sum(), weight[earlier].sum()
    if not (of_later > 0 and of_earlier > 0):
        raise DataError(
            "cannot be balanced by time: no pair has a later winner, or none an earlier one",
            remedy="check winner_time and loser_time",
        )
    half = (of_later + of_earlier) / 2
    balanced = np.where(later, weight * (half / of_later), weight)
    balanced = np.where(earlier, weight * (half / of_earlier), balanced)
    column = table.column_names.index("weight")
    return table.set_column(column, table.schema.field("weight"), pa.array(balanced))
