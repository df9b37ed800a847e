"""Pairs from generated posts: i2pa beside the obvious pandas way, posts a second and peak memory.

    python benchmarks/pairs.py [POSTS] [PANDAS_POSTS]

Users are drawn by a Zipf law, one of them owns a fifth of all posts (at most 200,000); 30 % of the
posts have no caption, 70 % are single images, likes are log-normal around each user's own level.
Captions are made of few distinct words but differ from post to post. Each stage runs in turn in
this process; the peak is the process's own (`ru_maxrss`), generation included. The pandas way,
where pandas is installed, joins every user with itself and filters afterwards, without matching;
it squares the heavy user, so it gets a smaller size, on which i2pa runs once more.
"""

from __future__ import annotations

import importlib.util
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from i2pa.pairs import PAPER, build_pairs
from i2pa.posts import POSTS
from i2pa.posts.captions import caption_columns

WORDS = (
    *("love", "beautiful", "day", "summer", "new", "photo", "in", "the", "with", "my", "great"),
    *("café", "été", "日本", "mañana", "😍", "❤️", "tonight", "sunset", "out", "now", "link"),
    *("#travel", "#ootd", "#love", "#日本", "#été", "@friend.one", "@brand_two"),
)
Result = TypeVar("Result")
CROWD = 200_000  # posts of the heaviest user, at most


def generate(n: int, seed: int = 0) -> pa.Table:
    """N posts as `i2pa posts` would hand them to the caption parser: no caption facts yet."""
    rng = np.random.default_rng(seed)
    heavy = min(n // 5, CROWD)
    n_users = max(n // 50, 2)
    user = rng.zipf(1.3, n - heavy) % n_users + 1
    user = rng.permutation(np.concatenate([np.zeros(heavy, np.int64), user]))
    level = rng.normal(6.5, 1.5, n_users + 1)
    likes = np.exp(level[user] + rng.normal(0, 0.6, n)).astype(np.int64)
    start = np.datetime64("2014-01-01", "s").astype(np.int64)
    uploaded = (start + rng.integers(0, 4 * 365 * 86_400, n)) * 1_000_000
    read_at = np.datetime64("2018-01-01", "us").astype(np.int64)
    single = rng.random(n) < 0.7
    numbers = pa.array(np.arange(n)).cast(pa.string())
    columns: dict[str, pa.Array] = {
        "platform": pa.repeat("generated", n),
        "user_id": pa.array(user).cast(pa.string()),
        "post_id": numbers,
        "uploaded_at": pa.array(uploaded).cast(pa.timestamp("us", tz="UTC")),
        "downloaded_at": pa.repeat(read_at, n).cast(pa.timestamp("us", tz="UTC")),
        "likes": pa.array(likes),
        "caption": _captions(rng, n),
        "media_type": pa.array(np.where(single, "image", "carousel")),
        "image_count": pa.array(np.where(single, 1, 3), pa.int32()),
    }
    columns["utc_date"] = columns["uploaded_at"].cast(pa.date32())
    made = [columns.get(f.name, pa.nulls(n, f.type)).cast(f.type) for f in POSTS]
    return pa.table(made, schema=POSTS)


def _captions(rng: np.random.Generator, n: int) -> pa.Array:
    lengths = rng.choice([0, 1, 2, 4, 8, 20, 50], n, p=[0.3, 0.1, 0.15, 0.15, 0.1, 0.15, 0.05])
    ends = np.concatenate([[0], np.cumsum(lengths)])
    words = pa.array(WORDS).take(pa.array(rng.integers(0, len(WORDS), ends[-1])))
    lists = pa.LargeListArray.from_arrays(pa.array(ends), words)
    joined = pc.binary_join(lists, " ")
    return pc.if_else(pa.array(lengths > 0), joined, None)


def with_facts(posts: pa.Table) -> pa.Table:
    facts = caption_columns(posts["caption"])
    for name in ("tags_key", "mentions_key", "tags", "mentions", "caption_words"):
        i = posts.schema.get_field_index(name)
        posts = posts.set_column(i, posts.schema.field(i), getattr(facts, name))
    return posts


def pandas_way(posts: pa.Table) -> int:
    """Every pair of one user's posts, then the rules; how many pairs are eligible."""
    frame = posts.drop_columns(["caption"]).to_pandas()
    frame["s"] = np.log(frame["likes"].astype(float).clip(lower=1))
    both = frame.merge(frame, on="user_id")
    both = both[both["post_id_x"] < both["post_id_y"]]
    for side in ("x", "y"):
        both = both[(both[f"media_type_{side}"] == "image") & (both[f"image_count_{side}"] == 1)]
        both = both[(both[f"likes_{side}"] >= 50) & (both[f"caption_words_{side}"] <= 6)]
        age = both[f"downloaded_at_{side}"] - both[f"uploaded_at_{side}"]
        both = both[age.dt.days >= 30]
    both = both[both["tags_key_x"] == both["tags_key_y"]]
    both = both[both["mentions_key_x"] == both["mentions_key_y"]]
    days = (both["uploaded_at_x"].dt.floor("D") - both["uploaded_at_y"].dt.floor("D")).dt.days
    both = both[days.abs() < 10]
    return int(((both["s_x"] - both["s_y"]).abs() >= PAPER.min_log_gap).sum())


def timed(name: str, n: int, work: Callable[[], Result]) -> tuple[Result, float]:
    start = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{name:<34}{n:>12,} posts {seconds:>8.2f} s {n / seconds:>12,.0f} posts/s {peak:6.2f} GB"
    )
    return result, seconds


def main(n: int = 1_000_000, n_pandas: int = 10_000) -> None:
    print(f"{datetime.now(UTC):%Y-%m-%d}, numpy {np.__version__}, pyarrow {pa.__version__}")
    raw = generate(n)
    posts, _ = timed("captions", n, lambda: with_facts(raw))
    built, _ = timed("pairs, the paper's rules", n, lambda: build_pairs(posts))
    for step in built.funnel:
        print(f"    {step.after:>16,} {step.unit} left by '{step.rule}'")
    if importlib.util.find_spec("pandas") is None:
        print("pandas is not installed: nothing to compare with")
        return
    few = with_facts(generate(n_pandas))
    all_pairs = replace(PAPER, one_image_one_pair=False)
    ours, fast = timed("i2pa, all eligible pairs", n_pandas, lambda: build_pairs(few, all_pairs))
    theirs, slow = timed("pandas, all combinations", n_pandas, lambda: pandas_way(few))
    print(f"{slow / fast:.0f} x; eligible pairs: {ours.pairs.num_rows:,} and {theirs:,}")


if __name__ == "__main__":
    main(*(int(argument.replace(",", "")) for argument in sys.argv[1:]))
