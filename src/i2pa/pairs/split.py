"""Training, validation and test parts that share no user, with the proof beside them.

Only the column `split` is filled; no pair is dropped, added or moved.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from i2pa.errors import DataError, UserInputError

PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class Part:
    """One part of a split: how many pairs, users and distinct images it holds."""

    name: str
    pairs: int
    users: int
    images: int


@dataclass(frozen=True)
class PairsSplit:
    """Pairs with `split` filled, and the proof: users and images found in more than one part."""

    pairs: pa.Table
    parts: tuple[Part, ...]
    users_shared: int
    images_shared: int


def split_pairs(
    pairs: pa.Table,
    by: Literal["user"] = "user",
    fractions: Sequence[float] = (0.8, 0.1, 0.1),
    seed: int = 0,
) -> PairsSplit:
    """Share out pairs among train, val and test; all pairs of a user go to the same part.

    `fractions` are of pairs. Users come in the order of a seeded hash, and each goes to the part
    that lacks most pairs by then, so that counts come as close as whole users allow; every part
    asked for gets a user. Raises UserInputError for fractions that do not add up to 1, DataError
    when there are fewer users than parts or a pair has none.
    """
    if by != "user":
        raise UserInputError(f"cannot split by {by!r}", remedy="split by user")
    wanted = [float(f) for f in fractions]
    if len(wanted) != len(PARTS) or min(wanted) < 0 or abs(sum(wanted) - 1) > 1e-6:
        raise UserInputError(
            f"fractions are {tuple(wanted)}, but must be three from 0 that add up to 1",
            remedy="for example .8 .1 .1",
        )
    if pairs["user_id"].null_count:
        raise DataError("some pairs are of two users, so they cannot be split by user")
    key = pc.binary_join_element_wise(pairs["platform"], pairs["user_id"], "\x1f")
    users = key.combine_chunks().dictionary_encode()
    sizes = np.bincount(users.indices.to_numpy(), minlength=len(users.dictionary))
    n_parts = sum(fraction > 0 for fraction in wanted)
    if len(sizes) < n_parts:
        found = "one user" if len(sizes) == 1 else f"{len(sizes)} users"
        raise DataError(
            f"the pairs are of {found}, so they cannot be split by user into {n_parts} parts"
        )
    part_of_user = _assign(users.dictionary.to_pylist(), sizes.tolist(), wanted, seed)
    parts = pa.array(PARTS).take(pa.array(part_of_user).take(users.indices))
    column = pairs.column_names.index("split")
    table = pairs.set_column(column, pairs.schema.field("split"), parts)
    images = [_images(table, name) for name in PARTS]
    names = [pc.unique(key.filter(pc.equal(parts, name))) for name in PARTS]
    return PairsSplit(
        pairs=table,
        parts=tuple(
            Part(name, pc.sum(pc.equal(parts, name)).as_py(), len(names[i]), len(images[i]))
            for i, name in enumerate(PARTS)
        ),
        users_shared=_in_several(names),
        images_shared=_in_several(images),
    )


def _assign(users: list[str], sizes: list[int], wanted: list[float], seed: int) -> list[int]:
    """The part of every user."""
    order = sorted(range(len(users)), key=lambda i: (_hash(seed, users[i]), users[i]))
    lacks = [fraction * sum(sizes) for fraction in wanted]
    empty = [part for part, fraction in enumerate(wanted) if fraction > 0]
    part_of_user = [0] * len(users)
    for done, user in enumerate(order):
        # The last users are kept for parts that would otherwise get none.
        choice = empty if len(users) - done <= len(empty) else range(len(PARTS))
        part = max(choice, key=lambda p: (wanted[p] > 0, lacks[p], -p))
        lacks[part] -= sizes[user]
        part_of_user[user] = part
        if part in empty:
            empty.remove(part)
    return part_of_user


def _hash(seed: int, user: str) -> bytes:
    return hashlib.blake2b(f"{seed}\x1f{user}".encode(), digest_size=8).digest()


def _images(table: pa.Table, part: str) -> pa.Array:
    """Distinct images of a part: picture files where they are named, otherwise posts."""
    inside = pc.equal(table["split"], part)
    found = []
    for side in ("winner", "loser"):
        post = pc.binary_join_element_wise(table["platform"], table[f"{side}_id"], "\x1f")
        found += pc.coalesce(table[f"{side}_image"], post).filter(inside).chunks
    return pc.unique(pa.chunked_array(found, pa.string()))


def _in_several(parts: Sequence[pa.Array]) -> int:
    counts = pc.value_counts(pa.chunked_array(list(parts), pa.string()))
    return int(pc.sum(pc.greater(counts.field(1), 1)).as_py() or 0)
