"""The default matching against its definition, spelt out post by post."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from i2pa.pairs import PAPER
from i2pa.pairs.candidates import Eligible, Looks
from i2pa.pairs.hashes import pair_hash
from i2pa.pairs.rounds import match_in_rounds

RULES = replace(PAPER, sigma=1, confidence=0.6)


def posts_of(s: list[float], seed: int) -> Eligible:
    n = len(s)
    rng = np.random.default_rng(seed)
    return Eligible(
        user=np.zeros(n, np.int64),
        group_end=np.full(n, n),
        time=np.arange(n),
        date=np.arange(n),
        s=np.array(s, dtype=np.float64),
        noise=None,
        tags=None,
        hash=rng.integers(0, 2**63, n).astype(np.uint64),
    )


def spelt_out(posts: Eligible, looks: Looks) -> tuple[set[tuple[int, int]], int]:
    n = len(posts.s)
    seen = []
    for i in range(n):
        size = int(looks.size[i])
        start, step = (int(posts.hash[i]) % size, (2**31 - 1) % size) if size else (0, 0)
        order = [i + 1 + (start + k * step) % size for k in range(int(looks.at_most[i]))]
        assert len(set(order)) == len(order)
        seen.append(order)
    free, taken, sure = set(range(n)), set(), 0
    for k in range(max(map(len, seen), default=0)):
        edges = []
        for i in sorted(range(n), key=lambda i: -len(seen[i])):
            if k < len(seen[i]) and abs(posts.s[i] - posts.s[seen[i][k]]) >= RULES.min_log_gap:
                j = seen[i][k]
                sure += 1
                edges.append((int(pair_hash(posts.hash[[i]], posts.hash[[j]])[0]) >> 24, i, j))
        for _, i, j in sorted(edges, key=lambda edge: edge[0]):
            if {i, j} <= free:
                free -= {i, j}
                taken.add((i, j) if posts.s[i] > posts.s[j] else (j, i))
    return taken, sure


@given(
    st.lists(st.sampled_from([1.0, 2.0, 3.0, 5.0]), min_size=1, max_size=25),
    st.integers(1, 6),
    st.integers(0, 9),
    st.booleans(),
)
def test_equals_its_definition(s: list[float], at_most: int, seed: int, many: bool) -> None:
    posts = posts_of(s, seed)
    size = np.arange(len(s))[::-1].copy()
    looks = Looks(size, np.minimum(size, at_most))
    with pytest.MonkeyPatch.context() as patch:
        if many:
            # As if a round had more pairs than fit beside their hash.
            patch.setattr("i2pa.pairs.rounds._PLACE_LIMIT", 1)
        found = match_in_rounds(posts, looks, RULES)
    pairs = set(zip(found.winner.tolist(), found.loser.tolist(), strict=True))
    assert (pairs, found.discriminable) == spelt_out(posts, looks)
    assert len(pairs) == found.winner.size
