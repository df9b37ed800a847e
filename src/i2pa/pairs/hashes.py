"""Seeded numbers of posts and pairs, from which every random choice is made.

They come from what a post is, never from its place in a table, so that the order of rows, blocks
and threads changes no choice.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from i2pa.pairs.blocks import in_one
from i2pa.pairs.candidates import Hashes, Ints


def user_hashes(table: pa.Table, rows: Ints) -> Hashes:
    """BLAKE2b of platform and user of each row, 64 bits."""
    columns = [in_one(table[name]) for name in ("platform", "user_id")]
    codes = [column.indices.to_numpy().take(rows) for column in columns]
    # Most posts have the user of the post before.
    starts = np.flatnonzero(starts_of(codes[0]) | starts_of(codes[1]))
    parts = []
    for column, code in zip(columns, codes, strict=True):
        words = column.dictionary.to_pylist()
        digests = [hashlib.blake2b(word.encode(), digest_size=8).digest() for word in words]
        of_each = np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)
        parts.append(of_each[code[starts]])
    return np.repeat(mix(parts[0] + mix(parts[1])), np.diff(starts, append=rows.size))


def starts_of(values: np.ndarray) -> npt.NDArray[np.bool_]:
    """Whether each value differs from the one before it; the first does."""
    starts = np.ones(values.size, dtype=bool)
    np.not_equal(values[1:], values[:-1], out=starts[1:])
    return starts


def digests(names: pa.ChunkedArray) -> npt.NDArray[np.bytes_]:
    """BLAKE2b of each text, 16 bytes: as good as the texts where only equality counts."""
    found = (hashlib.blake2b(name.encode(), digest_size=16).digest() for name in names.to_pylist())
    return np.frombuffer(b"".join(found), "S16")


def post_hashes(users: Hashes, time: Ints, seed: int) -> Hashes:
    """A uniform number of each post: from the seed, its user, its time, its place among equals.

    Posts come by user and time, then id, so that those of one user at one time are neighbours.
    """
    digest = hashlib.blake2b(str(seed).encode(), digest_size=8).digest()
    other = starts_of(users)
    again = ~(other | starts_of(time))
    first = np.flatnonzero(other)
    of_user = mix(users[first] ^ np.uint64(int.from_bytes(digest, "little")))
    start = np.repeat(of_user, np.diff(first, append=time.size))
    start += mix(time.view(np.uint64))
    if again.any():
        index = np.arange(time.size)
        place = index - np.maximum.accumulate(np.where(again, 0, index))
        # The first place is 0, which mixes to 0.
        start[again] += mix(place[again].view(np.uint64))
    return mix(start)


def pair_hash(one: Hashes, other: Hashes) -> Hashes:
    """A seeded number of each pair, from its posts' hashes, whatever the order of rows."""
    return mix(one ^ mix(other))


def mix(x: Hashes) -> Hashes:
    """The finaliser of splitmix64: near numbers become far ones, none are lost."""
    # In place, as each new array of a block's length costs as much as the arithmetic.
    mixed = x >> np.uint64(30)
    mixed ^= x
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    shifted = mixed >> np.uint64(27)
    mixed ^= shifted
    mixed *= np.uint64(0x94D049BB133111EB)
    np.right_shift(mixed, np.uint64(31), out=shifted)
    mixed ^= shifted
    return mixed
