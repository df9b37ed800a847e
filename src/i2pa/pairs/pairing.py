"""One block of posts to its pairs, by itself: judge, group, look, match, write down.

What happens here knows nothing of other blocks, so blocks may be worked on side by side.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from i2pa.pairs.blocks import Block, in_one
from i2pa.pairs.candidates import (
    EDGES_AT_ONCE,
    HOUR,
    Eligible,
    Hashes,
    Ints,
    Looks,
    Mask,
    window_ends,
)
from i2pa.pairs.eligible import PostRule, meeting, numbers
from i2pa.pairs.groups import eligible_posts, group_columns, key_columns
from i2pa.pairs.hashes import starts_of, user_hashes
from i2pa.pairs.match import EXACT_UP_TO, Matching, exactly_matched, keep_per_user, match_all
from i2pa.pairs.rounds import match_in_rounds
from i2pa.pairs.rules import PairRules, probability_discriminable
from i2pa.pairs.schema import PAIRS

_SUMMARY = ("tags_key", "mentions_key", "caption_length", "caption_words")
_TEXTS = ("platform", "user_id", "post_id", "image")

# Estimates: numbers on the way to a matching; pairs that are listed, a fifth of those looked at.
_BYTES_AN_EDGE = 80
_BYTES_A_PAIR = 50


@dataclass(frozen=True)
class Pairing:
    """How to pair: the rules, and what they leave open."""

    rules: PairRules
    posts_meet: Sequence[PostRule]
    matching: Matching
    candidates: int
    seed: int

    def columns(self) -> list[str]:
        """Every column of posts that pairing reads."""
        shared = [] if self.rules.one_image_one_pair else ["image_shared"]
        named = [*self.number_columns(), *_SUMMARY, *_TEXTS, *shared]
        return list(dict.fromkeys(named))

    def number_columns(self) -> list[str]:
        """Those of them that are judged or compared as numbers."""
        judged = [column for rule in self.posts_meet for column in rule.columns]
        return list(dict.fromkeys([*group_columns(self.rules), *judged]))

    def edge_bytes(self, runs: Ints) -> int:
        """Memory that the pairs looked at in runs of these lengths take, when all are held."""
        matched = self.rules.one_image_one_pair
        if matched and self.matching == "random":
            return 0
        # A group is at most its run.
        exact = matched and self.matching == "maximum"
        looks = runs * np.minimum(runs, EXACT_UP_TO if exact else self.candidates)
        at_once = EDGES_AT_ONCE if exact else max(EDGES_AT_ONCE, int(looks.max()))
        held = min(int(looks.sum()), at_once)
        return held * _BYTES_AN_EDGE + (0 if matched else int(looks.sum()) * _BYTES_A_PAIR)


@dataclass(frozen=True)
class Counts:
    """What each rule left, in the order of the funnel; `eligible` posts by platform."""

    removed: Ints
    eligible: Counter[str]
    twice: int
    inside: Ints
    later: int
    looked_at: int
    alike: int
    discriminable: int
    matched: int
    kept: int
    windows_cut: int
    inexact: int

    @classmethod
    def none(cls, how: Pairing) -> Counts:
        """Of no posts at all."""
        of_rules = np.zeros(len(how.posts_meet), dtype=np.int64)
        of_keys = np.zeros(1 + len(key_columns(how.rules)), dtype=np.int64)
        return cls(of_rules, Counter(), 0, of_keys, *[0] * 8)

    def __add__(self, other: Counts) -> Counts:
        """The counts of two blocks together."""
        return Counts(*(getattr(self, n) + getattr(other, n) for n in Counts.__annotations__))


@dataclass(frozen=True)
class BlockPairs:
    """Pairs (schema PAIRS) of a block, the posts in them (winners, then losers), and the counts.

    `users` are the hashes of the users in its pairs, `ends` name the first and the last user of
    the block. `identity` is all that the pairs depend on: the numbers of the posts that may pair,
    the texts of those that do.
    """

    n_posts: int
    ends: tuple[tuple[str, str], tuple[str, str]]
    pairs: pa.Table
    posts: pa.Table
    users: Hashes
    counts: Counts
    identity: Mapping[str, np.ndarray | pa.Array]


def pair_block(
    block: Block, how: Pairing, dropped: Ints, stopped: Callable[[], bool]
) -> BlockPairs:
    """Pair the posts of a block, but for those whose places are in `dropped` (sorted).

    Raises StoppedError soon after `stopped` says so.
    """
    rules = how.rules
    known = numbers(block.table, how.number_columns())
    rows, removed = meeting(known, block.table.num_rows, how.posts_meet)
    n_meeting = rows.size
    if dropped.size:
        rows = rows[~np.isin(rows + block.first, dropped)]
    of_rows = user_hashes(block.table, rows)
    compared = {name: known[name].take(rows) for name in group_columns(rules)}
    posts, order, inside = eligible_posts(compared, block.run[rows], of_rows, rules, how.seed)
    at, users = rows[order], of_rows[order]
    later = window_ends(posts, rules) - np.arange(1, rows.size + 1)
    at_most = np.minimum(later, how.candidates)
    inexact = 0
    if not rules.one_image_one_pair:
        matched = match_all(posts, Looks(later, at_most), rules, None, stopped)
    elif how.matching == "random":
        matched = match_in_rounds(posts, Looks(later, at_most), rules)
    elif how.matching == "maximum":
        exact = exactly_matched(posts.group_end)
        at_most = np.where(exact, later, at_most)
        inexact = int(np.count_nonzero(~exact))
        looks = Looks(later, np.where(exact, later, 0))
        small = match_all(posts, looks, rules, "maximum", stopped)
        large = match_in_rounds(posts, Looks(later, np.where(exact, 0, at_most)), rules)
        matched = small + large
    else:
        nearest = how.matching == "closest-in-time"
        looks = Looks(later, at_most, nearest)
        matched = match_all(posts, looks, rules, how.matching, stopped)
    winner, loser = matched.winner, matched.loser
    if not rules.one_image_one_pair:
        differ = _two_pictures(block.table, at[winner], at[loser])
        winner, loser = winner[differ], loser[differ]
    n_matched = winner.size
    if rules.max_pairs_per_user is not None:
        kept = keep_per_user(winner, loser, posts, rules.max_pairs_per_user)
        winner, loser = winner[kept], loser[kept]
    order = np.argsort(at[winner] * block.table.num_rows + at[loser])
    winner, loser = winner[order], loser[order]
    pairs, in_pairs = _tables(block, posts, at, winner, loser, rules)
    texts = ("platform", "winner_id", "loser_id", "winner_image", "loser_image")
    return BlockPairs(
        n_posts=block.table.num_rows,
        ends=block.ends,
        pairs=pairs,
        posts=in_pairs,
        users=_distinct(users[np.concatenate([winner, loser])]),
        counts=Counts(
            removed=np.array(removed, dtype=np.int64),
            eligible=_by_platform(block.table, rows),
            twice=n_meeting - rows.size,
            inside=np.array(inside, dtype=np.int64),
            later=int(later.sum()),
            looked_at=int(at_most.sum()),
            alike=matched.alike,
            discriminable=matched.discriminable,
            matched=n_matched,
            kept=winner.size,
            windows_cut=int(np.count_nonzero(later > at_most)),
            inexact=inexact,
        ),
        identity={
            **compared,
            **{name: in_one(pairs[name]) for name in texts},
            "user": of_rows,
        },
    )


def _distinct(values: Hashes) -> Hashes:
    """Those that differ, sorted; most are equal to the one before."""
    return np.unique(values[np.flatnonzero(starts_of(values))])


def _by_platform(posts: pa.Table, rows: Ints) -> Counter[str]:
    """How many of the posts in `rows` each platform has."""
    platform = in_one(posts["platform"])
    n = np.bincount(platform.indices.to_numpy()[rows], minlength=len(platform.dictionary))
    return Counter(dict(zip(platform.dictionary.to_pylist(), n.tolist(), strict=True)))


def _two_pictures(posts: pa.Table, winner: Ints, loser: Ints) -> Mask:
    """Whether the posts of each pair name two picture files; where none is named, they do."""
    two = np.ones(winner.size, dtype=bool)
    shared = posts["image_shared"].to_numpy()
    places = np.flatnonzero(shared[winner] & shared[loser])
    ours, theirs = (posts["image"].take(pa.array(side[places])) for side in (winner, loser))
    two[places] = pc.not_equal(ours, theirs).fill_null(True).to_numpy()
    return two


def _tables(
    block: Block, posts: Eligible, at: Ints, winner: Ints, loser: Ints, rules: PairRules
) -> tuple[pa.Table, pa.Table]:
    sides = np.concatenate([at[winner], at[loser]])
    taken = block.table.select([*_SUMMARY, *_TEXTS]).take(pa.array(sides))
    n = winner.size
    ours, theirs = taken.slice(0, n), taken.slice(n)
    user = ours["user_id"].cast(pa.string())
    if not rules.same_user:
        same = pc.equal(user, theirs["user_id"].cast(pa.string()))
        user = pc.if_else(same, user, pa.scalar(None, pa.string()))
    gap = posts.s[winner] - posts.s[loser]
    noise = 0.0 if posts.noise is None else posts.noise[winner] + posts.noise[loser]
    table = pa.table(
        [
            *(ours["platform"].cast(pa.string()), user),
            *(side[name] for name in ("post_id", "image") for side in (ours, theirs)),
            *(pa.array(posts.time[side]) for side in (winner, loser)),
            *(posts.s[winner], posts.s[loser], gap),
            (posts.time[winner] - posts.time[loser]) / HOUR,
            probability_discriminable(gap, rules.sigma, noise),
            *(np.ones(n), pa.nulls(n)),
            pa.DictionaryArray.from_arrays(np.zeros(n, np.int32), [rules.sha256()]),
        ],
        names=PAIRS.names,
    )
    return table.cast(PAIRS), taken.select(_SUMMARY)
