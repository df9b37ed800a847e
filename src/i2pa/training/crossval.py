"""How a recipe does on users that it never saw: whole users left out in turn, one after another.

Each fold learns from the other users alone, and takes from them whatever it chooses: ℓ2, the epoch,
the temperature. What it says of the users left out is kept fold by fold, so that a stopped run goes
on. What becomes of the results is `compare`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from numbers import Integral
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa

from i2pa.errors import DataError, UserInputError, require
from i2pa.images.named import Folders, existing_folders, find_named
from i2pa.images.transforms import transform_named
from i2pa.models.backbones import BackboneWeights, WeightsSource
from i2pa.models.registry import CHECKPOINT_FILE
from i2pa.pairs.schema import check_labelled_pairs, check_pairs_table
from i2pa.posts.schema import check_posts_table
from i2pa.training.absolute import PostFacts, known_facts
from i2pa.training.compare import OutOfFold
from i2pa.training.features import Features, Progress, Warn, carried_weights, image_features
from i2pa.training.fold import Listed, Trial, outer_folds
from i2pa.training.foldfile import fold_place, fold_plan, keep_fold, kept_fold
from i2pa.training.gather import PLAIN_L2
from i2pa.training.measure import Evaluation, evaluate
from i2pa.training.missing import check_named, check_readable
from i2pa.training.network import picture_feed
from i2pa.training.pairset import by_split, images_of, is_graded, pair_set, users_of
from i2pa.training.probe import fit_head
from i2pa.training.processes import processes
from i2pa.training.recipes import NetworkRecipe, Recipe, check_recipe, fits_head
from i2pa.words import many


def cross_validate(
    pairs: pa.Table,
    images: Folders,
    recipe: Recipe | NetworkRecipe,
    *,
    folds: int = 4,
    also: pa.Table | None = None,
    own: bool = True,
    start: pa.Table | None = None,
    posts: pa.Table | None = None,
    weights: WeightsSource = None,
    kept: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    training_progress: Progress | None = None,
    allow_unreadable: bool = False,
    warn: Warn | None = None,
) -> OutOfFold:
    """Train `recipe` once a fold on the users of the other folds, and judge each pair once.

    `also` are further pairs to learn from in every fold, of other users (those in `pairs` are left
    out) or graded pictures, a user or graded set counting like any other; with `own` False they
    alone are learnt from. A network that begins with a head begins with one fitted to `start`, from
    which users in `pairs` are left out too, else to what it learns from. Neither may share a
    picture, by name, with `pairs`. Of a fold's own users a
    quarter is held out of learning for the epoch and the temperature; a head, which takes seconds,
    is chosen by cross-validation among them and then fitted to all. `posts` holds those of `also`
    as well. `kept` is a folder that keeps each fold's results and checkpoints, so that the same
    call goes on. `posts`, `allow_unreadable`, `warn` and what is raised are otherwise as in
    `train`.
    """
    check_recipe(recipe)
    check_posts_table(posts)
    for name, table in (("pairs", pairs), ("also", also), ("start", start)):
        if table is not None or name == "pairs":
            check_pairs_table(table, name)
            check_labelled_pairs(table, name)
    good = isinstance(folds, Integral) and folds >= 2
    require(good, "folds", folds, "a whole number from 2")
    facts = known_facts(recipe, posts, [pairs] if also is None else [pairs, also])
    outer_folds(users_of(_with_files(pairs, images)), folds)
    for label, table in (("also", also), ("start", start)):
        if table is not None:
            _check_apart(pairs, table, label)
    place = None if kept is None else Path(kept)
    if place is not None and place.exists() and not place.is_dir():
        raise UserInputError("is a file", where=str(place), remedy="give a folder as kept")
    carried = carried_weights(recipe, weights, warn)
    lists = {"": pairs, "also": also, "start": start}
    given = {label: table for label, table in lists.items() if table is not None}
    features = _features(given, images, recipe, carried, allow_unreadable, progress, warn)
    return _judge_once(
        pairs,
        features,
        recipe,
        carried,
        folds=folds,
        also=also,
        own=own,
        start=start,
        facts=facts,
        kept=place,
        training_progress=training_progress,
        allow_unreadable=allow_unreadable,
    )


def _features(
    lists: Mapping[str, pa.Table],
    images: Folders,
    recipe: Recipe | NetworkRecipe,
    carried: BackboneWeights,
    allow_unreadable: bool,
    progress: Progress | None,
    warn: Warn | None,
) -> Features:
    """Those of all pictures in lists of pairs by label, each of which is held to the rule."""
    for label, table in lists.items():
        check_named(table, images, allow=allow_unreadable, label=label)
    features = image_features(
        [image for table in lists.values() for image in images_of(table)],
        images,
        carried if fits_head(recipe) else None,
        transform_named(recipe.transform),
        progress,
        warn,
    )
    readable, lost = features.row.keys(), features.unreadable
    for label, table in lists.items():
        check_readable(table, readable, lost, allow=allow_unreadable, label=label)
    return features


def _judge_once(
    pairs: pa.Table,
    features: Features,
    recipe: Recipe | NetworkRecipe,
    carried: BackboneWeights,
    *,
    folds: int,
    also: pa.Table | None = None,
    own: bool = True,
    start: pa.Table | None = None,
    facts: PostFacts | None,
    kept: Path | None,
    training_progress: Progress | None,
    allow_unreadable: bool,
) -> OutOfFold:
    """See `cross_validate`; `features` are those of all pictures, `carried` the backbone's."""
    tested, _ = pair_set(pairs, features.row)
    fold = outer_folds(tested.user, folds)
    feed = None
    if isinstance(recipe, NetworkRecipe):
        with processes() as alone:
            feed = picture_feed(features, recipe, carried, alone.device)
    trial = Trial(recipe, carried, features, feed, own, facts, training_progress, allow_unreadable)
    others = [] if also is None else [Listed.of(also, features, recipe).without(tested.user)]
    if not own and not sum(len(one.pairs) for one in others):
        raise DataError("there is nothing to learn from but the users that are judged")
    begins = None if start is None else Listed.of(start, features, recipe).without(tested.user)
    if begins is not None and not len(begins.pairs):
        raise DataError(
            "there is nothing to start from but the users that are judged",
            remedy="give pairs of other users as start, or leave it out",
        )
    everyone = Listed.of(pairs, features, recipe)
    tables = [pairs, also, None if begins is None else begins.table]
    pictures = {image: features.sha256[row] for image, row in features.row.items()}
    plan = fold_plan(recipe, carried, tables, facts, own, folds, pictures)
    found = []
    for k in range(folds):
        mine, out = (np.flatnonzero(side) for side in (fold != k, fold == k))
        with TemporaryDirectory(prefix="i2pa-") as nowhere:
            place = fold_place(kept, k, plan) if kept else Path(nowhere)
            result = kept_fold(place, plan)
            if result is None:
                result = trial.run(everyone.at(mine), everyone.at(out), others, begins, place)
                keep_fold(result, place, plan)
            found.append(result)
    delta, nats = np.empty(len(tested)), np.empty(len(tested))
    for k, result in enumerate(found):
        delta[fold == k], nats[fold == k] = result.delta, result.nats
    read = ~np.isnan(delta)
    return OutOfFold(
        user=tuple(tested.user[read].tolist()),
        fold=tuple(fold[read].tolist()),
        delta=tuple(delta[read].tolist()),
        nats=tuple(nats[read].tolist()),
        inner=tuple(result.inner for result in found),
        without_picture=pairs.num_rows - int(read.sum()),
        broken=tuple(np.flatnonzero(~read).tolist()),
    )


def _check_apart(pairs: pa.Table, table: pa.Table, label: str) -> None:
    """Raise DataError where what every fold learns from, that of other users and graded pictures,
    has a picture that is judged."""
    table = table.filter(pa.array(~np.isin(users_of(table), users_of(pairs))))
    if known := set(images_of(table)) & set(images_of(pairs)):
        raise DataError(
            f"{label!r} shares {many(len(known), 'picture')} with the pairs to be judged, such as "
            f"{min(known)}",
            remedy=f"leave them out of {label!r}",
        )


def to_leave_out(pairs: pa.Table, images: Folders, folds: int) -> pa.Table:
    """The pairs to learn from whose users can be left out in so many folds.

    Raises DataError for graded pictures, which have no users, and where those pairs whose files are
    there are of too few users.
    """
    learn, _ = by_split(pairs)
    if is_graded(learn):
        raise DataError("graded pictures have no users to leave out", remedy="leave --folds out")
    outer_folds(users_of(_with_files(learn, images)), folds)
    return learn


def _with_files(pairs: pa.Table, images: Folders) -> pa.Table:
    """Those of the pairs whose pictures are there; all where none is: folders are then wrong."""
    places = existing_folders(images)
    there = [image for image in images_of(pairs) if find_named(image, places) is not None]
    _, kept = pair_set(pairs, {image: row for row, image in enumerate(there)})
    return kept if kept.num_rows else pairs


def left_out_users(
    pairs: pa.Table,
    images: Folders,
    recipe: Recipe | NetworkRecipe,
    folds: int,
    *,
    posts: pa.Table | None = None,
    weights: WeightsSource = None,
    kept: Path | None = None,
    training_progress: Progress | None = None,
    allow_unreadable: bool = False,
    warn: Warn | None = None,
) -> Evaluation:
    """`cross_validate` on the pairs to learn from, beside the same baselines as other accuracies.

    Where `pairs` has a split only its train part takes part. Raises as `to_leave_out`.
    """
    learn = to_leave_out(pairs, images, folds)
    facts = known_facts(recipe, posts, [learn])
    carried = carried_weights(recipe, weights, warn)
    features = _features({"": learn}, images, recipe, carried, allow_unreadable, None, warn)
    found = _judge_once(
        learn,
        features,
        recipe,
        carried,
        folds=folds,
        facts=facts,
        kept=kept,
        training_progress=training_progress,
        allow_unreadable=allow_unreadable,
    )
    tested, table = pair_set(learn, features.row)
    read = np.setdiff1d(np.arange(len(tested)), found.broken)
    tested, table = tested.at(read), table.take(pa.array(read))
    fold, plain = np.array(found.fold), np.empty(len(tested))
    for k in range(folds):
        others = tested.at(np.flatnonzero(fold != k)).evenly()
        scores = fit_head(features.properties, others, PLAIN_L2).score(features.properties)
        plain[fold == k] = tested.delta(scores)[fold == k]
    for checkpoint in kept.glob(f"*/{CHECKPOINT_FILE}") if kept else ():
        checkpoint.unlink()
    label = f"users left out in {folds} turns"
    return evaluate(label, table, tested, np.array(found.delta), plain)
