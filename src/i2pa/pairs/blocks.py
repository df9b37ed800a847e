"""Posts in order, some whole users at a time: from a table or a Parquet file, however large.

`i2pa posts` writes posts by platform, user, time and id, so they only need to be read on; posts in
another order, or groups that are no users, DuckDB sorts first, within its memory or on disk.
What the posts say stays out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from i2pa.errors import DataError, UserInputError, require
from i2pa.posts.database import database, one_file, quoted
from i2pa.posts.table import as_posts, damaged

AT_ONCE = 1 << 17
"""Posts of a block, unless one user has more."""

BYTES_A_POST = 500
"""Memory that a post with short names takes while its block is worked on, measured, rounded up."""

# Beside two copies of what was read.
_WORK_A_POST = 300

Posts: TypeAlias = pa.Table | Path
EdgeBytes: TypeAlias = Callable[[npt.NDArray[np.int64]], int]
_REPEATING = ("platform", "user_id", "media_type")
_NEVER_NULL = ("platform", "user_id", "post_id", "uploaded_at")
_REMEDY = "make them with i2pa posts"
_SAME = ["user_id", "post_id"]
_ENCODED = pa.dictionary(pa.int32(), pa.string())
_ORDER = ("uploaded_at", "user_id", "post_id")
_MOST_MEMORY = 1e15
_UNITS = {"kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12} | {
    f"{unit}ib": 1024.0**power for power, unit in enumerate("kmgt", start=1)
}


class OrderError(Exception):
    """The posts do not come by platform, user, time and id."""


@dataclass(frozen=True)
class Cut:
    """Neighbouring posts as they were read, no user's left out, and the place of the first.

    `bytes` is the memory that they take while they are worked on, `where` names the posts as given.
    """

    parts: Sequence[pa.Table]
    by: Sequence[str]
    first: int
    bytes: int
    where: str


@dataclass(frozen=True)
class Block:
    """The posts of a cut as one table, and each one's user by number.

    `ends` are platform and user of the first and the last. Where groups are no users, read group
    for user.
    """

    table: pa.Table
    run: npt.NDArray[np.int64]
    first: int
    ends: tuple[tuple[str, str], tuple[str, str]]


@dataclass(frozen=True)
class Memory:
    """An amount of memory as its user wrote it, and in bytes."""

    written: str
    bytes: int

    @classmethod
    def parse(cls, text: str) -> Memory:
        """Raises UserInputError for what is no amount."""
        require(isinstance(text, str), "memory_limit", text, "text, such as '4GB'")
        found = re.fullmatch(r"\s*([0-9]+\.?[0-9]*)\s*([kmgt]i?b)\s*", text.lower())
        if not found or float(found[1]) == 0:
            raise UserInputError(f"{text!r} is no amount of memory", remedy="write it as 4GB")
        amount = float(found[1]) * _UNITS[found[2]]
        if amount > _MOST_MEMORY:
            raise UserInputError(f"no machine has {text} of memory", remedy="write it as 4GB")
        return cls(text, int(amount))

    def too_little(self, why: str) -> UserInputError:
        """What to say where it does not suffice."""
        return UserInputError(
            f"--memory-limit {self.written} is too little for these posts ({why})",
            remedy="give more",
        )


def in_one(column: pa.ChunkedArray) -> pa.Array:
    """A column as one array; nothing is copied where it is one already."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def n_posts(posts: Posts) -> int:
    """How many posts there are."""
    return int(posts.num_rows if isinstance(posts, pa.Table) else pq.read_metadata(posts).num_rows)


def positive_counts(posts: Posts, names: Sequence[str]) -> set[str]:
    """Which of these columns of counts are above 0 in some post."""
    found = set[str]()
    for batch in _batches(posts, names, AT_ONCE):
        found |= {name for name in names if (pc.max(batch[name]).as_py() or 0) > 0}
        if found.issuperset(names):
            break
    return found


def named(posts: Posts) -> str:
    """What an error calls the posts."""
    return "the posts" if isinstance(posts, pa.Table) else str(posts)


def cuts(
    posts: Posts,
    where: str,
    columns: Sequence[str],
    by: Sequence[str],
    memory: Memory,
    blocks_at_once: int,
    edge_bytes: EdgeBytes,
) -> Iterator[Cut]:
    """All posts, called `where`, cut between runs: posts that agree in the columns `by`.

    `blocks_at_once` are in memory together; `edge_bytes` says what pairs of runs of these lengths
    take. Raises UserInputError where one run does not fit into memory.
    """
    held: list[pa.Table] = []
    first = n_held = 0
    at_once = max(1, min(AT_ONCE, memory.bytes // BYTES_A_POST // blocks_at_once))

    def cut(parts: list[pa.Table], runs: npt.NDArray[np.int64]) -> Cut:
        longest = runs.max()
        text = sum(part.nbytes for part in parts)
        a_post = _WORK_A_POST + 2 * text // runs.sum()
        if longest * a_post + edge_bytes(longest[None]) > memory.bytes:
            whose = "a user has" if "user_id" in by else "users that may pair have"
            raise memory.too_little(f"{whose} {longest:,} posts or more")
        return Cut(parts, by, first, int(runs.sum() * a_post + edge_bytes(runs)), where)

    for batch in _batches(posts, columns, at_once):
        changes = _changes(batch, by)
        changes[0] = bool(held) and _ends_differ(held[-1], batch, by)
        starts = np.flatnonzero(changes)
        if not starts.size:
            held.append(batch)
            n_held += batch.num_rows
            cut(held, np.array([n_held]))
            continue
        stop = int(starts[-1])
        parts = [*held, batch.slice(0, stop)] if stop else held
        yield cut(parts, np.diff(starts, prepend=-n_held))
        first += n_held + stop
        held, n_held = [batch.slice(stop)], batch.num_rows - stop
    if held:
        yield cut(held, np.array([n_held]))


def join(cut: Cut, *, trusted: bool) -> Block:
    """A cut as one table, with dictionaries where text repeats.

    Raises OrderError at a post out of order, unless these posts are `trusted`.
    """
    table = cut.parts[0]
    if len(cut.parts) > 1:
        table = pa.concat_tables(cut.parts).unify_dictionaries().combine_chunks()
    changes = _changes(table, cut.by)
    starts = np.concatenate([[0], np.flatnonzero(changes)])
    run = np.repeat(np.arange(starts.size), np.diff(starts, append=changes.size))
    users = table.select(["platform", "user_id"]).take(pa.array(starts))
    platform, user = (in_one(c.cast(pa.string())) for c in users.columns)
    time = table["uploaded_at"].cast(pa.int64()).to_numpy()
    same_run = ~changes[1:]
    at_once = np.flatnonzero(same_run & (time[1:] == time[:-1]))
    if not trusted:
        if (same_run & (time[1:] < time[:-1])).any():
            raise OrderError
        _check_order(table["post_id"], at_once, platform, user)
    _check_distinct(table, at_once, cut.where)
    first, last = ((platform[i].as_py(), user[i].as_py()) for i in (0, -1))
    return Block(table, run, cut.first, (first, last))


def _batches(posts: Posts, columns: Sequence[str], at_once: int) -> Iterator[pa.Table]:
    if isinstance(posts, pa.Table):
        chosen = posts.select(list(columns))
        for start in range(0, chosen.num_rows, at_once):
            yield _typed(chosen.slice(start, at_once), "the posts")
        return
    repeating = [name for name in _REPEATING if name in columns]
    try:
        with pq.ParquetFile(posts, read_dictionary=repeating) as file:
            # A reader of several row groups holds on to each one's pages to its end.
            for group in range(file.num_row_groups):
                # Until the first block is there, nobody else has work for the other cores.
                for batch in file.iter_batches(
                    at_once, row_groups=[group], columns=list(columns), use_threads=group == 0
                ):
                    yield _typed(pa.Table.from_batches([batch]), str(posts))
    except (pa.ArrowException, OSError) as error:
        raise damaged(posts, error) from error


def _typed(part: pa.Table, where: str) -> pa.Table:
    """Columns as POSTS has them, whatever another tool made of them; text that repeats encoded."""
    columns = []
    for name, column in zip(part.column_names, part.columns, strict=True):
        if name in _NEVER_NULL and column.null_count:
            raise DataError(f"a post has no {name}", where=where, remedy=_REMEDY)
        if name not in _REPEATING:
            column = as_posts(pa.table([column], names=[name]), where)[name]
        elif column.type != _ENCODED:
            plain = as_posts(pa.table([column], names=[name]), where)[name]
            column = plain.dictionary_encode()
        columns.append(column)
    return pa.table(columns, names=part.column_names).unify_dictionaries().combine_chunks()


def _changes(table: pa.Table, by: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Whether each post is of another run than the one before it; the first is not."""
    changes = np.zeros(table.num_rows, dtype=bool)
    for name in by:
        column = in_one(table[name])
        codes = (column.indices if pa.types.is_dictionary(column.type) else column).to_numpy()
        changes[1:] |= codes[1:] != codes[:-1]
    return changes


def _ends_differ(one: pa.Table, next_one: pa.Table, by: Sequence[str]) -> bool:
    """Whether the last post of one table is of another run than the first of the next."""
    return any(one[name][-1].as_py() != next_one[name][0].as_py() for name in by)


def _check_order(
    ids: pa.ChunkedArray, at_once: npt.NDArray[np.int64], platform: pa.Array, user: pa.Array
) -> None:
    """Users must rise, and ids of a user's posts `at_once` with the next one must not fall."""
    later = pc.greater(platform[1:], platform[:-1])
    same_platform = pc.equal(platform[1:], platform[:-1])
    later = pc.or_(later, pc.and_(same_platform, pc.greater(user[1:], user[:-1])))
    if not pc.all(later, min_count=0).as_py():
        raise OrderError
    one, next_one = (ids.take(pa.array(at_once + i)) for i in (0, 1))
    if pc.any(pc.less(next_one, one)).as_py():
        raise OrderError


def _check_distinct(table: pa.Table, at_once: npt.NDArray[np.int64], where: str) -> None:
    """Posts in order that are twice in the table are neighbours."""
    if at_once.size:
        sides = [table.select(_SAME).take(pa.array(at_once + i)) for i in (0, 1)]
        same = [pc.equal(*(s[name].cast(pa.string()) for s in sides)) for name in _SAME]
        twice = pc.and_(*same)
        if pc.any(twice).as_py():
            post = sides[0]["post_id"].filter(twice)[0]
            what = f"the post {post} is twice in the table"
            raise DataError(what, where=where, remedy=_REMEDY)


def in_order(
    posts: Posts,
    columns: Sequence[str],
    by: Sequence[str],
    folder: str | os.PathLike[str],
    memory: Memory,
    threads: int | None,
) -> Path:
    """A Parquet file in `folder` of these columns, sorted by `by`, then time, user and id."""
    sorted_posts = Path(folder) / "posts.parquet"
    keys = ", ".join(dict.fromkeys([*by, *_ORDER]))
    with database() as connection:
        try:
            # What DuckDB counts is not all that it takes.
            connection.execute(f"SET memory_limit = '{memory.bytes * 3 // 4000}KB'")
            connection.execute("SET temp_directory = $folder", {"folder": str(folder)})
            if threads is not None:
                connection.execute("SET threads = $n", {"n": threads})
            if isinstance(posts, pa.Table):
                connection.register("posts", posts.select(list(columns)))
            else:
                connection.read_parquet(one_file(posts)).create_view("posts")
            connection.execute(
                f"COPY (SELECT {', '.join(columns)} FROM posts ORDER BY {keys}) TO "
                f"{quoted(sorted_posts)} "
                f"(FORMAT parquet, COMPRESSION lz4_raw, ROW_GROUP_SIZE {AT_ONCE})"
            )
        except duckdb.OutOfMemoryException as error:
            raise memory.too_little("to sort them") from error
        except duckdb.IOException as error:
            raise UserInputError(
                f"these posts cannot be sorted on this disk ({str(error).splitlines()[0]})",
                where=str(folder),
                remedy="set TMPDIR to a larger disk, or sort them: i2pa posts",
            ) from error
        except duckdb.Error as error:
            what = f"cannot be read ({str(error).splitlines()[0]})"
            raise DataError(what, where=named(posts), remedy=_REMEDY) from error
    return sorted_posts
