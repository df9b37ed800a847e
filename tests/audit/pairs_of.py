"""Made-up pair lists for the tests of the audit, with a known leak or none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from i2pa.pairs import PAIRS

START = np.datetime64("2019-01-01T00:00", "us")


def pairs_of(
    n: int = 2000,
    *,
    users: int = 100,
    later_wins: float = 0.5,
    seed: int = 0,
    **columns: Sequence[object] | None,
) -> pa.Table:
    """`n` pairs of `users` users, up to nine days apart, whose later post wins in `later_wins`.

    `columns` replace columns of the schema.
    """
    rng = np.random.default_rng(seed)
    earlier = START + (rng.uniform(0, 300, n) * 86_400e6).astype("timedelta64[us]")
    later = earlier + (rng.uniform(0.01, 9, n) * 86_400e6).astype("timedelta64[us]")
    right = rng.permutation(n) < round(later_wins * n)
    found: dict[str, object] = dict.fromkeys(PAIRS.names, pa.nulls(n))
    found |= {
        "platform": ["made-up"] * n,
        "user_id": [f"u{user}" for user in np.sort(rng.integers(users, size=n))],
        "winner_id": [f"w{i}" for i in range(n)],
        "loser_id": [f"l{i}" for i in range(n)],
        "winner_time": np.where(right, later, earlier),
        "loser_time": np.where(right, earlier, later),
        "weight": np.ones(n),
    }
    found |= {name: pa.nulls(n) if column is None else column for name, column in columns.items()}
    return pa.table(found).cast(PAIRS)
