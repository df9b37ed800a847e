"""Made-up pictures and pairs for tests of whole runs: the redder picture of a pair wins."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from i2pa.pairs.schema import PAIRS

RULES = "5" * 64


def album(folder: Path, users: int, pairs_each: int) -> pa.Table:
    """Make the pictures in `folder` (60 x 80 PNG) and give the pairs: each picture in one.

    The last user's pairs are the part `val`, the others' `train`.
    """
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = []
    for user in range(users):
        for number in range(pairs_each):
            names = {}
            for side, red in (("winner", 170), ("loser", 20)):
                pixels = rng.integers(0, 80, (60, 80, 3)).astype(np.uint8)
                pixels[..., 0] += np.uint8(red)
                names[side] = f"{user}-{number}-{side}.png"
                Image.fromarray(pixels).save(folder / names[side])
            start = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=user, hours=2 * number)
            times = (start + timedelta(hours=1), start)
            won, lost = times if number % 2 else times[::-1]
            rows.append(
                {
                    "platform": "test",
                    "user_id": f"u{user}",
                    "winner_id": f"{user}-{number}-w",
                    "loser_id": f"{user}-{number}-l",
                    "winner_image": names["winner"],
                    "loser_image": names["loser"],
                    "winner_time": won,
                    "loser_time": lost,
                    "winner_s": 6.0,
                    "loser_s": 5.0,
                    "delta_s": 1.0,
                    "delta_hours": 1.0 if number % 2 else -1.0,
                    "p": 0.99,
                    "weight": 1.0,
                    "split": "val" if user == users - 1 else "train",
                    "rules_sha256": RULES,
                }
            )
    return pa.Table.from_pylist(rows, schema=PAIRS)
