"""Which posts look at which: pairs inside a group and a time window, a bounded number a post.

Works on plain arrays of posts sorted by group, then time. A post looks only at later ones, so each
pair is met once; where more than K lie in its window it looks at K of them, chosen by its hash, so
that a user with very many posts costs no square. Rules on single posts and matching stay out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from i2pa.pairs.rules import PairRules

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Hashes = npt.NDArray[np.uint64]

HOUR = 3_600_000_000  # microseconds
# Edges held at once, about 200 MB; one group may exceed it.
_EDGES_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class Eligible:
    """Posts that may pair, sorted by group, then time. All arrays have one entry a post.

    `user` numbers the users; `group_end` is the index past the last post of its group; `time` is
    microseconds since 1970, `date` days since 1970, both UTC; `s` the natural log of the measure,
    `noise` the variance that counting adds to it (0 where the rules ignore that); `tags` the
    number of hashtags; `hash` seeded, uniform.
    """

    user: Ints
    group_end: Ints
    time: Ints
    date: Ints
    s: Floats
    noise: Floats
    tags: Ints
    hash: Hashes


@dataclass(frozen=True)
class Edges:
    """Discriminable pairs among the posts `first` ≤ i < `stop`, a union of whole groups.

    `alike` pairs were near enough in the number of hashtags, discriminable or not.
    """

    first: int
    stop: int
    winner: Ints
    loser: Ints
    alike: int


def window_ends(posts: Eligible, rules: PairRules) -> Ints:
    """For every post, the index past the last one that is near enough in time."""
    ends = posts.group_end
    if rules.dates_closer_than is not None:
        ends = _first_too_far(posts.date, ends, rules.dates_closer_than)
    if rules.window_hours is not None:
        # The window is closed, and time is whole microseconds.
        ends = _first_too_far(posts.time, ends, int(rules.window_hours * HOUR) + 1)
    return ends


def _first_too_far(values: Ints, ends: Ints, distance: int) -> Ints:
    """First index after i, below ends[i], whose value is `distance` or more above that of i."""
    low = np.arange(1, len(values) + 1)
    high = ends.copy()
    active = np.flatnonzero(low < high)
    while active.size:
        middle = (low[active] + high[active]) // 2
        near = values[middle] - values[active] < distance
        low[active[near]] = middle[near] + 1
        high[active[~near]] = middle[~near]
        active = active[low[active] < high[active]]
    return low


def edges(
    posts: Eligible, ends: Ints, rules: PairRules, *, at_most: Ints, nearest: bool
) -> Iterator[Edges]:
    """Discriminable pairs, some groups at a time.

    Where a window holds more later posts than the post may look at (`at_most`, one number a post),
    `nearest` takes the first of them; otherwise they are spread evenly over the window from a
    seeded start.
    """
    n = len(ends)
    in_window = ends - np.arange(1, n + 1)
    looked_at = np.minimum(in_window, at_most)
    total = np.concatenate([[0], np.cumsum(looked_at)])
    first = 0
    while first < n:
        reach = int(np.searchsorted(total, total[first] + _EDGES_AT_ONCE, side="right")) - 1
        # Groups stay whole, so that each block can be matched by itself.
        stop = int(posts.group_end[min(max(reach, first + 1), n) - 1])
        rows = np.flatnonzero(looked_at[first:stop]) + first
        count = looked_at[rows]
        left = np.repeat(rows, count)
        k = np.arange(total[stop] - total[first]) - np.repeat(total[rows] - total[first], count)
        if not nearest and (in_window[rows] > at_most[rows]).any():
            size, most = in_window[left], at_most[left]
            start = (posts.hash[left] % size.astype(np.uint64)).astype(np.int64)
            k = np.where(size > most, (k * size + start) // most, k)
        right = left + 1 + k
        if rules.hashtag_tolerance is not None:
            near = np.abs(posts.tags[left] - posts.tags[right]) <= rules.hashtag_tolerance
            left, right = left[near], right[near]
        alike = left.size
        gap = posts.s[left] - posts.s[right]
        least: float | Floats = rules.min_log_gap
        if rules.count_noise:
            least = rules.least_log_gap(posts.noise[left] + posts.noise[right])
        sure = np.abs(gap) >= least if rules.confidence is not None else gap != 0
        left, right, gap = left[sure], right[sure], gap[sure]
        left_wins = gap > 0
        winner, loser = np.where(left_wins, left, right), np.where(left_wins, right, left)
        yield Edges(first, stop, winner, loser, alike)
        first = stop
