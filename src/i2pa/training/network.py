"""A whole network trained on gathered pairs: from tables to the loop, and from its weights to a
model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from i2pa.errors import DataError
from i2pa.images.transforms import transform_named
from i2pa.models.backbones import BackboneWeights, backbone_spec, load_weights
from i2pa.models.ranker import Ranker
from i2pa.training.absolute import (
    Absolute,
    AbsoluteNetwork,
    LikesObjective,
    PostFacts,
    likes_fit,
)
from i2pa.training.batches import LabelledPairs
from i2pa.training.features import Features, Progress, Unreadable
from i2pa.training.feed import PictureFeed
from i2pa.training.gather import Gathered
from i2pa.training.journal import journal
from i2pa.training.labels import flip_labels
from i2pa.training.loop import MOST_UNREADABLE, Epoch, PairNetwork, fit, score_pictures
from i2pa.training.losses import loss_named, user_weights
from i2pa.training.measure import calibrate, reference
from i2pa.training.nuisance import UNKNOWN_TIME
from i2pa.training.pairset import PairSet, pair_set
from i2pa.training.probe import Head, folds_by_user
from i2pa.training.processes import processes
from i2pa.training.recipes import NetworkRecipe
from i2pa.training.run import remove_results, remove_run
from i2pa.training.trained import Naming, TrainedModel, named

VALIDATION = "val"
_VAL_FOLDS = 10
_NEW_LAYERS = 1 << 32


def train_network(
    gathered: Gathered,
    recipe: NetworkRecipe,
    weights: BackboneWeights,
    naming: Naming,
    folder: Path,
    *,
    kept: bool,
    head: Head | None,
    facts: PostFacts | None = None,
    resume: bool,
    allow_unreadable: bool,
    progress: Progress | None,
) -> TrainedModel:
    """Train by `recipe`, from `head` on the backbone where one is given; see `train`.

    With the `facts` of their posts, likes are learnt in place of pairs. The best epoch is chosen on
    the part `val` of the pairs, or, without one, on a tenth of the users that is then held out of
    training. `kept` says whether `folder` outlives the call.
    """
    lost = _missing(gathered, allow=allow_unreadable)
    gathered = _with_validation(gathered, recipe.seed)
    features = gathered.features
    backbone = load_weights(weights)
    # A layer that tells ImageNet's classes takes no part; processes would wait for its gradient.
    for name, parameter in backbone.named_parameters():
        if name.startswith(f"{backbone_spec(weights.name).last_layer}."):
            parameter.requires_grad_(False)
    # New layers begin with the seed's numbers, but not with those of random backbone weights.
    torch.manual_seed(_NEW_LAYERS + recipe.seed)
    ranker = Ranker(backbone)
    if head is not None:
        with torch.no_grad():
            ranker.head.weight.copy_(torch.from_numpy(head.weights)[None])
            ranker.head.bias.fill_(head.bias)
    learnt = labelled(gathered.used, gathered.used_table, recipe)
    val_pairs, val_table = pair_set(gathered.held_out[VALIDATION], features.row)
    held_out = labelled(val_pairs, val_table)
    feed = PictureFeed(features.paths, transform_named(recipe.transform), seed=recipe.seed)
    start = {name: value.clone() for name, value in ranker.state_dict().items()}
    absolute = None
    if facts is not None:
        learnt_posts = facts.of(gathered.used, gathered.used_table)
        absolute = Absolute(
            AbsoluteNetwork(ranker, learnt_posts.s.mean()),
            LikesObjective(learnt_posts, learnt, recipe),
            facts.of(val_pairs, val_table),
        )
    folder.mkdir(parents=True, exist_ok=True)
    with processes() as mine, journal(folder) as write:
        if mine.is_first and not resume:
            remove_run(folder)

        def on_epoch(history: Sequence[Epoch]) -> None:
            remove_results(folder)
            write(history)

        fitted = fit(
            PairNetwork(ranker, loss_named(recipe.loss), nuisance=recipe.nuisance)
            if absolute is None
            else absolute.network,
            learnt,
            held_out,
            feed,
            recipe,
            folder,
            processes=mine,
            objective=None if absolute is None else absolute.objective,
            resume=resume,
            allow_unreadable=allow_unreadable,
            progress=progress,
            on_epoch=on_epoch,
            about=_about(weights, features, learnt, held_out),
        )
        if absolute is None:
            _mix(ranker, start, recipe.wise)
        elif fitted.downward:
            absolute.network.turn()
        scores = score_pictures(ranker, feed, np.arange(len(features.paths)), recipe, mine)
    ranker = ranker.cpu().eval()
    measured, without = gathered.measured(scores)
    by = gathered.held_out[VALIDATION] if gathered.ordinary is None else gathered.ordinary
    ordinary, _ = pair_set(by, features.row)
    calibration = calibrate(ordinary.delta(scores), ordinary)
    quantiles = reference(scores, ordinary, naming.users, "never trained on")
    likes = None if absolute is None else likes_fit(absolute, scores, turned=fitted.downward)
    loss = f"loss {recipe.loss}" if absolute is None else "least squares on log likes"
    chosen = f"epoch {fitted.best} of {len(fitted.history)} (best validation accuracy)"
    names = {row: image for image, row in features.row.items()}
    return TrainedModel(
        ranker=ranker,
        recipe=recipe,
        weights=weights,
        metadata=named(naming, recipe, weights, gathered, quantiles, calibration, loss),
        chosen=chosen,
        evaluations=tuple(measured),
        calibration=calibration,
        learnt_from=gathered.learnt_from,
        data=gathered.data,
        pairs_without_picture=lost,
        measured_without_picture=without,
        unreadable=(
            *features.unreadable,
            *(Unreadable(names[row], why) for row, why in sorted(fitted.unreadable.items())),
        ),
        epochs=fitted.history,
        best_epoch=fitted.best,
        checkpoints=folder if kept else None,
        likes=likes,
    )


def labelled(pairs: PairSet, table: pa.Table, recipe: NetworkRecipe | None = None) -> LabelledPairs:
    """Pairs for the loop; with a recipe, weighted and their labels flipped as it says."""
    _, user = np.unique(pairs.user, return_inverse=True)
    p, weight = pairs.p, pairs.weight / pairs.weight.mean()
    if recipe is not None:
        flipped = flip_labels(table, recipe.flip_labels, recipe.seed)
        p = np.where(flipped, 1 - p, p)
        if recipe.per_user:
            weight = weight * user_weights(torch.from_numpy(user)).numpy()
    won, lost = (
        np.asarray(pc.fill_null(table[name].cast(pa.int64()), UNKNOWN_TIME))
        for name in ("winner_time", "loser_time")
    )
    return LabelledPairs(pairs.winner, pairs.loser, user, won, lost, p, weight)


def _with_validation(gathered: Gathered, seed: int) -> Gathered:
    if VALIDATION in gathered.held_out:
        return gathered
    if gathered.graded:
        raise DataError(
            "graded pictures have no users to hold out",
            remedy="train them with --recipe probe, or fill the column split",
        )
    fold = next(folds_by_user(gathered.used, _VAL_FOLDS, seed))
    kept = np.setdiff1d(np.arange(len(gathered.used)), fold.held_out)
    held_out: Mapping[str, pa.Table] = {
        VALIDATION: gathered.used_table.take(fold.held_out),
        **gathered.held_out,
    }
    return replace(
        gathered,
        held_out=held_out,
        used=gathered.used.at(kept),
        used_table=gathered.used_table.take(kept),
    )


def _missing(gathered: Gathered, *, allow: bool) -> int:
    """How many pairs lack a picture; raises DataError where that is too many."""
    n: int = gathered.learn.num_rows
    lost = n - len(gathered.used)
    if lost > MOST_UNREADABLE * n and not allow:
        raise DataError(
            f"{lost:,} of {n:,} pairs lack a picture that can be read, more than "
            f"{MOST_UNREADABLE:.0%}",
            remedy="mend the pictures, or --allow-unreadable",
        )
    return lost


def _about(
    weights: BackboneWeights, features: Features, learnt: LabelledPairs, held_out: LabelledPairs
) -> str:
    """The weights and the names of the pictures, which a checkpoint belongs to."""
    name = {row: image for image, row in features.row.items()}
    rows = [side for pairs in (learnt, held_out) for side in (pairs.winner, pairs.loser)]
    return json.dumps(
        [weights.key, [name[row] for row in np.unique(np.concatenate(rows)).tolist()]]
    )


def _mix(ranker: Ranker, start: Mapping[str, torch.Tensor], share: float) -> None:
    """Weights between the start and the end (WiSE-FT, Wortsman et al. 2022): `share` of the end."""
    if share == 1:
        return
    end = ranker.state_dict()
    mixed = {
        name: torch.lerp(start[name].to(value.device), value, share)
        if value.is_floating_point()
        else value
        for name, value in end.items()
    }
    ranker.load_state_dict(mixed)
