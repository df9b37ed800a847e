"""The default matching: every post looks at its candidates one by one, until one is free.

All posts look at their first candidate, then those still free at their second, and so on; within a
round the pairs come in a seeded random order. It is greedy, so no eligible pair of two free posts
is left, yet most posts are matched long before their last candidate is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from i2pa.pairs.candidates import (
    Eligible,
    Hashes,
    Ints,
    Looks,
    Mask,
    alike,
    discriminable,
    first_looks,
)
from i2pa.pairs.hashes import pair_hash
from i2pa.pairs.match import Matched
from i2pa.pairs.rules import PairRules

# An edge's priority is its hash with its place in the low bits, so that no two are equal.
_PLACE_BITS = 24
_PLACE_LIMIT = 1 << _PLACE_BITS
_LAST = np.iinfo(np.uint64).max


def match_in_rounds(posts: Eligible, looks: Looks, rules: PairRules) -> Matched:
    """A random maximal matching of the discriminable pairs that the posts look at.

    Every post looks at all its candidates in the end, free or not, so that they are counted.
    """
    rows = np.flatnonzero(looks.at_most)
    # Who looks longest comes first, so that each round concerns the first few of what is left.
    rows = rows[_falling(looks.at_most[rows])]
    rounds_of = looks.at_most[rows]
    windows = (looks.size[rows], *first_looks(posts, looks, rows))
    # Short numbers, as the rounds take as long as what they read; a sum of two stays below 2^32.
    size, offset, step, after = (values.astype(np.uint32) for values in (*windows, rows + 1))
    s = posts.s[rows]
    free = np.ones(len(looks.size), dtype=bool)
    # Places in `rows` of the posts that are free, and a few others.
    unmatched = np.arange(rows.size)
    best = np.full(len(looks.size), _LAST)
    taken: list[tuple[Ints, Ints]] = []
    n_alike = n_sure = 0
    for n in _still_looking(rounds_of):
        rows, size, offset, step, s = rows[:n], size[:n], offset[:n], step[:n], s[:n]
        right = after[:n] + offset
        gap = s - posts.s.take(right)
        sure = discriminable(gap, posts, rows, right, rules)
        if rules.hashtag_tolerance is not None:
            near = alike(posts, rows, right, rules)
            n_alike += int(np.count_nonzero(near))
            sure &= near
        n_sure += int(np.count_nonzero(sure))
        # Most posts are matched after a few rounds: look further at the others only.
        unmatched = unmatched[: unmatched.searchsorted(n)]
        wanted = unmatched.take(np.flatnonzero(sure.take(unmatched)))
        wanted = wanted[free.take(right[wanted])]
        wanted = wanted[free.take(rows[wanted])]
        far = right[wanted].astype(np.int64)
        taken += _settle(rows[wanted], far, gap[wanted] > 0, posts.hash, free, best)
        # Later rounds match too few to look for them.
        if 32 * wanted.size > unmatched.size:
            unmatched = unmatched.take(np.flatnonzero(free.take(rows.take(unmatched))))
        offset += step
        # Below 0 an unsigned number becomes a huge one: this is offset modulo size.
        np.minimum(offset, offset - size, out=offset)
    winner, loser = (
        np.concatenate([pairs[side] for pairs in taken] or [np.zeros(0, np.int64)])
        for side in (0, 1)
    )
    if rules.hashtag_tolerance is None:
        n_alike = int(looks.at_most.sum())
    return Matched(winner, loser, n_alike, n_sure)


def _falling(values: Ints) -> Ints:
    """Places of the values, the largest first, in their order where they are equal."""
    largest = int(values.max()) if values.size else 0
    # Of short numbers numpy counts how often each comes, which is quicker than to compare them.
    kind = np.uint16 if largest <= np.iinfo(np.uint16).max else np.uint64
    return np.argsort((largest - values).astype(kind), kind="stable")


def _still_looking(rounds_of: Ints) -> Iterator[int]:
    """How many posts look in the first round, the second and so on; `rounds_of` falls."""
    rounds = np.arange(rounds_of[0] if rounds_of.size else 0)
    yield from np.searchsorted(-rounds_of, -rounds, side="left").tolist()


def _settle(
    left: Ints, right: Ints, left_wins: Mask, hashes: Hashes, free: Mask, best: Hashes
) -> list[tuple[Ints, Ints]]:
    """Winners and losers of the pairs that greed takes, best priority first; their ends are no
    longer `free`. No post is twice in `left`. `best` is scratch space, full of _LAST.
    """
    if not left.size:
        return []
    priority = _priorities(left, right, hashes)
    taken = []
    while left.size:
        # A pair that comes first at both its ends is one that greed would take.
        best[left] = priority
        np.minimum.at(best, right, priority)
        # A post may be in `right` of one pair and in `left` of another, written above.
        first = np.flatnonzero((best[left] == priority) & (best[right] == priority))
        best[left] = best[right] = _LAST
        a, b, wins = left[first], right[first], left_wins[first]
        taken.append((np.where(wins, a, b), np.where(wins, b, a)))
        free[a] = free[b] = False
        still = np.flatnonzero(free[left] & free[right])
        left, right = left[still], right[still]
        left_wins, priority = left_wins[still], priority[still]
    return taken


def _priorities(left: Ints, right: Ints, hashes: Hashes) -> Hashes:
    place = np.arange(left.size, dtype=np.uint64)
    random = pair_hash(hashes[left], hashes[right]) >> np.uint64(_PLACE_BITS)
    if left.size > _PLACE_LIMIT:
        priority = np.empty_like(place)
        priority[np.argsort(random, kind="stable")] = place
        return priority
    return (random << np.uint64(_PLACE_BITS)) | place
