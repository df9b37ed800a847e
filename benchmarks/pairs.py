"""Posts a second through `i2pa posts` and `i2pa pairs`, peak memory, and the obvious pandas way.

    python benchmarks/pairs.py [POSTS ...] [--pandas POSTS] [--limit 4GB] [--folder DIR]

Posts are generated (generated_posts.py). For each size, each in a process of its own: the prepared
posts go through the paper's rules, matching and writing included, nine times (the median counts;
the first run, which also meets the allocator cold, is shown); at the largest size once more with
the rows shuffled, which DuckDB sorts, on disk where --limit ends. Then growth: posts of one user
alone. Then what comes before: an export in Parquet through `i2pa posts`, and its captions alone.
Last, side by side in one process, the pandas way, where pandas is installed: every user joined with
itself, the rules afterwards, without matching; it squares the heavy user, so it gets a small size.
Peaks are each process's own (`ru_maxrss`).
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import multiprocessing
import platform
import resource
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import generated_posts
from i2pa.pairs import PAPER, build_pairs
from i2pa.posts import read_posts
from i2pa.posts.captions import caption_columns

RUNS = 9
Result = TypeVar("Result")


def alone(work: Callable[..., Result], *given: object) -> Result:
    """The work in a fresh process, so that memory is its own."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        return pool.submit(work, *given).result()


def seconds_of(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def pairs_times(posts: Path, limit: str, runs: int) -> tuple[list[float], float, int]:
    """Seconds of each run, peak memory in GB, pairs."""
    out = posts.with_suffix(".pairs")
    built = []

    def work() -> None:
        built.append(build_pairs(posts, memory_limit=limit, out=out).summary.pairs)

    times = []
    for _ in range(runs):
        out.unlink(missing_ok=True)
        times.append(seconds_of(work))
    return times, peak_gb(), built[0]


def spilled(posts: Path, limit: str) -> tuple[float, float, float]:
    """Seconds, peak memory and most bytes on disk (both in GB) where posts are out of order."""
    folder = Path(tempfile.mkdtemp(dir=posts.parent))
    tempfile.tempdir = str(folder)
    most, over = 0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not over.wait(0.2):
            sizes = [file.stat().st_size for file in folder.rglob("*.tmp") if file.is_file()]
            most = max(most, sum(sizes))

    watcher = threading.Thread(target=watch)
    watcher.start()
    times, peak, _ = pairs_times(posts, limit, 1)
    over.set()
    watcher.join()
    return times[0], peak, most / 2**30


def posts_times(export: Path, runs: int) -> tuple[float, float, float]:
    """Median seconds of `posts` and of reading and parsing captions alone; peak memory in GB."""
    whole = [
        seconds_of(lambda: read_posts(export, out=export.with_suffix(".posts")))
        for _ in range(runs)
    ]

    def captions() -> None:
        caption_columns(pq.read_table(export, columns=["caption"])["caption"])

    return (
        statistics.median(whole),
        statistics.median(map(seconds_of, [captions] * runs)),
        peak_gb(),
    )


def of_one_user(n: int) -> pa.Table:
    """The heavy user's posts alone."""
    table = next(generated_posts.exports(5 * n))
    return read_in_memory(table.filter(pc.equal(table["user_id"], pc.min(table["user_id"]))))


def read_in_memory(export: pa.Table) -> pa.Table:
    with tempfile.TemporaryDirectory() as folder:
        pq.write_table(export, f"{folder}/export.parquet")
        return read_posts(f"{folder}/export.parquet").posts


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


def main(sizes: list[int], n_pandas: int, limit: str, folder: Path) -> None:
    versions = f"numpy {np.__version__}, pyarrow {pa.__version__}, duckdb {duckdb.__version__}"
    cores = multiprocessing.cpu_count()
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, {cores} cores, Python {platform.python_version()}", versions
    )
    per_post = {}
    for n in sizes:
        posts = generated_posts.prepared(n, folder / "posts.parquet")
        times, peak, n_pairs = alone(pairs_times, posts, limit, RUNS)
        median = statistics.median(times)
        per_post[n] = median / n
        print(
            f"pairs, {n:,} posts: {n / median / 1e6:.2f} M posts/s "
            f"({n / max(times[1:]) / 1e6:.2f}-{n / min(times) / 1e6:.2f}, first run "
            f"{n / times[0] / 1e6:.2f}), {n_pairs:,} pairs, peak {peak:.2f} GB",
            flush=True,
        )
    small, large = min(sizes), max(sizes)
    growth = per_post[large] / per_post[small]
    print(
        f"seconds a post, {large:,} against {small:,}: {growth:.2f} x "
        f"(n log n: {math.log(large) / math.log(small):.2f} x)"
    )
    posts = generated_posts.prepared(large, folder / "posts.parquet", shuffled=True)
    seconds, peak, on_disk = alone(spilled, posts, limit)
    print(
        f"pairs, {large:,} posts out of order: {large / seconds / 1e6:.2f} M posts/s, peak "
        f"{peak:.2f} GB under --memory-limit {limit}, {on_disk:.2f} GB on disk",
        flush=True,
    )
    heavy = {n: of_one_user(n) for n in (50_000, 100_000, 200_000)}
    for n, table in heavy.items():
        seconds = statistics.median(
            seconds_of(lambda table=table: build_pairs(table)) for _ in range(RUNS)
        )
        print(f"pairs, one user with {n:,} posts in four years: {1e6 * seconds / n:.2f} us a post")
    n = small
    export = folder / "export.parquet"
    pq.write_table(pa.concat_tables(generated_posts.exports(n)), export, compression="zstd")
    whole, captions, peak = alone(posts_times, export, RUNS)
    print(
        f"posts, {n:,} rows of Parquet: {n / whole / 1e6:.2f} M rows/s, peak {peak:.2f} GB; "
        f"captions read and parsed: {n / captions / 1e6:.2f} M/s",
        flush=True,
    )
    if importlib.util.find_spec("pandas") is None:
        print("pandas is not installed: nothing to compare with")
        return
    few = read_in_memory(pa.concat_tables(generated_posts.exports(n_pandas)))
    every = replace(PAPER, one_image_one_pair=False)
    ours = build_pairs(few, every).summary.pairs
    fast = statistics.median(seconds_of(lambda: build_pairs(few, every)) for _ in range(RUNS))
    theirs: list[int] = []
    slow = seconds_of(lambda: theirs.append(pandas_way(few)))
    print(
        f"all eligible pairs of {n_pandas:,} posts: i2pa {fast:.3f} s, pandas {slow:.1f} s and a "
        f"peak of {peak_gb():.1f} GB: {slow / fast:.0f} x; {ours:,} and {theirs[0]:,} pairs"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("sizes", metavar="POSTS", nargs="*", type=int, default=[1_000_000])
    parser.add_argument("--pandas", metavar="POSTS", type=int, default=10_000)
    parser.add_argument("--limit", default="4GB")
    parser.add_argument("--folder", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as made:
        main(asked.sizes, asked.pandas, asked.limit, Path(made))
