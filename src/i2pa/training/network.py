"""A whole network trained on gathered pairs: from tables to the loop, and from its weights to a
model.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from i2pa.errors import DataError
from i2pa.files import make_run_folder
from i2pa.images.transforms import transform_named
from i2pa.models.backbones import BackboneWeights, backbone_spec, load_weights
from i2pa.models.ranker import Ranker, freeze_blocks
from i2pa.training.absolute import (
    Absolute,
    AbsoluteNetwork,
    LikesFit,
    LikesObjective,
    PostFacts,
    likes_fit,
)
from i2pa.training.batches import Floats, LabelledPairs
from i2pa.training.checkpoint import Subject
from i2pa.training.features import Features, Progress
from i2pa.training.feed import EarlyFeed, Feed, PictureFeed
from i2pa.training.foldfile import remove_folds
from i2pa.training.gather import CALIBRATION, Gathered
from i2pa.training.journal import journal
from i2pa.training.labelled import labelled, with_noise
from i2pa.training.loop import Epoch, Fitted, fit
from i2pa.training.losses import loss_named
from i2pa.training.measure import calibrate, reference
from i2pa.training.memory_error import told_of_memory
from i2pa.training.objective import Network
from i2pa.training.pairset import is_graded, pair_set
from i2pa.training.pairwise import PairNetwork
from i2pa.training.probe import Head, folds_by_user, judged
from i2pa.training.processes import processes
from i2pa.training.recipes import NetworkRecipe, trains_pairs
from i2pa.training.run import FOLDS_FOLDER, remove_half_written, remove_results
from i2pa.training.trained import Naming, TrainedModel, named
from i2pa.training.validation import rate_pictures

VALIDATION = "val"
_VAL_FOLDS = 10
_NEW_LAYERS = 1 << 32


def check_validation(learn: pa.Table, parts: Collection[str]) -> None:
    """Raise DataError where the epoch could be chosen on nothing: no part `val`, and no users."""
    if VALIDATION not in parts and is_graded(learn):
        raise DataError(
            "graded pictures have no users to hold out",
            remedy="train them with --recipe probe, or fill the column split",
        )


def train_network(
    gathered: Gathered,
    recipe: NetworkRecipe,
    weights: BackboneWeights,
    naming: Naming,
    folder: Path,
    *,
    kept: bool,
    start: Callable[[Gathered], Head] | None,
    facts: PostFacts | None = None,
    resume: bool,
    allow_unreadable: bool,
    progress: Progress | None,
) -> TrainedModel:
    """Train by `recipe`, from the head that `start` fits to what is learnt, if given; see `train`.

    With the `facts` of their posts, likes are learnt in place of pairs. The best epoch is chosen on
    the part `val` of the pairs, or, without one, on a tenth of the users that is then held out of
    training. `kept` says whether `folder` outlives the call.
    """
    asked, lost = gathered, gathered.missing
    gathered = _with_validation(gathered, recipe.seed)
    used, used_table = with_noise(gathered.used, gathered.used_table, recipe)
    gathered = replace(gathered, used=used, used_table=used_table)
    found = fit_network(
        gathered,
        recipe,
        weights,
        folder,
        head=None if start is None else start(gathered),
        facts=facts,
        resume=resume,
        allow_unreadable=allow_unreadable,
        progress=progress,
    )
    fitted, scores = found.fitted, found.scores
    if fitted.unreadable:
        # They broke after they were first read, so they were not missed before.
        asked.without(fitted.unreadable).check_readable(allow=allow_unreadable)
        read = gathered.without(fitted.unreadable)
        lost += len(gathered.used) - len(read.used)
        gathered = read
    measured = gathered.measured(scores)
    by, label = gathered.ordinary, CALIBRATION
    if by is None:
        by, label = gathered.held_out[VALIDATION], VALIDATION
    ordinary, _ = pair_set(by, gathered.features.row)
    link = loss_named(recipe.loss).link if trains_pairs(recipe) else "logistic"
    calibration = calibrate(judged(ordinary.delta(scores), found.spreads, ordinary), ordinary, link)
    quantiles = reference(scores, ordinary, naming.users, gathered.how_unseen(label))
    loss = f"loss {recipe.loss}" if facts is None else "least squares on log likes"
    chosen = f"epoch {fitted.best} of {len(fitted.history)} (best validation accuracy)"
    return TrainedModel(
        ranker=found.ranker,
        recipe=recipe,
        weights=weights,
        metadata=named(naming, recipe, weights, gathered, quantiles, calibration, loss),
        chosen=chosen,
        evaluations=tuple(measured),
        calibration=calibration,
        learnt_from=gathered.learnt_from,
        data=gathered.data,
        pairs_without_picture=lost,
        measured_without_picture=gathered.measured_without_picture,
        shared_users=gathered.shared,
        unreadable=gathered.features.unreadable,
        epochs=fitted.history,
        best_epoch=fitted.best,
        checkpoints=folder if kept else None,
        likes=found.likes,
    )


@dataclass(frozen=True)
class FittedNetwork:
    """A trained ranker, and what it says of all gathered pictures.

    `scores` and `spreads` [rows], float32's whatever the precision of training, NaN where
    unreadable, which `fitted` tells of every process; `likes` where likes were learnt.
    """

    ranker: Ranker
    fitted: Fitted
    scores: Floats
    spreads: Floats | None
    likes: LikesFit | None


def fit_network(
    gathered: Gathered,
    recipe: NetworkRecipe,
    weights: BackboneWeights,
    folder: Path,
    *,
    head: Head | None,
    facts: PostFacts | None = None,
    resume: bool = False,
    allow_unreadable: bool = False,
    progress: Progress | None = None,
    feed: Feed | None = None,
) -> FittedNetwork:
    """Train on the gathered pairs, labelled as they are, choosing the epoch on their part `val`.

    `feed` is that of another fit on the same pictures, recipe and weights, which has decoded them.
    """
    features = gathered.features
    ranker = _ranker(recipe, weights, head)
    learnt = labelled(gathered.used, gathered.used_table, recipe)
    val_pairs, val_table = pair_set(gathered.held_out[VALIDATION], features.row)
    held_out = labelled(val_pairs, val_table)
    start = {name: value.clone() for name, value in ranker.state_dict().items()}
    absolute = None
    if facts is not None:
        learnt_posts = facts.of(gathered.used, gathered.used_table)
        absolute = Absolute(
            AbsoluteNetwork(ranker, learnt_posts.s.mean(), frozen=recipe.frozen_blocks),
            LikesObjective(learnt_posts, learnt, recipe),
            facts.of(val_pairs, val_table),
        )
    network: Network = _pair_network(ranker, recipe, head) if absolute is None else absolute.network
    make_run_folder(folder)
    with told_of_memory(recipe, folder), processes() as mine, journal(folder) as write:
        if mine.is_first:
            remove_half_written(folder)
        feed = feed or picture_feed(features, recipe, weights, mine.device)

        def on_epoch(history: Sequence[Epoch]) -> None:
            # Now there is something in the place of what another run left.
            remove_results(folder)
            remove_folds(folder / FOLDS_FOLDER)
            write(history)

        fitted = fit(
            network,
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
            about=_subject(weights, features, learnt, held_out),
        )
        if absolute is None:
            _mix(ranker, start, recipe.wise)
        elif fitted.downward:
            absolute.network.turn()
        everything = np.arange(len(features.paths))
        # The file computes in float32, so what is said of it has to.
        exact = replace(recipe, precision="float32")
        scores, spreads = rate_pictures(network, feed, everything, exact, mine)
        fitted = replace(fitted, unreadable=mine.together(feed.unreadable))
    likes = None if absolute is None else likes_fit(absolute, scores, turned=fitted.downward)
    return FittedNetwork(ranker.cpu().eval(), fitted, scores, spreads, likes)


def picture_feed(
    features: Features, recipe: NetworkRecipe, weights: BackboneWeights, device: torch.device
) -> Feed:
    """The pictures as a network trained by `recipe` takes them in."""
    transform, blocks = transform_named(recipe.transform), recipe.frozen_blocks
    if not blocks:
        return PictureFeed(features.paths, transform, seed=recipe.seed)
    # What the frozen blocks give is kept in the pixels' place.
    pictures = PictureFeed(features.paths, transform, seed=recipe.seed, memory_bytes=0)
    return EarlyFeed(pictures, Ranker(load_weights(weights)).to(device).eval(), blocks)


def put_head(ranker: Ranker, head: Head) -> None:
    """Give a ranker the weights of a head, and of its spread where both have one."""
    parts = [(ranker.head, head)]
    if ranker.spread is not None and head.spread is not None:
        parts.append((ranker.spread, head.spread))
    with torch.no_grad():
        for layer, fitted in parts:
            layer.weight.copy_(torch.from_numpy(fitted.weights)[None])
            layer.bias.fill_(fitted.bias)


def _ranker(recipe: NetworkRecipe, weights: BackboneWeights, head: Head | None) -> Ranker:
    """Where training begins."""
    backbone = load_weights(weights)
    # A layer that tells ImageNet's classes takes no part; processes would wait for its gradient.
    for name, parameter in backbone.named_parameters():
        if name.startswith(f"{backbone_spec(weights.name).last_layer}."):
            parameter.requires_grad_(False)
    # New layers begin with the seed's numbers, but not with those of random backbone weights.
    torch.manual_seed(_NEW_LAYERS + recipe.seed)
    ranker = Ranker(backbone, spread=trains_pairs(recipe) and loss_named(recipe.loss).spread)
    if recipe.frozen_blocks:
        freeze_blocks(ranker, recipe.frozen_blocks)
    if head is not None:
        put_head(ranker, head)
    return ranker


def _pair_network(ranker: Ranker, recipe: NetworkRecipe, head: Head | None) -> PairNetwork:
    """The ranker, and beside it the clock's share as the head that it starts from has it."""
    network = PairNetwork(ranker, nuisance=recipe.nuisance, frozen=recipe.frozen_blocks)
    if network.clock is not None and head is not None and head.clock is not None:
        network.clock.begin_with(head.clock)
    return network


def _with_validation(gathered: Gathered, seed: int) -> Gathered:
    if VALIDATION in gathered.held_out:
        return gathered
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


def _subject(
    weights: BackboneWeights, features: Features, learnt: LabelledPairs, held_out: LabelledPairs
) -> Subject:
    """The weights and the names of the pictures, which a checkpoint belongs to."""
    name = {row: image for image, row in features.row.items()}
    rows = [side for pairs in (learnt, held_out) for side in (pairs.winner, pairs.loser)]
    pictures = [name[row] for row in np.unique(np.concatenate(rows)).tolist()]
    return Subject(weights.key, pictures, {failure.path for failure in features.unreadable})


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
