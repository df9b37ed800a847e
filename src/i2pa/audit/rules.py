"""Does the list keep the paper's rules, as far as times and ids can tell? (PAPER 2.3)

A rule that the list's own recorded rules switched off is reported, not held against it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from i2pa.audit.checks import BROKEN, KEPT, NO_RULE, Check, Skipped, Verdict
from i2pa.audit.codes import (
    SHARDS_FOLLOW_USERS_UNTIL,
    decode_shortcodes,
    shards,
    upload_times,
)
from i2pa.audit.pairlist import Bools, Ints, PairList
from i2pa.pairs.schema import rules_json
from i2pa.words import many

PAPER_DATES = 10
SETTLED_DAYS = 30

_CODES_AGREE_WITHIN = np.timedelta64(1, "D")


@dataclass(frozen=True)
class Shards:
    """How many pairs of Instagram posts are of one shard, by when both were posted.

    `before` and `after` 2016-06-24 00:08 UTC, `straddling` it; each (pairs, same shard).
    """

    before: tuple[int, int]
    after: tuple[int, int]
    straddling: tuple[int, int]


def date_gaps(pairs: PairList) -> Ints:
    """UTC calendar dates between the posts of each pair with both times [t]."""
    days = [t[pairs.timed].astype("datetime64[D]") for t in (pairs.winner_time, pairs.loser_time)]
    gaps: Ints = np.abs((days[0] - days[1]).astype(np.int64))
    return gaps


def check_dates(pairs: PairList) -> Check:
    """Pairs whose UTC dates are ten or more apart; the paper's rule allows none."""
    gaps = date_gaps(pairs)
    far = int((gaps >= PAPER_DATES).sum())
    ours = rules_json(pairs.table)
    other_window = "dates_closer_than" in ours and ours["dates_closer_than"] != PAPER_DATES
    return _count(
        *(pairs, "dates_10_or_more_apart", "UTC dates 10 or more apart", far, len(gaps)),
        verdict=KEPT if not far else NO_RULE if other_window else BROKEN,
        says=f"{far:,} of {many(len(gaps), 'pair')} have UTC dates 10 or more apart"
        + (", which the rules recorded in the file allow" if far and other_window else ""),
    )


def check_repeats(pairs: PairList) -> Check:
    """Pictures that are in more than one pair; the paper's rule allows none."""
    counts = np.array(pc.value_counts(_sides(pairs)).field(1))
    repeated = int((counts > 1).sum())
    ours = rules_json(pairs.table)
    allowed = ours.get("one_image_one_pair") is False or ours.get("kind") == "levels"
    return _count(
        *(pairs, "repeated_pictures", "pictures in more than one pair", repeated, len(counts)),
        verdict=KEPT if not repeated else NO_RULE if allowed else BROKEN,
        says=f"{repeated:,} of {many(len(counts), 'picture')} are in more than one pair"
        + (", which the rules recorded in the file allow" if repeated and allowed else ""),
    )


def check_shards(pairs: PairList) -> tuple[Check | Skipped, Shards | None]:
    """Are pairs of one user? Until mid-2016 an Instagram code says so by its shard."""
    ids = [decode_shortcodes(pairs.table[f"{side}_id"]) for side in ("winner", "loser")]
    if not _are_shortcodes(pairs, ids[0]):
        return Skipped("same_shard", "the ids are not Instagram shortcodes"), None
    times = np.stack([upload_times(i) for i in ids])
    same = shards(ids[0]) == shards(ids[1])
    known = (ids[0] > 0) & (ids[1] > 0)
    before = known & (times.max(axis=0) < SHARDS_FOLLOW_USERS_UNTIL)
    after = known & (times.min(axis=0) >= SHARDS_FOLLOW_USERS_UNTIL)

    def counted(which: Bools) -> tuple[int, int]:
        return int(which.sum()), int((which & same).sum())

    found = Shards(counted(before), counted(after), counted(known & ~before & ~after))
    if not found.before[0]:
        why = "no pair is from before 2016-06-24, when shards still followed users"
        return Skipped("same_shard", why), found
    n, equal = found.before
    verdict: Verdict = KEPT if n == equal else BROKEN
    if rules_json(pairs.table).get("same_user") is False and n != equal:
        verdict = NO_RULE
    check = Check(
        name="same_shard",
        title="same user, by the shard in the codes, before 2016-06-24 00:08 UTC",
        value=equal / n,
        low=None,
        high=None,
        n=n,
        users=None,
        verdict=verdict,
        unit="share",
        says=f"the two codes share a shard in {equal:,} of {many(n, 'pair')} before 2016-06-24 "
        f"00:08 UTC (so those are pairs of one user) and in {found.after[1]:,} of "
        f"{found.after[0]:,} after it, when a shard no longer follows the user; "
        f"{many(found.straddling[0], 'pair')} straddle it",
    )
    return check, found


def check_ages(pairs: PairList, posts: pa.Table) -> Check | Skipped:
    """Pairs whose younger post was under 30 days old when counted: it was still collecting likes.

    `posts` has the schema POSTS.
    """
    age = pc.subtract(
        posts["downloaded_at"].cast(pa.int64()), posts["uploaded_at"].cast(pa.int64())
    )
    days = age.cast(pa.float64()).fill_null(np.nan).to_numpy() / 86_400e6
    winner, loser = pairs.rows_of(posts)
    younger = np.minimum(days[winner], days[loser])
    younger[(winner < 0) | (loser < 0)] = np.nan
    known = younger[~np.isnan(younger)]
    if not known.size:
        return Skipped("young_posts", "no pair has a known time of download for both posts")
    young = int((known < SETTLED_DAYS).sum())
    off = rules_json(pairs.table).get("min_age_days", SETTLED_DAYS) != SETTLED_DAYS
    return _count(
        *(pairs, "young_posts", "a post under 30 days old when counted", young, known.size),
        verdict=KEPT if not young else NO_RULE if off else BROKEN,
        says=f"in {young:,} of {many(known.size, 'pair')} a post was under 30 days old when its "
        f"likes or views were read (the younger one's age: median {np.median(known):.1f} days)"
        + (", so it was still collecting them" if young else ""),
    )


def _count(
    pairs: PairList, name: str, title: str, value: int, n: int, *, verdict: Verdict, says: str
) -> Check:
    users = len(np.unique(pairs.users)) if pairs.clustered else None
    pictures = name == "repeated_pictures"
    return Check(
        *(name, title, value, None, None, n, users),
        verdict=verdict,
        unit="pictures" if pictures else "pairs",
        says=says,
    )


def _sides(pairs: PairList) -> pa.ChunkedArray:
    """Pictures of both sides [2n]: files where they are named, otherwise posts."""
    chunks = [
        chunk
        for side in ("winner", "loser")
        for chunk in pc.coalesce(
            pairs.table[f"{side}_image"], pa.chunked_array([pairs.keys(side)])
        ).chunks
    ]
    return pa.chunked_array(chunks, pa.string())


def _are_shortcodes(pairs: PairList, ids: np.ndarray[tuple[int], np.dtype[np.uint64]]) -> bool:
    """Whether ids decode to the times given (to a day) in 99 of 100 pairs with a time."""
    known = ~np.isnat(pairs.winner_time)
    if not known.any() or not ids.any():
        return False
    apart = np.abs(upload_times(ids)[known] - pairs.winner_time[known])
    return float((apart <= _CODES_AGREE_WITHIN).mean()) >= 0.99
