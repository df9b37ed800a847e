"""What training refuses by the pairs and the files alone, before a picture is read."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import torch

from i2pa.errors import DataError, I2paError, ModelError, UserInputError
from i2pa.images.failure import Failure
from i2pa.pairs import pairs_from_levels
from i2pa.posts import POSTS
from i2pa.training import (
    ABSOLUTE,
    FINETUNE,
    PAPER,
    PROBE,
    NetworkRecipe,
    Recipe,
    cross_validate,
    crossval,
    train,
)
from i2pa.training.missing import check_readable
from i2pa.training.network import _NEW_LAYERS
from i2pa.training.recipes import MOST_SEED, RECIPES, check_recipe
from made_up import album


class EmbeddedError(Exception):
    """Pictures were about to be read."""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[pa.Table, Path]:
    folder = tmp_path_factory.mktemp("refusals") / "album"
    return album(folder, users=4, pairs_each=2), folder


@pytest.fixture(autouse=True)
def no_embedding(monkeypatch: pytest.MonkeyPatch) -> None:
    def embed(*_: object) -> None:
        raise EmbeddedError

    monkeypatch.setattr("i2pa.training.gather.image_features", embed)


def part(pairs: pa.Table, name: str) -> pa.Table:
    """The pairs of one part, as a list without a split."""
    pairs = pairs.filter(pc.equal(pairs["split"], name))
    place = pairs.column_names.index("split")
    return pairs.set_column(place, "split", pa.nulls(pairs.num_rows, pa.string()))


def losing(pairs: pa.Table, images: dict[int, str | None]) -> pa.Table:
    """The pairs with other losers' pictures at some rows."""
    column = pairs["loser_image"].to_pylist()
    for row, image in images.items():
        column[row] = image
    place = pairs.column_names.index("loser_image")
    return pairs.set_column(place, "loser_image", pa.array(column))


def refused(pairs: pa.Table, folder: Path, **options: object) -> str:
    with pytest.raises(I2paError) as error:
        train(pairs, folder, **options)
    return str(error.value)


def test_more_frozen_blocks_than_there_are(pictures: tuple[pa.Table, Path]) -> None:
    with pytest.raises(UserInputError, match="--frozen-blocks 99, but this backbone has 21 blocks"):
        train(*pictures, replace(FINETUNE, frozen_blocks=99))


LOOSE = {"random_crop": False, "freeze_norm": True}


@pytest.mark.parametrize(
    ("recipe", "says"),
    [
        (replace(FINETUNE, precision="fp16"), "unknown precision 'fp16'; choose from float32"),
        (replace(FINETUNE, epochs=0), "epochs is 0, but must be a whole number from 1"),
        (replace(FINETUNE, epochs=1.5), "epochs is 1.5, but must be a whole number from 1"),
        (replace(FINETUNE, patience=0), "patience is 0, but must be a whole number from 1"),
        (replace(FINETUNE, frozen_blocks=-1), "frozen_blocks is -1, but must be a whole number"),
        (replace(FINETUNE, random_crop=True, frozen_blocks=3), "--frozen-blocks means nothing"),
        (replace(PAPER, loss="hinge"), "unknown loss 'hinge'; choose from hard"),
        (replace(PROBE, loss="hinge"), "unknown loss 'hinge'; choose from hard"),
        (replace(FINETUNE, flip_labels=0.7), "flip_labels is 0.7, but must be a number from 0 to"),
        (replace(FINETUNE, wise=3), "wise is 3, but must be a number from 0 to 1"),
        (replace(PAPER, rate_head=float("nan")), "rate_head is nan, but must be a number"),
        (replace(PAPER, l2=-1.0), "l2 is -1, but must be a number from 0"),
        (replace(PROBE, l2_grid=()), "l2_grid is (), but must be a tuple of numbers"),
        (replace(PROBE, folds=1), "folds is 1, but must be a whole number from 2"),
        (replace(FINETUNE, start="head"), "start is 'head', but must be 'backbone' or 'probe'"),
        (replace(FINETUNE, target="views"), "target is 'views', but must be 'pairs' or 'likes'"),
        (replace(FINETUNE, nuisance="no"), "nuisance is 'no', but must be True or False"),
        (replace(PAPER, batch=8, accumulate=9), "--accumulate 9 cuts a batch of 8"),
        (replace(PAPER, backbone="x"), "unknown backbone 'x'; choose from"),
        (replace(PAPER, transform="x"), "unknown transform 'x'; this version knows"),
        (replace(ABSOLUTE, nuisance=True), "--nuisance means nothing to the recipe absolute"),
        (replace(ABSOLUTE, frozen_blocks=3), "--frozen-blocks means nothing to the recipe absol"),
        (replace(ABSOLUTE, frozen_blocks=99, **LOOSE), "but this backbone has 16 blocks"),
    ],
)
def test_recipes_that_nobody_can_train_by_are_refused_in_a_line(
    recipe: Recipe | NetworkRecipe, says: str, pictures: tuple[pa.Table, Path]
) -> None:
    for work in (train, cross_validate):
        with pytest.raises(UserInputError) as refused_at_once:
            work(*pictures, recipe)
        assert says in str(refused_at_once.value)
        assert "\n" not in str(refused_at_once.value)


def test_the_recipes_that_there_are_pass() -> None:
    for recipe in (*RECIPES.values(), replace(ABSOLUTE, frozen_blocks=3, **LOOSE)):
        check_recipe(recipe)


def test_graded_pictures_in_both_lists(pictures: tuple[pa.Table, Path]) -> None:
    _, folder = pictures
    names = sorted(path.name for path in folder.iterdir())
    levels = pa.table({"image": names, "level": [1 + place % 3 for place in range(len(names))]})
    one, other = (pairs_from_levels(levels, name) for name in ("stars", "again"))
    said = refused(one, folder, validate_on={"again": other})
    assert said == (
        f"'again' shares {len(names)} pictures with the pairs to learn from; grade other pictures "
        "for it, or --shared-users to measure on known ones"
    )
    assert "'calibrate' shares" in refused(one, folder, calibrate_on=other)
    told: list[str] = []
    with pytest.raises(EmbeddedError):
        train(one, folder, validate_on={"again": other}, shared_users=True, warn=told.append)
    assert "its accuracies are about known pictures" in told[0]
    # Under one name, but of other pictures, they share nothing.
    half = len(names) // 2
    first, second = (
        pairs_from_levels(part, "stars") for part in (levels.slice(0, half), levels.slice(half))
    )
    with pytest.raises(EmbeddedError):
        train(first, folder, validate_on={"second": second})


def test_random_weights_are_told_from_python_too(
    pictures: tuple[pa.Table, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def embed(*_: object) -> None:
        raise EmbeddedError

    monkeypatch.setattr(crossval, "image_features", embed)
    said = "WARNING: this model starts from random weights"
    for work in (train, partial(cross_validate, folds=3)):
        told: list[str] = []
        with pytest.raises(EmbeddedError):
            work(*pictures, PAPER, weights="random", warn=told.append)
        (line,) = told
        assert line.startswith(said)
        with pytest.raises(EmbeddedError), pytest.warns(RuntimeWarning, match=said):
            work(*pictures, PAPER, weights="random")


def test_seeds_that_torch_does_not_take(pictures: tuple[pa.Table, Path]) -> None:
    for seed in (-1, 2**63, 0.5):
        for work in (train, cross_validate):
            with pytest.raises(UserInputError, match=r"seed is .* but must be a whole number from"):
                work(*pictures, replace(PROBE, seed=seed))
    with pytest.raises(EmbeddedError):
        train(*pictures, replace(PROBE, seed=MOST_SEED))
    # New layers begin with a number beyond the seed.
    torch.manual_seed(_NEW_LAYERS + MOST_SEED)


def test_a_weights_file_of_no_use(pictures: tuple[pa.Table, Path], tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    file.write_bytes(b"no tensors")
    with pytest.raises(ModelError, match=r"weights\.pth"):
        train(*pictures, PAPER, weights=file)


def test_graded_pictures_without_val_for_a_network(pictures: tuple[pa.Table, Path]) -> None:
    _, folder = pictures
    names = sorted(path.name for path in folder.iterdir())
    levels = [1 + place % 5 for place in range(len(names))]
    graded = pairs_from_levels(pa.table({"image": names, "level": levels}), "stars")
    with pytest.raises(DataError, match="no users to hold out"):
        train(graded, folder, FINETUNE)
    for options in ({"recipe": PROBE}, {"recipe": FINETUNE, "validate_on": {"val": graded}}):
        with pytest.raises((EmbeddedError, DataError)) as error:
            train(graded, folder, **options, shared_users=True)
        assert error.type is EmbeddedError


def test_no_pairs_and_no_pictures_named(pictures: tuple[pa.Table, Path]) -> None:
    pairs, folder = pictures
    assert refused(pairs.slice(0, 0), folder).startswith("no pairs to learn from; i2pa pairs tells")
    blank = pa.nulls(pairs.num_rows, pa.string())
    for name in ("winner_image", "loser_image"):
        pairs = pairs.set_column(pairs.column_names.index(name), name, blank)
    assert "no post in the pairs names a picture" in refused(pairs, folder)


def test_files_that_are_not_there_are_counted_apart_from_posts_without_any(
    pictures: tuple[pa.Table, Path],
) -> None:
    pairs, folder = pictures
    n = pairs["split"].to_pylist().count("train")
    both = losing(pairs, {0: None, 1: "gone.png"})
    assert refused(both, folder) == (
        f"2 of {n} pairs lack a picture that can be read, more than 5% (1 pair of posts that name "
        "none; gone.png: no such file); mend the pictures, or --allow-unreadable"
    )
    assert refused(losing(pairs, {0: None}), folder).endswith(
        "(1 pair of posts that name none); add --allow-unreadable to leave them out"
    )
    with pytest.raises(EmbeddedError):
        train(both, folder, allow_unreadable=True)


@pytest.mark.parametrize("option", ["validate_on", "calibrate_on"])
def test_lists_to_measure_on_are_held_to_the_same_rule_before_a_picture_is_read(
    option: str, pictures: tuple[pa.Table, Path], tmp_path: Path
) -> None:
    pairs, folder = pictures
    learn, val = part(pairs, "train"), part(pairs, "val")
    label = "other" if option == "validate_on" else "calibrate"

    def says(table: pa.Table, **how: object) -> str:
        given = {label: table} if option == "validate_on" else table
        return refused(learn, folder, recipe=FINETUNE, **{option: given}, **how)

    assert says(val.slice(0, 0)).startswith(f"no pairs in '{label}'; i2pa pairs tells")
    elsewhere = album(tmp_path / "elsewhere", users=7, pairs_each=2).slice(8)
    for how in ({}, {"allow_unreadable": True}):
        assert f"none of the pictures in the pairs of '{label}'" in says(elsewhere, **how)
        gone = losing(val, {0: "gone.png", 1: "gone.png"})
        assert says(gone, **how) == (
            f"no pair of '{label}' has both pictures (gone.png: no such file); check --images"
        )
    one_gone = losing(val, {1: "gone.png"})
    assert says(one_gone) == (
        f"1 of 2 pairs of '{label}' lack a picture that can be read, more than 5% (gone.png: no "
        "such file); mend the pictures, or --allow-unreadable"
    )
    with pytest.raises(EmbeddedError):
        says(one_gone, allow_unreadable=True)


def test_a_part_of_the_pairs_that_lacks_its_pictures(pictures: tuple[pa.Table, Path]) -> None:
    pairs, folder = pictures
    rows = {row: "gone.png" for row, name in enumerate(pairs["split"].to_pylist()) if name == "val"}
    assert "no pair of 'val' has both" in refused(losing(pairs, rows), folder, recipe=FINETUNE)


def of_user(pairs: pa.Table, *users: str) -> pa.Table:
    return pairs.filter(pc.is_in(pairs["user_id"], pa.array(users)))


def test_too_few_users(pictures: tuple[pa.Table, Path]) -> None:
    pairs, folder = pictures
    learn, val = part(pairs, "train"), part(pairs, "val")
    one, two = of_user(learn, "u0"), of_user(learn, "u0", "u1")
    measured = {"validate_on": {"val": val}}
    for recipe, more in ((PROBE, {}), (FINETUNE, {}), (FINETUNE, measured), (PAPER, {})):
        how = {"weights": "random", "warn": lambda _: None} if recipe is PAPER else {}
        said = refused(one, folder, recipe=recipe, **more, **how)
        assert said.startswith("all pairs to learn from are of one user or of none")
    assert refused(two, folder, recipe=FINETUNE) == (
        "the pairs are of 2 users: with one held out to choose the epoch, none is left to choose "
        "ℓ2 of the head to start from; add pairs of more users, or give --validate a file of "
        "others' called val"
    )
    random = {"weights": "random", "warn": lambda _: None}
    for table, recipe, more in (
        *((two, PROBE, {}), (two, FINETUNE, measured), (learn, FINETUNE, {})),
        *((two, PAPER, random), (one, PAPER, measured | random)),
    ):
        with pytest.raises(EmbeddedError):
            train(table, folder, recipe, **more)


def test_likes_that_pairs_do_not_say(pictures: tuple[pa.Table, Path]) -> None:
    pairs, folder = pictures
    ids = [*pairs["winner_id"].to_pylist(), *pairs["loser_id"].to_pylist()]
    nothing = dict.fromkeys(POSTS.names) | {"platform": "test"}
    posts = pa.Table.from_pylist([nothing | {"post_id": post} for post in ids], schema=POSTS)
    how = {"posts": posts, "weights": "random", "warn": lambda _: None}
    with pytest.raises(EmbeddedError):
        train(pairs, folder, ABSOLUTE, **how)
    place = pairs.column_names.index("winner_s")
    s = [*pairs["winner_s"].to_pylist()[:-1], None]
    unknown = pairs.set_column(place, "winner_s", pa.array(s, pa.float64()))
    for work in (train, partial(cross_validate, folds=3)):
        with pytest.raises(DataError, match=r"do not say how many likes .*winner_s"):
            work(unknown, folder, ABSOLUTE, **how)
    # What is only measured on needs none.
    split = ["test" if part == "val" else part for part in unknown["split"].to_pylist()]
    measured = unknown.set_column(pairs.column_names.index("split"), "split", pa.array(split))
    with pytest.raises(EmbeddedError):
        train(measured, folder, ABSOLUTE, **how)


def test_users_left_out_in_turn_need_as_many_pictures(
    pictures: tuple[pa.Table, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def embed(*_: object) -> None:
        raise EmbeddedError

    monkeypatch.setattr(crossval, "image_features", embed)
    pairs, folder = pictures
    gone = losing(pairs, {0: "gone.png"})
    for given, whose in (
        ({"pairs": gone}, ""),
        ({"pairs": pairs, "also": gone}, " of 'also'"),
        ({"pairs": pairs, "start": gone}, " of 'start'"),
    ):
        with pytest.raises(DataError, match=f"1 of 8 pairs{whose} lack a picture that can be read"):
            cross_validate(images=folder, recipe=FINETUNE, folds=2, **given)
        with pytest.raises(EmbeddedError):
            cross_validate(images=folder, recipe=FINETUNE, folds=2, allow_unreadable=True, **given)


def test_only_the_first_pictures_are_named_and_only_those_learnt_from(
    pictures: tuple[pa.Table, Path],
) -> None:
    pairs, _ = pictures
    broken = losing(pairs, {row: f"{row}.jpg" for row in range(5)})
    every = {*broken["winner_image"].to_pylist(), *broken["loser_image"].to_pylist()}
    failures = [Failure(f"{row}.jpg", "damaged", "cut short") for row in range(5)]
    readable = every - {failure.path for failure in failures}
    elsewhere = Failure("val.jpg", "damaged", "cut short")
    with pytest.raises(DataError) as error:
        check_readable(broken, readable, [elsewhere, *failures], allow=False)
    assert "val.jpg" not in str(error.value)
    assert "(0.jpg: cut short; 1.jpg: cut short; 2.jpg: cut short; and 2 more pictures)" in str(
        error.value
    )


@pytest.mark.parametrize("name", ["", " ", "two\nlines", "\udce9", None, 3])
def test_a_model_is_called_by_one_line_of_text(
    name: object, pictures: tuple[pa.Table, Path]
) -> None:
    assert "name is" in refused(*pictures, name=name)


@pytest.mark.parametrize("name", ["train", "calibrate", "cross-validation"])
def test_no_list_is_called_what_means_something_else(
    name: str, pictures: tuple[pa.Table, Path]
) -> None:
    pairs, folder = pictures
    learn, val = part(pairs, "train"), part(pairs, "val")
    assert "means something else" in refused(learn, folder, validate_on={name: val})


def test_graded_pictures_have_no_clock(pictures: tuple[pa.Table, Path]) -> None:
    graded = pairs_from_levels(pa.table({"image": ["a.png", "b.png"], "level": [1, 2]}))
    recipe = replace(PROBE, nuisance=True)
    assert "graded pictures have no times" in refused(graded, pictures[1], recipe=recipe)


def test_folds_are_kept_in_a_folder(pictures: tuple[pa.Table, Path], tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("")
    with pytest.raises(UserInputError, match="kept: is a file"):
        cross_validate(*pictures, PROBE, folds=2, kept=str(tmp_path / "kept"))
