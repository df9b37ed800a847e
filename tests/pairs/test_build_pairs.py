"""Every rule against its plain definition, the matchings' validity, and the funnel by hand."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from io import BytesIO
from itertools import combinations
from pathlib import Path
from statistics import NormalDist
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_posts import make_posts

from i2pa.errors import DataError, UserInputError
from i2pa.pairs import PAIRS, PAPER, SAME_USER_WIDE, PairRules, build_pairs, read_pairs, write_pairs
from i2pa.pairs.match import MATCHINGS, Matching
from i2pa.pairs.schema import metadata
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
        "image": st.none(),
    }
)
an_image = st.sampled_from([None, None, "a.jpg", "b.jpg"])
a_picture_post = st.builds(lambda post, image: post | {"image": image}, a_post, an_image)
some_rules = st.builds(
    PairRules,
    confidence=st.sampled_from([0.95, 0.6, None]),
    same_user=st.booleans(),
    min_age_days=st.sampled_from([30, None]),
    dates_closer_than=st.sampled_from([10, 2, None]),
    window_hours=st.sampled_from([None, 36]),
    same_hashtags=st.booleans(),
    hashtag_tolerance=st.sampled_from([None, None, 0, 1]),
    count_noise=st.booleans(),
    same_mentions=st.booleans(),
    max_caption_words=st.sampled_from([6, 0, None]),
    single_images=st.booleans(),
    min_likes=st.sampled_from([50, None]),
    measure=st.sampled_from(["likes", "likes", "views"]),
    one_image_one_pair=st.just(False),
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


@settings(deadline=None, max_examples=150)
@given(st.lists(a_picture_post, min_size=2, max_size=14), some_rules, st.booleans())
def test_rules_equal_their_definition(
    rows: list[dict[str, Any]], rules: PairRules, settled: bool
) -> None:
    posts = make_posts(*rows)
    found = pairs_of(posts, rules, assume_settled=settled)
    assert len(found) == len(set(found))
    assert set(found) == brute_force(posts, rules, settled=settled)


@settings(deadline=None, max_examples=60)
@given(st.lists(a_post, min_size=2, max_size=20), st.sampled_from(MATCHINGS), st.integers(0, 3))
def test_matchings_are_valid_maximal_and_ignore_the_order_of_rows(
    rows: list[dict[str, Any]], matching: Matching, seed: int
) -> None:
    posts = make_posts(*rows)
    rules = replace(PAPER, same_hashtags=False, single_images=False)
    eligible = brute_force(posts, rules, settled=True)
    options = {"matching": matching, "seed": seed, "assume_settled": True}
    found = pairs_of(posts, rules, **options)
    used = [post for pair in found for post in pair]
    assert set(found) <= eligible
    assert len(used) == len(set(used))
    assert all(winner in used or loser in used for winner, loser in eligible)
    if matching not in ("random", "maximum"):
        assert none_better_was_left(posts, eligible, set(found), matching)
    order = random.Random(seed).sample(range(len(rows)), len(rows))
    assert pairs_of(posts.take(order), rules, **options) == found


@settings(deadline=None, max_examples=60)
@given(st.lists(a_post, min_size=2, max_size=11), st.integers(0, 3))
def test_maximum_keeps_as_many_pairs_as_can_be(rows: list[dict[str, Any]], seed: int) -> None:
    posts = make_posts(*rows)
    rules = replace(PAPER, same_hashtags=False, single_images=False)
    found = pairs_of(posts, rules, matching="maximum", seed=seed, assume_settled=True)
    assert len(found) == most_pairs(brute_force(posts, rules, settled=True))


def test_maximum_falls_back_past_its_size_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    posts = crowd(300)
    exact = build_pairs(posts, matching="maximum")
    assert exact.too_many_for_maximum == 0
    assert exact.pairs.num_rows >= build_pairs(posts, matching="closest-in-time").pairs.num_rows
    monkeypatch.setattr("i2pa.pairs.match.EXACT_UP_TO", 100)
    fallen = build_pairs(posts, matching="maximum")
    assert fallen.too_many_for_maximum > 100
    assert 0 < fallen.pairs.num_rows <= exact.pairs.num_rows


def test_each_user_is_capped_by_a_seeded_choice() -> None:
    posts = crowd(400)
    every = set(pairs_of(posts, PAPER))
    capped = build_pairs(posts, replace(PAPER, max_pairs_per_user=3))
    kept = set(zip(*(capped.pairs[c].to_pylist() for c in ("winner_id", "loser_id")), strict=True))
    assert kept < every
    per_user = capped.pairs.group_by("user_id").aggregate([([], "count_all")])
    assert max(per_user["count_all"].to_pylist()) == 3
    assert capped.funnel[-1].after == capped.pairs.num_rows
    assert kept != set(pairs_of(posts, replace(PAPER, max_pairs_per_user=3), seed=1))


def test_few_likes_are_less_certain_where_counts_add_noise() -> None:
    aware = replace(PAPER, count_noise=True, min_likes=None)
    few, many = ({"likes": 10}, {"likes": 22}), ({"likes": 1000}, {"likes": 2200})
    assert pairs_of(make_posts(*few), replace(aware, count_noise=False)) != []
    assert pairs_of(make_posts(*few), aware) == []
    (row,) = build_pairs(make_posts(*many), aware).pairs.to_pylist()
    spread = math.sqrt(2 * 0.3**2 + 1 / 1000 + 1 / 2200)
    assert row["p"] == pytest.approx(NormalDist().cdf(math.log(2.2) / spread))


def test_likes_per_view_is_a_measure() -> None:
    posts = make_posts(
        {"likes": 100, "views": 1000}, {"likes": 100, "views": 4000}, {"likes": 900, "views": None}
    )
    built = build_pairs(posts, replace(PAPER, measure="likes-per-view"))
    (row,) = built.pairs.to_pylist()
    assert (row["winner_id"], row["loser_id"]) == ("id0", "id1")
    assert row["delta_s"] == pytest.approx(math.log(4))
    assert built.funnel[1].removed == 1


def most_pairs(eligible: Iterable[tuple[str, str]]) -> int:
    """The size of a maximum matching, by trying everything: the first post alone or with each."""
    pairs = frozenset(map(frozenset, eligible))

    @cache
    def most(posts: frozenset[str]) -> int:
        if len(posts) < 2:
            return 0
        first, rest = min(posts), posts - {min(posts)}
        partners = [post for post in rest if frozenset({first, post}) in pairs]
        return max([most(rest), *(1 + most(rest - {post}) for post in partners)])

    return most(frozenset().union(*pairs))


def none_better_was_left(
    posts: pa.Table,
    eligible: set[tuple[str, str]],
    taken: set[tuple[str, str]],
    matching: Matching,
) -> bool:
    """What makes a matching greedy, whatever the order of ties: each pair left out shares a post
    with a pair at least as good."""
    by_id = {post["post_id"]: post for post in posts.to_pylist()}

    def key(pair: tuple[str, str]) -> float:
        winner, loser = by_id[pair[0]], by_id[pair[1]]
        if matching == "most-certain":
            return math.log(loser["likes"]) - math.log(winner["likes"])
        return abs((winner["uploaded_at"] - loser["uploaded_at"]).total_seconds())

    return all(
        any(key(kept) <= key(pair) and set(kept) & set(pair) for kept in taken)
        for pair in eligible - taken
    )


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


def as_bytes(table: pa.Table) -> bytes:
    file = BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


@pytest.mark.parametrize("matching", MATCHINGS)
def test_rows_and_threads_change_no_byte(matching: Matching) -> None:
    posts = crowd(900)
    rules = replace(PAPER, same_user=True)
    first = build_pairs(posts, rules, matching=matching, threads=1)
    assert first.windows_cut > 100 or matching == "maximum"
    order = random.Random(1).sample(range(900), 900)
    again = build_pairs(posts.take(order), rules, matching=matching, threads=2)
    assert as_bytes(first.pairs) == as_bytes(again.pairs)
    assert first.funnel == again.funnel
    if matching in ("random", "maximum"):
        other = build_pairs(posts, rules, matching=matching, seed=1)
        assert other.pairs["winner_id"].to_pylist() != first.pairs["winner_id"].to_pylist()


@pytest.mark.parametrize("matching", MATCHINGS)
def test_a_crowded_window_still_gives_valid_pairs(matching: Matching) -> None:
    posts = crowd(600)
    built = build_pairs(posts, PAPER, matching=matching, candidates=8)
    found = set(zip(*(built.pairs[c].to_pylist() for c in ("winner_id", "loser_id")), strict=True))
    assert found <= brute_force(posts, PAPER, settled=False)
    used = [post for pair in found for post in pair]
    assert len(used) == len(set(used))
    looked_at = next(step for step in built.funnel if step.rule.startswith("looked at"))
    if matching != "maximum":
        assert looked_at.after <= 8 * posts.num_rows
        assert looked_at.removed > 0


def test_the_funnel_counted_by_hand() -> None:
    day = timedelta(days=1)
    posts = make_posts(
        {"media_type": "carousel", "image_count": 3},
        {"likes": None},
        {"likes": 49},
        {"downloaded_at": None},
        {"downloaded_at": START + 29 * day},
        {"caption": "one two three four five six seven"},
        # Left: three of u and two of v, so 10 pairs, 3 + 1 within a user.
        {"likes": 100, "caption": "#a"},
        {"likes": 300, "caption": "#a", "uploaded_at": START + 9 * day},
        {"likes": 900, "caption": "#a", "uploaded_at": START + 10 * day},
        {"likes": 100, "user_id": "v"},
        {"likes": 900, "user_id": "v", "caption": "@x"},
    )
    built = build_pairs(posts)
    assert [(s.unit, s.before, s.removed) for s in built.funnel] == [
        ("posts", 11, 1),  # single image
        ("posts", 10, 1),  # likes known
        ("posts", 9, 1),  # at least 50
        ("posts", 8, 1),  # download known
        ("posts", 7, 1),  # settled
        ("posts", 6, 1),  # caption words
        ("posts", 5, 0),  # a picture of its own
        ("pairs", 10, 6),  # same user
        ("pairs", 4, 0),  # same hashtags
        ("pairs", 4, 1),  # same mentions
        ("pairs", 3, 1),  # dates: 0 and 10 are too far apart
        ("pairs", 2, 0),  # looked at
        ("pairs", 2, 0),  # discriminable
        ("pairs", 2, 1),  # one image, one pair
    ]
    assert built.summary.users == 1
    assert built.summary.no_hashtag == 0


def test_no_eligible_pair_says_which_rule_and_what_relaxes_it() -> None:
    def error(*rows: dict[str, Any], rules: PairRules = PAPER) -> str:
        with pytest.raises(DataError) as caught:
            build_pairs(make_posts(*rows), rules)
        return str(caught.value)

    young = {"downloaded_at": START + timedelta(days=3)}
    assert error(young, young, {}) == (
        "no eligible pair: 2 of 3 posts fail 'settled 30 days before download'; "
        "relax with --min-age-days 0 or --downloaded-at DATE"
    )
    assert "3 posts fail 'time of download known'" in error(*[{"downloaded_at": None}] * 3)
    assert "relax with --measure views" in error({"likes": None}, {"likes": None})
    assert "1 of 1 pairs fail 'the same user'" in error({}, {"user_id": "v"})
    assert "'P(Q_A >= Q_B) at least 0.95'" in error({}, {})
    assert error({}) == "no eligible pair: there are only 1 posts"


def test_one_pair_in_full_and_back_from_disk(tmp_path: Path) -> None:
    later = START + timedelta(days=2)
    posts = make_posts({"image": "a.jpg"}, {"likes": 300, "uploaded_at": later})
    pairs = build_pairs(posts, seed=5).pairs
    assert pairs.schema.equals(PAIRS)
    (row,) = pairs.to_pylist()
    assert (row["winner_id"], row["loser_id"], row["loser_image"]) == ("id1", "id0", "a.jpg")
    assert (row["winner_time"], row["weight"], row["split"]) == (later, 1.0, None)
    assert row["delta_s"] == pytest.approx(math.log(3))
    assert row["p"] == pytest.approx(NormalDist().cdf(math.log(3) / (0.3 * math.sqrt(2))))
    facts = metadata(pairs)
    assert facts["rules"] == PAPER.to_json()
    assert facts["rules_sha256"] == PAPER.sha256()
    assert (facts["seed"], facts["matching"]) == ("5", "random")
    assert {"version", "posts_hash", "candidates", "assumed"} <= set(facts)
    write_pairs(pairs, tmp_path / "pairs.parquet")
    back = read_pairs(tmp_path / "pairs.parquet")
    assert back.equals(pairs)
    assert metadata(back) == facts
    assert [p.name for p in tmp_path.iterdir()] == ["pairs.parquet"]


def test_wrong_calls() -> None:
    posts = make_posts({}, {"likes": 300})
    with pytest.raises(UserInputError, match="unknown matching"):
        build_pairs(posts, matching="best")  # type: ignore[arg-type]
    with pytest.raises(UserInputError, match="no amount of memory"):
        build_pairs(posts, memory_limit="plenty")
    with pytest.raises(DataError, match="no column tags_key"):
        build_pairs(posts.drop_columns(["tags_key"]))


def test_pairs_across_users_name_no_user() -> None:
    rules = replace(PAPER, same_user=False)
    pairs = build_pairs(make_posts({}, {"likes": 300, "user_id": "v"}), rules).pairs
    assert pairs["user_id"].to_pylist() == [None]


def test_downloaded_at_fills_only_what_is_unknown() -> None:
    posts = make_posts({"downloaded_at": None}, {"likes": 300})
    assert pairs_of(posts, PAPER) == []
    assert pairs_of(posts, PAPER, assume_settled=True) == [("id1", "id0")]
    assert pairs_of(posts, PAPER, downloaded_at=datetime(2019, 9, 1)) == [("id1", "id0")]
    assert pairs_of(posts, PAPER, downloaded_at=datetime(2019, 6, 2)) == []


def test_the_wide_rules_list_every_pair() -> None:
    rows = [{"likes": 3**i, "caption": "#x " * i} for i in range(1, 6)]
    assert len(pairs_of(make_posts(*rows), SAME_USER_WIDE)) == 10


def test_a_picture_file_of_two_posts_is_in_one_pair() -> None:
    rows = [{"likes": 100 * 3**i, "image": "same.jpg" if i < 2 else f"{i}.jpg"} for i in range(4)]
    built = build_pairs(make_posts(*rows))
    used = [built.pairs[f"{side}_image"].to_pylist() for side in ("winner", "loser")]
    assert len({*used[0], *used[1]}) == 2 * built.pairs.num_rows
    step = next(step for step in built.funnel if step.rule == "a picture of its own")
    assert step.removed == 1


def test_too_little_memory_is_one_line() -> None:
    with pytest.raises(UserInputError, match="--memory-limit 1MB is too little"):
        build_pairs(crowd(5000), memory_limit="1MB")
