"""The pairs of one person's own posts, of which the one with more likes was liked more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from i2pa.errors import DataError, UserInputError
from i2pa.pairs import PAPER, SAME_USER_WIDE, PairRules, build_pairs, within_days
from i2pa.pairs.rules import Measure
from i2pa.personal.choices import MOST_PAIRS, Choices, Floats, groups_of
from i2pa.posts import load_posts, read_posts


@dataclass(frozen=True)
class OwnPosts:
    """One person's pairs (schema PAIRS), the rules that made them, and when posts were made.

    `time` gives microseconds since 1970 of each picture that pairs, in the order of time.
    """

    pairs: pa.Table
    rules: PairRules
    time: dict[str, int]
    notes: tuple[str, ...]
    posts_hash: str

    @property
    def days(self) -> int:
        """The width of the window."""
        return round((self.rules.window_hours or 0) / 24)


def load_own_posts(path: Path, user: str | None) -> pa.Table:
    """Posts of one user from a posts.parquet or any export that `read_posts` knows.

    Raises UserInputError where there are several users and none is named, or none of that name.
    """
    try:
        posts = load_posts(path)
    except DataError:
        posts = read_posts(path).posts
    except UserInputError:
        if not path.is_dir():
            raise
        posts = read_posts(path).posts
    users = pc.value_counts(posts["user_id"]).to_pylist()
    names = [
        row["values"] for row in sorted(users, key=lambda row: (-row["counts"], row["values"]))
    ]
    if user is None and len(names) > 1:
        raise UserInputError(
            f"holds posts of {len(names):,} users, and a taste is one person's",
            where=str(path),
            remedy=f"name one with --user, for example {names[0]}",
        )
    if user is not None and user not in names:
        raise UserInputError(f"holds no post of the user {user!r}", where=str(path))
    return posts if user is None else posts.filter(pc.equal(posts["user_id"], user))


def own_pairs(
    posts: pa.Table,
    measure: Measure,
    days: int,
    min_age_days: float,
    *,
    downloaded_at: datetime | None,
    assume_settled: bool,
    seed: int,
) -> OwnPosts:
    """All pairs of one user's single pictures within `days`, old enough, whatever their gap.

    Small gaps teach little and do no harm, as their labels are soft. Raises DataError where
    nothing pairs.
    """
    rules = replace(
        within_days(SAME_USER_WIDE, days),
        confidence=None,
        min_age_days=min_age_days or None,
        measure=measure,
    )
    built = build_pairs(
        posts, rules, seed=seed, downloaded_at=downloaded_at, assume_settled=assume_settled
    )
    pairs = built.pairs
    named = pc.and_(pc.is_valid(pairs["winner_image"]), pc.is_valid(pairs["loser_image"]))
    with_pictures = pairs.filter(named)
    if not with_pictures.num_rows:
        raise DataError(
            f"none of {pairs.num_rows:,} pairs of posts names two pictures",
            remedy="posts need the column image",
        )
    lost = pairs.num_rows - with_pictures.num_rows
    notes = (f"{lost:,} pairs left out: a post names no picture",) if lost else ()
    time: dict[str, int] = {}
    for side in ("winner", "loser"):
        images = with_pictures[f"{side}_image"].to_pylist()
        times = with_pictures[f"{side}_time"].cast(pa.int64()).to_pylist()
        for image, at in zip(images, times, strict=True):
            time[image] = min(at, time.get(image, at))
    order = sorted(time, key=lambda image: (time[image], image))
    return OwnPosts(
        with_pictures,
        rules,
        {image: time[image] for image in order},
        notes,
        built.facts["posts_hash"],
    )


def choices_of_likes(
    own: OwnPosts, row: Mapping[str, int], embeddings: Floats, seed: int
) -> Choices:
    """The pairs with both pictures in `row` (image to row), at most 10,000, by seed.

    Accuracy is measured on those with the paper's gap: likes differ by about twice or more.
    """
    pairs = own.pairs
    winner, loser = (
        np.array([row.get(image, -1) for image in pairs[name].to_pylist()], np.int64)
        for name in ("winner_image", "loser_image")
    )
    used = np.flatnonzero((winner >= 0) & (loser >= 0) & (winner != loser))
    if len(used) > MOST_PAIRS:
        used = np.sort(np.random.default_rng(seed).permutation(used)[:MOST_PAIRS])
    images = sorted(row, key=row.__getitem__)
    return Choices(
        winner=winner[used],
        loser=loser[used],
        p=pairs["p"].to_numpy()[used],
        clear=pairs["delta_s"].to_numpy()[used] >= PAPER.min_log_gap,
        group=groups_of(embeddings, [None] * len(images)),
        side=np.ones(len(images), np.int64),
        place=np.argsort(np.argsort([own.time[image] for image in images], kind="stable")),
    )
