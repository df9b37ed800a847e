"""Users left out in turn: folds, what is compared, and a choice that is made without looking."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from i2pa.errors import DataError, UserInputError
from i2pa.models.backbones import backbone_weights
from i2pa.pairs import PAIRS, pairs_from_levels
from i2pa.posts import POSTS
from i2pa.training import ABSOLUTE, FINETUNE, PROBE, cross_validate, crossval
from i2pa.training.absolute import PostFacts
from i2pa.training.compare import OutOfFold, chance_of_best, chosen_within, gain
from i2pa.training.crossval import to_leave_out
from i2pa.training.features import Features
from i2pa.training.fold import Listed, Trial, user_folds
from i2pa.training.foldfile import FoldResult, fold_plan
from i2pa.training.pairset import PairSet, images_of
from made_up import album


def of_users(counts: list[int]) -> PairSet:
    user = np.repeat([f"u{i}" for i in range(len(counts))], counts)
    at, ones = np.arange(len(user)), np.ones(len(user))
    return PairSet(at, at, user, ones, ones)


@settings(deadline=None)
@given(st.lists(st.integers(1, 50), min_size=2, max_size=20), st.integers(2, 6))
def test_users_stay_whole_and_folds_are_balanced(counts, folds):
    pairs = of_users(counts)
    if len(counts) < folds:
        with pytest.raises(DataError, match="fewer folds"):
            user_folds(pairs.user, folds)
        return
    fold = user_folds(pairs.user, folds)
    for user in np.unique(pairs.user):
        assert len(np.unique(fold[pairs.user == user])) == 1
    sizes = np.bincount(fold, minlength=folds)
    assert sizes.min() > 0
    # The heaviest first, each to the lightest fold: no fold is heavier by more than one user.
    assert sizes.max() - sizes.min() <= max(counts)


def row(right: list[list[float]], inner: list[float]) -> OutOfFold:
    """Users u0, u1 … of a fold each, with the given differences of scores."""
    user = [f"u{i}" for i, own in enumerate(right) for _ in own]
    fold = [i for i, own in enumerate(right) for _ in own]
    delta = [one for own in right for one in own]
    nats = [float(np.logaddexp(0, -one)) for one in delta]
    return OutOfFold(tuple(user), tuple(fold), tuple(delta), tuple(nats), tuple(inner))


def test_gains_are_paired_by_user():
    base = row([[1, 1], [1, -1], [-1, -1]], [0.5, 0.5, 0.5])
    better = row([[1, 1], [1, 1], [1, -1]], [0.5, 0.5, 0.5])
    found = gain(better, base)
    moved = np.array([0, 0.5, 0.5])
    assert found.value == pytest.approx(moved.mean())
    assert found.error == pytest.approx(moved.std(ddof=1) / np.sqrt(3))
    assert found.is_clear
    assert not gain(base, base).is_clear
    assert base.accuracy.mean_of_users.value == pytest.approx(0.5)
    assert base.log_loss == pytest.approx(
        np.mean([np.log1p(np.e**-1), np.log1p([np.e**-1, np.e]).mean(), np.log1p(np.e)])
    )
    with pytest.raises(ValueError, match="same pairs"):
        gain(better, row([[1, 1], [1, 1]], [0.5, 0.5]))


def test_folds_choose_by_what_they_saw_within():
    one = row([[1], [-1], [1]], [0.9, 0.5, 0.6])
    other = row([[-1], [1], [-1]], [0.8, 0.7, 0.6])
    picked, choice = chosen_within([one, other])
    assert choice == (0, 1, 0)
    assert picked.delta == (1, 1, 1)
    assert picked.inner == (0.9, 0.7, 0.6)


def test_the_best_of_many_by_chance():
    rng = np.random.default_rng(0)
    base = row([[0.0]] * 8, [0.5] * 8)
    coins = [row([[float(x)] for x in rng.choice([-1, 1], 8)], [0.5] * 8) for _ in range(30)]
    sure = row([[1.0]] * 7 + [[-1.0]], [0.5] * 8)
    assert chance_of_best(coins, base) > 0.05
    # Alone: of 256 ways to sign eight equal steps, nine have seven or more upward.
    assert chance_of_best([sure], base) == pytest.approx(9 / 256)
    assert chance_of_best([*coins, sure], base) > chance_of_best([sure], base)
    assert chance_of_best([base], base) == 1


def shuffled(pairs: pa.Table) -> pa.Table:
    return pairs.take(pa.array(np.random.default_rng(0).permutation(pairs.num_rows)))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[pa.Table, Path]:
    folder = tmp_path_factory.mktemp("crossval") / "album"
    return album(folder, users=5, pairs_each=2), folder


def test_pairs_without_a_picture_are_counted(pictures, monkeypatch):
    pairs, folder = pictures
    images = images_of(pairs)
    rng = np.random.default_rng(0)
    made = Features(
        row={image: row for row, image in enumerate(images[1:])},
        paths=tuple(folder / image for image in images[1:]),
        embedded=rng.normal(size=(len(images) - 1, 4)),
        properties=rng.normal(size=(len(images) - 1, 2)),
        unreadable=(),
        sha256=tuple(images[1:]),
    )
    monkeypatch.setattr(crossval, "_features", lambda *_: made)
    found = crossval.cross_validate(pairs, folder, replace(PROBE, l2=1.0), folds=2)
    sides = zip(pairs["winner_image"].to_pylist(), pairs["loser_image"].to_pylist(), strict=True)
    lost = sum(images[0] in pair for pair in sides)
    assert lost > 0
    assert found.without_picture == lost
    assert len(found.delta) == pairs.num_rows - lost


def posts_of(pairs: pa.Table) -> pa.Table:
    ids = [*pairs["winner_id"].to_pylist(), *pairs["loser_id"].to_pylist()]
    nothing = dict.fromkeys(POSTS.names) | {"platform": "test"}
    return pa.Table.from_pylist([nothing | {"post_id": post} for post in ids], schema=POSTS)


def of_user(pairs: pa.Table, *users: str) -> pa.Table:
    return pairs.filter(pc.is_in(pairs["user_id"], pa.array(users)))


LIKES = replace(ABSOLUTE, backbone=PROBE.backbone)


@pytest.fixture
def asked(pictures, monkeypatch) -> list[tuple[Trial, tuple[object, ...]]]:
    """What folds are asked to do, in place of doing it; pictures have no embeddings."""
    _, folder = pictures
    paths = tuple(sorted(folder.iterdir()))
    row = {path.name: place for place, path in enumerate(paths)}
    nothing = np.zeros((len(paths), 2))
    found = []

    def noted(trial: Trial, mine: Listed, out: Listed, *others: object) -> FoldResult:
        found.append((trial, (mine, out, *others)))
        return FoldResult([0.0] * len(out.pairs), [0.0] * len(out.pairs), 0.5, "nothing")

    monkeypatch.setattr(Trial, "run", noted)
    monkeypatch.setattr(
        crossval, "_features", lambda *_: Features(row, paths, nothing, nothing, (), tuple(row))
    )
    return found


def test_what_train_refuses_is_refused_before_a_picture_is_read(pictures, asked):
    pairs, folder = pictures
    graded = pairs_from_levels(pa.table({"image": ["a.png", "b.png"], "level": [1, 2]}))
    posts = posts_of(pairs)
    for error, says, recipe, more in [
        (DataError, "there are no posts", LIKES, {}),
        (UserInputError, "--posts means nothing", FINETUNE, {"posts": posts}),
        (DataError, "graded pictures have no likes", LIKES, {"posts": posts, "also": graded}),
        (DataError, "posts given lack 20 of the 20", LIKES, {"posts": posts.slice(0, 0)}),
    ]:
        with pytest.raises(error, match=says):
            cross_validate(pairs, folder, recipe, folds=2, **more)
    for column in ("weight", "p"):
        place = pairs.column_names.index(column)
        bad = pairs.set_column(place, column, pa.array([-1.0] * pairs.num_rows))
        for name, tables in {
            "pairs": {"pairs": bad},
            "also": {"pairs": pairs, "also": bad},
            "start": {"pairs": pairs, "start": bad},
        }.items():
            with pytest.raises(DataError, match=f"{name}: column {column}: 10 of 10 values"):
                cross_validate(images=folder, recipe=FINETUNE, folds=2, **tables)
    known = [pairs["winner_image"][0].as_py(), pairs["loser_image"][0].as_py(), "other.png"]
    graded = pairs_from_levels(pa.table({"image": known, "level": [1, 2, 3]}))
    for name in ("also", "start"):
        with pytest.raises(DataError, match=f"'{name}' shares 2 pictures with the pairs"):
            cross_validate(pairs, folder, FINETUNE, folds=2, **{name: graded})
    assert not asked


def test_a_picture_that_breaks_while_folds_train_takes_its_pair_along(pictures, asked, monkeypatch):
    pairs, folder = pictures

    def run(trial: Trial, mine: Listed, out: Listed, *_: object) -> FoldResult:
        said = np.where(out.table["winner_image"].to_numpy() == "0-0-winner.png", np.nan, 1.0)
        return FoldResult(said.tolist(), said.tolist(), 0.5, "nothing")

    monkeypatch.setattr(Trial, "run", run)
    n = pairs.num_rows
    found = cross_validate(pairs, folder, PROBE, folds=2)
    assert (len(found.delta), found.without_picture, len(found.broken)) == (n - 1, 1, 1)
    assert len(found.user) == len(found.fold) == len(found.nats) == n - 1
    assert (found.accuracy.pairs, found.accuracy.ties, found.log_loss) == (n - 1, 0, 1)
    everyone = pairs.drop_columns(["split"]).append_column("split", pa.nulls(n, pa.string()))
    judged = crossval.left_out_users(everyone, folder, PROBE, 2)
    assert (judged.model.pairs, judged.properties.pairs) == (n - 1, n - 1)


def test_likes_are_known_of_further_pairs_too(pictures, asked):
    pairs, folder = pictures
    own, other = of_user(pairs, "u0", "u1", "u2"), of_user(pairs, "u3", "u4")
    cross_validate(own, folder, LIKES, folds=3, also=other, posts=posts_of(pairs))
    for trial, (mine, _, others, *_) in asked:
        everything = Listed.all([mine, *others])
        assert len(trial.facts.of(everything.pairs, everything.table)) == 2 * (4 + 4)


def test_no_head_to_start_from_has_seen_a_user_that_is_judged(pictures, asked):
    pairs, folder = pictures
    own = of_user(pairs, "u0", "u1", "u2")
    cross_validate(own, folder, FINETUNE, folds=3, start=pairs)
    for _, (*_, begins, _) in asked:
        assert set(begins.table["user_id"].to_pylist()) == {"u3", "u4"}
    with pytest.raises(DataError, match="nothing to start from but the users that are judged"):
        cross_validate(own, folder, FINETUNE, folds=3, start=own)


def test_folds_that_leave_one_user_to_learn_from_are_refused_before_the_work(
    pictures, monkeypatch, tmp_path
):
    def work(*_: object) -> None:
        raise AssertionError("pictures were embedded")

    monkeypatch.setattr(crossval, "_features", work)
    pairs, folder = pictures
    three = pairs.slice(0, 6)
    few = "a fold leaves one user to learn from"
    with pytest.raises(DataError, match=few):
        cross_validate(three, folder, PROBE, folds=2)
    with pytest.raises(DataError, match=few):
        to_leave_out(three, folder, 2)
    assert to_leave_out(three, folder, 3).num_rows == 6
    # A user none of whose pictures is there is none.
    for path in folder.glob("[012]-*.png"):
        shutil.copy(path, tmp_path)
    four = pairs.slice(0, 8)
    assert to_leave_out(four, folder, 2).num_rows == 8
    with pytest.raises(DataError, match=few):
        to_leave_out(four, tmp_path, 2)


@pytest.mark.slow
@pytest.mark.parametrize(
    "recipe",
    [
        PROBE,
        replace(PROBE, loss="thurstone", l2=0.1, nuisance=True),
        replace(FINETUNE, epochs=1, batch=8, all_pairs=True, frozen_blocks=18, loss="thurstone"),
    ],
    ids=["probe", "thurstone", "finetune"],
)
def test_what_can_be_seen_is_found_in_users_never_seen(recipe, pictures, tmp_path):
    pairs, folder = pictures
    found = cross_validate(pairs, folder, recipe, folds=2, kept=tmp_path)
    assert found.accuracy.pairs == pairs.num_rows
    assert found.accuracy.users == 5
    assert found.accuracy.pooled.value > 0.9
    assert found.log_loss < np.log(2)
    files = sorted(tmp_path.rglob("fold-*.json"))
    assert len(files) == 2
    before = [file.read_bytes() for file in files]
    marked = json.loads(before[0]) | {"inner": 0.125}
    files[0].write_text(json.dumps(marked))
    again = cross_validate(pairs, folder, recipe, folds=2, kept=tmp_path)
    # What was kept is not computed again.
    assert again.inner[0] == 0.125
    assert again.delta == found.delta
    files[1].write_text("{")
    with pytest.raises(DataError, match="damaged"):
        cross_validate(pairs, folder, recipe, folds=2, kept=tmp_path)


@pytest.mark.slow
def test_graded_pictures_teach_alone_or_besides_and_own_users_never(pictures, tmp_path):
    pairs, folder = pictures
    names = sorted(path.name for path in folder.glob("[01]-*.png"))
    graded = pairs_from_levels(
        pa.table({"image": names, "level": [2 if "winner" in name else 1 for name in names]})
    )
    others = of_user(pairs, "u2", "u3", "u4")
    alone = cross_validate(others, folder, replace(PROBE, l2=0.3), folds=3, also=graded, own=False)
    assert alone.accuracy.pooled.value > 0.9
    both = cross_validate(others, folder, replace(PROBE, l2=0.3), folds=3, also=graded)
    assert both.delta != alone.delta
    # Further pairs of the users that are judged would teach what is asked: they are left out.
    with pytest.raises(DataError, match="nothing to learn from"):
        cross_validate(pairs, folder, PROBE, folds=2, also=pairs, own=False)


def test_pictures_that_changed_or_came_back_make_other_folds(
    pictures, asked, monkeypatch, tmp_path
):
    pairs, folder = pictures
    whole = crossval._features()
    first = next(iter(whole.row))
    less = replace(whole, row={image: at for image, at in whole.row.items() if image != first})
    other = replace(whole, sha256=("other", *whole.sha256[1:]))
    for features, lost, done in [
        *((less, 1, 2), (less, 1, 2), (whole, 0, 4), (other, 0, 6), (whole, 0, 6)),
    ]:
        monkeypatch.setattr(crossval, "_features", lambda *_, found=features: found)
        found = cross_validate(pairs, folder, PROBE, folds=2, kept=tmp_path)
        assert found.without_picture == lost
        assert len(asked) == done
    # Nor does a network go on with what it learnt from other pictures.
    assert len({place for _, (*_, place) in asked}) == len(asked)


def test_a_fold_is_kept_by_all_that_decides_it() -> None:
    pairs = PAIRS.empty_table()
    weights = backbone_weights(PROBE.backbone)
    facts = PostFacts(pa.array(["a"]), np.zeros((1, 6)))
    plans = {
        fold_plan(PROBE, weights, [pairs], None, True, 2, {}),
        fold_plan(PROBE, weights, [pairs], None, True, 3, {}),
        fold_plan(PROBE, weights, [pairs], None, False, 2, {}),
        fold_plan(PROBE, weights, [pairs], None, True, 2, {"a.jpg": "1"}),
        fold_plan(PROBE, weights, [pairs], None, True, 2, {"a.jpg": "2"}),
        fold_plan(replace(PROBE, seed=1), weights, [pairs], None, True, 2, {}),
        fold_plan(PROBE, weights, [pairs, None], None, True, 2, {}),
        fold_plan(PROBE, weights, [pairs], facts, True, 2, {}),
        fold_plan(
            PROBE, weights, [pairs], replace(facts, features=facts.features + 1), True, 2, {}
        ),
    }
    assert len(plans) == 9
    assert len({plan.training for plan in plans}) == 9
    mixed = [replace(FINETUNE, wise=share, epochs=n) for share, n in ((1.0, 2), (0.5, 3))]
    one, other = (fold_plan(recipe, weights, [pairs], None, True, 2, {}) for recipe in mixed)
    assert one.training == other.training
    assert one.results != other.results
