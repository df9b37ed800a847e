"""Training, validation and test parts, by user, by pair or forward in time, with the proof.

Only the column `split` is filled; no pair is dropped, added or moved. A pair that belongs to no
part (it straddles a cut in time) keeps a null there.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from numbers import Integral, Real
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from i2pa.errors import DataError, UserInputError, require, require_seed
from i2pa.pairs.schema import check_pairs_table
from i2pa.words import many

PARTS = ("train", "val", "test")
REST: Literal["rest"] = "rest"
"""In place of one count: all pairs that the other parts leave."""

By = Literal["user", "pair", "time"]

Ints = npt.NDArray[np.int64]
_NONE = len(PARTS)

_ADDED_UP = 10_000
"""Most pairs of a part that are chosen so as to add up; the time grows with them and with users."""

_CLOSE = 0.5
"""A part that is off by no more has the whole number of pairs that is nearest."""


@dataclass(frozen=True)
class Part:
    """One part of a split: its pairs, users, distinct images, and when its posts were uploaded.

    `users` is None where some pair has no user, `first` and `last` (UTC) where no time is known.
    """

    name: str
    pairs: int
    users: int | None
    images: int
    first: datetime | None
    last: datetime | None


@dataclass(frozen=True)
class PairsSplit:
    """Pairs with `split` filled, and the proof: users and images found in more than one part.

    `users_shared` is None where users cannot be told: `without_user` pairs of the parts have none,
    as pairs of two users do. `left_out` pairs straddle a cut in time and are in no part.
    """

    pairs: pa.Table
    by: By
    parts: tuple[Part, ...]
    users_shared: int | None
    images_shared: int
    left_out: int
    without_user: int = 0


def split_pairs(
    pairs: pa.Table,
    by: By = "user",
    fractions: Sequence[float] = (0.8, 0.1, 0.1),
    seed: int = 0,
    *,
    counts: Sequence[int | Literal["rest"]] | None = None,
) -> PairsSplit:
    """Share out pairs among train, val and test.

    By `user`, all pairs of a user go to the same part: users come in the order of a seeded hash,
    and each goes to the part that lacks most pairs by then; every part asked for gets a user. Then
    each part that is off its count, but for the "rest" (else the largest), exchanges a few users
    with that, which brings it to its count where whole users add up to it. By `pair`, as the paper
    does, pairs are shared out in the order of a seeded hash, so users and, unless each image is in
    one pair only, images are shared. By `time`, parts follow each other: no post of one was
    uploaded after any post of the next, and pairs that straddle a cut are in none. The part that is
    the "rest", else train, comes out smaller by those; the others have the sizes asked for, where
    times tell their pairs apart and there are enough.

    `fractions` are of pairs; `counts` (pairs of train, val, test; one may be "rest") replace them.
    Raises UserInputError for fractions that do not add up to 1 or counts beyond the pairs,
    DataError when there is no pair, there are fewer users than parts, or users or times are
    missing.
    """
    check_pairs_table(pairs)
    require_seed(seed)
    if by not in get_args(By):
        raise UserInputError(
            f"cannot split by {by!r}", remedy=f"choose from {', '.join(get_args(By))}"
        )
    wanted = _wanted(pairs.num_rows, fractions, counts)
    if pairs.num_rows == 0:
        raise DataError("there is no pair to split")
    if by == "time":
        rest = list(counts).index(REST) if counts is not None and REST in counts else 0
        part = _by_time(pairs, wanted, rest)
    elif by == "pair":
        part = _by_pair(pairs, wanted, seed)
    else:
        largest = wanted.index(max(wanted))
        rest = list(counts).index(REST) if counts is not None and REST in counts else largest
        # Nothing can be exchanged with a part that is to have no pair.
        part = _by_user(pairs, wanted, rest if wanted[rest] > 0 else largest, seed)
    names = pa.array([*PARTS, None], pa.string()).take(pa.array(part))
    column = pairs.column_names.index("split")
    table = pairs.set_column(column, pairs.schema.field("split"), names)
    images = [_images(table, name) for name in PARTS]
    placed = pc.is_valid(names)
    without_user = int(pc.sum(pc.and_(placed, pc.is_null(table["user_id"]))).as_py() or 0)
    users = [pc.unique(_users(table).filter(pc.equal(names, name))) for name in PARTS]
    return PairsSplit(
        pairs=table,
        by=by,
        parts=tuple(
            Part(
                *(name, int((part == i).sum())),
                None if users[i].null_count else len(users[i]),
                len(images[i]),
                *_span(table, name),
            )
            for i, name in enumerate(PARTS)
        ),
        users_shared=None if without_user else _in_several(users),
        images_shared=_in_several(images),
        left_out=int((part == _NONE).sum()),
        without_user=without_user,
    )


def _wanted(
    n: int, fractions: Sequence[float], counts: Sequence[int | Literal["rest"]] | None
) -> list[float]:
    """How many pairs each part should get."""
    if counts is None:
        given = _listed("fractions", fractions, lambda f: isinstance(f, Real), "three numbers")
        wanted = [float(f) for f in given]
        if len(wanted) != len(PARTS) or min(wanted) < 0 or not abs(sum(wanted) - 1) <= 1e-6:
            raise UserInputError(
                f"fractions are {tuple(wanted)}, but must be three from 0 that add up to 1",
                remedy="for example .8,.1,.1",
            )
        return [fraction * n for fraction in wanted]
    counts = _listed(
        "counts",
        counts,
        lambda count: isinstance(count, Integral) or count == REST,
        "three whole numbers, or 'rest' in place of one",
    )
    stated = [count for count in counts if count != REST]
    left = n - sum(stated)
    if len(counts) != len(PARTS) or len(counts) - len(stated) > 1 or min(stated) < 0:
        raise UserInputError(
            f"counts are {','.join(map(str, counts))}, but must be three from 0, one of which may "
            "be rest",
            remedy="for example rest,50000,50000",
        )
    if left < 0 or (left > 0 and len(stated) == len(PARTS)):
        raise UserInputError(
            f"counts add up to {sum(stated):,}, but the table holds {many(n, 'pair')}",
            remedy="write rest for one of them" if left > 0 else "ask for fewer",
        )
    return [float(left if count == REST else count) for count in counts]


def _listed(
    name: str, given: Iterable[object], is_one: Callable[[object], bool], wanted: str
) -> list[Any]:
    """What was given as a list, its kinds checked; what the numbers mean is not looked at."""
    is_list = isinstance(given, Iterable) and not isinstance(given, (str, bytes))
    values = list(given) if is_list else []
    require(is_list and all(map(is_one, values)), name, given, wanted)
    return values


def _by_user(pairs: pa.Table, wanted: list[float], rest: int, seed: int) -> Ints:
    if pairs["user_id"].null_count:
        raise DataError(
            "some pairs are of two users, so they cannot be split by user",
            remedy="split by pair or by time",
        )
    users = _users(pairs).combine_chunks().dictionary_encode()
    index = users.indices.to_numpy()
    sizes = np.bincount(index, minlength=len(users.dictionary))
    n_parts = sum(pairs_wanted > 0 for pairs_wanted in wanted)
    if len(sizes) < n_parts:
        found = "one user" if len(sizes) == 1 else f"{len(sizes)} users"
        raise DataError(
            f"the pairs are of {found}, so they cannot be split by user into {n_parts} parts",
            remedy="ask for fewer parts, or split by pair or by time",
        )
    names: list[str] = users.dictionary.to_pylist()
    order = sorted(range(len(names)), key=lambda i: (_hash(seed, names[i]), names[i]))
    lacks = wanted.copy()
    empty = [part for part, pairs_wanted in enumerate(wanted) if pairs_wanted > 0]
    part_of_user = np.zeros(len(names), dtype=np.int64)
    for done, user in enumerate(order):
        # The last users are kept for parts that would otherwise get none.
        choice = empty if len(names) - done <= len(empty) else range(len(PARTS))
        part = max(choice, key=lambda p: (wanted[p] > 0, lacks[p], -p))
        lacks[part] -= int(sizes[user])
        part_of_user[user] = part
        if part in empty:
            empty.remove(part)
    for part, pairs_wanted in enumerate(wanted):
        if part != rest and pairs_wanted > 0:
            _come_closer(part_of_user, sizes, order, part, rest, wanted)
    result: Ints = part_of_user[index]
    return result


def _come_closer(
    part_of: Ints, sizes: Ints, order: list[int], part: int, rest: int, wanted: list[float]
) -> None:
    """Let a part exchange users with the rest, where `sizes` [u] then come closer to its count.

    It gives back its last ones in `order`, as few as suffice, and takes the first that add up.
    """
    inside = [user for user in order if part_of[user] == part]
    off = abs(wanted[part] - float(sizes[inside].sum()))
    n_back = 0
    while off > _CLOSE:
        kept, back = inside[: len(inside) - n_back], set(inside[len(inside) - n_back :])
        lacks = wanted[part] - float(sizes[kept].sum())
        if lacks > _ADDED_UP:
            break
        pool = [user for user in order if part_of[user] == rest or user in back]
        # Neither the part nor the rest may be left without a user.
        fewest = 0 if kept else 1
        most = int(sizes[pool].sum()) - (wanted[rest] > 0)
        taken = _adding_up(sizes[pool], lacks, off, fewest, most)
        if taken is not None:
            part_of[list(back)] = rest
            part_of[[pool[place] for place in taken]] = part
            inside = [user for user in order if part_of[user] == part]
            off = abs(wanted[part] - float(sizes[inside].sum()))
            n_back = 0
        elif n_back == len(inside):
            break
        else:
            n_back = min(max(1, 2 * n_back), len(inside))


def _adding_up(sizes: Ints, wanted: float, off: float, fewest: int, most: int) -> list[int] | None:
    """Places of sizes whose sum is nearest to `wanted`; None where none is nearer than `off`.

    The sum is from `fewest` to `most`. Of all such choices it is the one that is complete first.
    """
    # Sums from here on are no nearer.
    end = min(math.ceil(wanted + off), most + 1)
    if end <= fewest:
        return None
    reached = np.zeros(end, dtype=bool)
    reached[0] = True
    last = np.zeros(end, dtype=np.int64)
    goal = min(max(round(wanted), fewest), end - 1)
    for place, size in enumerate(sizes.tolist()):
        if size >= end:
            continue
        new = np.flatnonzero(reached[:-size] & ~reached[size:]) + size
        reached[new] = True
        last[new] = place
        if reached[goal]:
            break
    sums = np.flatnonzero(reached)
    sums = sums[(sums >= fewest) & (np.abs(sums - wanted) < off)]
    if not sums.size:
        return None
    left = int(sums[np.abs(sums - wanted).argmin()])
    taken = []
    while left:
        taken.append(int(last[left]))
        left -= int(sizes[taken[-1]])
    return taken


def _by_pair(pairs: pa.Table, wanted: list[float], seed: int) -> Ints:
    ids = pc.binary_join_element_wise(
        pairs["platform"], pairs["winner_id"], pairs["loser_id"], "\x1f"
    ).to_pylist()
    order = sorted(range(len(ids)), key=lambda i: (_hash(seed, ids[i]), ids[i]))
    part = np.empty(len(ids), dtype=np.int64)
    part[order] = _in_turn(len(ids), wanted)
    return part


def _by_time(pairs: pa.Table, wanted: list[float], rest: int) -> Ints:
    """Cut so that the parts other than `rest` have the sizes wanted; it has all between the cuts.

    Parts before it are filled from the first pair on, those after it from the last one back. Posts
    of one moment stay together, so that a part may come out smaller.
    """
    if pairs["winner_time"].null_count or pairs["loser_time"].null_count:
        raise DataError(
            "some pairs have no times, so they cannot be split by time", remedy="split by user"
        )
    sides = [pairs[f"{side}_time"].cast(pa.int64()).to_numpy() for side in ("winner", "loser")]
    earlier, later = np.minimum(*sides), np.maximum(*sides)
    last = np.iinfo(np.int64).max
    start = -last
    part_of: Ints = np.full(len(later), _NONE)
    for part in range(rest):
        free = (start <= earlier) & (later <= last)
        start = _start_after(later[free], round(wanted[part]), start)
        part_of[free & (later < start)] = part
    for part in range(len(PARTS) - 1, rest, -1):
        free = (start <= earlier) & (later <= last)
        # As above, with time turned round.
        last = -_start_after(-earlier[free], round(wanted[part]), -last)
        part_of[free & (earlier > last)] = part
    part_of[(start <= earlier) & (later <= last)] = rest
    return part_of


def _start_after(ends: Ints, n: int, start: int) -> int:
    """When a part may start after one of `n` pairs, the first to end of those that end at `ends`.

    After fewer, where more end at one moment; at `start`, where that leaves none.
    """
    ends = np.sort(ends)
    kept = len(ends) if n >= len(ends) else int(np.searchsorted(ends, ends[n]))
    return int(ends[kept - 1]) + 1 if kept else start


def _in_turn(n: int, wanted: list[float]) -> Ints:
    """The part of the first, second … n-th pair: so many of each part as wanted, in turn."""
    ends = np.round(np.cumsum(wanted)).astype(np.int64)[:-1]
    return np.searchsorted(ends, np.arange(n), side="right")


def _hash(seed: int, name: str) -> bytes:
    return hashlib.blake2b(f"{seed}\x1f{name}".encode(), digest_size=8).digest()


def _users(table: pa.Table) -> pa.ChunkedArray:
    """Platform and user as one name; pairs of two users have none."""
    return pc.binary_join_element_wise(table["platform"], table["user_id"], "\x1f")


def _span(table: pa.Table, part: str) -> tuple[datetime | None, datetime | None]:
    """When the first and the last post of a part were uploaded."""
    inside = table.filter(pc.equal(table["split"], part))
    ends = [pc.min_max(inside[f"{side}_time"]).as_py() for side in ("winner", "loser")]
    known = [(end["min"], end["max"]) for end in ends if end["min"] is not None]
    if not known:
        return None, None
    return min(first for first, _ in known), max(last for _, last in known)


def _images(table: pa.Table, part: str) -> pa.Array:
    """Distinct images of a part: picture files where they are named, otherwise posts."""
    inside = pc.fill_null(pc.equal(table["split"], part), False)
    found = []
    for side in ("winner", "loser"):
        post = pc.binary_join_element_wise(table["platform"], table[f"{side}_id"], "\x1f")
        found += pc.coalesce(table[f"{side}_image"], post).filter(inside).chunks
    return pc.unique(pa.chunked_array(found, pa.string()))


def _in_several(parts: Sequence[pa.Array]) -> int:
    named = pa.chunked_array(list(parts), pa.string()).drop_null()
    counts = pc.value_counts(named)
    return int(pc.sum(pc.greater(counts.field(1), 1)).as_py() or 0)
