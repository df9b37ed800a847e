"""The rules of pairs spelt out, one pair at a time, and posts to try them on."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta
from itertools import combinations
from statistics import NormalDist
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st
from plain_posts import make_posts

from i2pa.errors import DataError
from i2pa.pairs import PairRules, build_pairs
from i2pa.posts.captions import parse_caption

START = datetime(2019, 6, 1, tzinfo=UTC)

a_post = st.fixed_dictionaries(
    {
        "platform": st.sampled_from(["p", "q"]),
        "user_id": st.sampled_from(["u", "v"]),
        "uploaded_at": st.integers(0, 14 * 24).map(lambda h: START + timedelta(hours=h)),
        "downloaded_at": st.sampled_from([None, START + timedelta(days=35), START + timedelta(99)]),
        "likes": st.sampled_from([None, 0, 49, 50, 100, 101, 205, 420]),
        "views": st.sampled_from([None, 10, 1000]),
        "caption": st.sampled_from([None, "#a", "#a #b", "#b #a", "@x hi", "a b c d e f g"]),
        "media_type": st.sampled_from(["image", "image", "image", "carousel"]),
        "image_count": st.sampled_from([1, 1, 1, 2]),
        "image": st.sampled_from([None, None, None, "a.jpg", "b.jpg"]),
    }
)


def single_ok(post: dict[str, Any], rules: PairRules, *, settled: bool) -> bool:
    measure = post[rules.measure]
    if measure is None or measure < max(1, rules.min_likes or 1):
        return False
    if rules.single_images and (post["media_type"], post["image_count"]) != ("image", 1):
        return False
    words = parse_caption(post["caption"]).words
    if rules.max_caption_words is not None and words > rules.max_caption_words:
        return False
    if rules.min_age_days is None:
        return True
    if post["downloaded_at"] is None:
        return settled
    return bool(post["downloaded_at"] - post["uploaded_at"] >= timedelta(rules.min_age_days))


def tags_ok(one: tuple[str, ...], other: tuple[str, ...], rules: PairRules) -> bool:
    if rules.hashtag_tolerance is not None:
        return abs(len(one) - len(other)) <= rules.hashtag_tolerance
    return not rules.same_hashtags or one == other


def pair_ok(a: dict[str, Any], b: dict[str, Any], rules: PairRules) -> bool:
    facts = parse_caption(a["caption"]), parse_caption(b["caption"])
    dates_apart = abs((a["uploaded_at"].date() - b["uploaded_at"].date()).days)
    hours_apart = abs((a["uploaded_at"] - b["uploaded_at"]).total_seconds()) / 3600
    gap = abs(math.log(a[rules.measure]) - math.log(b[rules.measure]))
    noise = 1 / a[rules.measure] + 1 / b[rules.measure] if rules.count_noise else 0
    sure = NormalDist().cdf(gap / math.sqrt(2 * rules.sigma**2 + noise))
    return (
        a["platform"] == b["platform"]
        and (a["image"] is None or a["image"] != b["image"])
        and (not rules.same_user or a["user_id"] == b["user_id"])
        and tags_ok(facts[0].tags, facts[1].tags, rules)
        and (not rules.same_mentions or facts[0].mentions == facts[1].mentions)
        and (rules.dates_closer_than is None or dates_apart < rules.dates_closer_than)
        and (rules.window_hours is None or hours_apart <= rules.window_hours)
        and (gap > 0 if rules.confidence is None else sure >= rules.confidence)
    )


def brute_force(posts: pa.Table, rules: PairRules, *, settled: bool) -> set[tuple[str, str]]:
    good = [p for p in posts.to_pylist() if single_ok(p, rules, settled=settled)]
    if rules.one_image_one_pair:
        # The first post keeps the picture that several name.
        first = {p["image"]: p["post_id"] for p in reversed(good) if p["image"] is not None}
        good = [p for p in good if first.get(p["image"], p["post_id"]) == p["post_id"]]
    found = set()
    for a, b in combinations(good, 2):
        if pair_ok(a, b, rules):
            winner, loser = sorted((a, b), key=lambda p: -p[rules.measure])
            found.add((winner["post_id"], loser["post_id"]))
    return found


def pairs_of(posts: pa.Table, rules: PairRules, **options: Any) -> list[tuple[str, str]]:
    try:
        table = build_pairs(posts, rules, **options).pairs
    except DataError as error:
        if "no eligible pair" not in str(error):
            raise
        return []
    return list(zip(table["winner_id"].to_pylist(), table["loser_id"].to_pylist(), strict=True))


def crowd(n: int, seed: int = 0) -> pa.Table:
    """One user with far more posts in a window than each may look at, and a few others."""
    draw = random.Random(seed)
    return make_posts(
        *(
            {
                "user_id": "heavy" if draw.random() < 0.8 else f"u{draw.randrange(5)}",
                "uploaded_at": START + timedelta(minutes=draw.randrange(12 * 1440)),
                "likes": draw.randrange(40, 2000),
                "image": f"{i}.jpg",
            }
            for i in range(n)
        )
    )
