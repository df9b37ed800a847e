"""Every rule against its plain definition, the funnel by hand, and what is refused."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import NormalDist
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_posts import make_posts
from plain_rules import START, a_post, brute_force, crowd, pairs_of

from i2pa.errors import DataError, UserInputError
from i2pa.pairs import PAIRS, PAPER, SAME_USER_WIDE, PairRules, build_pairs, read_pairs, write_pairs
from i2pa.pairs.rules import Measure
from i2pa.pairs.schema import metadata

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


@settings(deadline=None, max_examples=150)
@given(st.lists(a_post, min_size=2, max_size=14), some_rules, st.booleans())
def test_rules_equal_their_definition(
    rows: list[dict[str, Any]], rules: PairRules, settled: bool
) -> None:
    posts = make_posts(*rows)
    found = pairs_of(posts, rules, assume_settled=settled)
    assert len(found) == len(set(found))
    assert set(found) == brute_force(posts, rules, settled=settled)


@settings(deadline=None, max_examples=30)
@given(st.lists(a_post, min_size=2, max_size=14), some_rules, st.integers(1, 3))
def test_a_cap_keeps_so_many_pairs_of_each_user(
    rows: list[dict[str, Any]], rules: PairRules, cap: int
) -> None:
    posts = make_posts(*rows)
    rules = replace(rules, same_user=True)
    user = {post["post_id"]: (post["platform"], post["user_id"]) for post in posts.to_pylist()}
    every = pairs_of(posts, rules)
    kept = pairs_of(posts, replace(rules, max_pairs_per_user=cap))
    assert set(kept) <= set(every)
    all_of, kept_of = (Counter(user[winner] for winner, _ in pairs) for pairs in (every, kept))
    assert kept_of == {name: min(n, cap) for name, n in all_of.items()}


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
        "relax with --min-age-days 0"
    )
    assert "3 posts fail 'time of download known'" in error(*[{"downloaded_at": None}] * 3)
    assert "relax with --downloaded-at DATE" in error(*[{"downloaded_at": None}] * 3)
    assert "1 of 1 pair fail 'the same user'" in error({}, {"user_id": "v"})
    assert "'P(Q_A >= Q_B) at least 0.95'" in error({}, {})
    assert error({}) == "no eligible pair: 1 post cannot make one"


def test_platforms_are_a_step_of_their_own_across_users(monkeypatch: pytest.MonkeyPatch) -> None:
    # One post a block: platforms are counted over all of them.
    monkeypatch.setattr("i2pa.pairs.blocks.AT_ONCE", 1)
    rules = replace(PAPER, same_user=False)
    with pytest.raises(DataError) as caught:
        build_pairs(make_posts({}, {"likes": 300, "platform": "q"}), rules)
    assert str(caught.value) == (
        "no eligible pair: 1 of 1 pair fail 'the same platform'; "
        "no option pairs posts of two platforms"
    )
    tags = ({"user_id": f"u{i}", "caption": "#a" * (i % 2), "likes": 100 * 3**i} for i in range(4))
    alone = {"platform": "q", "caption": "#a"}, {"platform": "r", "likes": None}
    funnel = {step.rule: step for step in build_pairs(make_posts(*tags, *alone), rules).funnel}
    step, after = funnel["the same platform"], funnel["the same hashtags"]
    assert (step.before, step.after, step.relax, after.after) == (10, 6, "", 2)
    one = build_pairs(make_posts({}, {"likes": 300}), rules)
    assert "the same platform" not in [step.rule for step in one.funnel]


@pytest.mark.parametrize("same_user", [True, False])
def test_no_pair_for_want_of_a_measure_names_those_that_are_there(same_user: bool) -> None:
    def error(measure: Measure, *rows: dict[str, Any]) -> str:
        rules = replace(PAPER, measure=measure, same_user=same_user)
        with pytest.raises(DataError) as caught:
            build_pairs(make_posts(*rows), rules)
        return str(caught.value)

    reddit = [{"likes": None, "score": n} for n in (0, 70)]
    assert error("likes", *reddit).endswith("'likes known and above 0'; relax with --measure score")
    assert error("views", *reddit).endswith("relax with --measure score")
    video = [{"likes": None, "views": 90, "score": -3}] * 2
    assert error("likes-per-view", *video).endswith("relax with --measure views")
    both = [{"likes": 100, "views": 900}] * 2
    assert "relax with --measure likes or --measure views or --measure likes-per-view" in error(
        "score", *both
    )
    assert "and they have no other measure; take an export with likes" in error(
        "likes", {"likes": None}, {"likes": 0}
    )


def test_nothing_was_downloaded_in_the_future() -> None:
    soon = datetime.now(UTC) + timedelta(days=2)
    with pytest.raises(UserInputError, match="is in the future; give the day on which"):
        build_pairs(make_posts({}, {}), downloaded_at=soon)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+05:00", "9999-12-31T23:00:00-05:00"])
def test_a_download_in_no_year_of_utc_is_one_line(text: str) -> None:
    with pytest.raises(UserInputError, match=f"{re.escape(text)} is outside the years 1 to 9999"):
        build_pairs(make_posts({}, {}), downloaded_at=datetime.fromisoformat(text))


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


def test_a_file_tells_every_reader_how_its_pairs_were_made(tmp_path: Path) -> None:
    file = tmp_path / "pairs.parquet"
    built = build_pairs(make_posts({}, {"likes": 300}), out=file)
    raw = pq.read_metadata(file).metadata
    for read in (read_pairs, pq.read_table, lambda path: pq.ParquetFile(path).read()):
        table = read(file)
        assert table.schema.equals(PAIRS)
        assert built.facts.items() <= metadata(table).items()
        assert table.schema.metadata.items() <= raw.items()


def test_wrong_calls() -> None:
    posts = make_posts({}, {"likes": 300})
    with pytest.raises(UserInputError, match="unknown matching"):
        build_pairs(posts, matching="best")  # type: ignore[arg-type]
    with pytest.raises(UserInputError, match="'maximum' means nothing where one_image_one_pair"):
        build_pairs(posts, SAME_USER_WIDE, matching="maximum")
    with pytest.raises(UserInputError, match="no amount of memory"):
        build_pairs(posts, memory_limit="plenty")
    with pytest.raises(UserInputError, match="but must be at most 1,000,000,000"):
        build_pairs(posts, candidates=10**30)
    with pytest.raises(UserInputError, match="but must be at most 1,024"):
        build_pairs(posts, threads=10**30)
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


def test_too_little_memory_is_one_line() -> None:
    with pytest.raises(UserInputError, match="--memory-limit 1MB is too little"):
        build_pairs(crowd(5000), memory_limit="1MB")
