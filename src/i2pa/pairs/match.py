"""One picture, one pair: which of the eligible pairs are kept.

The paper does not say how its pairs were chosen among the eligible ones. Three matchings here are
greedy: take the best pair left, drop all others that share a picture with it, go on; what differs
is the order. `maximum` keeps as many pairs as can be. Rules, posts and files stay out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from i2pa.pairs.blossom import NOBODY, grow
from i2pa.pairs.candidates import Edges, Eligible, Floats, Ints, Looks, edges
from i2pa.pairs.hashes import pair_hash
from i2pa.pairs.rules import PairRules

Matching = Literal["random", "most-certain", "closest-in-time", "maximum"]
MATCHINGS: tuple[str, ...] = get_args(Matching)

EXACT_UP_TO = 1000
"""Posts of one group (a user's with the same tags) up to which `maximum` is exact.

It looks at all pairs of a group, whose number is the square; a larger group is matched at random.
"""

# A round that settles fewer than one pair in 32 meets a chain; from there a plain loop is cheaper.
_WORTHWHILE = 32


@dataclass(frozen=True)
class Matched:
    """The pairs kept (places of the posts), and how many were near in hashtags, discriminable."""

    winner: Ints
    loser: Ints
    alike: int
    discriminable: int

    def __add__(self, other: Matched) -> Matched:
        """The pairs and counts of two sets of groups together."""
        return Matched(
            np.concatenate([self.winner, other.winner]),
            np.concatenate([self.loser, other.loser]),
            self.alike + other.alike,
            self.discriminable + other.discriminable,
        )


class StoppedError(Exception):
    """Nobody waits for these pairs any more."""


def match_all(
    posts: Eligible,
    looks: Looks,
    rules: PairRules,
    matching: Matching | None,
    stopped: Callable[[], bool] = lambda: False,
) -> Matched:
    """Pairs of a matching that sees all discriminable pairs at once; without one, all of them.

    Raises StoppedError soon after `stopped` says so.
    """

    def go_on() -> None:
        if stopped():
            raise StoppedError

    kept = [(np.zeros(0, np.int64), np.zeros(0, np.int64))]
    n_alike = n_sure = 0
    for some in edges(posts, looks, rules):
        go_on()
        n_alike += some.alike
        n_sure += some.winner.size
        chosen = slice(None) if matching is None else _match(some, posts, matching, go_on)
        kept.append((some.winner[chosen], some.loser[chosen]))
    winner, loser = (np.concatenate([pairs[side] for pairs in kept]) for side in (0, 1))
    return Matched(winner, loser, n_alike, n_sure)


def _match(edges: Edges, posts: Eligible, matching: Matching, go_on: Callable[[], None]) -> Ints:
    """Indices into `edges` of a maximal matching, best pairs first; ties in a seeded order."""
    hashes = pair_hash(posts.hash[edges.winner], posts.hash[edges.loser])
    apart: tuple[Floats | Ints, ...] = ()
    if matching == "most-certain":
        apart = (posts.s[edges.loser] - posts.s[edges.winner],)
    elif matching == "closest-in-time":
        apart = (np.abs(posts.time[edges.loser] - posts.time[edges.winner]),)
    order = np.lexsort((hashes, *apart))
    left, right = edges.winner[order] - edges.first, edges.loser[order] - edges.first
    chosen = greedy(left, right, edges.stop - edges.first)
    if matching == "maximum":
        chosen = _most(left, right, chosen, posts.group_end[edges.winner[order]], go_on)
    return np.asarray(order[chosen])


def exactly_matched(group_end: Ints) -> npt.NDArray[np.bool_]:
    """Whether each post is in a group small enough for an exact maximum matching."""
    sizes = group_end - np.searchsorted(group_end, group_end)
    return np.asarray(sizes <= EXACT_UP_TO)


def _most(left: Ints, right: Ints, chosen: Ints, group: Ints, go_on: Callable[[], None]) -> Ints:
    """Indices of a matching of the most edges, grown from the edges `chosen` in each `group` [e].

    Of several such matchings it is one of those nearest to the greedy one, whose posts all stay.
    """
    taken = np.zeros(left.size, dtype=bool)
    taken[chosen] = True
    # In one group at a time, so that the matrix stays small.
    by_group = np.argsort(group, kind="stable")
    for at in np.split(by_group, np.flatnonzero(np.diff(group[by_group])) + 1):
        nodes, ends = np.unique(np.concatenate([left[at], right[at]]), return_inverse=True)
        if nodes.size - 2 * np.count_nonzero(taken[at]) < 2:
            continue
        one, other = ends.reshape(2, -1)
        adjacent = np.zeros((nodes.size, nodes.size), dtype=bool)
        adjacent[one, other] = adjacent[other, one] = True
        mate = np.full(nodes.size, NOBODY)
        mate[one[taken[at]]], mate[other[taken[at]]] = other[taken[at]], one[taken[at]]
        taken[at] = grow(adjacent, mate, go_on)[one] == other
    return np.flatnonzero(taken)


def keep_per_user(winner: Ints, loser: Ints, posts: Eligible, at_most: int) -> Ints:
    """Indices of a seeded choice of `at_most` pairs of each user."""
    user = posts.user[winner]
    hashes = pair_hash(posts.hash[winner], posts.hash[loser])
    order = np.lexsort((loser, winner, hashes, user))
    run = user[order]
    place = np.arange(run.size) - np.searchsorted(run, run)
    return np.sort(order[place < at_most])


def greedy(left: Ints, right: Ints, n: int) -> Ints:
    """Greedy matching of edges given best first, between nodes 0 ≤ i < n: indices of the chosen.

    In rounds: an edge that comes first at both its ends is one that greed would take. Chains, in
    which each edge waits for the one before, would need very many rounds; a loop finishes those.
    """
    free = np.ones(n, dtype=bool)
    alive = np.arange(left.size)
    chosen = []
    while alive.size:
        place = np.arange(alive.size)
        ends = left[alive], right[alive]
        first = np.full(n, alive.size)
        for nodes in ends:
            at = np.full(n, alive.size)
            # Of repeated indices numpy keeps the last value, so write the best one last.
            at[nodes[::-1]] = place[::-1]
            np.minimum(first, at, out=first)
        best = (first[ends[0]] == place) & (first[ends[1]] == place)
        chosen.append(alive[best])
        free[ends[0][best]] = False
        free[ends[1][best]] = False
        before = alive.size
        alive = alive[free[ends[0]] & free[ends[1]]]
        if (before - alive.size) * _WORTHWHILE < before:
            chosen.append(_greedy_loop(left, right, free, alive))
            break
    return np.sort(np.concatenate(chosen)) if chosen else alive


def _greedy_loop(left: Ints, right: Ints, free: npt.NDArray[np.bool_], alive: Ints) -> Ints:
    open_ends = free.tolist()
    taken = []
    ends = left[alive].tolist(), right[alive].tolist()
    for edge, a, b in zip(alive.tolist(), *ends, strict=True):
        if open_ends[a] and open_ends[b]:
            open_ends[a] = open_ends[b] = False
            taken.append(edge)
    return np.array(taken, dtype=np.int64)
