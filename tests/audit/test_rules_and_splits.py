"""Rules, splits, duplicates and concentration, on lists small enough to count by hand."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pairs_of import START, pairs_of
from PIL import Image, ImageFilter

from i2pa.audit import Audit, Check, audit_pairs
from i2pa.audit.concentration import gini
from i2pa.audit.duplicates import connected, near_groups, near_pairs
from i2pa.audit.pictures import read_pictures
from i2pa.audit.report import as_html, rows
from i2pa.errors import DataError, UserInputError
from i2pa.pairs.schema import with_metadata
from i2pa.posts import POSTS


def check(audit: Audit, name: str) -> Check:
    (found,) = [check for check in audit.checks if check.name == name]
    return found


def days(*numbers: float) -> list[np.datetime64]:
    return [START + np.timedelta64(round(day * 86_400e6), "us") for day in numbers]


def test_dates_count_by_the_utc_calendar() -> None:
    table = pairs_of(3, winner_time=days(0.99, 0.01, 0), loser_time=days(10.01, 9.99, 9.99))
    dates = check(audit_pairs(table), "dates_10_or_more_apart")
    assert (dates.value, dates.n, dates.verdict) == (1, 3, "breaks the rule")
    assert audit_pairs(table).date_gaps == (0,) * 9 + (2, 1)


def test_a_rule_that_the_list_switched_off_is_not_held_against_it() -> None:
    table = pairs_of(2, winner_time=days(0, 0), loser_time=days(1, 20), winner_id=["a", "a"])
    rules = '{"dates_closer_than": null, "one_image_one_pair": false}'
    for facts, verdict in (({}, "breaks the rule"), ({"rules": rules}, "not a rule of this list")):
        audit = audit_pairs(with_metadata(table, facts))
        assert check(audit, "dates_10_or_more_apart").verdict == verdict
        assert check(audit, "repeated_pictures").value == 1
        assert check(audit, "repeated_pictures").verdict == verdict


def test_users_and_pictures_shared_by_splits() -> None:
    table = pairs_of(
        4,
        user_id=["a", "a", "b", "c"],
        split=["train", "test", "train", None],
        winner_image=["1", "2", "3", "4"],
        loser_image=["5", "1", "6", "3"],
    )
    audit = audit_pairs(table)
    users = check(audit, "users_shared_by_splits")
    named = check(audit, "named_pictures_shared_by_splits")
    assert (users.value, users.n, users.verdict) == (1, 2, "leaks")
    assert (named.value, named.n, named.verdict) == (1, 5, "leaks")
    assert (users.found, named.found) == (("a",), ("1",))
    assert audit.overall.verdict == "leaks"
    assert "leak into each other" in str(audit.overall)
    sound = table.set_column(
        table.column_names.index("split"), table.schema.field("split"), pa.array(["train"] * 4)
    )
    assert check(audit_pairs(sound), "users_shared_by_splits").verdict == "no sign of a leak"


def test_pairs_that_contradict_each_other_or_themselves() -> None:
    table = pairs_of(4, winner_image=["1", "2", "3", "1"], loser_image=["2", "1", "3", "3"])
    found = check(audit_pairs(table), "contradicting_pairs")
    assert (found.value, found.n, found.verdict) == (3, 4, "breaks the rule")
    assert found.says.startswith("1 of 4 pairs set a picture against itself and 2 have an opposite")
    assert found.found == ("1 over 2", "2 over 1", "3 over 3")


def test_a_report_names_the_first_few_at_fault() -> None:
    names = [f"{i}.jpg" for i in range(5)]
    audit = audit_pairs(pairs_of(5, winner_image=names, loser_image=names))
    found = check(audit, "contradicting_pairs")
    few = "0.jpg over 0.jpg; 1.jpg over 1.jpg; 2.jpg over 2.jpg; and 2 more"
    assert found.first_found == few
    assert len(found.found) == 5
    assert few in as_html(audit)
    assert check(audit, "repeated_pictures").first_found == ""


@pytest.mark.parametrize(("age", "advises"), [(40, False), (20, True), (None, True)])
def test_where_posts_are_settled_age_is_not_advised(age: int | None, advises: bool) -> None:
    pairs = pairs_of(later_wins=1.0)
    sides = [
        (pairs[f"{side}_id"], pairs[f"{side}_time"].to_numpy()) for side in ("winner", "loser")
    ]
    posts: dict[str, object] = dict.fromkeys(POSTS.names, pa.nulls(2 * pairs.num_rows))
    up = np.concatenate([time for _, time in sides])
    posts |= {
        "platform": ["made-up"] * len(up),
        "post_id": [post for ids, _ in sides for post in ids.to_pylist()],
        "uploaded_at": up,
    }
    if age is not None:
        posts["downloaded_at"] = up + np.timedelta64(age, "D")
    audit = audit_pairs(pairs, posts=pa.table(posts).cast(POSTS))
    assert audit.overall.verdict == "useless for training"
    assert ("--min-age-days" in str(audit.overall)) == advises
    assert "closer in time" in str(audit.overall)


@pytest.fixture
def folder(tmp_path: Path, examples: Path) -> Path:
    """Two photographs, each with a byte copy, a smaller and blurred copy, and two plain walls."""
    for number, source in enumerate(sorted(examples.glob("*.jpg"))[:2]):
        picture = Image.open(source).convert("RGB")
        picture.save(tmp_path / f"{number}.jpg")
        (tmp_path / f"{number}-copy.jpg").write_bytes((tmp_path / f"{number}.jpg").read_bytes())
        small = picture.resize((picture.width // 3, picture.height // 3))
        small.filter(ImageFilter.GaussianBlur(1)).save(tmp_path / f"{number}-small.png")
    Image.new("RGB", (64, 64), "red").save(tmp_path / "red.png")
    Image.new("RGB", (64, 64), "blue").save(tmp_path / "blue.png")
    return tmp_path


def test_near_pictures_are_one_group_and_plain_ones_are_not(folder: Path) -> None:
    names = sorted(path.name for path in folder.iterdir())
    group = dict(zip(names, near_groups(read_pictures(names, [folder])).tolist(), strict=True))
    assert group["0.jpg"] == group["0-copy.jpg"] == group["0-small.png"]
    assert group["1.jpg"] == group["1-copy.jpg"] == group["1-small.png"]
    assert len({group[name] for name in ("0.jpg", "1.jpg", "red.png", "blue.png")}) == 4


def test_copies_across_splits_are_found_by_bytes_and_by_eye(folder: Path) -> None:
    table = pairs_of(
        3,
        split=["train", "test", "val"],
        winner_image=["0.jpg", "0-copy.jpg", "1-small.png"],
        loser_image=["1.jpg", "red.png", "blue.png"],
    )
    audit = audit_pairs(table, images=[folder])
    assert check(audit, "equal_pictures_shared_by_splits").found == ("0-copy.jpg = 0.jpg",)
    shared = {
        kind: check(audit, f"{kind}_pictures_shared_by_splits").value
        for kind in ("named", "equal", "near")
    }
    assert shared == {"named": 0, "equal": 1, "near": 2}
    turned = pairs_of(2, winner_image=["0.jpg", "1-small.png"], loser_image=["1.jpg", "0-copy.jpg"])
    assert check(audit_pairs(turned, images=[folder]), "contradicting_pairs").value == 2
    assert check(audit_pairs(turned), "contradicting_pairs").value == 0


def test_folders_must_exist_and_hold_pictures(folder: Path) -> None:
    table = pairs_of(1, winner_image=["x.jpg"], loser_image=["y.jpg"])
    with pytest.raises(UserInputError, match="no such folder"):
        audit_pairs(table, images=[folder / "none"])
    with pytest.raises(DataError, match="none of 2 pictures can be read; first: x"):
        audit_pairs(table, images=[folder])
    with pytest.raises(DataError, match="name no picture"):
        audit_pairs(pairs_of(1), images=[folder])


prints = st.lists(
    st.one_of(
        st.integers(1, 2**64 - 1),
        st.sets(st.integers(0, 63), max_size=8).map(lambda bits: sum(1 << b for b in bits)),
    ),
    max_size=12,
)


@given(prints)
def test_near_pairs_equal_brute_force_once_chained(values: list[int]) -> None:
    n = len(values)
    near = near_pairs(np.array(values, dtype=np.uint64))
    slow = [(i, j) for i in range(n) for j in range(i) if (values[i] ^ values[j]).bit_count() <= 7]
    expected = np.array(slow, dtype=np.int64).reshape(-1, 2)
    for one, other in near.tolist():
        assert (values[one] ^ values[other]).bit_count() <= 7
    assert connected(n, *near.T).tolist() == connected(n, *expected.T).tolist()


def test_gini_by_hand() -> None:
    assert gini(np.array([5, 5, 5])) == pytest.approx(0)
    assert gini(np.array([1, 3])) == pytest.approx(0.25)
    assert gini(np.array([1] * 99 + [10_000])) == pytest.approx(0.98, abs=0.001)


def test_concentration_names_the_ten_largest() -> None:
    users = [f"big{i}" for i in range(10) for _ in range(9)] + [f"small{i}" for i in range(10)]
    top = check(audit_pairs(pairs_of(100, user_id=users)), "top_10_users_share")
    assert (top.value, top.users, top.verdict) == (0.9, 20, "well spread")


def test_a_list_of_nothing_is_refused() -> None:
    with pytest.raises(DataError, match="no pair to audit"):
        audit_pairs(pairs_of(1).slice(0, 0))
    with pytest.raises(DataError, match="not a table of pairs: it has no platform"):
        audit_pairs(pa.table({"a": [1]}))
    posts = POSTS.empty_table().drop_columns(["caption_words"])
    with pytest.raises(DataError, match="the posts have no column caption_words; make them with"):
        audit_pairs(pairs_of(2), posts=posts)
    with pytest.raises(DataError, match="weights must be"):
        audit_pairs(pairs_of(2, weight=[-1.0, 1.0]))
    with pytest.raises(DataError, match=r"weights must be numbers from 0 to 1e\+100"):
        audit_pairs(pairs_of(2, weight=[1e308, 1e308]))


def test_pictures_that_are_not_there_are_still_compared_by_name(folder: Path) -> None:
    table = pairs_of(
        4,
        winner_image=["0.jpg", "gone.jpg", "red.png", "1.jpg"],
        loser_image=["gone.jpg", "0.jpg", "red.png", "0.jpg"],
        split=["train", "test", None, None],
    )
    found = check(audit_pairs(table, images=[folder]), "contradicting_pairs")
    assert (found.value, found.n, found.verdict) == (3, 4, "breaks the rule")
    assert "(to the eye in 2 of 4 pairs, by name in the others)" in found.says
    unseen = audit_pairs(table.slice(0, 2), images=[folder])
    found = check(unseen, "contradicting_pairs")
    assert (found.value, found.verdict) == (2, "breaks the rule")
    assert "no pair has both pictures in the folders given" in found.says


def test_parts_without_a_picture_are_not_checked_by_content(folder: Path) -> None:
    table = pairs_of(
        2, winner_image=["x", "0.jpg"], loser_image=["y", "1.jpg"], split=["train", None]
    )
    skipped = {skip.name for skip in audit_pairs(table, images=[folder]).not_checked}
    assert {f"{kind}_pictures_shared_by_splits" for kind in ("equal", "near")} <= skipped


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"winner_id": ["a", None]}, "column winner_id: 1 of 2 values are empty"),
        ({"loser_id": None}, "column loser_id: 2 of 2 values are empty"),
        ({"delta_s": [1.0, -0.5]}, "column delta_s: 1 of 2 values are below 0; the winner"),
        (
            {"winner_s": [1.0, 2.0], "loser_s": [2.0, 1.0]},
            "column winner_s: 1 of 2 values are below loser_s",
        ),
        ({"p": [2.0, 0.5]}, "column p: 1 of 2 values are NaN or outside 0 to 1; fill it"),
        ({"p": [float("nan"), None]}, "column p: 1 of 2 values are NaN"),
        *(
            ({name: [float("nan"), None]}, f"column {name}: 1 of 2 values are NaN or infinite")
            for name in ("winner_s", "loser_s", "delta_s")
        ),
        ({"split": ["dev", None]}, "column split: 1 of 2 values are none of train, val, test"),
    ],
)
def test_columns_that_say_what_no_pair_can_are_refused(
    columns: dict[str, list[object] | None], says: str
) -> None:
    with pytest.raises(DataError, match=says):
        audit_pairs(pairs_of(2, **columns))


def test_one_pair_is_no_plural() -> None:
    audit = audit_pairs(pairs_of(1, user_id=["a"], split=["train"]))
    said = [*(line.says for line in audit.checks), *map(str, rows(audit.checks))]
    assert not [line for line in said if re.search(r"\b1 (pair|picture|user)s", line)]
    assert check(audit, "users_shared_by_splits").says == "0 of 1 user in more than one part"
