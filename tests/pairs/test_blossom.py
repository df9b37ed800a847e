"""Maximum matchings: as many edges as networkx finds, and the work can be stopped."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_rules import crowd

from i2pa.pairs import build_pairs
from i2pa.pairs.blossom import NOBODY, grow
from i2pa.pairs.match import StoppedError

edge = st.tuples(st.integers(0, 15), st.integers(0, 15)).filter(lambda e: e[0] != e[1])


def matched(edges: list[tuple[int, int]], chosen: list[tuple[int, int]]) -> set[tuple[int, int]]:
    adjacent = np.zeros((16, 16), dtype=bool)
    mate = np.full(16, NOBODY)
    for a, b in edges:
        adjacent[a, b] = adjacent[b, a] = True
    for a, b in chosen:
        mate[a], mate[b] = b, a
    found = grow(adjacent, mate, lambda: None).tolist()
    pairs = {(a, b) for a, b in enumerate(found) if b != NOBODY}
    assert all((b, a) in pairs and adjacent[a, b] for a, b in pairs)
    return {(a, b) for a, b in pairs if a < b}


@settings(deadline=None, max_examples=300)
@given(st.lists(edge, max_size=40), st.booleans())
def test_no_matching_has_more_edges(edges: list[tuple[int, int]], begun: bool) -> None:
    networkx = pytest.importorskip("networkx")
    chosen: list[tuple[int, int]] = []
    for a, b in edges if begun else []:
        if not {a, b} & {end for pair in chosen for end in pair}:
            chosen.append((a, b))
    found = matched(edges, chosen)
    assert len(found) == len(networkx.max_weight_matching(networkx.Graph(edges), True))
    assert {end for pair in found for end in pair} >= {end for pair in chosen for end in pair}


def test_circles_of_circles() -> None:
    # Two triangles on one node, and a tail: both must be shrunk to get round them.
    edges = [(0, 1), (1, 2), (2, 0), (2, 3), (3, 4), (4, 2), (4, 5), (5, 6), (6, 7), (7, 5)]
    assert len(matched(edges, [(1, 2), (3, 4), (5, 6)])) == 4


def test_it_stops_between_searches() -> None:
    asked = []

    def go_on() -> None:
        asked.append(1)
        if len(asked) == 3:
            raise StoppedError

    with pytest.raises(StoppedError):
        grow(np.zeros((9, 9), dtype=bool), np.full(9, NOBODY), go_on)
    assert len(asked) == 3


def test_ctrl_c_ends_what_is_being_paired(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def pair_on(block: Any, how: Any, dropped: Any, stopped: Callable[[], bool]) -> None:
        end = time.monotonic() + 20
        while not stopped():
            assert time.monotonic() < end, "nobody said that it is over"
            time.sleep(0.01)
        seen.append("stopped")

    def wait(*given: Any, **more: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("i2pa.pairs.build.pair_block", pair_on)
    monkeypatch.setattr("i2pa.pairs.build.wait", wait)
    with pytest.raises(KeyboardInterrupt):
        build_pairs(crowd(10), matching="maximum")
    assert len(seen) <= 1


@pytest.mark.parametrize("matching", ["maximum", "most-certain", "closest-in-time"])
def test_every_matching_that_sees_all_pairs_stops(
    matching: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from i2pa.pairs.pairing import pair_block

    def stopped_at_once(*given: Any) -> Any:
        return pair_block(*given[:3], lambda: True)

    monkeypatch.setattr("i2pa.pairs.build.pair_block", stopped_at_once)
    with pytest.raises(StoppedError):
        build_pairs(crowd(10), matching=matching)
