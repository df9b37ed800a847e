"""From posts to popularity-discriminable pairs: every rule of the paper, in its order.

Posts come by user, a block at a time, so that memory does not grow with their number; `pairing`
pairs each block in a thread, and the pairs go on in the order of the posts. The same posts give
the same pairs, byte for byte, whatever the order of rows or number of threads. Reading exports,
splitting pairs and looking at pictures stay out.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from numbers import Integral
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from i2pa.cores import MOST_THREADS, usable_cores
from i2pa.errors import UserInputError, require, require_seed
from i2pa.files import check_not_input, check_parquet_name
from i2pa.memory import kept_memory
from i2pa.pairs.blocks import (
    Cut,
    Memory,
    OrderError,
    Posts,
    cuts,
    in_order,
    join,
    n_posts,
    named,
    positive_counts,
)
from i2pa.pairs.candidates import Ints
from i2pa.pairs.eligible import COUNTS_OF, meeting, numbers, post_rules
from i2pa.pairs.fingerprint import Fingerprint
from i2pa.pairs.funnel import Step, funnel_steps, no_pair_error
from i2pa.pairs.groups import run_columns
from i2pa.pairs.hashes import digests
from i2pa.pairs.match import MATCHINGS, Matching
from i2pa.pairs.pairing import BlockPairs, Counts, Pairing, pair_block
from i2pa.pairs.rules import PAPER, PairRules
from i2pa.pairs.schema import PAIRS, pairs_writer, read_pairs, with_metadata
from i2pa.pairs.summary import Summary, Tally
from i2pa.posts.download_time import as_download_time
from i2pa.posts.schema import MEASURES, check_posts_columns
from i2pa.posts.table import as_posts, check_posts_file, damaged

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

CANDIDATES = 64
"""How many later posts each post looks at, unless asked otherwise."""

_MOST_CANDIDATES = 1_000_000_000

_UNWRITTEN = 8
"""Blocks whose pairs may wait for the disk."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class PairsBuilt:
    """Pairs, the funnel that led to them, their Table 1, and how they were made (`facts`).

    `windows_cut` posts had more than `candidates` later posts in their window and looked at a
    seeded choice of them. `too_many_for_maximum` posts were in groups too large for an exact
    maximum matching, and matched at random instead.
    """

    where: pa.Table | Path
    funnel: tuple[Step, ...]
    summary: Summary
    facts: dict[str, str]
    windows_cut: int
    too_many_for_maximum: int = 0

    @cached_property
    def pairs(self) -> pa.Table:
        """The pairs (schema PAIRS), read from the file that they were written to, if any."""
        return read_pairs(self.where) if isinstance(self.where, Path) else self.where


def build_pairs(
    posts: pa.Table | str | os.PathLike[str],
    rules: PairRules = PAPER,
    *,
    seed: int = 0,
    matching: Matching = "random",
    downloaded_at: datetime | None = None,
    assume_settled: bool = False,
    candidates: int = CANDIDATES,
    memory_limit: str = "4GB",
    threads: int | None = None,
    out: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> PairsBuilt:
    """Pair posts (schema POSTS, a table or a posts.parquet) by the rules; same posts, same pairs.

    With `out`, pairs go to that file as they come, so that only a few blocks of posts are in
    memory at once; pairs of different users come in another order and are held to the end.
    `downloaded_at` stands in where a post has none; `assume_settled` lets such posts pass the
    one-month rule. `progress` is told posts done, and all. Raises DataError naming the missing
    column, or, when nothing pairs, the rule that removed the most and what relaxes it;
    UserInputError where a user's posts do not fit into `memory_limit`.
    """
    if matching not in MATCHINGS:
        raise UserInputError(
            f"unknown matching {matching!r}", remedy=f"choose from {', '.join(MATCHINGS)}"
        )
    require(isinstance(rules, PairRules), "rules", rules, "PairRules, such as i2pa.pairs.PAPER")
    if matching != "random" and not rules.one_image_one_pair:
        raise UserInputError(
            f"matching {matching!r} means nothing where one_image_one_pair is off",
            remedy="leave it out",
        )
    require_seed(seed)
    for name, number, most in (
        ("candidates", candidates, _MOST_CANDIDATES),
        ("threads", threads, MOST_THREADS),
    ):
        good = isinstance(number, Integral) and number >= 1
        good = good or (name == "threads" and number is None)
        require(good, name, number, "a whole number above 0")
        require(number is None or number <= most, name, number, f"at most {most:,}")
    source = _checked(posts)
    if out is not None:
        check_parquet_name(out)
        check_not_input(out, *([source] if isinstance(source, Path) else []))
    given = as_download_time(downloaded_at)
    how = Pairing(
        rules,
        post_rules(rules, downloaded_at=_micros(given), assume_settled=assume_settled),
        matching,
        candidates,
        seed,
    )
    facts = {
        "rules": rules.to_json(),
        "rules_sha256": rules.sha256(),
        "seed": str(seed),
        "matching": matching if rules.one_image_one_pair else "none: all eligible pairs",
        "candidates": str(candidates),
        "assumed": json.dumps(
            {"assume_settled": assume_settled, "downloaded_at": given and given.isoformat()},
            sort_keys=True,
        ),
    }
    memory = Memory.parse(memory_limit)
    if rules.same_user:
        try:
            ordered = _Ordered(source, source, how, memory, threads, trusted=False)
            return _build(ordered, facts, out, progress)
        except OrderError:
            pass
    with TemporaryDirectory(prefix="i2pa-") as spill:
        by = run_columns(rules)
        columns = list(dict.fromkeys([*how.columns(), "image_shared"]))
        sorted_posts = in_order(source, columns, by, spill, memory, threads)
        ordered = _Ordered(sorted_posts, source, how, memory, threads, trusted=True)
        return _build(ordered, facts, out, progress)


@dataclass(frozen=True)
class _Ordered:
    """Posts that come in order, how to pair them, and with what memory and threads.

    `source` are the posts as given, with every column.
    """

    posts: Posts
    source: Posts
    how: Pairing
    memory: Memory
    threads: int | None
    trusted: bool

    @property
    def at_once(self) -> int:
        """How many threads pair."""
        return self.threads or usable_cores()

    def cuts(self, columns: Iterable[str]) -> Iterator[Cut]:
        by = run_columns(self.how.rules)
        wanted = list(dict.fromkeys([*columns, "platform", "user_id", "uploaded_at", "post_id"]))
        # Two waiting for each thread, one each read, joined, waiting to be cut and written.
        blocks = 2 * self.at_once + 4
        where = named(self.source)
        return cuts(self.posts, where, wanted, by, self.memory, blocks, self.how.edge_bytes)

    def pair(self, dropped: Ints) -> Iterator[BlockPairs]:
        """The pairs of each block, in order.

        One thread reads ahead, some pair; they wait for memory, never for the block next in order.
        """
        over = Event()

        def work(cut: Cut) -> BlockPairs:
            return pair_block(join(cut, trusted=self.trusted), self.how, dropped, over.is_set)

        read = self.cuts(self.how.columns())
        waiting: deque[tuple[int, Future[BlockPairs]]] = deque()
        with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(self.at_once) as pool:
            try:
                ahead: Future[Cut | None] | None = reader.submit(next, read, None)
                while ahead or waiting:
                    cut = ahead.result() if ahead and ahead.done() else None
                    if ahead and ahead.done() and not cut:
                        ahead = None
                    elif cut and self._room(waiting, cut):
                        waiting.append((cut.bytes, pool.submit(work, cut)))
                        ahead = reader.submit(next, read, None)
                    elif waiting and waiting[0][1].done():
                        yield waiting.popleft()[1].result()
                    else:
                        awaited: list[Future[Any]] = [b for _, b in waiting if not b.done()]
                        if ahead and not cut:
                            awaited.append(ahead)
                        wait(awaited, return_when=FIRST_COMPLETED)
            finally:
                # Of what is being paired nobody will ask for the pairs.
                over.set()
                pool.shutdown(cancel_futures=True)

    def _room(self, waiting: Collection[tuple[int, Future[BlockPairs]]], cut: Cut) -> bool:
        """Whether another block may be worked on."""
        # Posts take much memory, their pairs little, unless all eligible ones are listed.
        keeps = not self.how.rules.one_image_one_pair
        taken = [size for size, block in waiting if keeps or not block.done()]
        few = len(taken) <= 2 * self.at_once and len(waiting) <= 4 * self.at_once
        return not waiting or (few and sum(taken) + cut.bytes <= self.memory.bytes)


def _checked(posts: pa.Table | str | os.PathLike[str]) -> Posts:
    if not isinstance(posts, pa.Table):
        is_path = isinstance(posts, (str, os.PathLike))
        require(is_path, "posts", posts, "a pyarrow Table or the path of a posts.parquet")
        return check_posts_file(posts)
    check_posts_columns(posts)
    return posts


def _build(
    ordered: _Ordered,
    facts: dict[str, str],
    out: str | os.PathLike[str] | None,
    progress: Progress | None,
) -> PairsBuilt:
    how = ordered.how
    total, done = n_posts(ordered.posts), 0
    dropped = np.zeros(0, dtype=np.int64)
    if how.rules.one_image_one_pair and _some_shared(ordered.posts):
        dropped = _twice(ordered)
    fingerprint, tally, counts = Fingerprint(), Tally(), Counts.none(how)
    parts = [PAIRS.empty_table()]
    last = ("", "")
    with ExitStack() as stack:
        stack.enter_context(kept_memory())
        # Pairs of two users do not come in their final order.
        as_they_come = out is not None and how.rules.same_user
        writer = stack.enter_context(pairs_writer(out, facts)) if out is not None else None
        aside = stack.enter_context(ThreadPoolExecutor(1))
        unwritten: deque[Future[None]] = deque()
        for block in ordered.pair(dropped):
            if not ordered.trusted and block.ends[0] <= last:
                raise OrderError
            last = block.ends[1]
            if as_they_come and writer:
                unwritten.append(aside.submit(writer.add, block.pairs))
                if len(unwritten) > _UNWRITTEN:
                    unwritten.popleft().result()
            else:
                parts.append(block.pairs)
            counts += block.counts
            tally.add(block.pairs, block.posts, block.users)
            fingerprint.add(block.identity)
            done += block.n_posts
            if progress:
                progress(done, total)
        for written in unwritten:
            written.result()
        funnel = funnel_steps(how, counts, total)
        if not tally.pairs:
            raise no_pair_error(funnel, lambda: _other_measures(ordered))
        facts = facts | {"posts_hash": fingerprint.hexdigest()}
        pairs = pa.concat_tables(parts)
        if not how.rules.same_user:
            keys = ["platform", "user_id", "winner_time", "winner_id", "loser_id"]
            pairs = pairs.sort_by([(key, "ascending") for key in keys])
        if writer:
            writer.add(pairs)
            writer.describe({"posts_hash": facts["posts_hash"]})
    return PairsBuilt(
        where=with_metadata(pairs.combine_chunks(), facts) if out is None else Path(out),
        funnel=tuple(funnel),
        summary=tally.summary(),
        facts=facts,
        windows_cut=counts.windows_cut,
        too_many_for_maximum=counts.inexact,
    )


def _other_measures(ordered: _Ordered) -> list[str]:
    """Measures but the one asked for whose counts are above 0 in some post."""
    known = positive_counts(ordered.source, MEASURES)
    return [
        measure
        for measure, counts in COUNTS_OF.items()
        if measure != ordered.how.rules.measure and known.issuperset(counts)
    ]


def _some_shared(posts: Posts) -> bool:
    name = "image_shared"
    if isinstance(posts, Path):
        if _never_true(posts, name):
            return False
        try:
            shared = pq.read_table(posts, columns=[name])
        except (pa.ArrowException, OSError) as error:
            raise damaged(posts, error) from error
        shared = as_posts(shared, str(posts))
    else:
        shared = as_posts(posts.select([name]), "the posts")
    return bool(pc.any(shared[name]).as_py())


def _never_true(posts: Path, name: str) -> bool:
    """Whether the file's own statistics say that a column is true in no row."""
    file = pq.read_metadata(posts)
    at = file.schema.names.index(name)
    found = [file.row_group(group).column(at).statistics for group in range(file.num_row_groups)]
    return all(s is not None and s.has_min_max and s.max is False for s in found)


def _twice(ordered: _Ordered) -> Ints:
    """Places of the eligible posts whose picture file an earlier one names, too."""
    images, places = [np.zeros(0, "S16")], [np.zeros(0, np.int64)]
    how = ordered.how
    for cut in ordered.cuts([*how.number_columns(), "image", "image_shared"]):
        block = join(cut, trusted=True)
        known = numbers(block.table, how.number_columns())
        rows, _ = meeting(known, block.table.num_rows, how.posts_meet)
        rows = rows[block.table["image_shared"].to_numpy()[rows]]
        images.append(digests(block.table["image"].take(pa.array(rows))))
        places.append(rows + block.first)
    found = np.concatenate(images)
    later = np.ones(found.size, dtype=bool)
    later[np.unique(found, return_index=True)[1]] = False
    return np.concatenate(places)[later]


def _micros(time: datetime | None) -> int | None:
    """Microseconds since 1970, exactly."""
    return None if time is None else (time - _EPOCH) // timedelta(microseconds=1)
