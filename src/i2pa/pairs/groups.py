"""Posts that may pair, in their groups, as plain arrays.

A group is a user's posts with the same hashtags and mentions (where the rules ask for those).
Which of them pair is `candidates`' business.
"""

from __future__ import annotations

import numpy as np

from i2pa.pairs.candidates import Eligible, Floats, Hashes, Ints
from i2pa.pairs.eligible import COUNTS_OF, DAY, Numbers
from i2pa.pairs.hashes import mix, post_hashes, starts_of
from i2pa.pairs.rules import PairRules


def run_columns(rules: PairRules) -> tuple[str, ...]:
    """Columns in which all posts of a group agree, in the order in which posts are sorted."""
    if rules.same_user:
        return ("platform", "user_id")
    return ("platform", *key_columns(rules)[:1])


def group_columns(rules: PairRules) -> list[str]:
    """Every column of numbers that `eligible_posts` reads."""
    tags = ["tags"] if rules.hashtag_tolerance is not None else []
    counts = COUNTS_OF[rules.measure]
    return ["uploaded_at", "tags_key", "mentions_key", *counts, *tags]


def key_columns(rules: PairRules) -> tuple[str, ...]:
    """Columns of hashes in which posts of a group agree."""
    same_tags = rules.same_hashtags and rules.hashtag_tolerance is None
    return ("tags_key",) * same_tags + ("mentions_key",) * rules.same_mentions


def eligible_posts(
    known: Numbers, run: Ints, users: Hashes, rules: PairRules, seed: int
) -> tuple[Eligible, Ints, list[int]]:
    """The posts that may pair by group, then time; their order; the funnel's counts.

    `known` (its `group_columns`), `run` and `users` (their `user_hashes`) are of just these posts,
    in order. The counts are pairs inside a run, then inside runs of the same first key, and so on.
    """
    order, new, counts = _in_groups(run, [known[name] for name in key_columns(rules)])
    time = known["uploaded_at"][order]
    starts = np.flatnonzero(new)
    sizes = np.diff(starts, append=order.size)
    s, noise = _log_measure(known, order, rules)
    return (
        Eligible(
            user=run[order],
            group_end=np.repeat(starts + sizes, sizes),
            time=time,
            date=time // DAY,
            s=s,
            noise=noise,
            tags=known["tags"][order].astype(np.int64)
            if rules.hashtag_tolerance is not None
            else None,
            hash=post_hashes(users, known["uploaded_at"], seed)[order],
        ),
        order,
        counts,
    )


def _in_groups(run: Ints, keys: list[Hashes]) -> tuple[Ints, np.ndarray, list[int]]:
    """An order that joins groups and keeps time inside them; where groups begin in it; counts."""
    counts = [_pairs_inside(run)]
    plain = np.ones(run.size, dtype=bool)
    for key in keys:
        plain &= key == 0
    # Most posts have neither hashtags nor mentions and stay where they are.
    first, rest = np.flatnonzero(plain), np.flatnonzero(~plain)
    known = mix(run[rest].astype(np.uint64) + np.uint64(1))
    for n, key in enumerate(keys, start=1):
        known = mix(known + key[rest])
        if n == len(keys):
            break
        so_far = np.logical_and.reduce([k == 0 for k in keys[:n]])
        alone = _pairs_inside(run[np.flatnonzero(so_far)])
        others = known[np.flatnonzero(~so_far[rest])]
        counts.append(alone + _pairs_inside(np.sort(others)))
    by_key = _stable_order(known)
    known, plain_run = known[by_key], run[first]
    if keys:
        counts.append(_pairs_inside(plain_run) + _pairs_inside(known))
    order = np.concatenate([first, rest[by_key]])
    new = np.concatenate([starts_of(plain_run), starts_of(known)])
    return order, new, counts


def _stable_order(keys: Hashes) -> Ints:
    """Places of the keys in their order, in that of the places where keys are equal."""
    # Two of numpy's quick sorts take a third of the time of its stable one.
    order = np.argsort(keys)
    place = np.cumsum(starts_of(keys[order])) * keys.size + order
    return np.sort(place) % keys.size


def _pairs_inside(values: np.ndarray) -> int:
    """How many pairs of neighbours in a run of equal values there are, all distances counted."""
    starts = np.flatnonzero(starts_of(values))
    sizes = np.diff(np.append(starts, values.size))
    return int((sizes * (sizes - 1) // 2).sum())


def _log_measure(known: Numbers, rows: Ints, rules: PairRules) -> tuple[Floats, Floats | None]:
    """S, the natural log of the measure, and the variance that counting adds to it."""
    counts = [known[name][rows].astype(np.float64) for name in COUNTS_OF[rules.measure]]
    s = np.log(counts[0])
    for count in counts[1:]:
        s -= np.log(count)
    # The variance of ln(n) of a count n is about 1/n.
    return s, np.sum([1 / count for count in counts], axis=0) if rules.count_noise else None
