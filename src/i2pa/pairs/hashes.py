"""Seeded numbers of posts and pairs, from which every random choice is made.

They come from what a post is, never from its place in a table, so that the order of rows, blocks
and threads changes no choice.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from i2pa.pairs.candidates import Hashes, Ints


def user_hashes(table: pa.Table, rows: Ints) -> Hashes:
    """BLAKE2b of platform and user of each row, 64 bits."""
    parts = []
    for name in ("platform", "user_id"):
        column = table[name].combine_chunks()
        words = column.dictionary.to_pylist()
        digests = [hashlib.blake2b(word.encode(), digest_size=8).digest() for word in words]
        of_each = np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)
        parts.append(of_each[column.indices.to_numpy()[rows]])
    return mix(parts[0] + mix(parts[1]))


def digests(names: pa.ChunkedArray) -> npt.NDArray[np.bytes_]:
    """BLAKE2b of each text, 16 bytes: as good as the texts where only equality counts."""
    found = (hashlib.blake2b(name.encode(), digest_size=16).digest() for name in names.to_pylist())
    return np.frombuffer(b"".join(found), "S16")


def post_hashes(users: Hashes, time: Ints, seed: int) -> Hashes:
    """A uniform number of each post: from the seed, its user, its time, its place among equals.

    Posts come by user and time, then id, so that those of one user at one time are neighbours.
    """
    digest = hashlib.blake2b(str(seed).encode(), digest_size=8).digest()
    again = np.zeros(time.size, dtype=bool)
    again[1:] = (time[1:] == time[:-1]) & (users[1:] == users[:-1])
    place = np.zeros(time.size, dtype=np.int64)
    if again.any():
        index = np.arange(time.size)
        place = index - np.maximum.accumulate(np.where(again, 0, index))
    start = mix(users ^ np.uint64(int.from_bytes(digest, "little")))
    return mix(start + mix(time.astype(np.uint64)) + mix(place.astype(np.uint64)))


def pair_hash(one: Hashes, other: Hashes) -> Hashes:
    """A seeded number of each pair, from its posts' hashes, whatever the order of rows."""
    return mix(one ^ mix(other))


def mix(x: Hashes) -> Hashes:
    """The finaliser of splitmix64: near numbers become far ones, none are lost."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
