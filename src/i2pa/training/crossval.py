"""How a recipe does on users that it never saw: whole users left out in turn, one after another.

Each fold learns from the other users alone, and takes from them whatever it chooses: ℓ2, the epoch,
the temperature. What it says of the users left out is kept fold by fold, so that a stopped run goes
on. Comparing recipes on the same pairs is here too; tables and files of results stay out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from i2pa.errors import DataError
from i2pa.files import whole_file
from i2pa.images.transforms import transform_named
from i2pa.metrics.accuracy import Accuracy, accuracy_of_users, pairwise_accuracy
from i2pa.metrics.intervals import standard_error
from i2pa.metrics.thurstone import normal_costs
from i2pa.models.backbones import BackboneWeights, WeightsSource, backbone_weights
from i2pa.training.absolute import PostFacts, post_facts
from i2pa.training.features import Features, Progress, image_features
from i2pa.training.feed import Feed
from i2pa.training.gather import Gathered
from i2pa.training.labelled import with_clock
from i2pa.training.losses import loss_named
from i2pa.training.measure import calibrate
from i2pa.training.network import VALIDATION, fit_network, picture_feed
from i2pa.training.pairset import Floats, Ints, PairSet, images_of, joined, pair_set
from i2pa.training.probe import Fold, Head, fit_head, judged
from i2pa.training.probe import cross_validate as validate_head
from i2pa.training.processes import processes
from i2pa.training.recipes import NetworkRecipe, Recipe, head_before, trains_pairs

INNER_FOLDS = 4


@dataclass(frozen=True)
class OutOfFold:
    """What recipes that never saw a pair's user say of it; arrays are [n], a value a pair.

    `user` names whose it is, `fold` which fold left it out. `delta` is the difference of scores,
    winner's less loser's, standardised where scores have a spread; `nats` what the winner's
    probability costs, -ln P. `inner` [folds] are the mean-of-users accuracies of each fold's model
    on users held out of its own learning: recipes may be chosen by it without a look at `delta`.
    """

    user: tuple[str, ...]
    fold: tuple[int, ...]
    delta: tuple[float, ...]
    nats: tuple[float, ...]
    inner: tuple[float, ...]

    @property
    def accuracy(self) -> Accuracy:
        """Pooled and mean of users, with intervals from draws of users."""
        return pairwise_accuracy(np.array(self.delta), np.array(self.user))

    @property
    def log_loss(self) -> float:
        """Mean of users of -ln P(the winner wins); ln 2 = .693 is a coin's."""
        index = np.unique(self.user, return_inverse=True)[1]
        return float((np.bincount(index, self.nats) / np.bincount(index)).mean())


@dataclass(frozen=True)
class Gain:
    """By how much one recipe's mean of users is above another's on the same pairs.

    `error` is the standard error of the users' differences.
    """

    value: float
    error: float

    @property
    def is_clear(self) -> bool:
        """Whether it exceeds one standard error: a rule for choosing, no proof."""
        return self.value > self.error

    def __str__(self) -> str:
        return f"{self.value:+.3f} ± {self.error:.3f}"


def gain(of: OutOfFold, over: OutOfFold) -> Gain:
    """The paired difference in accuracy, user by user. Raises ValueError for other pairs."""
    if of.user != over.user:
        raise ValueError("the two were not measured on the same pairs")
    user = np.array(of.user)
    mine, theirs = (accuracy_of_users(np.array(one.delta), user)[1] for one in (of, over))
    return Gain(float((mine - theirs).mean()), standard_error(mine - theirs))


def chosen_within(rows: Sequence[OutOfFold]) -> tuple[OutOfFold, tuple[int, ...]]:
    """Let each fold choose the row that its own inner validation likes best, the first of equals.

    Gives what those say of the users left out, and which row [folds] it was: the honest estimate of
    "try them all and keep the best", where the best row's own figure is the maximum of noise.
    """
    choice = np.argmax([row.inner for row in rows], axis=0)
    fold = np.array(rows[0].fold)
    delta, nats = (
        np.array([getattr(row, name) for row in rows])[choice[fold], np.arange(len(fold))]
        for name in ("delta", "nats")
    )
    inner = tuple(float(rows[row].inner[k]) for k, row in enumerate(choice))
    made = replace(rows[0], delta=tuple(delta.tolist()), nats=tuple(nats.tolist()), inner=inner)
    return made, tuple(choice.tolist())


def chance_of_best(rows: Sequence[OutOfFold], over: OutOfFold) -> float:
    """How often the best of `rows` would gain as much by chance, in its standard errors.

    Were no row better than `over`, each user's differences would have either sign alike. All signs
    are tried (all rows' of a user turn together, as they share its pairs), or 4,096 of them drawn;
    the share whose best row has a t as large as the real best one's is the answer.
    """
    user = np.array(over.user)
    base = accuracy_of_users(np.array(over.delta), user)[1]
    moved = np.stack([accuracy_of_users(np.array(row.delta), user)[1] - base for row in rows])
    n = moved.shape[1]
    if n <= 12:
        signs = 1 - 2 * (np.arange(2**n)[:, None] >> np.arange(n) & 1)
    else:
        signs = np.random.default_rng(0).choice([-1, 1], (4096, n))
        signs[0] = 1
    mean = signs @ moved.T / n
    # A user's square does not turn with its sign; a row like the base everywhere has no t.
    variance = ((moved**2).mean(axis=1) - mean**2) / (n - 1)
    # Where all users moved alike nothing is left to chance; where none moved there is no gain.
    t = np.where(np.abs(mean) < 1e-12, 0.0, np.copysign(np.inf, mean))
    np.divide(mean, np.sqrt(np.maximum(variance, 0)), out=t, where=variance > 1e-15)
    best = t.max(axis=1)
    return float((best >= best[0] - 1e-9).mean())


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
    plan = _plan(recipe, carried, [pairs, also, start], own, folds)
    found = []
    for k in range(folds):
        mine, out = (np.flatnonzero(side) for side in (fold != k, fold == k))
        with TemporaryDirectory(prefix="i2pa-") as nowhere:
            place = kept / f"fold-{k}" if kept else Path(nowhere)
            result = _known(place, plan)
            if result is None:
                result = trial.run(everyone.at(mine), everyone.at(out), others, begins, place)
                _keep(result, place, plan)
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


@dataclass(frozen=True)
class _Fold:
    """What one fold's model says of the pairs left out [n], and how it did within."""

    delta: Sequence[float]
    nats: Sequence[float]
    inner: float
    chosen: str


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
    ) -> _Fold:
        """Learn from `mine` and `others`, choosing within `mine`, and judge the pairs `out`."""
        users = len(np.unique(mine.pairs.user))
        if users < 2:
            raise DataError(
                "a fold leaves one user to learn from, and none to choose by",
                remedy="give pairs of more users, or more folds",
            )
        inner = user_folds(mine.pairs, min(INNER_FOLDS, users))
        recipe, embeddings = self.recipe, self.features.embeddings
        if isinstance(recipe, Recipe):
            head, l2, inside = self._head(recipe, mine, inner, others, own=self.own)
            scores, spreads = head.score(embeddings), head.spreads(embeddings)
            calibrated, delta, chosen = mine.pairs, inside, f"l2 {l2:g}"
        else:
            learn = mine.at(np.flatnonzero(inner != 0))
            validation = mine.at(np.flatnonzero(inner == 0))
            taught = [*([learn] if self.own else []), *others]
            start = None
            if trains_pairs(recipe) and recipe.start == "probe":
                judging, begin = (validation, taught) if begins is None else (learn, begins)
                start, *_ = self._head(head_before(recipe), judging, inner, begin, own=False)
            used = _Listed.all(taught)
            gathered = Gathered(
                used.table,
                {VALIDATION: validation.table},
                None,
                self.features,
                used.pairs,
                used.table,
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
            scores, spreads = found.scores, found.spreads
            calibrated = validation.pairs
            delta = judged(calibrated.delta(scores), spreads, calibrated)
            chosen = f"epoch {found.fitted.best} of {len(found.fitted.history)}"
        thurstone = spreads is not None
        temperature = calibrate(
            delta, calibrated, "thurstone" if thurstone else "logistic"
        ).temperature
        said = judged(out.pairs.delta(scores), spreads, out.pairs)
        nats = (
            normal_costs(said, np.ones(len(said)), temperature)
            if thurstone
            else np.logaddexp(0, -said / temperature)
        )
        held_out = np.flatnonzero(inner == 0) if isinstance(recipe, Recipe) else slice(None)
        _, accuracies, _ = accuracy_of_users(delta[held_out], calibrated.user[held_out])
        return _Fold(said.tolist(), nats.tolist(), float(accuracies.mean()), chosen)

    def _head(
        self,
        recipe: Recipe,
        mine: _Listed,
        inner: Ints,
        others: Sequence[_Listed],
        *,
        own: bool,
    ) -> tuple[Head, float, Floats]:
        """The head at the ℓ2 of least log loss on the pairs `mine` [n], that ℓ2, and what it says
        of them [n]. With `own` they are learnt from too, but each is judged by a head that did not
        see its fold `inner` [n]."""
        loss, embeddings = loss_named(recipe.loss), self.features.embeddings
        further = [one.pairs for one in others]
        grid = recipe.l2_grid if recipe.l2 is None else (recipe.l2,)
        if own:
            folds = [
                Fold(
                    joined([mine.pairs.at(np.flatnonzero(inner != j)), *further]),
                    np.flatnonzero(inner == j),
                )
                for j in range(inner.max() + 1)
            ]
            everything = joined([mine.pairs, *further])
        else:
            everything = joined(further)
            folds = [Fold(everything, np.arange(len(mine.pairs)))]
        tried = [validate_head(embeddings, mine.pairs, folds, l2, loss) for l2 in grid]
        best = min(tried, key=lambda one: one.log_loss)
        return fit_head(embeddings, everything.evenly(), best.l2, loss), best.l2, best.delta


def _known(place: Path, plan: str) -> _Fold | None:
    """What a fold of the same plan left at `place`."""
    try:
        return _Fold(**json.loads((place / _file(plan)).read_text()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise DataError(
            "damaged results of a fold", where=str(place / _file(plan)), remedy="delete the file"
        ) from error


def _keep(result: _Fold, place: Path, plan: str) -> None:
    place.mkdir(parents=True, exist_ok=True)
    with whole_file(place / _file(plan)) as aside:
        aside.write_text(json.dumps(asdict(result)))


def _file(plan: str) -> str:
    return f"fold-{plan[:16]}.json"


def _plan(
    recipe: Recipe | NetworkRecipe,
    weights: BackboneWeights,
    tables: Sequence[pa.Table | None],
    own: bool,
    folds: int,
) -> str:
    """SHA-256 of all that decides what the folds say."""
    facts = [asdict(recipe), weights.key, own, folds]
    hashed = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for table in tables:
        rows = [] if table is None else table.to_pylist()
        hashed.update(json.dumps(rows, sort_keys=True, default=str).encode())
    return hashed.hexdigest()
