"""Recipes: how a ranker is trained, as frozen values that a run records."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args

from i2pa.errors import MOST_SEED, ArgumentError, ModelError, UserInputError, require
from i2pa.images.transforms import transform_named
from i2pa.models.backbones import LITE2, backbone_spec
from i2pa.models.pixels import PixelScaling
from i2pa.models.ranker import check_blocks
from i2pa.training.losses import loss_named

Precision = Literal["float32", "bfloat16", "float16"]
Target = Literal["pairs", "likes"]


@dataclass(frozen=True)
class Recipe:
    """A linear head on a frozen backbone (command: `i2pa train pairs.parquet --recipe probe`).

    Takes seconds once pictures are embedded, which is done once and cached. `l2` None chooses
    from `l2_grid` the value of least out-of-fold log loss; `folds` groups of users (of pictures,
    for graded sets) are left out in turn. `pixel_scaling` None is the backbone's default. `loss`,
    `nuisance`, `per_user` and `flip_labels` are as for whole networks.
    """

    name: str = "probe"
    backbone: str = LITE2.name
    pixel_scaling: PixelScaling | None = None
    transform: str = "squash260@1"
    l2: float | None = None
    l2_grid: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
    folds: int = 10
    loss: str = "hard"
    nuisance: bool = False
    per_user: bool = True
    flip_labels: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class NetworkRecipe:
    """A whole network trained on pairs (command: `i2pa train pairs.parquet --recipe NAME`).

    `batch` counts pairs; `accumulate` cuts a batch into so many passes. `rate_body` and
    `rate_head` are Adam's, multiplied by `decay` an epoch; `l2` is added to the gradient.
    `patience` stops after so many epochs without a better one, by validation accuracy and then
    loss. `start` is where weights begin: the backbone's with a new head, or the probe's head on
    it. `freeze_norm` keeps batch norm's statistics. `by_user` keeps a user's pairs in one batch,
    each picture forward once; `per_user` lets users count alike; `nuisance` trains the clock's
    share beside the pictures; `flip_labels` of the training labels are turned round, for the
    probe's head at the start, too. `wise` mixes the weights at the start and the end (WiSE-FT), 1
    being the end alone.
    `all_pairs` makes batches of pictures, `batch` of them, a user's together, and every listed pair
    of two pictures in a batch counts: each picture forward once an epoch. `frozen_blocks` of the
    backbone, the first ones, keep their weights, and what they give is computed once a picture.
    `target` is what is learnt: which picture of a pair wins, or the log likes of each picture; for
    those `batch` counts pictures, and nothing that is about pairs (`PAIRS_ONLY`) has a meaning.
    """

    name: str
    backbone: str
    transform: str
    random_crop: bool
    pixel_scaling: PixelScaling | None = None
    loss: str = "hard"
    batch: int = 64
    accumulate: int = 1
    epochs: int = 20
    patience: int | None = None
    rate_body: float = 1e-5
    rate_head: float = 1e-4
    decay: float = 0.95
    l2: float = 1e-4
    start: str = "backbone"
    freeze_norm: bool = False
    frozen_blocks: int = 0
    by_user: bool = False
    all_pairs: bool = False
    per_user: bool = False
    nuisance: bool = False
    flip_labels: float = 0.0
    wise: float = 1.0
    precision: Precision = "float32"
    channels_last: bool = True
    seed: int = 0
    target: Target = "pairs"

    @property
    def autocast(self) -> bool:
        """Whether layers compute in less than float32."""
        return self.precision != "float32"


PROBE = Recipe()

PAPER = NetworkRecipe("paper", backbone="resnet50", transform="crop224@1", random_crop=True)
"""Section 3 of the paper. It states no number of epochs; 64 pairs a batch are a reading."""

FINETUNE = NetworkRecipe(
    "finetune",
    backbone=LITE2.name,
    transform="squash260@1",
    random_crop=False,
    loss="soft",
    epochs=10,
    patience=3,
    start="probe",
    freeze_norm=True,
    by_user=True,
    per_user=True,
)
"""From the probe's head into the whole network (LP-FT, Kumar et al. 2022)."""

ABSOLUTE = NetworkRecipe(
    "absolute", backbone="resnet50", transform="crop224@1", random_crop=True, target="likes"
)
"""The baseline of the paper's ablation: log likes from the picture's score and six facts of its
post. What the paper leaves open is as in `PAPER`; 64 pictures a batch are a reading."""

PAIRS_ONLY = (
    *("loss", "start", "by_user", "all_pairs", "per_user", "nuisance", "flip_labels", "wise"),
)
"""Fields of a recipe that say nothing where likes are learnt."""

RECIPES: dict[str, Recipe | NetworkRecipe] = {
    recipe.name: recipe for recipe in (PROBE, PAPER, FINETUNE, ABSOLUTE)
}


def check_recipe(recipe: object) -> None:
    """Raise UserInputError naming the field for a value that cannot be trained by, however the
    recipe was made; for anything but a recipe, such as its name, too."""
    if not isinstance(recipe, (Recipe, NetworkRecipe)):
        raise ArgumentError("recipe", recipe, "a recipe, such as i2pa.training.PROBE")
    _check_values(recipe)
    loss_named(recipe.loss)
    try:
        backbone_spec(recipe.backbone)
        transform_named(recipe.transform)
    except ModelError as error:
        raise UserInputError(error.what, remedy=error.remedy) from error
    if isinstance(recipe, Recipe):
        return
    if recipe.precision not in get_args(Precision):
        choices = ", ".join(get_args(Precision))
        raise UserInputError(
            f"unknown precision {recipe.precision!r}", remedy=f"choose from {choices}"
        )
    if not trains_pairs(recipe):
        plain = {field.name: field.default for field in fields(recipe)}
        for name in PAIRS_ONLY:
            if getattr(recipe, name) != plain[name]:
                raise _meaningless(name, recipe)
    _check_passes(recipe)
    if recipe.frozen_blocks:
        _check_frozen(recipe)


_LEAST = {"folds": 2, "batch": 1, "accumulate": 1, "epochs": 1, "patience": 1, "frozen_blocks": 0}
_MOST = {"flip_labels": 0.5, "wise": 1, "rate_body": 1, "rate_head": 1, "decay": 1}
_SWITCHES = (
    *("random_crop", "freeze_norm", "by_user", "all_pairs", "per_user", "nuisance"),
    "channels_last",
)
_CHOICES = {"start": ("backbone", "probe"), "target": get_args(Target)}


def _check_values(recipe: Recipe | NetworkRecipe) -> None:
    """Raise ArgumentError for the first number, switch or choice that is none."""
    for field in fields(recipe):
        name, value = field.name, getattr(recipe, field.name)
        if value is None and field.default is None:
            continue
        if name in _LEAST:
            good = _is_whole(value) and value >= _LEAST[name]
            require(good, name, value, f"a whole number from {_LEAST[name]}")
        elif name in _MOST:
            good = _is_number(value) and 0 <= value <= _MOST[name]
            require(good, name, value, f"a number from 0 to {_MOST[name]}")
        elif name in _SWITCHES:
            require(isinstance(value, bool), name, value, "True or False")
        elif name in _CHOICES:
            require(value in _CHOICES[name], name, value, " or ".join(map(repr, _CHOICES[name])))
        elif name == "l2":
            require(_is_number(value) and value >= 0, name, value, "a number from 0")
        elif name == "l2_grid":
            good = isinstance(value, tuple) and bool(value)
            good = good and all(_is_number(l2) and l2 >= 0 for l2 in value)
            require(good, name, value, "a tuple of numbers from 0, at least one")
        elif name == "seed":
            good = _is_whole(value) and 0 <= value <= MOST_SEED
            require(good, name, value, f"a whole number from 0 to {MOST_SEED}")


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return _is_whole(value) or (isinstance(value, float) and math.isfinite(value))


def head_before(recipe: NetworkRecipe) -> Recipe:
    """The recipe of the head that a whole network starts from: like the network's where a head has
    a choice, so that both learn the same labels."""
    alike = ("backbone", "transform", "loss", "nuisance", "per_user", "flip_labels", "seed")
    return replace(PROBE, **{name: getattr(recipe, name) for name in alike})


def trains_pairs(recipe: Recipe | NetworkRecipe) -> bool:
    """Whether it learns which picture of a pair wins, rather than likes."""
    return isinstance(recipe, Recipe) or recipe.target == "pairs"


def fits_head(recipe: Recipe | NetworkRecipe) -> bool:
    """Whether a head is fitted to embeddings, be it all that is trained or where training begins.

    Nothing else reads embeddings.
    """
    return isinstance(recipe, Recipe) or (trains_pairs(recipe) and recipe.start == "probe")


def training_facts(recipe: Recipe | NetworkRecipe) -> dict[str, Any]:
    """The fields that decide how weights are trained, by name.

    How long to go on is no part of it, nor is what becomes of the weights after the last epoch.
    """
    return asdict(recipe) | {"epochs": None, "patience": None, "wise": None}


def changed(recipe: Recipe | NetworkRecipe, changes: Mapping[str, Any]) -> Recipe | NetworkRecipe:
    """The recipe with other values; None changes nothing.

    Raises UserInputError for a field that it does not have, or a value that is none of its own.
    """
    given = {name: value for name, value in changes.items() if value is not None}
    known = {field.name for field in fields(recipe)}
    if isinstance(recipe, NetworkRecipe) and recipe.target == "likes":
        known -= {*PAIRS_ONLY}
    for name in given:
        if name not in known:
            raise _meaningless(name, recipe)
        if isinstance(given[name], float) and not math.isfinite(given[name]):
            raise UserInputError(f"--{name.replace('_', '-')} is {given[name]}, which is no number")
    made = replace(recipe, **given)
    check_recipe(made)
    return made


def _meaningless(name: str, recipe: Recipe | NetworkRecipe) -> UserInputError:
    return UserInputError(
        f"--{name.replace('_', '-')} means nothing to the recipe {recipe.name}",
        remedy="leave it out, or choose another --recipe",
    )


def _check_passes(recipe: NetworkRecipe) -> None:
    if not 1 <= recipe.accumulate <= recipe.batch:
        raise UserInputError(
            f"--accumulate {recipe.accumulate} cuts a batch of {recipe.batch} into more passes "
            "than there is to share out",
            remedy=f"give 1 to {recipe.batch} passes, or a larger --batch",
        )


def _check_frozen(recipe: NetworkRecipe) -> None:
    """What frozen layers give can be kept only where it is the same in every epoch."""
    if recipe.random_crop or not recipe.freeze_norm:
        raise UserInputError(
            f"--frozen-blocks means nothing to the recipe {recipe.name}, which draws crops or "
            "lets batch norm's statistics move",
            remedy="leave it out, or choose --recipe finetune",
        )
    check_blocks(recipe.backbone, recipe.frozen_blocks)


def recipe_named(name: str) -> Recipe | NetworkRecipe:
    """The recipe called `name`. Raises UserInputError if there is none."""
    if name not in RECIPES:
        raise UserInputError(f"unknown recipe {name!r}", remedy=f"choose from {', '.join(RECIPES)}")
    return RECIPES[name]
