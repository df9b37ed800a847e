"""One fold: a recipe learns from some users, chooses among them, and judges others.

Which users, and what is kept of the results, is `crossval`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from i2pa.errors import DataError
from i2pa.metrics.accuracy import accuracy_of_users
from i2pa.metrics.thurstone import normal_costs
from i2pa.models.backbones import BackboneWeights
from i2pa.models.metadata import Link
from i2pa.training.absolute import PostFacts
from i2pa.training.features import Features, Progress
from i2pa.training.feed import Feed
from i2pa.training.foldfile import FoldResult
from i2pa.training.gather import Gathered
from i2pa.training.labelled import with_clock, with_noise
from i2pa.training.losses import loss_named
from i2pa.training.measure import calibrate
from i2pa.training.network import VALIDATION, fit_network
from i2pa.training.pairset import Floats, Ints, PairSet, joined, pair_set
from i2pa.training.probe import Fold, Head, cross_validate, fit_head, judged
from i2pa.training.recipes import NetworkRecipe, Recipe, fits_head, head_before
from i2pa.words import many

INNER_FOLDS = 4


def user_folds(user: npt.NDArray[np.str_], folds: int) -> Ints:
    """A fold [n] for each pair, by its user [n]: whole users, the heaviest first, each to the fold
    of fewest pairs.

    Raises DataError where there are fewer users than folds.
    """
    users, index, counts = np.unique(user, return_inverse=True, return_counts=True)
    if len(users) < folds:
        raise DataError(
            f"{folds} folds need as many users, and the pairs are of {many(len(users), 'user')}",
            remedy="give fewer folds, or pairs of more users",
        )
    fold_of_user, sizes = np.empty(len(users), np.int64), np.zeros(folds)
    for user in np.argsort(-counts, kind="stable"):
        # Empty folds first: a light user must not join a heavy one while a fold has none.
        fold_of_user[user] = int(np.argmin(sizes))
        sizes[fold_of_user[user]] += counts[user]
    return fold_of_user[index]


def outer_folds(user: npt.NDArray[np.str_], folds: int) -> Ints:
    """As `user_folds`; raises DataError, too, where a fold leaves one user to learn from."""
    fold = user_folds(user, folds)
    if any(len(np.unique(user[fold != k])) < 2 for k in range(folds)):
        raise DataError(
            "a fold leaves one user to learn from, and none to choose by",
            remedy="give pairs of more users, or more folds",
        )
    return fold


@dataclass(frozen=True)
class Listed:
    """Pairs as arrays, and the same rows of their table."""

    pairs: PairSet
    table: pa.Table

    @classmethod
    def of(cls, table: pa.Table, features: Features, recipe: Recipe | NetworkRecipe) -> Listed:
        """Those pairs of a table whose two pictures have features."""
        pairs, kept = pair_set(table, features.row)
        if isinstance(recipe, Recipe) and recipe.nuisance:
            pairs = with_clock(pairs, kept)
        return cls(pairs, kept)

    @classmethod
    def all(cls, parts: Sequence[Listed]) -> Listed:
        """All pairs of several lists."""
        tables = pa.concat_tables([part.table.replace_schema_metadata() for part in parts])
        return cls(joined([part.pairs for part in parts]), tables.unify_dictionaries())

    def noisy(self, recipe: Recipe | NetworkRecipe) -> Listed:
        """The same pairs, some turned round as the recipe says."""
        return Listed(*with_noise(self.pairs, self.table, recipe))

    def without(self, users: npt.NDArray[np.str_]) -> Listed:
        """The pairs of all but some users."""
        return self.at(np.flatnonzero(~np.isin(self.pairs.user, users)))

    def at(self, index: Ints) -> Listed:
        """The pairs at positions `index` [m]."""
        return Listed(self.pairs.at(index), self.table.take(pa.array(index)))


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
class Trial:
    """One recipe, and all that its folds share."""

    recipe: Recipe | NetworkRecipe
    weights: BackboneWeights
    features: Features
    feed: Feed | None
    own: bool
    facts: PostFacts | None
    progress: Progress | None
    allow_unreadable: bool

    def run(
        self,
        mine: Listed,
        out: Listed,
        others: Sequence[Listed],
        begins: Listed | None,
        place: Path,
    ) -> FoldResult:
        """Learn from `mine` and `others`, choosing within `mine`, and judge the pairs `out`."""
        users = len(np.unique(mine.pairs.user))
        inner = user_folds(mine.pairs.user, min(INNER_FOLDS, users))
        model = (
            self._head_of(self.recipe, *self._noisy(mine, others), inner, own=self.own)
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

    def _noisy(self, mine: Listed, others: Sequence[Listed]) -> tuple[Listed, list[Listed]]:
        """What a head learns from, labels turned round together where the recipe says so."""
        if not self.recipe.flip_labels:
            return mine, list(others)
        if not self.own:
            return mine, [Listed.all(others).noisy(self.recipe)]
        everything = Listed.all([mine, *others]).noisy(self.recipe)
        n, all_of_them = len(mine.pairs), np.arange(len(everything.pairs))
        further = [everything.at(all_of_them[n:])] if others else []
        return everything.at(all_of_them[:n]), further

    def _network_of(
        self,
        recipe: NetworkRecipe,
        mine: Listed,
        inner: Ints,
        others: Sequence[Listed],
        begins: Listed | None,
        place: Path,
    ) -> _Model:
        """The network trained on all but the inner fold 0, on which the epoch is chosen."""
        learn, validation = (mine.at(np.flatnonzero(side)) for side in (inner != 0, inner == 0))
        used = Listed.all([*([learn] if self.own else []), *others]).noisy(recipe)
        start = None
        if fits_head(recipe):
            before = head_before(recipe)
            judging, begin = validation, used
            if begins is not None:
                judging = learn.noisy(before) if self.own else learn
                begin = begins.noisy(before)
            if before.nuisance:
                begin = replace(begin, pairs=with_clock(begin.pairs, begin.table))
            start = self._head_of(before, judging, [begin], inner, own=False).head
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
            allow_unreadable=self.allow_unreadable,
            progress=self.progress,
            feed=self.feed,
        )
        within, fitted = validation.pairs, found.fitted
        # A picture may have broken since it was first read.
        within = within.at(np.flatnonzero(~np.isnan(within.delta(found.scores))))
        inside = judged(within.delta(found.scores), found.spreads, within)
        chosen = f"epoch {fitted.best} of {len(fitted.history)}"
        return _Model(found.scores, found.spreads, within, inside, chosen, None)

    def _head_of(
        self,
        recipe: Recipe,
        mine: Listed,
        others: Sequence[Listed],
        inner: Ints,
        *,
        own: bool,
    ) -> _Model:
        """The head at the ℓ2 of least log loss on the pairs `mine` [n].

        With `own` they are learnt from too, but each is judged by a head that did not see its fold
        `inner` [n].
        """
        loss, embeddings = loss_named(recipe.loss), self.features.embeddings
        even = recipe.per_user
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
        tried = [
            cross_validate(embeddings, mine.pairs, folds, l2, loss, per_user=even) for l2 in grid
        ]
        best = min(tried, key=lambda one: one.log_loss)
        head = fit_head(embeddings, everything.weighed(per_user=even), best.l2, loss)
        scores, spreads = head.score(embeddings), head.spreads(embeddings)
        return _Model(scores, spreads, mine.pairs, best.delta, f"l2 {best.l2:g}", head)
