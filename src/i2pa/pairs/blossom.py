"""As many edges of a graph as can be kept where each node may be in one: Edmonds' algorithm.

On a matrix in numpy, so that a thousand nodes with all their edges take a fraction of a second,
and between two searches it can be stopped. Which graph this is, is `match`'s business.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

NOBODY = -1


def grow(adjacent: Mask, mate: Ints, going_on: Callable[[], None]) -> Ints:
    """A maximum matching [n] grown from the matching `mate`: each node's partner, or NOBODY.

    `adjacent` [n, n] is symmetric, its diagonal False. `going_on` is called before each search and
    may raise.
    """
    partner: list[int] = mate.tolist()
    alive = np.ones(len(partner), dtype=bool)
    for root in np.flatnonzero(mate == NOBODY).tolist():
        if partner[root] != NOBODY:
            continue
        going_on()
        search = _Search(adjacent, partner, alive, root)
        if not search.augmented():
            # No later search can use what this one reached in vain.
            alive &= ~search.reached
    return np.array(partner, dtype=np.int64)


class _Search:
    """A tree of alternating paths from a free node; odd circles in it are shrunk to their base.

    Even nodes lie an even number of edges from the root, or on a shrunk circle. `before` is the
    node from which an odd one was reached, or the way round its circle.
    """

    def __init__(self, adjacent: Mask, partner: list[int], alive: Mask, root: int) -> None:
        n = len(partner)
        self._adjacent = adjacent
        self._partner = partner
        self._before = [NOBODY] * n
        self._base = np.arange(n)
        self._even = np.zeros(n, dtype=bool)
        self._free = np.array(partner) == NOBODY
        self._unreached = alive.copy()
        self._unreached[root] = False
        self._even[root] = True
        self._alive = alive
        self._waiting = deque([root])

    @property
    def reached(self) -> Mask:
        """Nodes of the tree [n]."""
        return self._alive & ~self._unreached

    def augmented(self) -> bool:
        """Whether a path to another free node was found; partners along it are changed."""
        while self._waiting:
            node = self._waiting.popleft()
            beside = self._adjacent[node]
            new = np.flatnonzero(beside & self._unreached)
            if new.size:
                ends = new[self._free[new]]
                if ends.size:
                    self._before[end := int(ends[0])] = node
                    self._turn(end)
                    return True
                self._add(node, new.tolist())
            while True:
                circles = beside & self._even & (self._base != self._base[node])
                other = int(circles.argmax())
                if not circles[other]:
                    break
                self._shrink(node, other)
        return False

    def _add(self, node: int, odd: list[int]) -> None:
        even = [self._partner[one] for one in odd]
        for one in odd:
            self._before[one] = node
        self._unreached[odd] = False
        self._unreached[even] = False
        self._even[even] = True
        self._waiting.extend(even)

    def _turn(self, end: int) -> None:
        """Along the path back to the root, matched edges become free and free ones matched."""
        while end != NOBODY:
            node = self._before[end]
            following = self._partner[node]
            self._partner[end], self._partner[node] = node, end
            end = following

    def _shrink(self, one: int, other: int) -> None:
        """Make one of the circle that the edge between two even nodes closes."""
        base = self._meeting(one, other)
        inside = np.zeros(len(self._partner), dtype=bool)
        self._mark(one, base, other, inside)
        self._mark(other, base, one, inside)
        circle = inside[self._base]
        self._base[circle] = base
        new = np.flatnonzero(circle & ~self._even)
        self._even[new] = True
        self._waiting.extend(new.tolist())

    def _meeting(self, one: int, other: int) -> int:
        """The base at which the ways of two even nodes to the root meet."""
        passed = set[int]()
        while True:
            one = int(self._base[one])
            passed.add(one)
            if self._partner[one] == NOBODY:
                break
            one = self._before[self._partner[one]]
        while (other := int(self._base[other])) not in passed:
            other = self._before[self._partner[other]]
        return other

    def _mark(self, node: int, base: int, across: int, inside: Mask) -> None:
        """Mark the bases from an even node up to `base`; what was odd there is reached `across`."""
        while self._base[node] != base:
            mate = self._partner[node]
            inside[self._base[node]] = inside[self._base[mate]] = True
            self._before[node] = across
            across, node = mate, self._before[mate]
