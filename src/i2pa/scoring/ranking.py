"""From numbers to a ranking: order, groups, and what is too close to call.

Depends on what the pictures are, never on what they are called or on the order they came in:
equal scores are ordered by the SHA-256 of the content.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC
from numbers import Integral

import numpy as np
import numpy.typing as npt

from i2pa.errors import UserInputError, require, shown
from i2pa.metrics.reference import level, percentile
from i2pa.models.metadata import Likeness
from i2pa.scoring.bursts import MEASURED, leaders
from i2pa.scoring.chances import Chances
from i2pa.scoring.pipeline import Measured
from i2pa.scoring.results import RankedPicture


@dataclass(frozen=True, eq=False)
class Ranked:
    """Pictures best first, with what choosing among them needs.

    `given` [n] holds each one's place in the order given, `leaders` [n] the place here of the best
    of its group; `scores` and `spreads` are [n], `embeddings` [n, d] of unit length.
    """

    items: tuple[RankedPicture, ...]
    given: npt.NDArray[np.intp]
    scores: npt.NDArray[np.float64]
    spreads: npt.NDArray[np.float64]
    embeddings: npt.NDArray[np.float16]
    leaders: npt.NDArray[np.intp]

    def in_order_given(self) -> tuple[RankedPicture, ...]:
        """The items in the order their pictures came in."""
        return tuple(self.items[place] for place in np.argsort(self.given))


@dataclass(frozen=True)
class RankOptions:
    """What to make of scored pictures: which to keep, and how like each other a group is.

    `best` keeps that many, one of each group (any of a group with `whole_groups`), with `diverse`
    unlike each other. `likeness` None takes the model's own. Raises UserInputError for `best` below
    1 and for cosines out of range.
    """

    best: int | None = None
    diverse: bool = False
    whole_groups: bool = False
    likeness: Likeness | None = None

    def __post_init__(self) -> None:
        whole = isinstance(self.best, Integral) and not isinstance(self.best, bool)
        good = self.best is None or (whole and self.best > 0)
        require(good, "best", self.best, "a whole number above 0, or None for all")
        if self.likeness is None:
            return
        is_likeness = isinstance(self.likeness, Likeness)
        require(is_likeness, "likeness", self.likeness, "an i2pa.models.metadata.Likeness, or None")
        if not self.likeness.in_range:
            cosines = (self.likeness.same_picture, self.likeness.same_moment)
            raise UserInputError(
                f"{' and '.join(map(shown, cosines))} are no cosines to group by",
                remedy="give them above 0, up to 1",
            )


def rank_measured(
    measured: Sequence[Measured],
    chances: Chances,
    quantiles: npt.NDArray[np.float64],
    likeness: Likeness = MEASURED,
) -> Ranked:
    """Order pictures best first, with groups and ties; `quantiles` are those of the reference."""
    if not measured:
        none, no_place = np.empty(0), np.empty(0, np.intp)
        return Ranked((), no_place, none, none, np.empty((0, 0), np.float16), no_place)
    alike = _copies_alike(measured)
    given = sorted(range(len(alike)), key=lambda i: (-alike[i].score, alike[i].digest))
    ordered = [alike[place] for place in given]
    scores = np.array([one.score for one in ordered])
    ranks = 1 + len(scores) - np.searchsorted(scores[::-1], scores, side="right")
    spreads = np.array([one.spread or 0.0 for one in ordered])
    first, last = chances.tie_runs(scores, spreads)
    embeddings = np.stack([one.embedding for one in ordered])
    lead = leaders(embeddings, np.array([_seconds(one) for one in ordered]), likeness)
    groups, places = _number_groups(lead)
    at = percentile(scores, quantiles)
    items = tuple(
        RankedPicture(
            path=one.name,
            score=one.score,
            percentile=float(at[i]),
            level=level(float(at[i])),
            rank=int(ranks[i]),
            group=groups[i],
            group_rank=places[i],
            tied_with=(int(ranks[first[i]]), int(ranks[last[i]])) if first[i] < last[i] else None,
            taken=one.taken,
            twins=one.twins,
        )
        for i, one in enumerate(ordered)
    )
    return Ranked(items, np.array(given), scores, spreads, embeddings, lead)


def _copies_alike(measured: Sequence[Measured]) -> list[Measured]:
    """Copies of one picture take the numbers of one of them: batches round a little differently."""
    highest: dict[bytes, Measured] = {}
    for one in measured:
        if one.score >= highest.setdefault(one.digest, one).score:
            highest[one.digest] = one
    return [replace(highest[one.digest], name=one.name, twins=one.twins) for one in measured]


def _seconds(one: Measured) -> float:
    return one.taken.replace(tzinfo=UTC).timestamp() if one.taken else float("nan")


def _number_groups(lead: npt.NDArray[np.intp]) -> tuple[list[int | None], list[int]]:
    """Group numbers by the best of each, None for a picture alone; and places within groups."""
    sizes = np.bincount(lead, minlength=len(lead))
    numbers: dict[int, int] = {}
    seen: dict[int, int] = {}
    groups: list[int | None] = []
    places: list[int] = []
    for leader in map(int, lead):
        seen[leader] = seen.get(leader, 0) + 1
        places.append(seen[leader])
        alone = sizes[leader] == 1
        groups.append(None if alone else numbers.setdefault(leader, len(numbers) + 1))
    return groups, places
