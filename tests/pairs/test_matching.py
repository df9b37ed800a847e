"""The greedy matching itself: rounds and loop agree with greed spelt out."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from i2pa.pairs.match import greedy

edge = st.tuples(st.integers(0, 9), st.integers(0, 9)).filter(lambda e: e[0] != e[1])


def plain_greed(edges: list[tuple[int, int]]) -> list[int]:
    used: set[int] = set()
    chosen = []
    for i, (a, b) in enumerate(edges):
        if a not in used and b not in used:
            used |= {a, b}
            chosen.append(i)
    return chosen


def run(edges: list[tuple[int, int]], n: int) -> list[int]:
    ends = np.array(edges, dtype=np.int64).reshape(-1, 2)
    chosen: list[int] = greedy(ends[:, 0], ends[:, 1], n).tolist()
    return chosen


@settings(deadline=None)
@given(st.lists(edge, max_size=40))
def test_equals_greed_spelt_out(edges: list[tuple[int, int]]) -> None:
    assert run(edges, 10) == plain_greed(edges)


def test_a_long_chain_is_finished_by_the_loop() -> None:
    chain = [(i, i + 1) for i in range(2000)]
    assert run(chain, 2001) == plain_greed(chain) == list(range(0, 2000, 2))
