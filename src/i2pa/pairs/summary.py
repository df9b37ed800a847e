"""Table 1 of the paper for any set of pairs, beside the paper's own figures.

Arrays in, numbers out; printing stays in the command line.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc


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


@dataclass
class Tally:
    """Sums over pairs, for a summary of pairs that come in parts."""

    pairs: int = 0
    users: list[npt.NDArray[np.uint64]] = field(default_factory=list)
    measure: float = 0.0
    p: float = 0.0
    apart: float = 0.0  # hours
    no_hashtag: int = 0
    no_mention: int = 0
    no_caption: int = 0
    words: int = 0

    def add(self, pairs: pa.Table, posts: pa.Table, users: npt.NDArray[np.uint64]) -> None:
        """More pairs (schema PAIRS), the posts in them (winners, then losers), and their users."""
        s = np.concatenate([pairs["winner_s"].to_numpy(), pairs["loser_s"].to_numpy()])
        self.pairs += pairs.num_rows
        self.users.append(users)
        self.measure += float(np.exp(s).sum())
        self.p += pc.sum(pairs["p"]).as_py() or 0.0
        self.apart += pc.sum(pc.abs(pairs["delta_hours"])).as_py() or 0.0
        self.no_hashtag += _zeros(posts["tags_key"])
        self.no_mention += _zeros(posts["mentions_key"])
        self.no_caption += _zeros(posts["caption_length"])
        self.words += pc.sum(posts["caption_words"]).as_py() or 0

    def summary(self) -> Summary:
        """Table 1 of all the pairs added; there must be one."""
        posts = 2 * self.pairs
        return Summary(
            pairs=self.pairs,
            users=np.unique(np.concatenate(self.users)).size,
            mean_measure=self.measure / posts,
            mean_p=self.p / self.pairs,
            mean_interval_days=self.apart / self.pairs / 24,
            no_hashtag=100 * self.no_hashtag / posts,
            no_mention=100 * self.no_mention / posts,
            no_caption=100 * self.no_caption / posts,
            mean_words=self.words / posts,
        )


def _zeros(column: pa.ChunkedArray) -> int:
    return int(np.count_nonzero(column.to_numpy() == 0))


def table_1(summary: Summary, measure: str = "likes") -> list[tuple[str, float, float]]:
    """Rows of (attribute, these pairs, the paper's pairs); the paper measured likes."""
    names = [each.name for each in fields(Summary)]
    labels = LABELS | {"mean_measure": f"average {measure} per image"}
    return [(labels[name], getattr(summary, name), getattr(TABLE_1, name)) for name in names]
