"""A pairs table as index arrays: which rows of the features win, lose, and whose they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from i2pa.errors import DataError
from i2pa.pairs.schema import rules_json
from i2pa.words import many

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]

TRAIN = "train"


@dataclass(frozen=True)
class PairSet:
    """Pairs of feature rows: `winner` and `loser` [n] int, `user` [n] str, `weight` [n] > 0.

    `p` [n] is the probability that the winner is intrinsically more popular (Eq. 6). `clock`
    [n, 20] is what time says of each pair (`nuisance.time_features`), where that is asked for.
    """

    winner: Ints
    loser: Ints
    user: npt.NDArray[np.str_]
    weight: Floats
    p: Floats
    clock: Floats | None = None

    def __len__(self) -> int:
        return len(self.winner)

    def at(self, index: Ints) -> PairSet:
        """The pairs at positions `index` [m]."""
        return PairSet(
            self.winner[index],
            self.loser[index],
            self.user[index],
            self.weight[index],
            self.p[index],
            None if self.clock is None else self.clock[index],
        )

    def evenly(self) -> PairSet:
        """The same pairs, weighted so that users count alike, however many pairs each has.

        A user whose pairs all have weight k counts k times. The weights sum to 1.
        """
        _, index, counts = np.unique(self.user, return_inverse=True, return_counts=True)
        weight = self.weight / counts[index]
        return replace(self, weight=weight / weight.sum())

    def weighed(self, *, per_user: bool) -> PairSet:
        """The same pairs, with users or else pairs counting alike; the weights sum to 1."""
        if per_user:
            return self.evenly()
        return replace(self, weight=self.weight / self.weight.sum())

    def turned(self, flipped: npt.NDArray[np.bool_]) -> PairSet:
        """The same pairs, winner and loser in each other's place where `flipped` [n]."""
        return replace(
            self,
            winner=np.where(flipped, self.loser, self.winner),
            loser=np.where(flipped, self.winner, self.loser),
            clock=None if self.clock is None else np.where(flipped[:, None], -1, 1) * self.clock,
        )

    def delta(self, scores: Floats) -> Floats:
        """Winner's score minus loser's, [n], from the scores of all feature rows."""
        return scores[self.winner] - scores[self.loser]


def joined(parts: Sequence[PairSet]) -> PairSet:
    """All pairs of several sets, one after another; with what time says only where all have it."""
    clocks = [part.clock for part in parts if part.clock is not None]
    return PairSet(
        winner=np.concatenate([part.winner for part in parts]),
        loser=np.concatenate([part.loser for part in parts]),
        user=np.concatenate([part.user for part in parts]),
        weight=np.concatenate([part.weight for part in parts]),
        p=np.concatenate([part.p for part in parts]),
        clock=np.concatenate(clocks) if len(clocks) == len(parts) else None,
    )


def pair_set(table: pa.Table, row: Mapping[str, int]) -> tuple[PairSet, pa.Table]:
    """The pairs of a pairs table whose two pictures are in `row`, and the same rows of the table.

    `row` maps an image reference to its row in the features.
    """
    winner, loser = (
        np.array([row.get(image, -1) for image in table[column].to_pylist()], dtype=np.int64)
        for column in ("winner_image", "loser_image")
    )
    both = (winner >= 0) & (loser >= 0)
    kept = table.filter(pa.array(both))
    pairs = PairSet(
        winner[both],
        loser[both],
        users_of(kept),
        kept["weight"].to_numpy().astype(np.float64),
        kept["p"].to_numpy().astype(np.float64),
    )
    return pairs, kept


def images_of(table: pa.Table) -> list[str]:
    """Every image reference in a pairs table, nulls left out, each once."""
    winners, losers = table["winner_image"], table["loser_image"]
    both = pa.chunked_array([*winners.chunks, *losers.chunks], winners.type)
    images: list[str] = pc.unique(both.drop_null()).to_pylist()
    return images


def is_graded(pairs: pa.Table) -> bool:
    """Whether the pairs come from graded pictures (`pairs_from_levels`), which have no users."""
    return rules_json(pairs).get("kind") == "levels"


def by_split(pairs: pa.Table) -> tuple[pa.Table, dict[str, pa.Table]]:
    """The pairs to learn from, and the other parts by name (none where `split` is empty).

    Raises DataError where there is a split but no train part.
    """
    names = [name for name in pc.unique(pairs["split"]).to_pylist() if name is not None]
    if not names:
        return pairs, {}
    if TRAIN not in names:
        raise DataError(f"the pairs' split has no part {TRAIN!r}, only {', '.join(sorted(names))}")
    parts = {name: pairs.filter(pc.equal(pairs["split"], name)) for name in sorted(names)}
    return parts.pop(TRAIN), parts


@dataclass(frozen=True)
class SharedUsers:
    """How many users, and pictures by name, of the list `pairs` are in the pairs to learn from.

    No users, but pictures, where one of the lists is of graded pictures.
    """

    pairs: str
    users: int
    pictures: int

    def __str__(self) -> str:
        pictures = many(self.pictures, "picture")
        if not self.users:
            return f"{self.pairs!r} shares {pictures} with the pairs to learn from"
        more = f", and {pictures}" if self.pictures else ""
        return (
            f"{self.pairs!r} shares {many(self.users, 'user')} with the pairs to learn from{more}"
        )

    @property
    def what(self) -> str:
        """Users or else pictures."""
        return "users" if self.users else "pictures"

    @property
    def warning(self) -> str:
        """What that does to an accuracy, in a line."""
        return (
            f"WARNING: {self}: its accuracies are about known {self.what} and do not compare with "
            f"those about {self.what} never seen"
        )


def shared_users(learn: pa.Table, held_out: pa.Table, label: str) -> SharedUsers | None:
    """What pairs meant for measuring share with those learnt from; None where it is no user.

    Graded pictures have no users: where either list is of such, pictures count in their place.
    """
    graded = is_graded(learn) or is_graded(held_out)
    users = 0 if graded else len(set(users_of(learn)) & set(users_of(held_out)))
    if not (users or graded):
        return None
    pictures = len(set(images_of(learn)) & set(images_of(held_out)))
    return SharedUsers(label, users, pictures) if users or pictures else None


def check_disjoint(learn: pa.Table, held_out: pa.Table, label: str) -> None:
    """Raise DataError where pairs meant for measuring share a user with those learnt from, or,
    where they are graded, a picture."""
    shared = shared_users(learn, held_out, label)
    if shared:
        others = (
            "split by user (i2pa split), give pairs of other users"
            if shared.users
            else "grade other pictures for it"
        )
        raise DataError(str(shared), remedy=f"{others}, or --shared-users to measure on known ones")


def users_of(table: pa.Table) -> npt.NDArray[np.str_]:
    """Platform and user as one name, [n]."""
    joined = pc.binary_join_element_wise(
        table["platform"], table["user_id"], "/", null_handling="replace", null_replacement=""
    )
    return np.array(joined.to_pylist(), dtype=np.str_)
