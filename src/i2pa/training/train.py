"""Pairs and pictures in, a calibrated ranker out, with its accuracy beside the plain baselines."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from numbers import Integral
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import torch

from i2pa.errors import DataError, UserInputError, require, require_name
from i2pa.images.named import Folders
from i2pa.models.backbones import RANDOM, BackboneWeights, WeightsSource, load_weights
from i2pa.models.ranker import Ranker
from i2pa.pairs.schema import check_labelled_pairs, check_pairs_table
from i2pa.posts.schema import check_posts_table
from i2pa.training.absolute import known_facts
from i2pa.training.features import Progress, Warn, as_warning, carried_weights
from i2pa.training.gather import CALIBRATION, CROSS_VALIDATION, PLAIN_L2, Gathered, gather
from i2pa.training.labelled import with_clock, with_noise
from i2pa.training.losses import loss_named
from i2pa.training.measure import calibrate, evaluate, reference
from i2pa.training.network import VALIDATION, check_validation, put_head, train_network
from i2pa.training.pairset import TRAIN, by_split, is_graded, pair_set, users_of
from i2pa.training.probe import (
    CrossValidation,
    Head,
    check_users,
    cross_validate,
    fit_head,
    folds_by_picture,
    folds_by_user,
    judged,
)
from i2pa.training.recipes import (
    PROBE,
    NetworkRecipe,
    Recipe,
    check_recipe,
    fits_head,
    head_before,
    trains_pairs,
)
from i2pa.training.trained import Naming, TrainedModel, named


def train(
    pairs: pa.Table,
    images: Folders,
    recipe: Recipe | NetworkRecipe = PROBE,
    *,
    posts: pa.Table | None = None,
    weights: WeightsSource = None,
    validate_on: Mapping[str, pa.Table] | None = None,
    calibrate_on: pa.Table | None = None,
    name: str = "my-model",
    version: int = 1,
    reference_users: str = "users",
    folder: str | os.PathLike[str] | None = None,
    resume: bool = False,
    allow_unreadable: bool = False,
    shared_users: bool = False,
    progress: Progress | None = None,
    training_progress: Progress | None = None,
    warn: Warn | None = None,
) -> TrainedModel:
    """Teach a ranker to score winners above losers.

    `pairs` is a pairs table; where its column `split` is filled only the train part is learnt
    from and accuracy is measured on the other parts. `images` is the folder, or folders, that
    picture paths are relative to. `posts` is the posts table that the pairs were made from: needed
    by a recipe that learns likes, refused by others. `weights` are the backbone's: None for those
    of its package, a file, or "random". `validate_on` are further pairs to measure accuracy on, by
    name. `calibrate_on` are ordinary pairs (no ΔS cut) of users that `pairs` lacks, for the
    temperature and the reference quantiles; without it both come from out-of-fold scores of
    `pairs` itself, whose winners are clearer than everyday ones, so probabilities come out too
    sure.
    A recipe for a whole network keeps its checkpoint and metrics in `folder` (default: nowhere for
    long), in place of what a run left there, and goes on from there with `resume`. Every recipe
    stops where over 5 % of the pairs of a list, learnt from or measured on, lack a readable
    picture, unless `allow_unreadable`.
    `shared_users` lets users (or graded pictures, which have none) be in what is learnt and in what
    is measured, as the paper does; accuracies are then about known ones, which the model and `warn`
    say. `reference_users` says
    who those users are, in the name of the reference. `progress` is told pictures embedded (only
    read, where the recipe begins with no head) and all, `training_progress` pairs seen and all;
    `warn` one line where the cache cannot be used and the work goes on without it, where the
    precision is not made for this machine or the weights are random (default: a RuntimeWarning).
    Raises DataError where nothing can be learnt, weights of pairs are no weights or their `p` no
    probabilities, users overlap or posts are missing, UserInputError where a name in `validate_on`
    is that of a part of `pairs`, the recipe has no use for `posts` or holds a value that none can
    be trained by, and ModelError where the
    backbone or its weights cannot be used, memory runs out, or training diverges.
    """
    _check_arguments(pairs, recipe, posts, validate_on, calibrate_on)
    _check_naming(name, version)
    _advise_on_precision(recipe, warn or as_warning)
    learn, parts = by_split(pairs)
    validation = [part[VALIDATION] for part in (parts, validate_on or {}) if VALIDATION in part]
    # All that needs no pixels is refused before hours of reading pictures.
    facts = known_facts(recipe, posts, [learn, *validation])
    _check_users(learn, recipe, chosen_apart=bool(validation))
    carried = carried_weights(recipe, weights, warn)
    if isinstance(recipe, NetworkRecipe):
        check_validation(learn, [*parts, *(validate_on or {})])
        if not fits_head(recipe) and carried.origin != RANDOM:
            # No embedding comes before training, so this alone finds a file of no use in time.
            load_weights(carried)
    gathered = gather(
        pairs,
        images,
        carried if fits_head(recipe) else None,
        recipe.transform,
        validate_on=validate_on or {},
        calibrate_on=calibrate_on,
        allow_shared=shared_users,
        allow_unreadable=allow_unreadable,
        progress=progress,
        warn=warn,
    )
    naming = Naming(name, version, reference_users)
    if isinstance(recipe, Recipe):
        return _train_probe(gathered, recipe, carried, naming)
    before = head_before(recipe)
    with TemporaryDirectory(prefix="i2pa-") as nowhere:
        return train_network(
            gathered,
            recipe,
            carried,
            naming,
            Path(folder or nowhere),
            kept=folder is not None,
            start=(lambda learnt: _fit_probe(learnt, before).head) if fits_head(recipe) else None,
            facts=facts,
            resume=resume,
            allow_unreadable=allow_unreadable,
            progress=training_progress,
        )


def _check_arguments(
    pairs: pa.Table,
    recipe: Recipe | NetworkRecipe,
    posts: pa.Table | None,
    validate_on: Mapping[str, pa.Table] | None,
    calibrate_on: pa.Table | None,
) -> None:
    """Refuse arguments of another type before the work."""
    check_pairs_table(pairs)
    check_labelled_pairs(pairs, "pairs")
    learn, held_out = by_split(pairs)
    for part, table in {TRAIN: learn, **held_out}.items() if held_out else ():
        check_labelled_pairs(table, f"pairs, part {part!r}")
    check_recipe(recipe)
    check_posts_table(posts)
    are_named = validate_on is None or isinstance(validate_on, Mapping)
    require(are_named, "validate_on", validate_on, "a mapping of names to tables of pairs")
    for name, table in (validate_on or {}).items():
        check_pairs_table(table, f"validate_on[{name!r}]")
        check_labelled_pairs(table, f"validate_on[{name!r}]")
    if calibrate_on is not None:
        check_pairs_table(calibrate_on, "calibrate_on")
        check_labelled_pairs(calibrate_on, "calibrate_on")
    if trains_pairs(recipe) and recipe.nuisance and is_graded(learn):
        raise UserInputError(
            "graded pictures have no times that the clock's share could be learnt from",
            remedy="leave --nuisance out",
        )


def _check_naming(name: str, version: int) -> None:
    require_name(name)
    good = isinstance(version, Integral) and version >= 1
    require(good, "version", version, "a whole number above 0")


def _check_users(learn: pa.Table, recipe: Recipe | NetworkRecipe, *, chosen_apart: bool) -> None:
    """Raise DataError where too few users are learnt from to hold out those that are needed.

    `chosen_apart` says that there are further pairs to choose the epoch on.
    """
    held_out = isinstance(recipe, NetworkRecipe) and not chosen_apart
    if is_graded(learn) or not learn.num_rows or not (held_out or fits_head(recipe)):
        return
    users = len(np.unique(users_of(learn)))
    check_users(users)
    if users == 2 and held_out and fits_head(recipe):
        raise DataError(
            "the pairs are of 2 users: with one held out to choose the epoch, none is left to "
            "choose ℓ2 of the head to start from",
            remedy="add pairs of more users, or give --validate a file of others' called "
            f"{VALIDATION}",
        )


def _advise_on_precision(recipe: Recipe | NetworkRecipe, warn: Warn) -> None:
    if (
        isinstance(recipe, NetworkRecipe)
        and recipe.precision == "float16"
        and not torch.cuda.is_available()
    ):
        warn(
            "float16 is made for CUDA, and this machine trains on its processor: float32 or "
            "bfloat16 may be many times faster here"
        )


@dataclass(frozen=True)
class _Probe:
    head: Head
    best: CrossValidation
    grid: tuple[CrossValidation, ...]
    plain: CrossValidation


def _fit_probe(gathered: Gathered, recipe: Recipe) -> _Probe:
    """The head on all pairs, at the ℓ2 of least out-of-fold log loss, and how it was chosen.

    Labels are taken as they are: `with_noise` has been at work where the recipe asks for it.
    """
    features, used, loss = gathered.features, gathered.used, loss_named(recipe.loss)
    if recipe.nuisance:
        used = with_clock(used, gathered.used_table)
    split_into_folds = folds_by_picture if gathered.graded else folds_by_user
    folds = list(split_into_folds(used, recipe.folds, recipe.seed))
    timeless = list(split_into_folds(gathered.used, recipe.folds, recipe.seed))
    l2_values = recipe.l2_grid if recipe.l2 is None else (recipe.l2,)
    grid = tuple(
        cross_validate(features.embeddings, used, folds, l2, loss, per_user=recipe.per_user)
        for l2 in l2_values
    )
    best = min(grid, key=lambda result: result.log_loss)
    return _Probe(
        head=fit_head(features.embeddings, used.weighed(per_user=recipe.per_user), best.l2, loss),
        best=best,
        grid=grid,
        plain=cross_validate(features.properties, gathered.used, timeless, PLAIN_L2),
    )


def _train_probe(
    gathered: Gathered, recipe: Recipe, weights: BackboneWeights, naming: Naming
) -> TrainedModel:
    used, used_table = with_noise(gathered.used, gathered.used_table, recipe)
    gathered = replace(gathered, used=used, used_table=used_table)
    probe = _fit_probe(gathered, recipe)
    best, head, embeddings = probe.best, probe.head, gathered.features.embeddings
    scores, link = head.score(embeddings), loss_named(recipe.loss).link
    tested = gathered.used.at(best.held_out)
    table = gathered.used_table.take(best.held_out)
    out_of_fold = evaluate(CROSS_VALIDATION, table, tested, best.delta, probe.plain.delta)
    measured = gathered.measured(scores)
    if gathered.ordinary is None:
        calibration = calibrate(best.delta, tested, link)
        quantiles = reference(best.scores, tested, naming.users, "out-of-fold")
    else:
        ordinary, _ = pair_set(gathered.ordinary, gathered.features.row)
        delta = judged(ordinary.delta(scores), head.spreads(embeddings), ordinary)
        calibration = calibrate(delta, ordinary, link)
        quantiles = reference(scores, ordinary, naming.users, gathered.how_unseen(CALIBRATION))
    # The paper's loss goes without saying, as in models made before there was a choice.
    detail = f"l2 {best.l2:g}" + ("" if recipe.loss == "hard" else f", loss {recipe.loss}")
    how = "least out-of-fold log loss" if recipe.l2 is None else "fixed"
    ranker = Ranker(load_weights(weights), spread=head.spread is not None)
    put_head(ranker, head)
    return TrainedModel(
        ranker=ranker.eval(),
        recipe=recipe,
        weights=weights,
        metadata=named(naming, recipe, weights, gathered, quantiles, calibration, detail),
        chosen=f"ℓ2 {best.l2:g} ({how})",
        evaluations=(out_of_fold, *measured),
        calibration=calibration,
        learnt_from=gathered.learnt_from,
        data=gathered.data,
        pairs_without_picture=gathered.missing,
        measured_without_picture=gathered.measured_without_picture,
        shared_users=gathered.shared,
        unreadable=gathered.features.unreadable,
        head=head,
        l2=best.l2,
        grid=probe.grid,
    )
