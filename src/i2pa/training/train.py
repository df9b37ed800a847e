"""Pairs and pictures in, a calibrated ranker out, with its accuracy beside the plain baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from i2pa.errors import DataError, UserInputError
from i2pa.images.transforms import transform_named
from i2pa.models.backbones import BackboneWeights, WeightsSource, backbone_weights
from i2pa.models.metadata import ModelMetadata
from i2pa.training.features import Progress, Unreadable, image_features
from i2pa.training.measure import Calibration, Evaluation, calibrate, evaluate, reference
from i2pa.training.pairset import by_split, check_disjoint, images_of, is_graded, pair_set
from i2pa.training.probe import (
    CrossValidation,
    Head,
    cross_validate,
    fit_head,
    folds_by_picture,
    folds_by_user,
)
from i2pa.training.recipes import PROBE, Recipe

CROSS_VALIDATION = "cross-validation"
# Two features need no shrinking; a trace of it keeps a constant one from blowing up.
PLAIN_L2 = 1e-3


@dataclass(frozen=True)
class TrainedModel:
    """A trained head with all that its file and its card say of it."""

    head: Head
    recipe: Recipe
    weights: BackboneWeights
    metadata: ModelMetadata
    l2: float
    grid: tuple[CrossValidation, ...]
    evaluations: tuple[Evaluation, ...]
    calibration: Calibration
    learnt_from: str
    pairs_without_picture: int
    measured_without_picture: int
    unreadable: tuple[Unreadable, ...]


def train(
    pairs: pa.Table,
    images: Path | Sequence[Path],
    recipe: Recipe = PROBE,
    *,
    weights: WeightsSource = None,
    validate_on: Mapping[str, pa.Table] | None = None,
    calibrate_on: pa.Table | None = None,
    name: str = "my-model",
    version: int = 1,
    reference_users: str = "users",
    progress: Progress | None = None,
) -> TrainedModel:
    """Teach a ranker to score winners above losers.

    `pairs` is a pairs table; where its column `split` is filled only the train part is learnt
    from and accuracy is measured on the other parts. `images` is the folder, or folders, that
    picture paths are relative to. `weights` are the backbone's: None for those of its package, a
    file, or "random". `validate_on` are further pairs to measure accuracy on, by name.
    `calibrate_on` are ordinary pairs (no ΔS cut) of users that `pairs` lacks, for the temperature
    and the reference quantiles; without it both come from out-of-fold scores of `pairs` itself,
    whose winners are clearer than everyday ones, so probabilities come out too sure.
    `reference_users` says who those users are, in the name of the reference. Raises DataError
    where nothing can be learnt or users overlap, UserInputError where a name in `validate_on` is
    that of a part of `pairs`, and ModelError where the backbone or its weights cannot be used.
    """
    carried = backbone_weights(
        recipe.backbone, weights, pixel_scaling=recipe.pixel_scaling, seed=recipe.seed
    )
    learn, held_out = by_split(pairs)
    for label, table in (validate_on or {}).items():
        if label in held_out:
            raise UserInputError(
                f"two sets of pairs to measure on are called {label!r}", remedy="rename one file"
            )
        held_out[label] = table
    unseen = held_out | ({} if calibrate_on is None else {"calibrate": calibrate_on})
    for label, table in unseen.items():
        check_disjoint(learn, table, label)
    features = image_features(
        [image for table in (learn, *unseen.values()) for image in images_of(table)],
        [images] if isinstance(images, Path) else images,
        carried,
        transform_named(recipe.transform),
        progress,
    )
    used, used_table = pair_set(learn, features.row)
    if not len(used):
        raise DataError("no pair has both pictures", remedy="check --images")

    graded = is_graded(learn)
    split_into_folds = folds_by_picture if graded else folds_by_user
    folds = list(split_into_folds(used, recipe.folds, recipe.seed))
    l2_values = recipe.l2_grid if recipe.l2 is None else (recipe.l2,)
    grid = tuple(cross_validate(features.embeddings, used, folds, l2) for l2 in l2_values)
    best = min(grid, key=lambda result: result.log_loss)
    plain_cv = cross_validate(features.properties, used, folds, PLAIN_L2)
    head = fit_head(features.embeddings, used.evenly(), best.l2)
    plain = fit_head(features.properties, used.evenly(), PLAIN_L2)
    scores, plain_scores = head.score(features.embeddings), plain.score(features.properties)

    tested = used.at(best.held_out)
    evaluations = [
        evaluate(
            CROSS_VALIDATION,
            used_table.take(best.held_out),
            tested,
            best.delta,
            plain_cv.delta,
        )
    ]
    measured_without_picture = 0
    for label, table in held_out.items():
        pairs_of_label, kept = pair_set(table, features.row)
        measured_without_picture += table.num_rows - kept.num_rows
        evaluations.append(
            evaluate(
                label,
                kept,
                pairs_of_label,
                pairs_of_label.delta(scores),
                pairs_of_label.delta(plain_scores),
            )
        )

    if calibrate_on is None:
        calibration = calibrate(best.delta, tested)
        quantiles = reference(best.scores, tested, reference_users, "out-of-fold")
    else:
        ordinary, _ = pair_set(calibrate_on, features.row)
        calibration = calibrate(ordinary.delta(scores), ordinary)
        quantiles = reference(scores, ordinary, reference_users, "never trained on")
    pictures = len(np.union1d(used.winner, used.loser))
    whose = "graded pictures" if graded else f"pictures of {len(np.unique(used.user)):,} users"
    learnt_from = f"{len(used):,} pairs of {pictures:,} {whose}"
    return TrainedModel(
        head=head,
        recipe=recipe,
        weights=carried,
        metadata=ModelMetadata(
            name=name,
            version=version,
            transform=recipe.transform,
            reference=quantiles,
            link="logistic",
            temperature=calibration.temperature,
            training=f"recipe {recipe.name}, {carried.label}, l2 {best.l2:g}, {learnt_from}",
            licenses=carried.license,
        ),
        l2=best.l2,
        grid=grid,
        evaluations=tuple(evaluations),
        calibration=calibration,
        learnt_from=learnt_from,
        pairs_without_picture=learn.num_rows - len(used),
        measured_without_picture=measured_without_picture,
        unreadable=features.unreadable,
    )
