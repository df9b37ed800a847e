"""Do the parts of a split share users or pictures, and does the list contradict itself?"""

from __future__ import annotations

from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from i2pa.audit.checks import CLEAN, LEAKS, Check, Skipped
from i2pa.audit.duplicates import exact_groups, is_shared
from i2pa.audit.pairlist import Bools, Ints, PairList
from i2pa.audit.pictures import Pictures
from i2pa.words import many

NO_SPLIT = "the list has no split; make one with: i2pa split"


def shared_users(pairs: PairList) -> Check | Skipped:
    """Users with pairs in more than one part of the split."""
    name = "users_shared_by_splits"
    part = _parts(pairs)
    if part is None:
        return Skipped(name, NO_SPLIT)
    if not pairs.clustered:
        return Skipped(name, "some pairs have no user_id")
    users = pairs.table["user_id"].combine_chunks()
    return _shared(name, "users", "in more than one part", pairs, pairs.users, part, users)


def shared_pictures(
    pairs: PairList, pictures: Pictures | None, near: Ints | None
) -> list[Check | Skipped]:
    """Pictures in more than one part: the same name, the same bytes, the same to the eye.

    `near` are the `near_groups` of the pictures, where there are any.
    """
    part = _parts(pairs)
    names = [f"{kind}_pictures_shared_by_splits" for kind in ("named", "equal", "near")]
    if part is None:
        return [Skipped(name, NO_SPLIT) for name in names]
    both = np.concatenate([part, part])
    how = "in more than one part, by name or post"
    found: list[Check | Skipped] = [
        _shared(names[0], "pictures", how, pairs, _posts(pairs), both, _names(pairs))
    ]
    if pictures is None or near is None:
        return found + [Skipped(name, "give --images DIR") for name in names[1:]]
    rows = _rows(pairs, pictures).T.ravel()
    inside = rows >= 0
    for name, group, how in (
        (names[1], exact_groups(pictures), "by SHA-256"),
        (names[2], near, "to the eye"),
    ):
        shared = group[rows[inside]], both[inside], pictures.names.take(pa.array(rows[inside]))
        found.append(_shared(name, "pictures", f"in more than one part, {how}", pairs, *shared))
    return found


def contradictions(pairs: PairList, pictures: Pictures | None, near: Ints | None) -> Check:
    """Pairs of a picture with itself, and pairs of the same two pictures with opposite winners.

    The same means the same name or post, and of pictures that were read the same to the eye, too.
    """
    sides = _posts(pairs).reshape(2, -1).T
    names = _names(pairs)
    by = "by name; give --images DIR to compare pictures"
    if pictures is not None and near is not None:
        rows = _rows(pairs, pictures)
        seen = int((rows >= 0).all(axis=1).sum())
        by = f"to the eye in {seen:,} of {many(pairs.n, 'pair')}, by name in the others"
        if seen in (0, pairs.n):
            by = "to the eye" if seen else "by name; no pair has both pictures in the folders given"
        sides = np.where(rows >= 0, near[rows], near.max() + 1 + sides)
    size = sides.max() + 1
    forward, backward = sides @ [size, 1], sides @ [1, size]
    itself = sides[:, 0] == sides[:, 1]
    turned = ~itself & np.isin(forward, backward)
    at_fault = np.flatnonzero(itself | turned)
    bad = at_fault.size
    won, lost = (names.take(pa.array(at_fault + side * pairs.n)).to_pylist() for side in (0, 1))
    return Check(
        name="contradicting_pairs",
        title="pairs that contradict each other or themselves",
        value=bad,
        low=None,
        high=None,
        n=pairs.n,
        users=_n_users(pairs),
        verdict="breaks the rule" if bad else "keeps the rule",
        unit="pairs",
        says=f"{itself.sum():,} of {many(pairs.n, 'pair')} set a picture against itself and "
        f"{turned.sum():,} have an opposite pair of the same two pictures ({by})",
        found=tuple(sorted(f"{a} over {b}" for a, b in zip(won, lost, strict=True))),
    )


def _parts(pairs: PairList) -> Ints | None:
    """The part of each pair as a number [n], -1 for none; None where no pair has any."""
    column = pairs.table["split"]
    if column.null_count == pairs.n:
        return None
    codes = column.combine_chunks().dictionary_encode().indices.fill_null(-1)
    parts: Ints = codes.to_numpy().astype(np.int64)
    return parts


def _posts(pairs: PairList) -> Ints:
    """A number for the picture of each winner, then of each loser [2n], by file name or post."""
    named = [
        pc.coalesce(pairs.table[f"{side}_image"].combine_chunks(), pairs.keys(side)).to_pylist()
        for side in ("winner", "loser")
    ]
    _, index = np.unique(np.array(named[0] + named[1], dtype=object), return_inverse=True)
    return np.asarray(index, dtype=np.int64)


def _names(pairs: PairList) -> pa.Array:
    """What to call the picture of each winner, then of each loser [2n]: its file, or its post."""
    table = pairs.table
    return pa.concat_arrays(
        [
            pc.coalesce(table[f"{side}_image"], table[f"{side}_id"]).combine_chunks()
            for side in ("winner", "loser")
        ]
    )


def _rows(pairs: PairList, pictures: Pictures) -> Ints:
    """Rows of `pictures` of each pair [n, 2], winner first; -1 for none."""
    sides = [pictures.rows(pairs.table[f"{side}_image"]) for side in ("winner", "loser")]
    return np.stack(sides, axis=1)


def _shared(
    name: str,
    unit: Literal["users", "pictures"],
    where: str,
    pairs: PairList,
    group: Ints,
    part: Ints,
    names: pa.Array,
) -> Check | Skipped:
    """How many distinct groups [k] of `names` [k] occur in more than one part [k]."""
    shared: Bools = is_shared(group, part)
    n_groups, n_shared = len(np.unique(group[part >= 0])), len(np.unique(group[shared]))
    if not n_groups:
        return Skipped(name, "no picture of any part is in the folders given")
    return Check(
        name=name,
        title=f"{unit} {where}",
        value=n_shared,
        low=None,
        high=None,
        n=n_groups,
        users=_n_users(pairs),
        verdict=LEAKS if n_shared else CLEAN,
        unit=unit,
        says=f"{n_shared:,} of {many(n_groups, unit.removesuffix('s'))} {where}",
        found=_called(group[shared], names.filter(pa.array(shared))),
    )


def _called(group: Ints, names: pa.Array) -> tuple[str, ...]:
    """Each group's distinct names [k] as 'a.jpg = b.jpg', whatever the order of rows."""
    called: dict[int, set[str]] = {}
    for number, name in zip(group.tolist(), names.to_pylist(), strict=True):
        called.setdefault(number, set()).add(name)
    return tuple(sorted(" = ".join(sorted(of_one)) for of_one in called.values()))


def _n_users(pairs: PairList) -> int | None:
    return len(np.unique(pairs.users)) if pairs.clustered else None
