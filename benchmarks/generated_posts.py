"""Posts made up for benchmarks, with the heavy tails of real ones, any number of them.

One user owns a fifth of the posts, 200,000 at most; the others own a log-normal number (median 60),
posted over up to four years at a pace of their own. 30 % have no caption, 70 % are single images,
likes are log-normal around each user's own level. Captions are made of few distinct words, in
several scripts, but differ from post to post.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from i2pa.posts.facts import DERIVED, in_parts
from i2pa.posts.schema import POSTS
from i2pa.posts.table import PARQUET

WORDS = (
    *("love", "beautiful", "day", "summer", "new", "photo", "in", "the", "with", "my", "great"),
    *("café", "été", "日本", "mañana", "😍", "❤️", "tonight", "sunset", "out", "now", "link"),
    *("#travel", "#ootd", "#love", "#日本", "#été", "@friend.one", "@brand_two"),
)
CROWD = 200_000  # posts of the heaviest user, at most
YEARS = 4 * 365 * 86_400  # seconds

_AT_ONCE = 500_000


def exports(n: int, seed: int = 0) -> Iterator[pa.Table]:
    """N posts as an export holds them: whole users at a time, shuffled, no facts worked out."""
    rng = np.random.default_rng(seed)
    sizes = np.exp(rng.normal(np.log(60), 1.6, n // 50 + 2)).astype(np.int64) + 1
    heavy = min(n // 5, CROWD)
    sizes = np.minimum(sizes, CROWD // 4)
    sizes = sizes[: np.searchsorted(np.cumsum(sizes), n - heavy) + 1]
    sizes[-1] -= sizes.sum() - (n - heavy)
    sizes = np.concatenate([[heavy], sizes])
    first = 0
    while first < len(sizes):
        stop = first + max(1, int(np.searchsorted(np.cumsum(sizes[first:]), _AT_ONCE)))
        yield _of_users(rng, first, sizes[first:stop])
        first = stop


def prepared(n: int, path: Path, *, seed: int = 0, shuffled: bool = False) -> Path:
    """Write N posts as `i2pa posts` does, or `shuffled` inside each row group."""
    rng = np.random.default_rng(seed)
    with pq.ParquetWriter(path, POSTS, **PARQUET) as file:
        for export in exports(n, seed):
            typed = {
                name: export[name] if name in export.column_names else pa.nulls(len(export))
                for name in POSTS.names
                if name not in DERIVED
            }
            for part in in_parts(pa.table(typed)):
                order = pa.array(rng.permutation(len(part)))
                file.write_table(part.take(order) if shuffled else part)
    return path


def _of_users(rng: np.random.Generator, first: int, sizes: np.ndarray) -> pa.Table:
    n = int(sizes.sum())
    user = np.repeat(np.arange(len(sizes)), sizes)
    a_day = np.exp(rng.normal(np.log(0.3), 1, len(sizes)))
    span = np.minimum(sizes / a_day * 86_400, YEARS)
    if first == 0:
        span[0] = YEARS
    end = np.datetime64("2018-01-01", "s").astype(np.int64)
    end = end - rng.random(len(sizes)) * (YEARS - span)
    uploaded = (end[user] - rng.random(n) * span[user]).astype(np.int64) * 1_000_000
    level = rng.normal(6.5, 1.5, len(sizes))
    likes = np.exp(level[user] + rng.normal(0, 0.6, n)).astype(np.int64)
    single = rng.random(n) < 0.7
    ids = pa.array(rng.integers(10**17, 9 * 10**17, n)).cast(pa.string())
    table = pa.table(
        {
            "platform": pa.repeat("generated", n),
            "user_id": pa.array(user + first + 10**9).cast(pa.string()),
            "post_id": ids,
            "uploaded_at": pa.array(uploaded).cast(pa.timestamp("us", tz="UTC")),
            "downloaded_at": pa.repeat(np.datetime64("2018-02-01", "us").astype(np.int64), n).cast(
                pa.timestamp("us", tz="UTC")
            ),
            "likes": pa.array(likes),
            "caption": _captions(rng, n),
            "media_type": pa.array(np.where(single, "image", "carousel")),
            "image_count": pa.array(np.where(single, 1, 3), pa.int32()),
            "image": pc.binary_join_element_wise(ids, ".jpg", ""),
        }
    )
    return table.take(pa.array(rng.permutation(n)))


def _captions(rng: np.random.Generator, n: int) -> pa.Array:
    lengths = rng.choice([0, 1, 2, 4, 8, 20, 50], n, p=[0.3, 0.1, 0.15, 0.15, 0.1, 0.15, 0.05])
    ends = np.concatenate([[0], np.cumsum(lengths)])
    words = pa.array(WORDS).take(pa.array(rng.integers(0, len(WORDS), ends[-1])))
    lists = pa.LargeListArray.from_arrays(pa.array(ends), words)
    joined = pc.binary_join(lists, " ").cast(pa.string())
    return pc.if_else(pa.array(lengths > 0), joined, None)
