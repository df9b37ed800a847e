"""What an Instagram shortcode gives away by itself: the media id, the time, the shard.

A shortcode is the media id in base64url, most significant digit first. An id is 41 bits of
milliseconds since 2011-08-24 21:07:01.721 UTC, 13 bits of shard, 10 bits of sequence. Until
2016-06-24 00:08 UTC the shard followed the user, so that all posts of a user share one; after that
it does not. (Instagram Engineering, "Sharding & IDs at Instagram", 2012; checked on the authors'
released pairs.)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

EPOCH_MS = 1_314_220_021_721
SHARDS_FOLLOW_USERS_UNTIL = np.datetime64("2016-06-24T00:08:00", "us")

_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_LONGEST = 11
_NOT_A_DIGIT = 255
_DIGITS = np.full(256, _NOT_A_DIGIT, dtype=np.uint8)
_DIGITS[np.frombuffer(_ALPHABET, dtype=np.uint8)] = np.arange(64, dtype=np.uint8)


def decode_shortcodes(
    codes: pa.Array | pa.ChunkedArray | Sequence[str | None] | npt.NDArray[np.str_],
) -> npt.NDArray[np.uint64]:
    """Media ids [n] of shortcodes [n]; 0 where the text is none (null, other signs, over 64 bits).

    At most 11 digits of 6 bits, of which the first may use 4 when there are 11.
    """
    if not isinstance(codes, (pa.Array, pa.ChunkedArray)):
        codes = pa.array(codes, pa.string())
    texts = codes.cast(pa.large_binary()).fill_null(b"")
    texts = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    _, offset_buffer, data_buffer = texts.buffers()
    n = len(texts)
    if n == 0 or data_buffer is None:
        return np.zeros(n, dtype=np.uint64)
    bounds = np.frombuffer(offset_buffer, dtype=np.int64)[texts.offset : texts.offset + n + 1]
    digits = _DIGITS[np.frombuffer(data_buffer, dtype=np.uint8)]
    start, length = bounds[:-1], np.diff(bounds)
    ids = np.zeros(n, dtype=np.uint64)
    bad = (length == 0) | (length > _LONGEST)
    for place in range(_LONGEST):
        inside = ~bad & (place < length)
        digit = digits[start[inside] + place]
        ids[inside] = (ids[inside] << np.uint64(6)) | (digit & 63).astype(np.uint64)
        bad[inside] |= digit == _NOT_A_DIGIT
        if place == 0:
            bad[inside] |= (length[inside] == _LONGEST) & (digit > 15)
    ids[bad] = 0
    return ids


def upload_times(ids: npt.NDArray[np.uint64]) -> npt.NDArray[np.datetime64]:
    """When each id [n] was given out, UTC, datetime64[us] to the millisecond; NaT for id 0."""
    ms = (ids >> np.uint64(23)).astype(np.int64) + EPOCH_MS
    times = (ms * 1000).astype("datetime64[us]")
    times[ids == 0] = np.datetime64("NaT")
    return times


def shards(ids: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """The logical shard of each id [n], 0 to 8191; of one user until 2016-06-24 00:08 UTC."""
    return ((ids >> np.uint64(10)) & np.uint64(0x1FFF)).astype(np.int64)
