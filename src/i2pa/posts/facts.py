"""What pairs need to know of each post, worked out once, and the order that posts are kept in."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from i2pa.cores import usable_cores
from i2pa.posts.captions import caption_columns
from i2pa.posts.database import database
from i2pa.posts.schema import POSTS

DERIVED = (
    *("image_shared", "caption_length", "tags_key", "mentions_key", "tags", "mentions"),
    *("caption_words", "utc_date"),
)
"""Columns of POSTS that follow from the others."""

ORDER = ("platform", "user_id", "uploaded_at", "post_id")

_AT_ONCE = 1 << 17

Ints = npt.NDArray[np.int64]


def with_facts(posts: pa.Table) -> pa.Table:
    """Posts (schema POSTS without DERIVED) with every column, sorted by ORDER."""
    return pa.concat_tables([POSTS.empty_table(), *in_parts(posts)]).combine_chunks()


def in_parts(posts: pa.Table, *, threads: int | None = None) -> Iterator[pa.Table]:
    """The same, some posts at a time; `threads` (default: every usable core) work ahead."""
    order = _order(posts)
    posts = posts.append_column("image_shared", _shared(posts["image"]))
    n_threads = threads or usable_cores()
    waiting: deque[Future[pa.Table]] = deque()
    with ThreadPoolExecutor(n_threads) as pool:
        try:
            for start in range(0, len(order), _AT_ONCE):
                waiting.append(pool.submit(_part, posts, order[start : start + _AT_ONCE]))
                if len(waiting) > n_threads + 1:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _part(posts: pa.Table, rows: Ints) -> pa.Table:
    part = posts.take(pa.array(rows))
    captions = caption_columns(part["caption"], threads=1)
    derived = {
        "image_shared": part["image_shared"],
        "caption_length": pc.fill_null(pc.utf8_length(part["caption"]), 0),
        "tags_key": captions.tags_key,
        "mentions_key": captions.mentions_key,
        "tags": captions.tags,
        "mentions": captions.mentions,
        "caption_words": captions.caption_words,
        "utc_date": part["uploaded_at"].cast(pa.date32()),
    }
    columns = [derived[name] if name in DERIVED else part[name] for name in POSTS.names]
    return pa.table(columns, names=POSTS.names).cast(POSTS)


def _order(posts: pa.Table) -> Ints:
    """Rows in the order of ORDER."""
    user = _ranks(posts["platform"]) * len(posts) + _ranks(posts["user_id"])
    time = posts["uploaded_at"].cast(pa.int64()).to_numpy()
    order = _by_two(user, time)
    user, time = user[order], time[order]
    again = np.zeros(len(order) + 1, dtype=bool)
    again[1:-1] = (user[1:] == user[:-1]) & (time[1:] == time[:-1])
    # Posts of one user at one instant are few: only they are told apart by their ids.
    places = np.flatnonzero(again[:-1] | again[1:])
    if places.size:
        run = np.cumsum(~again[places])
        ids = posts["post_id"].take(pa.array(order[places]))
        by = pc.sort_indices(pa.table([run, ids], names=["run", "id"]), _KEYS)
        order[places] = order[places][by.to_numpy()]
    return order


_KEYS = [("run", "ascending"), ("id", "ascending")]


def _ranks(texts: pa.ChunkedArray) -> Ints:
    """The place of each text among the distinct ones, sorted."""
    encoded = texts.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.unify_dictionaries().combine_chunks()
    ranks = np.empty(len(encoded.dictionary), dtype=np.int64)
    ranks[pc.sort_indices(encoded.dictionary).to_numpy()] = np.arange(len(ranks))
    return np.asarray(ranks[encoded.indices.to_numpy()])


def _by_two(first: Ints, second: Ints) -> Ints:
    """Rows sorted by two keys: in one sort where both fit into one number."""
    if first.size == 0:
        return first
    second = second - second.min()
    for unit in (1_000_000, 1000):
        if not (second % unit).any():
            second //= unit
            break
    span = int(second.max()) + 1
    if (int(first.max()) + 1) * span < 1 << 63:
        return np.argsort(first * span + second, kind="stable")
    return np.lexsort((second, first))


def _shared(images: pa.ChunkedArray) -> pa.Array:
    """Whether another post names the same picture."""
    with database() as connection:
        connection.register("posts", pa.table([images], names=["image"]))
        counted = connection.execute(
            "SELECT count(DISTINCT hash(image)) FILTER (image IS NOT NULL) FROM posts"
        ).fetchall()
        if counted == [(len(images) - images.null_count,)]:
            return pa.array(np.zeros(len(images), dtype=bool))
        several = connection.sql(
            "SELECT image FROM posts WHERE image IS NOT NULL GROUP BY image HAVING count(*) > 1"
        ).to_arrow_table()["image"]
    return pc.is_in(images, several.combine_chunks())
