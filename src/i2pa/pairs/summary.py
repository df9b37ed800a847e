"""Table 1 of the paper for any set of pairs, beside the paper's own figures.

Arrays in, numbers out; printing stays in the command line.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

DAY = 86_400_000_000  # microseconds


@dataclass(frozen=True)
class Summary:
    """Table 1 (section 2.4): counts, means over pairs (p, interval) and over pictures (the rest).

    A picture in several pairs counts once a pair. Shares are in per cent, the interval in days.
    """

    pairs: float
    users: float
    mean_measure: float
    mean_p: float
    mean_interval_days: float
    no_hashtag: float
    no_mention: float
    no_caption: float
    mean_words: float


TABLE_1 = Summary(2.5e6, 1.1e5, 5.3e3, 0.978, 4.8, 45.6, 47.9, 11.1, 2.1)
"""The paper's figures."""

LABELS = {
    "pairs": "pairs",
    "users": "users involved",
    "mean_measure": "average likes per image",
    "mean_p": "average P(Q_A >= Q_B)",
    "mean_interval_days": "average upload interval, days",
    "no_hashtag": "no hashtag, %",
    "no_mention": "no @ sign, %",
    "no_caption": "no caption, %",
    "mean_words": "average descriptive text, words",
}


def summarise(pairs: pa.Table, posts: pa.Table, rows: npt.NDArray[np.int64]) -> Summary:
    """Table 1 of `pairs`, built from the posts in `rows` of `posts` (winners, then losers)."""
    apart = pc.subtract(pairs["winner_time"].cast(pa.int64()), pairs["loser_time"].cast(pa.int64()))
    s = np.concatenate([pairs["winner_s"].to_numpy(), pairs["loser_s"].to_numpy()])

    def share(column: str) -> float:
        return 100 * float((posts[column].to_numpy()[rows] == 0).mean())

    captionless = pc.is_null(posts["caption"]).to_numpy()
    users = pa.table([pairs["platform"], pairs["user_id"]], names=["platform", "user_id"])
    return Summary(
        pairs=pairs.num_rows,
        users=users.group_by(["platform", "user_id"]).aggregate([]).num_rows,
        mean_measure=float(np.exp(s).mean()),
        mean_p=pc.mean(pairs["p"]).as_py(),
        mean_interval_days=pc.mean(pc.abs(apart)).as_py() / DAY,
        no_hashtag=share("tags_key"),
        no_mention=share("mentions_key"),
        no_caption=100 * float(captionless[rows].mean()),
        mean_words=float(posts["caption_words"].to_numpy()[rows].mean()),
    )


def table_1(summary: Summary, measure: str = "likes") -> list[tuple[str, float, float]]:
    """Rows of (attribute, these pairs, the paper's pairs); the paper measured likes."""
    names = [field.name for field in fields(Summary)]
    labels = LABELS | {"mean_measure": f"average {measure} per image"}
    return [(labels[name], getattr(summary, name), getattr(TABLE_1, name)) for name in names]
