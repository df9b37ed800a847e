"""Everything that a recipe learns from and is measured on, brought together once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from i2pa.errors import FailureKind, UserInputError
from i2pa.images.named import Folders
from i2pa.images.transforms import transform_named
from i2pa.models.backbones import BackboneWeights
from i2pa.training.features import Features, Progress, Warn, image_features
from i2pa.training.measure import Evaluation, evaluate
from i2pa.training.missing import check_named, check_readable
from i2pa.training.pairset import (
    TRAIN,
    Floats,
    PairSet,
    SharedUsers,
    by_split,
    check_disjoint,
    images_of,
    is_graded,
    pair_set,
    shared_users,
)
from i2pa.training.probe import fit_head
from i2pa.training.processes import first_before_others
from i2pa.words import many

# Two features need no shrinking; a trace of it keeps a constant one from blowing up.
PLAIN_L2 = 1e-3

CALIBRATION = "calibrate"
CROSS_VALIDATION = "cross-validation"
_TAKEN = (TRAIN, CALIBRATION, CROSS_VALIDATION)


@dataclass(frozen=True)
class DataFacts:
    """Pairs learnt from, with both pictures readable; how many pictures and users are in them.

    `users` is None for graded pictures, which have none. `rules_sha256` are the hashes of the
    rules that made the pairs, as the pairs say; empty where they say nothing.
    """

    pairs: int
    pictures: int
    users: int | None
    rules_sha256: tuple[str, ...]


@dataclass(frozen=True)
class Gathered:
    """Pairs to learn from, pairs held out by name, ordinary pairs to calibrate on, pictures.

    `learn` is the table of all pairs to learn from; `used` those with both pictures, `used_table`
    the same rows of the table. `shared` are the lists among the others that share users with them,
    or, if graded, pictures.
    """

    learn: pa.Table
    held_out: Mapping[str, pa.Table]
    ordinary: pa.Table | None
    features: Features
    used: PairSet
    used_table: pa.Table
    shared: tuple[SharedUsers, ...] = ()

    def how_unseen(self, label: str) -> str:
        """In words, what training saw of the pictures of a list of pairs not learnt from."""
        known = {shared.pairs: shared.what for shared in self.shared}
        if label not in known:
            return "never trained on"
        users = known[label] == "users"
        return "whose other pairs were trained on" if users else "some of them trained on"

    @property
    def graded(self) -> bool:
        """Whether the pairs are of graded pictures, which have no users."""
        return is_graded(self.learn)

    @property
    def missing(self) -> int:
        """How many pairs to learn from lack a readable picture."""
        return int(self.learn.num_rows) - len(self.used)

    @property
    def data(self) -> DataFacts:
        """What is learnt from, in numbers."""
        rules = pc.unique(self.used_table["rules_sha256"].cast(pa.string())).drop_null()
        return DataFacts(
            pairs=len(self.used),
            pictures=len(np.union1d(self.used.winner, self.used.loser)),
            users=None if self.graded else len(np.unique(self.used.user)),
            rules_sha256=tuple(sorted(rules.to_pylist())),
        )

    @property
    def learnt_from(self) -> str:
        """How many pairs, pictures and users, in words."""
        data = self.data
        whose = "" if data.users is None else f" of {many(data.users, 'user')}"
        what = "picture" if whose else "graded picture"
        return f"{many(data.pairs, 'pair')} of {many(data.pictures, what)}{whose}"

    @property
    def not_learnt_from(self) -> list[tuple[str, pa.Table]]:
        """The lists held out, and that to calibrate on, beside their labels."""
        ordinary = [] if self.ordinary is None else [(CALIBRATION, self.ordinary)]
        return [*self.held_out.items(), *ordinary]

    def without(self, broken: Mapping[int, tuple[FailureKind, str]]) -> Gathered:
        """The same without the pictures in the rows `broken`, which cannot be read any more."""
        features = self.features.without(broken)
        used, used_table = pair_set(self.used_table, features.row)
        return replace(self, features=features, used=used, used_table=used_table)

    def check_readable(self, *, allow: bool) -> None:
        """Raise DataError where too many pairs of a list lack a picture; see `check_readable`."""
        readable, lost = self.features.row.keys(), self.features.unreadable
        for label, table in [("", self.learn), *self.not_learnt_from]:
            check_readable(table, readable, lost, allow=allow, label=label)

    @property
    def measured_without_picture(self) -> dict[str, int]:
        """How many pairs of each list not learnt from lack a readable picture, where any does."""
        lost = {
            label: int(table.num_rows) - len(pair_set(table, self.features.row)[0])
            for label, table in self.not_learnt_from
        }
        return {label: n for label, n in lost.items() if n}

    def measured(self, scores: Floats) -> list[Evaluation]:
        """Accuracy of scores [rows] on each held-out list of pairs, beside a head on brightness
        and colourfulness alone."""
        plain = fit_head(self.features.properties, self.used.evenly(), PLAIN_L2)
        plain_scores = plain.score(self.features.properties)
        evaluations = []
        for label, table in self.held_out.items():
            pairs, kept = pair_set(table, self.features.row)
            deltas = pairs.delta(scores), pairs.delta(plain_scores)
            evaluations.append(evaluate(label, kept, pairs, *deltas))
        return evaluations


def gather(
    pairs: pa.Table,
    images: Folders,
    weights: BackboneWeights | None,
    transform: str,
    *,
    validate_on: Mapping[str, pa.Table],
    calibrate_on: pa.Table | None,
    allow_shared: bool,
    allow_unreadable: bool,
    progress: Progress | None,
    warn: Warn | None,
) -> Gathered:
    """See `train`, whose arguments these are; without `weights` no picture is embedded."""
    learn, held_out = by_split(pairs)
    check_named(learn, images, allow=allow_unreadable)
    for label, table in validate_on.items():
        if label in _TAKEN:
            raise UserInputError(
                f"pairs to measure on are called {label!r}, which means something else here",
                remedy="call them something else",
            )
        if label in held_out:
            raise UserInputError(
                f"two sets of pairs to measure on are called {label!r}",
                remedy="call one of them something else",
            )
        held_out[label] = table
    unseen = [*held_out.items()]
    if calibrate_on is not None:
        unseen.append((CALIBRATION, calibrate_on))
    shared = []
    for label, table in unseen:
        check_named(table, images, allow=allow_unreadable, label=label)
        if not allow_shared:
            check_disjoint(learn, table, label)
        elif found := shared_users(learn, table, label):
            shared.append(found)
            if warn is not None:
                warn(found.warning)
    # What the first process computes the others find in the cache.
    with first_before_others():
        features = image_features(
            [image for _, table in [("", learn), *unseen] for image in images_of(table)],
            images,
            weights,
            transform_named(transform),
            progress,
            warn,
        )
    used, used_table = pair_set(learn, features.row)
    gathered = Gathered(learn, held_out, calibrate_on, features, used, used_table, tuple(shared))
    gathered.check_readable(allow=allow_unreadable)
    return gathered
