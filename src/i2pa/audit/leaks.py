"""What can be learnt without looking at a picture: order, time, caption, and the file itself.

Each question becomes a difference of plain features, winner less loser. A fixed rule is counted; a
fitted one is cross-fitted by user.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from i2pa.audit.checks import Check, Share, Skipped, Table, leak_check, share_right
from i2pa.audit.pairlist import Bools, Floats, Ints, PairList
from i2pa.audit.pictures import FORMATS, Pictures
from i2pa.metrics.clock import GAPS, gap_class, hour, time_design, weekday
from i2pa.metrics.crossfit import cross_fitted, one_hot, scaled

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def later_wins(pairs: PairList, *, draws: int, seed: int) -> tuple[Check, Table]:
    """How often the later post wins, over all pairs with times and by the time between the two."""
    later_by, timed = pairs.later_by, pairs.timed
    check = leak_check(
        *(pairs, "later_wins", "the later picture wins", later_by, timed),
        both_ways=True,
        draws=draws,
        seed=seed,
    )
    which = gap_class(later_by)
    rows = []
    for index, (label, _) in enumerate(GAPS):
        inside = timed & (which == index)
        if inside.any():
            share, *_ = share_right(pairs, later_by, inside, draws=draws, seed=seed)
            rows.append(Share(label, int(inside.sum()), share.value, share.low, share.high))
    return check, Table("later_wins_by_gap", "later wins, by time between the posts", tuple(rows))


def time_features(pairs: PairList, *, draws: int, seed: int) -> Check | Skipped:
    """What order × gap, UTC hour and weekday of the two posts say together, cross-fitted."""
    return fitted(
        *(pairs, "time_features", "time (order × gap, UTC hour, weekday)"),
        *(time_design(pairs.winner_time, pairs.loser_time), pairs.timed),
        draws=draws,
        seed=seed,
    )


def wins_by(
    pairs: PairList,
    name: str,
    title: str,
    sides: tuple[Ints, Ints],
    labels: Sequence[str],
    *,
    draws: int,
    seed: int,
) -> Table:
    """Of the posts in each class of time, the share that won; its interval resamples users.

    `sides`, winner's and loser's [n], index `labels`; a pair of one class is left out.
    """
    winner, loser = sides
    rows = []
    for index, label in enumerate(labels):
        delta = (winner == index).astype(np.float64) - (loser == index)
        inside = delta != 0
        if inside.any():
            share, *_ = share_right(pairs, delta, inside, draws=draws, seed=seed)
            rows.append(Share(label, int(inside.sum()), share.value, share.low, share.high))
    return Table(name, title, tuple(rows))


def wins_by_time(pairs: PairList, *, draws: int, seed: int) -> tuple[Table, Table]:
    """Of posts in pairs, the share that won, by UTC hour and by weekday of posting."""
    hours = hour(pairs.winner_time), hour(pairs.loser_time)
    days = weekday(pairs.winner_time), weekday(pairs.loser_time)
    names = tuple(f"{at:02}" for at in range(24))
    hour_title, day_title = "share that won, by UTC hour", "share that won, by UTC weekday"
    return (
        wins_by(pairs, "wins_by_hour", hour_title, hours, names, draws=draws, seed=seed),
        wins_by(pairs, "wins_by_weekday", day_title, days, WEEKDAYS, draws=draws, seed=seed),
    )


def captions(pairs: PairList, posts: pa.Table, *, draws: int, seed: int) -> Check | Skipped:
    """What the lengths of the two captions (signs and words) say, cross-fitted.

    `posts` has the schema POSTS; pairs whose posts are not in it are left out.
    """
    length = posts["caption_length"].fill_null(0).to_numpy()
    words = posts["caption_words"].fill_null(0).to_numpy()
    facts = np.log1p(np.stack([length, words], axis=1).astype(np.float64))
    winner, loser = pairs.rows_of(posts)
    inside = (winner >= 0) & (loser >= 0)
    if not inside.any():
        return Skipped("caption_length", "none of the pairs' posts is in the table of posts given")
    difference = facts[winner] - facts[loser]
    return fitted(
        *(pairs, "caption_length", "caption length", scaled(difference, inside), inside),
        draws=draws,
        seed=seed,
    )


def files(pairs: PairList, pictures: Pictures, *, draws: int, seed: int) -> list[Check | Skipped]:
    """What bytes, pixels, aspect and format of the picture files say, each alone, cross-fitted.

    Pairs with a picture that is missing or unreadable are left out.
    """
    winner, loser = (pictures.rows(pairs.table[f"{side}_image"]) for side in ("winner", "loser"))
    inside = (winner >= 0) & (loser >= 0)
    wide = np.log(pictures.width / pictures.height)
    area = pictures.width * pictures.height
    features = {
        "file_size": ("size of the file in bytes", np.log(pictures.size)[:, None]),
        "picture_size": (
            "size of the picture in pixels",
            np.log(area)[:, None],
        ),
        "aspect": ("aspect of the picture", np.stack([wide, np.abs(wide), wide == 0], axis=1)),
        "format": ("format of the file", one_hot(pictures.format, len(FORMATS))),
    }
    if not inside.any():
        why = "no pair has both pictures in the folders given"
        return [Skipped(name, why) for name in features]
    return [
        fitted(
            *(pairs, name, title, scaled(feature[winner] - feature[loser], inside), inside),
            draws=draws,
            seed=seed,
        )
        for name, (title, feature) in features.items()
    ]


def fitted(
    pairs: PairList,
    name: str,
    title: str,
    design: Floats,
    inside: Bools,
    *,
    draws: int,
    seed: int,
) -> Check | Skipped:
    """How often features, winner less loser `design` [n, d], name the winner, cross-fitted."""
    if len(np.unique(pairs.users[inside])) < 2:
        return Skipped(name, "cross-fitting needs pairs of two users or more")
    delta = cross_fitted(design, pairs.users, pairs.weight, inside, seed=seed)
    return leak_check(*(pairs, name, title, delta, inside), both_ways=False, draws=draws, seed=seed)
