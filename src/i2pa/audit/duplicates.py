"""Which pictures are the same: byte for byte, or to the eye.

Arrays in, group numbers out.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from i2pa.audit.pairlist import Bools, Ints
from i2pa.audit.pictures import Pictures

MOST_BITS = 7
"""Fingerprints (64 bits) that differ in more are of different pictures."""
LEAST_CORRELATION = 0.95
"""Small grey pictures that correlate less are different, whatever their fingerprints say."""

_BANDS = 4
_AT_ONCE = 4_000_000
_POPULATION = np.array([bin(value).count("1") for value in range(1 << 16)], dtype=np.uint8)


def exact_groups(pictures: Pictures) -> Ints:
    """A number [m] for each picture: equal for files of equal bytes."""
    return np.asarray(pictures.sha256.dictionary_encode().indices.to_numpy(), dtype=np.int64)


def near_groups(pictures: Pictures) -> Ints:
    """A number [m] for each picture: equal for pictures the eye takes for one, and for equal bytes.

    Two pictures are near when their fingerprints differ in MOST_BITS of 64 bits or fewer and their
    small grey versions correlate at LEAST_CORRELATION or more. Groups are chained: near to near is
    the same group.
    """
    exact = exact_groups(pictures)
    _, first = np.unique(exact, return_index=True)
    with_print = first[pictures.fingerprint[first] != 0]
    near = near_pairs(pictures.fingerprint[with_print])
    one, other = with_print[near[:, 0]], with_print[near[:, 1]]
    alike = _correlation(pictures.grey, one, other) >= LEAST_CORRELATION
    return connected(exact.max() + 1, exact[one[alike]], exact[other[alike]])[exact]


def near_pairs(fingerprints: npt.NDArray[np.uint64], most_bits: int = MOST_BITS) -> Ints:
    """Index pairs [k, 2], first < second, of fingerprints [m] that differ in few bits.

    `most_bits` is 0 to 7: of four 16-bit parts, at least one then differs in a bit or none, so only
    fingerprints with a part that close are compared. Equal fingerprints come as a chain.
    """
    if not 0 <= most_bits < 2 * _BANDS:
        raise ValueError("at most 7 bits: four parts find no more")
    distinct, index = np.unique(fingerprints, return_inverse=True)
    found = [
        edges
        for band in range(_BANDS)
        for flip in (0, *(1 << bit for bit in range(16)))
        for edges in _close_in_part(distinct, band, flip, most_bits)
    ]
    edges = np.unique(np.concatenate([np.empty((0, 2), dtype=np.int64), *found]), axis=0)
    return _spelled_out(edges, index, len(distinct))


def connected(n: int, one: Ints, other: Ints) -> Ints:
    """The smallest number in each number's group [n], where edges [k] tie `one` to `other`."""
    group = np.arange(n)
    while True:
        low = np.minimum(group[one], group[other])
        new = group.copy()
        np.minimum.at(new, one, low)
        np.minimum.at(new, other, low)
        new = new[new]
        if np.array_equal(new, group):
            return group
        group = new


def _close_in_part(
    distinct: npt.NDArray[np.uint64], band: int, flip: int, most_bits: int
) -> Iterator[Ints]:
    """Near pairs of `distinct` fingerprints whose 16-bit part `band` differs by the bits `flip`."""
    part = ((distinct >> np.uint64(16 * band)) & np.uint64(0xFFFF)).astype(np.int64)
    order = np.argsort(part, kind="stable")
    sizes = np.bincount(part, minlength=1 << 16)
    starts = np.cumsum(sizes) - sizes
    wanted = part ^ flip
    many = sizes[wanted]
    chunk = np.cumsum(many) // _AT_ONCE
    for number in np.unique(chunk):
        rows = np.flatnonzero(chunk == number)
        one = np.repeat(rows, many[rows])
        place = np.arange(len(one)) - np.repeat(np.cumsum(many[rows]) - many[rows], many[rows])
        other = order[starts[wanted[one]] + place]
        one, other = one[one < other], other[one < other]
        near = _bits(distinct[one] ^ distinct[other]) <= most_bits
        yield np.stack([one[near], other[near]], axis=1)


def _spelled_out(edges: Ints, index: Ints, n_distinct: int) -> Ints:
    """Near pairs of distinct fingerprints as pairs of pictures; equal fingerprints are chained."""
    order = np.argsort(index, kind="stable")
    starts = np.searchsorted(index[order], np.arange(n_distinct))
    chain = np.stack([order[:-1], order[1:]], axis=1)[np.diff(index[order]) == 0]
    between = order[starts][edges]
    return np.sort(np.concatenate([chain, between]), axis=1)


def _bits(different: npt.NDArray[np.uint64]) -> Ints:
    """How many bits are set in each of [k] 64-bit numbers."""
    return np.asarray(_POPULATION[different.view(np.uint16).reshape(-1, 4)].sum(axis=1, dtype=int))


def _correlation(grey: npt.NDArray[np.uint8], one: Ints, other: Ints) -> npt.NDArray[np.float64]:
    """Pearson correlation [k] of the small pictures numbered `one` and `other` [k]."""
    flat = grey.reshape(len(grey), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)
    found = np.empty(len(one))
    for start in range(0, len(one), 4096):
        part = slice(start, start + 4096)
        found[part] = (flat[one[part]] * flat[other[part]]).sum(axis=1)
    return found


def is_shared(group: Ints, part: Ints) -> Bools:
    """Which rows [n] belong to a group that occurs in more than one part; part -1 is none."""
    known = part >= 0
    low = np.full(group.max(initial=0) + 1, np.iinfo(np.int64).max)
    high = np.full(len(low), -1)
    np.minimum.at(low, group[known], part[known])
    np.maximum.at(high, group[known], part[known])
    shared: Bools = known & (low[group] != high[group])
    return shared
