"""One picture, one pair: which of the eligible pairs are kept.

The paper does not say how its pairs were chosen among the eligible ones. Three matchings here are
greedy: take the best pair left, drop all others that share a picture with it, go on; what differs
is the order. `maximum` keeps as many pairs as can be. Rules, posts and files stay out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from i2pa.pairs.candidates import Edges, Eligible, Floats, Hashes, Ints

Matching = Literal["random", "most-certain", "closest-in-time", "maximum"]
MATCHINGS: tuple[str, ...] = get_args(Matching)

EXACT_UP_TO = 1000
"""Posts of one group (a user's with the same tags) up to which `maximum` is exact.

Its time grows with the cube of the group; a larger group is matched at random.
"""

# A round that settles fewer than one pair in 32 meets a chain; from there a plain loop is cheaper.
_WORTHWHILE = 32


def match(edges: Edges, posts: Eligible, matching: Matching, id_ranks: Callable[[], Ints]) -> Ints:
    """Indices into `edges` of a maximal matching, best pairs first.

    `id_ranks` gives every post's place in the order of ids; ties end in (winner_id, loser_id).
    """
    order = _order(_priority(edges, posts, matching), edges, id_ranks)
    left, right = edges.winner[order] - edges.first, edges.loser[order] - edges.first
    if matching == "maximum":
        exact = exactly_matched(posts.group_end)[edges.winner[order]]
        places = np.flatnonzero(exact), np.flatnonzero(~exact)
        kept = [_maximum(left[places[0]], right[places[0]])]
        kept.append(greedy(left[places[1]], right[places[1]], edges.stop - edges.first))
        chosen: Ints = order[np.concatenate([places[i][kept[i]] for i in (0, 1)])]
        return chosen
    return order[greedy(left, right, edges.stop - edges.first)]


def exactly_matched(group_end: Ints) -> npt.NDArray[np.bool_]:
    """Whether each post is in a group small enough for an exact maximum matching."""
    sizes = group_end - np.searchsorted(group_end, group_end)
    return np.asarray(sizes <= EXACT_UP_TO)


def _maximum(left: Ints, right: Ints) -> Ints:
    """Indices of a matching of the most edges (Edmonds' blossom algorithm), part by part.

    Of several such matchings it is the one that the algorithm meets first with the edges in the
    order given, so a seeded order gives a seeded choice.
    """
    import rustworkx

    nodes, ends = np.unique(np.concatenate([left, right]), return_inverse=True)
    ends = ends.reshape(2, -1)
    graph = rustworkx.PyGraph(multigraph=False)
    graph.add_nodes_from(range(len(nodes)))
    graph.add_edges_from(
        list(zip(ends[0].tolist(), ends[1].tolist(), range(len(left)), strict=True))
    )
    kept = []
    for part in rustworkx.connected_components(graph):
        piece = graph.subgraph(sorted(part))
        for a, b in rustworkx.max_weight_matching(piece, max_cardinality=True):
            kept.append(piece.get_edge_data(a, b))
    return np.sort(np.array(kept, dtype=np.int64))


def keep_per_user(winner: Ints, loser: Ints, posts: Eligible, at_most: int) -> Ints:
    """Indices of a seeded choice of `at_most` pairs of each user."""
    user = posts.user[winner]
    order = np.lexsort((loser, winner, _pair_hash(posts, winner, loser), user))
    run = user[order]
    place = np.arange(run.size) - np.searchsorted(run, run)
    return np.sort(order[place < at_most])


def _pair_hash(posts: Eligible, winner: Ints, loser: Ints) -> Hashes:
    """A seeded number of each pair, whatever the order of rows."""
    return _mix(posts.hash[winner] ^ _mix(posts.hash[loser]))


def _priority(edges: Edges, posts: Eligible, matching: Matching) -> Floats | Ints | Hashes:
    """What to take first: the smallest."""
    winner, loser = edges.winner, edges.loser
    if matching == "most-certain":
        doubt: Floats = posts.s[loser] - posts.s[winner]
        return doubt
    if matching == "closest-in-time":
        apart: Ints = np.abs(posts.time[loser] - posts.time[winner])
        return apart
    return _pair_hash(posts, winner, loser)


def _mix(x: Hashes) -> Hashes:
    """The finaliser of splitmix64: two posts' hashes become their pair's."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _order(priority: Floats | Ints | Hashes, edges: Edges, id_ranks: Callable[[], Ints]) -> Ints:
    order = np.argsort(priority)
    ordered = priority[order]
    if np.any(ordered[1:] == ordered[:-1]):
        ranks = id_ranks()
        order = np.lexsort((ranks[edges.loser], ranks[edges.winner], priority))
    return order


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
