"""Eq. 6 and the rules as numbers."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from plain_posts import make_posts

from i2pa.audit import audit_pairs
from i2pa.errors import DataError, UserInputError
from i2pa.pairs import (
    PAPER,
    SAME_USER_WIDE,
    PairRules,
    build_pairs,
    probability_discriminable,
    split_pairs,
    within_days,
)

JUNE = datetime(2019, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def test_eq_6_golden_values() -> None:
    assert pytest.approx(0.69785, abs=5e-6) == PAPER.min_log_gap
    assert pytest.approx(2.0094, abs=1e-4) == math.exp(PAPER.min_log_gap)
    p = probability_discriminable([0.0, PAPER.min_log_gap, -PAPER.min_log_gap], 0.3)
    assert p == pytest.approx([0.5, 0.95, 0.05], abs=1e-12)
    assert probability_discriminable(0.69785, 0.3) == pytest.approx(0.95, abs=1e-6)


@pytest.mark.parametrize(
    ("low", "high"),
    [(546, 3465), (1735, 4456), (315, 871), (19133, 41600), (2025, 19238), (108, 289),
     (650, 1380), (1050, 2279)],
)  # fmt: skip
def test_every_pair_of_fig_9_is_discriminable(low: int, high: int) -> None:
    assert high / low >= 2.122
    assert probability_discriminable(math.log(high / low), 0.3) >= 0.95
    # With the logarithm to base 10, most of them would not be.
    if high / low < 4.98:
        assert probability_discriminable(math.log10(high / low), 0.3) < 0.95


def test_a_rule_that_is_off_and_a_rule_set_by_hash() -> None:
    assert replace(PAPER, confidence=None).min_log_gap == 0
    assert PairRules().sha256() == PAPER.sha256() != SAME_USER_WIDE.sha256()
    assert '"min_likes": 50' in PAPER.to_json()


def test_the_window_is_widened_as_it_is_read() -> None:
    assert within_days(PAPER, 30).dates_closer_than == 30
    assert within_days(SAME_USER_WIDE, 10).window_hours == 240
    assert within_days(SAME_USER_WIDE, 10).dates_closer_than is None


def test_hours_take_the_place_of_dates() -> None:
    rules = PairRules(window_hours=24.0)
    assert rules.dates_closer_than is None
    assert rules == replace(PAPER, dates_closer_than=None, window_hours=24)
    posts = make_posts(*({"likes": 100 * 4**i, "uploaded_at": JUNE + i * DAY} for i in range(3)))
    rules = PairRules(window_hours=1.0)
    with pytest.raises(DataError, match="'at most 1 hour apart'; relax with --window-hours N"):
        build_pairs(posts, rules)


def test_equal_rules_have_one_hash() -> None:
    assert within_days(SAME_USER_WIDE, 30).sha256() == SAME_USER_WIDE.sha256()
    assert replace(PAPER, min_age_days=30).sha256() == PAPER.sha256()


@pytest.mark.parametrize(
    "wrong",
    [{"sigma": 0}, {"confidence": 0.5}, {"confidence": 1}, {"min_likes": 0},
     {"dates_closer_than": 0}, {"window_hours": -1}, {"min_age_days": -1}, {"measure": "shares"},
     {"window_hours": math.inf}, {"min_age_days": math.nan}, {"max_pairs_per_user": 0}],
)  # fmt: skip
def test_numbers_that_mean_nothing_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UserInputError, match=f"{next(iter(wrong))} is "):
        replace(PAPER, **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"window_hours": 1e10}, "window_hours is 1e+10, but must be at most 2,400,000; None sw"),
        ({"dates_closer_than": 10**19}, "but must be at most 100,000; None switches the rule off"),
        ({"min_age_days": 1e300}, "min_age_days is 1e+300, but must be at most 100,000"),
        ({"min_age_days": -(10**400)}, "but must be a finite number from 0"),
        ({"min_likes": 10**400}, "but must be at most 1,000,000,000,000,000,000"),
        ({"sigma": 1e-300}, "sigma is 1e-300, but must be at least 1e-06"),
        ({"sigma": 1e300}, "sigma is 1e+300, but must be at most 1,000,000"),
    ],
)
def test_numbers_beyond_all_posts_are_refused(wrong: dict[str, object], says: str) -> None:
    with pytest.raises(UserInputError, match=re.escape(says)):
        replace(PAPER, **wrong)  # type: ignore[arg-type]


def test_the_widest_window_lets_all_posts_pair() -> None:
    posts = make_posts({}, {"likes": 300, "uploaded_at": datetime(1970, 2, 1, tzinfo=UTC)})
    widest = within_days(PAPER, 100_000), within_days(SAME_USER_WIDE, 100_000)
    assert [build_pairs(posts, rules).pairs.num_rows for rules in widest] == [1, 1]
    with pytest.raises(UserInputError, match="days is 100001, but must be at most 100,000"):
        within_days(SAME_USER_WIDE, 100_001)


def test_pairs_of_two_users_are_not_counted_by_user() -> None:
    with pytest.raises(UserInputError, match="max_pairs_per_user and same_user=False do not go"):
        PairRules(same_user=False, max_pairs_per_user=3)


@pytest.mark.filterwarnings("error")
def test_the_smallest_spread_is_computed_without_a_warning() -> None:
    built = build_pairs(make_posts({}, {"likes": 300}), replace(PAPER, sigma=1e-6))
    assert built.pairs["p"].to_pylist() == [1.0]


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_seeds_are_bounded_alike(seed: int) -> None:
    posts = make_posts({}, {"likes": 300})
    pairs = build_pairs(posts, PAPER).pairs
    for call in (
        lambda: build_pairs(posts, PAPER, seed=seed),
        lambda: split_pairs(pairs, seed=seed),
        lambda: audit_pairs(pairs, seed=seed),
    ):
        with pytest.raises(UserInputError, match=f"seed is {seed}, but must be a whole number fro"):
            call()


def test_one_like_is_no_plural() -> None:
    rules = replace(PAPER, min_likes=1, max_caption_words=1)
    funnel = build_pairs(make_posts({}, {"likes": 300}), rules).funnel
    assert {"at least 1 like", "at most 1 caption word"} <= {step.rule for step in funnel}
