"""The audit of one pair list: every check that the data allows, and what they come to."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from i2pa.audit import leaks, rules, splits
from i2pa.audit.checks import Check, Skipped, Table
from i2pa.audit.concentration import concentration
from i2pa.audit.duplicates import near_groups
from i2pa.audit.pairlist import PairList, read_pair_list, shape
from i2pa.audit.pictures import Pictures, read_pictures
from i2pa.audit.rules import Shards
from i2pa.audit.verdict import Overall, overall
from i2pa.errors import require, require_seed
from i2pa.images.failure import Failure
from i2pa.images.named import Folders
from i2pa.posts.schema import POSTS, check_posts_columns, check_posts_table
from i2pa.posts.table import as_posts
from i2pa.words import many

NO_USERS = (
    "there are no user ids: cross-fitting and intervals go by pair, as if pairs were independent; "
    "pairs of one user are not, so the intervals are too narrow"
)
SOME_USERS = (
    "{pairs} without user_id: each goes as a user of its own, so the intervals are too narrow"
)
NO_TIMES = "no pair has both times"
NO_POSTS = "give --posts posts.parquet"
NO_IMAGES = "give --images DIR"


@dataclass(frozen=True)
class Audit:
    """What an audit found. Accuracies are shares of pairs, intervals 95 % percentile bootstraps.

    `users` is None where some pair has no user_id. `resampled` is 'users', or 'pairs' where no pair
    has a user_id, or 'users and pairs'.
    `date_gaps` counts pairs by the UTC dates between the two posts, from 0 on, the last class
    holding all of 30 and more; empty without times. `pictures_read` is None where no folder was
    given.
    """

    source: str
    pairs: int
    users: int | None
    resampled: str
    weighted: bool
    draws: int
    seed: int
    overall: Overall
    warnings: tuple[str, ...]
    checks: tuple[Check, ...]
    not_checked: tuple[Skipped, ...]
    tables: tuple[Table, ...]
    date_gaps: tuple[int, ...]
    shards: Shards | None
    pictures_read: int | None
    unreadable: tuple[Failure, ...]


MOST_DATES = 30


def audit_pairs(
    pairs: pa.Table | str | os.PathLike[str],
    *,
    posts: pa.Table | None = None,
    images: Folders = (),
    draws: int = 2000,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Audit:
    """What a model could learn from a pair list without looking at a picture, and its other faults.

    `pairs` is a table (schema PAIRS), a pairs.parquet or the authors' CSV of shortcodes
    (Low_popularity, High_popularity). `posts` (schema POSTS) adds captions and ages, `images`, the
    folders that picture paths are relative to, files and duplicates. Fitted checks are cross-fitted
    by user and intervals resample users `draws` times; without user ids both go by pair and a
    warning says so. `progress` is called with (done, total) pictures.
    Raises UserInputError for a file or folder that does not exist, DataError where there is no
    pair, or columns say what no pair can.
    """
    notes: tuple[str, ...] = ()
    source, where = "pairs", ""
    check_posts_table(posts)
    if posts is not None:
        check_posts_columns(posts)
    good = isinstance(draws, Integral) and draws >= 1
    require(good, "draws", draws, "a whole number from 1")
    require_seed(seed)
    if not isinstance(pairs, pa.Table):
        is_path = isinstance(pairs, (str, os.PathLike))
        require(is_path, "pairs", pairs, "a pyarrow Table or the path of a file")
        source, where = Path(pairs).name, str(pairs)
        pairs, notes = read_pair_list(pairs)
    listed = shape(pairs, where)
    if posts is not None:
        posts = as_posts(posts.select(POSTS.names), "the posts")
    pictures = _pictures(listed, images, progress) if images else None
    near = near_groups(pictures) if pictures is not None else None
    resampled, lacking = _users_known(listed)
    times = _time_checks(listed, draws, seed)
    shard_check, shards = rules.check_shards(listed)
    made = [
        *times.checks,
        leaks.captions(listed, posts, draws=draws, seed=seed)
        if posts is not None
        else Skipped("caption_length", NO_POSTS),
        *(
            leaks.files(listed, pictures, draws=draws, seed=seed)
            if pictures is not None
            else [Skipped("file_properties", NO_IMAGES)]
        ),
        rules.check_ages(listed, posts) if posts is not None else Skipped("young_posts", NO_POSTS),
        rules.check_dates(listed) if times.tables else Skipped("dates_10_or_more_apart", NO_TIMES),
        rules.check_repeats(listed),
        shard_check,
        splits.shared_users(listed),
        *splits.shared_pictures(listed, pictures, near),
        splits.contradictions(listed, pictures, near),
        *concentration(listed),
    ]
    checks = tuple(check for check in made if isinstance(check, Check))
    return Audit(
        source=source,
        pairs=listed.n,
        users=len(np.unique(listed.users)) if listed.clustered else None,
        resampled=resampled,
        weighted=bool((listed.weight != 1).any()),
        draws=draws,
        seed=seed,
        overall=overall(checks, listed.table),
        warnings=(*notes, *lacking),
        checks=checks,
        not_checked=tuple(check for check in made if isinstance(check, Skipped)),
        tables=times.tables,
        date_gaps=_histogram(listed),
        shards=shards,
        pictures_read=len(pictures.names) if pictures is not None else None,
        unreadable=pictures.unreadable if pictures is not None else (),
    )


@dataclass(frozen=True)
class _Times:
    checks: tuple[Check | Skipped, ...]
    tables: tuple[Table, ...]


def _time_checks(pairs: PairList, draws: int, seed: int) -> _Times:
    if not pairs.timed.any():
        return _Times((Skipped("later_wins", NO_TIMES), Skipped("time_features", NO_TIMES)), ())
    later, by_gap = leaks.later_wins(pairs, draws=draws, seed=seed)
    fitted = leaks.time_features(pairs, draws=draws, seed=seed)
    return _Times((later, fitted), (by_gap, *leaks.wins_by_time(pairs, draws=draws, seed=seed)))


def _users_known(pairs: PairList) -> tuple[str, tuple[str, ...]]:
    """What is resampled, and a warning where users are unknown."""
    unknown = pairs.table["user_id"].null_count
    if not unknown:
        return "users", ()
    if unknown == pairs.n:
        return "pairs", (NO_USERS,)
    return "users and pairs", (SOME_USERS.format(pairs=many(unknown, "pair")),)


def _histogram(pairs: PairList) -> tuple[int, ...]:
    gaps = np.minimum(rules.date_gaps(pairs), MOST_DATES)
    return tuple(np.bincount(gaps).tolist()) if gaps.size else ()


def _pictures(
    pairs: PairList,
    folders: Folders,
    progress: Callable[[int, int], None] | None,
) -> Pictures:
    sides = [pairs.table[f"{side}_image"] for side in ("winner", "loser")]
    chunks = [chunk for side in sides for chunk in side.chunks]
    names = pc.unique(pa.chunked_array(chunks, pa.string()).drop_null()).sort()
    return read_pictures(names.to_pylist(), folders, progress)
