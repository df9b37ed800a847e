"""Planted leaks are found, and none where there is none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pairs_of import pairs_of
from PIL import Image

from i2pa.audit import Audit, Check, audit_pairs, balance_time
from i2pa.audit.leaks import later_wins, time_features
from i2pa.audit.pairlist import shape
from i2pa.errors import DataError
from i2pa.metrics.clock import gap_class, hour, weekday
from i2pa.metrics.crossfit import cross_fitted, fit
from i2pa.metrics.intervals import bootstrap_clusters, bootstrap_users
from i2pa.pairs.schema import TIME


def check(audit: Audit, name: str) -> Check:
    (found,) = [check for check in audit.checks if check.name == name]
    return found


@pytest.mark.parametrize("share", [0.6, 0.4])
def test_an_order_that_leaks_is_found_either_way(share: float) -> None:
    audit = audit_pairs(pairs_of(later_wins=share))
    later, fitted = check(audit, "later_wins"), check(audit, "time_features")
    assert later.value == pytest.approx(share)
    assert later.low is not None
    assert later.low < share
    assert (later.n, later.users) == (2000, 100)
    assert later.verdict == fitted.verdict == audit.overall.verdict == "leaks"
    assert fitted.value == pytest.approx(0.6, abs=0.03)
    side = "later" if share > 0.5 else "earlier"
    assert f"the {side} picture wins in 60.0 % of pairs" in str(audit.overall)


def test_shuffled_sides_leak_nothing() -> None:
    audit = audit_pairs(pairs_of(10_000, seed=1))
    for name in ("later_wins", "time_features"):
        assert check(audit, name).verdict == "no sign of a leak"
    assert audit.overall.verdict == "no sign of a leak"


def test_false_alarms_are_as_rare_as_the_intervals_say() -> None:
    found = []
    for seed, n_later in enumerate(np.random.default_rng(0).binomial(500, 0.5, size=100)):
        pairs = shape(pairs_of(500, users=50, later_wins=n_later / 500, seed=seed))
        found += [later_wins(pairs, draws=200, seed=0)[0], time_features(pairs, draws=200, seed=0)]
    assert [check.verdict for check in found].count("leaks") <= 0.08 * len(found)


def test_few_users_settle_nothing() -> None:
    audit = audit_pairs(pairs_of(users=5, later_wins=0.9))
    assert check(audit, "later_wins").verdict == "too few to tell"
    assert audit.overall.verdict == "too few to tell"


def test_one_user_with_nearly_all_pairs_is_few_users() -> None:
    table = pairs_of(later_wins=0.7, user_id=["big"] * 1900 + [f"u{i}" for i in range(100)])
    audit = audit_pairs(table)
    assert check(audit, "later_wins").verdict == "too few to tell"
    assert check(audit, "top_10_users_share").verdict == "few users dominate"
    assert "Few users dominate" in str(audit.overall)


def test_a_leak_by_far_is_useless_and_the_reason_is_told() -> None:
    said = audit_pairs(pairs_of(later_wins=0.1)).overall
    assert said.verdict == "useless for training"
    assert "the earlier picture wins in 90.0 % of pairs" in str(said)
    assert "not what people like" in str(said)


def test_hours_leak_by_the_cross_fitted_logistic_alone() -> None:
    rng = np.random.default_rng(0)
    days = rng.integers(0, 300, (2, 4000)) * 24
    hours = rng.integers(0, 24, (2, 4000))
    order = np.argsort(-((hours < 12) + rng.normal(0, 0.5, hours.shape)), axis=0)
    at = np.take_along_axis(days + hours, order, axis=0)
    times = np.datetime64("2019-01-01", "us") + at.astype("timedelta64[h]")
    audit = audit_pairs(pairs_of(4000, winner_time=times[0], loser_time=times[1]))
    assert check(audit, "time_features").verdict == "leaks"
    assert check(audit, "time_features").value > 0.65
    (by_hour,) = [table for table in audit.tables if table.name == "wins_by_hour"]
    shares = {row.label: row.value for row in by_hour.rows}
    assert shares["06"] > 0.6 > 0.4 > shares["18"]


def test_without_users_pairs_are_resampled_and_a_warning_says_so() -> None:
    users, none = pairs_of(), pairs_of(user_id=None)
    audit = audit_pairs(none)
    assert (audit.users, audit.resampled) == (None, "pairs")
    assert "too narrow" in audit.warnings[0]
    assert check(audit, "later_wins").users is None
    assert {"gini", "users_shared_by_splits"} <= {skip.name for skip in audit.not_checked}
    assert audit_pairs(users).warnings == ()
    some = audit_pairs(pairs_of(4, users=2, user_id=["a", "a", None, "b"]))
    assert (some.users, some.resampled) == (None, "users and pairs")
    assert some.warnings[0].startswith("1 pair without user_id")


def test_row_order_changes_nothing_that_is_fitted() -> None:
    table = pairs_of(later_wins=0.55)
    turned = table.take(pa.array(np.random.default_rng(0).permutation(len(table))))
    one, other = (check(audit_pairs(t), "time_features") for t in (table, turned))
    assert one.value == pytest.approx(other.value, abs=1e-9)


def test_without_times_the_rest_is_still_checked() -> None:
    audit = audit_pairs(pairs_of(winner_time=None, loser_time=None))
    assert {"later_wins", "time_features", "dates_10_or_more_apart"} <= {
        skip.name for skip in audit.not_checked
    }
    assert check(audit, "repeated_pictures").verdict == "keeps the rule"


@pytest.mark.parametrize("users", [100, None])
def test_balanced_by_time_later_wins_is_exactly_half(users: int | None) -> None:
    table = pairs_of(later_wins=0.8, **({} if users else {"user_id": None}))
    balanced = balance_time(table)
    audit = audit_pairs(balanced)
    assert check(audit, "later_wins").value == pytest.approx(0.5, abs=1e-12)
    assert audit.weighted
    weight = balanced["weight"].to_numpy()
    assert weight.sum() == pytest.approx(2000)
    assert weight.min() > 0


def test_balancing_needs_both_kinds_and_leaves_untimed_pairs_alone() -> None:
    with pytest.raises(DataError, match="cannot be balanced"):
        balance_time(pairs_of(later_wins=1))
    table = pairs_of(200, later_wins=0.75)
    times = [*table["winner_time"].to_pylist()[:-1], None]
    column = table.column_names.index("winner_time")
    table = table.set_column(column, table.schema.field(column), pa.array(times, TIME))
    assert balance_time(table)["weight"].to_pylist()[-1] == 1.0


def posts_of(pairs: pa.Table, captions: dict[str, str], age_days: float = 60) -> pa.Table:
    from i2pa.posts.captions import caption_columns
    from i2pa.posts.schema import POSTS

    rows = []
    for side in ("winner", "loser"):
        for post, at in zip(pairs[f"{side}_id"], pairs[f"{side}_time"], strict=True):
            row = dict.fromkeys(POSTS.names)
            when: datetime = at.as_py()
            row |= {"platform": "made-up", "post_id": post.as_py(), "uploaded_at": when}
            row |= {"downloaded_at": when + timedelta(days=age_days), "caption": captions[side]}
            rows.append(row)
    table = pa.Table.from_pylist(rows, POSTS)
    words = caption_columns(table["caption"]).caption_words
    return table.set_column(
        POSTS.get_field_index("caption_words"), POSTS.field("caption_words"), words
    )


def test_captions_and_ages_are_read_from_the_posts() -> None:
    pairs = pairs_of(400)
    posts = posts_of(pairs, {"winner": "hi", "loser": "a long story of a day"}, age_days=10)
    audit = audit_pairs(pairs, posts=posts)
    assert check(audit, "caption_length").value == 1.0
    assert check(audit, "caption_length").verdict == "leaks"
    assert audit.overall.verdict == "useless for training"
    young = check(audit, "young_posts")
    assert (young.value, young.verdict) == (400, "breaks the rule")
    alike = audit_pairs(pairs, posts=posts_of(pairs, {"winner": "hi", "loser": "yo"}))
    assert check(alike, "caption_length").verdict == "no sign of a leak"
    assert check(alike, "young_posts").verdict == "keeps the rule"


def test_properties_of_files_are_told_apart(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names = {"winner": [], "loser": []}
    for i in range(40):
        for side, size in (("winner", (60, 40)), ("loser", (40, 60))):
            name = f"{side}{i}.{'png' if i % 2 else 'jpg'}"
            Image.fromarray(rng.integers(0, 255, (*size, 3), dtype=np.uint8)).save(tmp_path / name)
            names[side].append(name)
    (tmp_path / "winner0.jpg").write_bytes(b"no picture")
    table = pairs_of(40, users=20, winner_image=names["winner"], loser_image=names["loser"])
    audit = audit_pairs(table, images=[tmp_path])
    assert check(audit, "aspect").value == 1.0
    assert check(audit, "aspect").n == 39
    assert check(audit, "format").value == check(audit, "picture_size").value == 0.5
    assert audit.pictures_read == 79
    assert [lost.path for lost in audit.unreadable] == ["winner0.jpg"]


def test_gap_classes_hours_and_weekdays() -> None:
    seconds = np.array([0, 59, 60, -61, 86_400, 1e9, np.nan])
    assert gap_class(seconds).tolist() == [0, 0, 1, 1, 5, 12, -1]
    moments = [datetime(2019, 6, 2, 23, 59, tzinfo=UTC), datetime(1969, 12, 31, 1, tzinfo=UTC)]
    times = np.array([*(m.replace(tzinfo=None) for m in moments), "NaT"], "datetime64[us]")
    assert hour(times).tolist() == [23, 1, -1]
    assert weekday(times).tolist() == [m.weekday() for m in moments] + [-1]


def test_the_fit_is_at_its_optimum() -> None:
    rng = np.random.default_rng(0)
    design, weight = rng.normal(size=(300, 4)), rng.uniform(0.5, 2, 300)
    w = fit(design, weight)
    gradient = w - design.T @ (weight / (1 + np.exp(design @ w)))
    assert np.abs(gradient).max() < 1e-2
    assert fit(design, weight, np.full(4, 5.0)) == pytest.approx(w, abs=1e-3)


def test_a_user_is_never_judged_by_his_own_pairs() -> None:
    # Each user's own column says that he wins: of no use for any other user.
    users = np.repeat(np.arange(10), 5)
    design = np.eye(10)[users]
    found = cross_fitted(design, users, np.ones(50), np.ones(50, dtype=bool), seed=0)
    assert found.tolist() == [0.0] * 50


@given(st.integers(0, 1000), st.integers(2, 40))
def test_the_bootstrap_of_clusters_is_that_of_users(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 5, n)
    means = rng.binomial(counts, 0.5) / counts
    for one, other in zip(
        bootstrap_clusters(means * counts, counts.astype(np.float64), draws=4000),
        bootstrap_users(means, counts, draws=4000),
        strict=True,
    ):
        assert one.value == pytest.approx(other.value)
        assert (one.low, one.high) == pytest.approx((other.low, other.high), abs=0.07)


def test_very_many_kinds_of_clusters_are_drawn_one_by_one() -> None:
    rng = np.random.default_rng(0)
    weights = rng.uniform(1, 2, 3000)
    pooled, mean = bootstrap_clusters(weights * (rng.random(3000) < 0.5), weights, draws=500)
    width = 2 * 1.96 * 0.5 / np.sqrt(3000)
    for interval in (pooled, mean):
        assert interval.high - interval.low == pytest.approx(width, rel=0.2)
