"""What training hands over: a ranker, and all that its file and its card say of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from i2pa.images.failure import Failure
from i2pa.models.backbones import BackboneWeights
from i2pa.models.metadata import ModelMetadata, Reference
from i2pa.models.ranker import Ranker
from i2pa.training.absolute import LikesFit
from i2pa.training.gather import DataFacts, Gathered
from i2pa.training.loop import Epoch
from i2pa.training.losses import loss_named
from i2pa.training.measure import Calibration, Evaluation
from i2pa.training.pairset import SharedUsers
from i2pa.training.probe import CrossValidation, Head
from i2pa.training.recipes import NetworkRecipe, Recipe, trains_pairs


@dataclass(frozen=True)
class Naming:
    """What the model is to be called, and in what words the reference's users."""

    name: str
    version: int
    users: str


@dataclass(frozen=True)
class TrainedModel:
    """A trained ranker and what is known of it.

    `chosen` says how its last choice was made. `head` is the fitted head of the recipe `probe`
    and `grid` what cross-validation saw of each ℓ2; `epochs` what a network's training saw,
    `best_epoch` the one that was kept, `checkpoints` the folder with its checkpoint, if any;
    `likes` how well the recipe `absolute` predicts them. `measured_without_picture` says
    of the lists that it was measured or calibrated on how many pairs lack a readable picture, where
    any does; `shared_users` are those of them that share users, or, if graded, pictures, with the
    pairs learnt from.
    """

    ranker: Ranker
    recipe: Recipe | NetworkRecipe
    weights: BackboneWeights
    metadata: ModelMetadata
    chosen: str
    evaluations: tuple[Evaluation, ...]
    calibration: Calibration
    learnt_from: str
    data: DataFacts
    pairs_without_picture: int
    measured_without_picture: Mapping[str, int]
    unreadable: tuple[Failure, ...]
    shared_users: tuple[SharedUsers, ...] = ()
    head: Head | None = None
    l2: float | None = None
    grid: tuple[CrossValidation, ...] = ()
    epochs: tuple[Epoch, ...] = ()
    best_epoch: int | None = None
    checkpoints: Path | None = None
    likes: LikesFit | None = None


def named(
    naming: Naming,
    recipe: Recipe | NetworkRecipe,
    weights: BackboneWeights,
    gathered: Gathered,
    quantiles: Reference,
    calibration: Calibration,
    detail: str,
) -> ModelMetadata:
    """What a model file says of a model trained like this."""
    said = [f"recipe {recipe.name}", weights.label, detail, gathered.learnt_from]
    if recipe.flip_labels:
        said.append(f"{100 * recipe.flip_labels:g} % of the labels turned round")
    for what in sorted({shared.what for shared in gathered.shared}, reverse=True):
        said.append(f"{what} shared with what it was measured on")
    return ModelMetadata(
        name=naming.name,
        version=naming.version,
        transform=recipe.transform,
        reference=quantiles,
        link=loss_named(recipe.loss).link if trains_pairs(recipe) else "logistic",
        temperature=calibration.temperature,
        training=", ".join(said),
        licenses=weights.license,
    )
