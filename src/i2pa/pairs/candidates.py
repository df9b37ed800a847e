"""Which posts look at which: pairs inside a group and a time window, a bounded number a post.

Works on plain arrays of posts sorted by group, then time. A post looks only at later ones, so each
pair is met once; where more than K lie in its window it looks at K of them, chosen by its hash, so
that a user with very many posts costs no square. Rules on single posts and matching stay out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from i2pa.pairs.rules import PairRules

Ints = npt.NDArray[np.int64]
Places = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.float64]
Hashes = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]

HOUR = 3_600_000_000  # microseconds
EDGES_AT_ONCE = 1 << 20
"""Edges held at once, about 80 MB; one group may exceed it."""

# What sums of so many microseconds may come to.
_SUMMABLE = 1 << 62
# A prime above any window, so that steps of this length meet every post of it once.
_STEP = (1 << 31) - 1


@dataclass(frozen=True)
class Eligible:
    """Posts that may pair, sorted by group, then time. All arrays have one entry a post.

    `user` numbers the users; `group_end` is the index past the last post of its group; `time` is
    microseconds since 1970, `date` days since 1970, both UTC; `s` the natural log of the measure,
    `noise` the variance that counting adds to it and `tags` the number of hashtags (None where the
    rules ignore them); `hash` seeded, uniform.
    """

    user: Ints
    group_end: Ints
    time: Ints
    date: Ints
    s: Floats
    noise: Floats | None
    tags: Ints | None
    hash: Hashes


@dataclass(frozen=True)
class Looks:
    """How far each post looks: `size` later posts lie in its window, it looks at `at_most`.

    `nearest`: at the first of them; otherwise at a seeded choice, in a seeded order.
    """

    size: Ints
    at_most: Ints
    nearest: bool = False


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
        far = _first_too_far(posts.date, posts.group_end, rules.dates_closer_than)
        ends = np.minimum(ends, far)
    if rules.window_hours is not None:
        # The window is closed, and time is whole microseconds.
        distance = int(rules.window_hours * HOUR) + 1
        ends = np.minimum(ends, _first_too_far(posts.time, posts.group_end, distance))
    return ends


def _first_too_far(values: Ints, ends: Ints, distance: int) -> Ints:
    """First index after i whose value is `distance` or more above that of i, or whose group is
    another (groups end at `ends`)."""
    n = values.size
    if n * distance < _SUMMABLE:
        # Gaps of `distance` or more are cut to it, and groups lie that far apart: one rising line.
        gaps = np.diff(values, prepend=values[:1])
        np.minimum(gaps, distance, out=gaps)
        starts = ends[:-1][ends[1:] != ends[:-1]]
        gaps[starts] = distance
        place = np.cumsum(gaps)
        return np.searchsorted(place, place + distance)
    half = int(ends[n // 2])
    half = half if half < n else int(np.searchsorted(ends, n))
    if half == 0:
        return np.searchsorted(values, values + distance)
    parts = [_first_too_far(values[:half], ends[:half], distance)]
    parts.append(_first_too_far(values[half:], ends[half:] - half, distance) + half)
    return np.concatenate(parts)


def discriminable(
    gap: Floats, posts: Eligible, left: Places, right: Places, rules: PairRules
) -> Mask:
    """Whether S of the left posts less that of the right, the `gap`, is wide enough (Eq. 6)."""
    if rules.confidence is None:
        return np.asarray(gap != 0)
    least: float | Floats = rules.min_log_gap
    if posts.noise is not None:
        least = rules.least_log_gap(posts.noise[left] + posts.noise[right])
    return np.asarray(np.abs(gap) >= least)


def alike(posts: Eligible, left: Places, right: Places, rules: PairRules) -> Mask:
    """Whether the numbers of hashtags are near enough."""
    if rules.hashtag_tolerance is None or posts.tags is None:
        return np.ones(left.size, dtype=bool)
    apart = np.abs(posts.tags[left] - posts.tags[right])
    return np.asarray(apart <= rules.hashtag_tolerance)


def first_looks(posts: Eligible, looks: Looks, rows: Ints) -> tuple[Ints, Ints]:
    """How far after each post its first candidate lies (0: the next post), and the step to go on.

    Steps wrap around in the window.
    """
    size = looks.size[rows]
    if looks.nearest:
        return np.zeros_like(rows), np.ones_like(rows)
    start = (posts.hash[rows] % size.astype(np.uint64)).astype(np.int64)
    return start, _STEP % size


def edges(posts: Eligible, looks: Looks, rules: PairRules) -> Iterator[Edges]:
    """All discriminable pairs that posts look at, some groups at a time."""
    n = len(looks.size)
    total = np.concatenate([[0], np.cumsum(looks.at_most)])
    first = 0
    while first < n:
        reach = int(np.searchsorted(total, total[first] + EDGES_AT_ONCE, side="right")) - 1
        # Groups stay whole, so that each block can be matched by itself.
        stop = int(posts.group_end[min(max(reach, first + 1), n) - 1])
        rows = np.flatnonzero(looks.at_most[first:stop]) + first
        count = looks.at_most[rows]
        left = np.repeat(rows, count)
        k = np.arange(total[stop] - total[first]) - np.repeat(total[rows] - total[first], count)
        cut = looks.size[rows] > count
        if cut.any() and not looks.nearest:
            start, step = (np.repeat(a, count) for a in first_looks(posts, looks, rows))
            k = np.where(np.repeat(cut, count), (start + k * step) % looks.size[left], k)
        right = left + 1 + k
        if rules.hashtag_tolerance is not None:
            near = alike(posts, left, right, rules)
            left, right = left[near], right[near]
        n_alike = left.size
        gap = posts.s[left] - posts.s[right]
        sure = discriminable(gap, posts, left, right, rules)
        left, right, left_wins = left[sure], right[sure], gap[sure] > 0
        winner, loser = np.where(left_wins, left, right), np.where(left_wins, right, left)
        yield Edges(first, stop, winner, loser, n_alike)
        first = stop
