"""Labels flipped on purpose: noise as in Table 2 of the paper."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from i2pa.errors import UserInputError

Bools = npt.NDArray[np.bool_]


def flip_labels(pairs: pa.Table, share: float, seed: int) -> Bools:
    """Which labels of a pairs table to flip, bool [rows]: label noise as in Table 2 of the paper.

    Exactly round(share × rows) are flipped, those of least BLAKE2b(seed, platform, winner_id,
    loser_id), so the order of rows is no matter and a larger share flips the same ones and more;
    of a pair listed twice the first row comes first. Only pairs to learn from should be given, as
    the share is of the rows. Raises UserInputError for a share outside [0, .5].
    """
    if not 0 <= share <= 0.5:
        raise UserInputError(
            f"the share of labels to flip is {share}, but must be from 0 to .5",
            remedy="for example .1; beyond .5 winners and losers change places",
        )
    names = pc.binary_join_element_wise(
        *(pairs[name].cast(pa.string()) for name in ("platform", "winner_id", "loser_id")),
        "\x1f",
        null_handling="replace",
        null_replacement="",
    )
    digests = b"".join(
        hashlib.blake2b(f"{seed}\x1f{name}".encode(), digest_size=16).digest()
        for name in names.to_pylist()
    )
    # 128 bits, so that no two pairs of different ids tie.
    high, low = np.frombuffer(digests, ">u8").reshape(pairs.num_rows, 2).T
    flipped = np.zeros(pairs.num_rows, dtype=np.bool_)
    flipped[np.lexsort((low, high))[: round(share * pairs.num_rows)]] = True
    return flipped


def turned_round(pairs: pa.Table, flipped: Bools) -> pa.Table:
    """The table with winner and loser in each other's place where `flipped`, bool [rows].

    Differences change their sign; `p` and `weight` stay: a wrong label is as sure as a right one.
    """
    turn = pa.array(flipped)
    changed = {}
    for name in pairs.column_names:
        if name.startswith("winner_"):
            other = name.replace("winner_", "loser_")
            changed[name] = pc.if_else(turn, pairs[other], pairs[name])
            changed[other] = pc.if_else(turn, pairs[name], pairs[other])
        elif name.startswith("delta_"):
            changed[name] = pc.if_else(turn, pc.negate(pairs[name]), pairs[name])
    for name, column in changed.items():
        pairs = pairs.set_column(pairs.column_names.index(name), pairs.schema.field(name), column)
    return pairs
