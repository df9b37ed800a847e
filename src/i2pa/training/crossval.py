"""How a recipe does on users that it never saw: whole users left out in turn, one after another.

Each fold learns from the other users alone, and takes from them whatever it chooses: ℓ2, the epoch,
the temperature. What it says of the users left out is kept fold by fold, so that a stopped run goes
on. What becomes of the results is `compare`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from i2pa.errors import DataError
from i2pa.images.transforms import transform_named
from i2pa.metrics.accuracy import accuracy_of_users
from i2pa.metrics.thurstone import normal_costs
from i2pa.models.backbones import BackboneWeights, WeightsSource, backbone_weights
from i2pa.models.metadata import Link
from i2pa.training.absolute import PostFacts, post_facts
from i2pa.training.checkpoint import CHECKPOINT_FILE
from i2pa.training.compare import OutOfFold
from i2pa.training.features import Features, Progress, image_features
from i2pa.training.feed import Feed
from i2pa.training.foldfile import FoldResult, fold_plan, keep_fold, kept_fold
from i2pa.training.gather import PLAIN_L2, Gathered
from i2pa.training.labelled import with_clock
from i2pa.training.losses import loss_named
from i2pa.training.measure import Evaluation, calibrate, evaluate
from i2pa.training.network import VALIDATION, fit_network, picture_feed
from i2pa.training.pairset import (
    Floats,
    Ints,
    PairSet,
    by_split,
    images_of,
    is_graded,
    joined,
    pair_set,
)
from i2pa.training.probe import Fold, Head, fit_head, judged
from i2pa.training.probe import cross_validate as validate_head
from i2pa.training.processes import processes
from i2pa.training.recipes import NetworkRecipe, Recipe, head_before, trains_pairs

INNER_FOLDS = 4


def user_folds(pairs: PairSet, folds: int) -> Ints:
    """A fold [n] for each pair: whole users, the heaviest first, each to the fold of fewest pairs.

    Raises DataError where there are fewer users than folds.
    """
    users, index, counts = np.unique(pairs.user, return_inverse=True, return_counts=True)
    if len(users) < folds:
        raise DataError(
            f"{folds} folds need as many users, and the pairs are of {len(users)}",
            remedy="give fewer folds, or pairs of more users",
        )
    fold_of_user, sizes = np.empty(len(users), np.int64), np.zeros(folds)
    for user in np.argsort(-counts, kind="stable"):
        # Empty folds first: a light user must not join a heavy one while a fold has none.
        fold_of_user[user] = int(np.argmin(sizes))
        sizes[fold_of_user[user]] += counts[user]
    return fold_of_user[index]


def cross_validate(
    pairs: pa.Table,
    images: Path | Sequence[Path],
    recipe: Recipe | NetworkRecipe,
    *,
    folds: int = 4,
    also: pa.Table | None = None,
    own: bool = True,
    start: pa.Table | None = None,
    posts: pa.Table | None = None,
    weights: WeightsSource = None,
    kept: Path | None = None,
    progress: Progress | None = None,
    training_progress: Progress | None = None,
) -> OutOfFold:
    """Train `recipe` once a fold on the users of the other folds, and judge each pair once.

    `also` are further pairs to learn from in every fold, of other users (those in `pairs` are left
    out) or graded pictures, a user or graded set counting like any other; with `own` False they
    alone are learnt from. A network that begins with a head begins with one fitted to `start`, else
    to what it learns from. Of a fold's own users a quarter is held out of learning for the epoch
    and the temperature; a head, which takes seconds, is chosen by cross-validation among them and
    then fitted to all. `kept` is a folder that keeps each fold's results and checkpoints, so that
    the same call goes on. Raises as `train` does.
    """
    carried = backbone_weights(
        recipe.backbone, weights, pixel_scaling=recipe.pixel_scaling, seed=recipe.seed
    )
    tables = [table for table in (pairs, also, start) if table is not None]
    features = image_features(
        [image for table in tables for image in images_of(table)],
        [images] if isinstance(images, Path) else images,
        carried,
        transform_named(recipe.transform),
        progress,
    )
    tested, table = pair_set(pairs, features.row)
    fold = user_folds(tested, folds)
    facts = None if posts is None else post_facts(posts, [table])
    feed = None
    if isinstance(recipe, NetworkRecipe):
        with processes() as alone:
            feed = picture_feed(features, recipe, carried, alone.device)
    trial = _Trial(recipe, carried, features, feed, own, facts, training_progress)
    others = [] if also is None else [_Listed.of(also, features, recipe).without(tested.user)]
    if not own and not sum(len(one.pairs) for one in others):
        raise DataError("there is nothing to learn from but the users that are judged")
    begins = None if start is None else [_Listed.of(start, features, recipe)]
    everyone = _Listed.of(pairs, features, recipe)
    plan = fold_plan(recipe, carried, [pairs, also, start], own, folds)
    found = []
    for k in range(folds):
        mine, out = (np.flatnonzero(side) for side in (fold != k, fold == k))
        with TemporaryDirectory(prefix="i2pa-") as nowhere:
            place = kept / f"fold-{k}" if kept else Path(nowhere)
            result = kept_fold(place, plan)
            if result is None:
                result = trial.run(everyone.at(mine), everyone.at(out), others, begins, place)
                keep_fold(result, place, plan)
            found.append(result)
    delta, nats = np.empty(len(tested)), np.empty(len(tested))
    for k, result in enumerate(found):
        delta[fold == k], nats[fold == k] = result.delta, result.nats
    return OutOfFold(
        user=tuple(tested.user.tolist()),
        fold=tuple(fold.tolist()),
        delta=tuple(delta.tolist()),
        nats=tuple(nats.tolist()),
        inner=tuple(result.inner for result in found),
    )


def left_out_users(
    pairs: pa.Table,
    images: Path | Sequence[Path],
    recipe: Recipe | NetworkRecipe,
    folds: int,
    *,
    posts: pa.Table | None = None,
    weights: WeightsSource = None,
    kept: Path | None = None,
    training_progress: Progress | None = None,
) -> Evaluation:
    """`cross_validate` on the pairs to learn from, beside the same baselines as other accuracies.

    Where `pairs` has a split only its train part takes part. Raises DataError for graded pictures,
    which have no users.
    """
    learn, _ = by_split(pairs)
    if is_graded(learn):
        raise DataError("graded pictures have no users to leave out", remedy="leave --folds out")
    found = cross_validate(
        learn,
        images,
        recipe,
        folds=folds,
        posts=posts,
        weights=weights,
        kept=kept,
        training_progress=training_progress,
    )
    carried = backbone_weights(
        recipe.backbone, weights, pixel_scaling=recipe.pixel_scaling, seed=recipe.seed
    )
    folders = [images] if isinstance(images, Path) else images
    features = image_features(images_of(learn), folders, carried, transform_named(recipe.transform))
    tested, table = pair_set(learn, features.row)
    fold, plain = np.array(found.fold), np.empty(len(tested))
    for k in range(folds):
        others = tested.at(np.flatnonzero(fold != k)).evenly()
        scores = fit_head(features.properties, others, PLAIN_L2).score(features.properties)
        plain[fold == k] = tested.delta(scores)[fold == k]
    for checkpoint in kept.glob(f"*/{CHECKPOINT_FILE}") if kept else ():
        checkpoint.unlink()
    label = f"users left out in {folds} turns"
    return evaluate(label, table, tested, np.array(found.delta), plain)


@dataclass(frozen=True)
class _Listed:
    """Pairs as arrays, and the same rows of their table."""

    pairs: PairSet
    table: pa.Table

    @classmethod
    def of(cls, table: pa.Table, features: Features, recipe: Recipe | NetworkRecipe) -> _Listed:
        pairs, kept = pair_set(table, features.row)
        if isinstance(recipe, Recipe) and recipe.nuisance:
            pairs = with_clock(pairs, kept)
        return cls(pairs, kept)

    @classmethod
    def all(cls, parts: Sequence[_Listed]) -> _Listed:
        tables = pa.concat_tables([part.table.replace_schema_metadata() for part in parts])
        return cls(joined([part.pairs for part in parts]), tables.unify_dictionaries())

    def without(self, users: npt.NDArray[np.str_]) -> _Listed:
        return self.at(np.flatnonzero(~np.isin(self.pairs.user, users)))

    def at(self, index: Ints) -> _Listed:
        return _Listed(self.pairs.at(index), self.table.take(pa.array(index)))


@dataclass(frozen=True)
class _Model:
    """What a fold's model says of all pictures, [rows], and of pairs it did not learn from.

    `inside` [n] are its judgments of the pairs `within`, which the temperature is fitted to;
    `chosen` says how its last choice was made; `head` is it, where it is one.
    """

    scores: Floats
    spreads: Floats | None
    within: PairSet
    inside: Floats
    chosen: str
    head: Head | None


@dataclass(frozen=True)
class _Trial:
    """One recipe, and all that its folds share."""

    recipe: Recipe | NetworkRecipe
    weights: BackboneWeights
    features: Features
    feed: Feed | None
    own: bool
    facts: PostFacts | None
    progress: Progress | None

    def run(
        self,
        mine: _Listed,
        out: _Listed,
        others: Sequence[_Listed],
        begins: Sequence[_Listed] | None,
        place: Path,
    ) -> FoldResult:
        """Learn from `mine` and `others`, choosing within `mine`, and judge the pairs `out`."""
        users = len(np.unique(mine.pairs.user))
        if users < 2:
            raise DataError(
                "a fold leaves one user to learn from, and none to choose by",
                remedy="give pairs of more users, or more folds",
            )
        inner = user_folds(mine.pairs, min(INNER_FOLDS, users))
        model = (
            self._head_of(self.recipe, mine, inner, others, own=self.own)
            if isinstance(self.recipe, Recipe)
            else self._network_of(self.recipe, mine, inner, others, begins, place)
        )
        thurstone = model.spreads is not None
        link: Link = "thurstone" if thurstone else "logistic"
        temperature = calibrate(model.inside, model.within, link).temperature
        said = judged(out.pairs.delta(model.scores), model.spreads, out.pairs)
        nats = (
            normal_costs(said, np.ones(len(said)), temperature)
            if thurstone
            else np.logaddexp(0, -said / temperature)
        )
        held_out = np.isin(model.within.user, mine.pairs.user[inner == 0])
        _, accuracies, _ = accuracy_of_users(model.inside[held_out], model.within.user[held_out])
        return FoldResult(said.tolist(), nats.tolist(), float(accuracies.mean()), model.chosen)

    def _network_of(
        self,
        recipe: NetworkRecipe,
        mine: _Listed,
        inner: Ints,
        others: Sequence[_Listed],
        begins: Sequence[_Listed] | None,
        place: Path,
    ) -> _Model:
        """The network trained on all but the inner fold 0, on which the epoch is chosen."""
        learn, validation = (mine.at(np.flatnonzero(side)) for side in (inner != 0, inner == 0))
        taught = [*([learn] if self.own else []), *others]
        start = None
        if trains_pairs(recipe) and recipe.start == "probe":
            judging, begin = (validation, taught) if begins is None else (learn, begins)
            start = self._head_of(head_before(recipe), judging, inner, begin, own=False).head
        used = _Listed.all(taught)
        gathered = Gathered(
            learn=used.table,
            held_out={VALIDATION: validation.table},
            ordinary=None,
            features=self.features,
            used=used.pairs,
            used_table=used.table,
        )
        found = fit_network(
            gathered,
            recipe,
            self.weights,
            place,
            head=start,
            facts=self.facts,
            resume=True,
            progress=self.progress,
            feed=self.feed,
        )
        within, fitted = validation.pairs, found.fitted
        inside = judged(within.delta(found.scores), found.spreads, within)
        chosen = f"epoch {fitted.best} of {len(fitted.history)}"
        return _Model(found.scores, found.spreads, within, inside, chosen, None)

    def _head_of(
        self,
        recipe: Recipe,
        mine: _Listed,
        inner: Ints,
        others: Sequence[_Listed],
        *,
        own: bool,
    ) -> _Model:
        """The head at the ℓ2 of least log loss on the pairs `mine` [n].

        With `own` they are learnt from too, but each is judged by a head that did not see its fold
        `inner` [n].
        """
        loss, embeddings = loss_named(recipe.loss), self.features.embeddings
        further = [one.pairs for one in others]
        grid = recipe.l2_grid if recipe.l2 is None else (recipe.l2,)
        everything = joined([mine.pairs, *further] if own else further)
        folds = [Fold(everything, np.arange(len(mine.pairs)))]
        if own:
            folds = [
                Fold(joined([mine.pairs.at(np.flatnonzero(inner != k)), *further]), held_out)
                for k in range(inner.max() + 1)
                for held_out in [np.flatnonzero(inner == k)]
            ]
        tried = [validate_head(embeddings, mine.pairs, folds, l2, loss) for l2 in grid]
        best = min(tried, key=lambda one: one.log_loss)
        head = fit_head(embeddings, everything.evenly(), best.l2, loss)
        scores, spreads = head.score(embeddings), head.spreads(embeddings)
        return _Model(scores, spreads, mine.pairs, best.delta, f"l2 {best.l2:g}", head)
