"""Instagram shortcodes in columns of a pair list: ids, times and shards, with gaps where none are.

What a code is, `posts.shortcode` knows; here Arrow columns go in and numpy times come out.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from i2pa.posts import shortcode

SHARDS_FOLLOW_USERS_UNTIL = np.datetime64("2016-06-24T00:08:00", "us")
"""Where the first pair of two shards appears in the authors' released lists."""


def decode_shortcodes(codes: pa.ChunkedArray) -> npt.NDArray[np.uint64]:
    """Media ids [n] of shortcodes [n]; 0 where the text is none or null."""
    ids, _ = shortcode.decode(codes.fill_null("").to_numpy().astype(np.str_))
    return ids


def decode_posts(codes: pa.ChunkedArray) -> npt.NDArray[np.uint64]:
    """The same of what may be posts' codes: 0 also for what is too short, or all of digits."""
    texts = codes.fill_null("").to_numpy().astype(np.str_)
    _, tells = shortcode.post_times(texts)
    return np.where(tells, shortcode.decode(texts)[0], np.uint64(0))


def upload_times(ids: npt.NDArray[np.uint64]) -> npt.NDArray[np.datetime64]:
    """When each id [n] was given out, UTC, datetime64[us] to the millisecond; NaT for id 0."""
    times = (shortcode.upload_ms(ids) * 1000).astype("datetime64[us]")
    times[ids == 0] = np.datetime64("NaT")
    return times


def shards(ids: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """The shard of each id [n]; of one user until SHARDS_FOLLOW_USERS_UNTIL."""
    return shortcode.shard(ids)
