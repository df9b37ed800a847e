"""What scoring gives back: frozen records, the same for Python, the terminal and JSON."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from i2pa.errors import UserInputError
from i2pa.images.failure import Failure

Progress = Callable[[int, int], None]
"""Called with (done, of how many)."""


@dataclass(frozen=True)
class ModelUsed:
    """The model that made the scores: enough to repeat them."""

    name: str
    version: int
    sha256: str
    transform: str
    engine: str

    @property
    def tag(self) -> str:
        """Name and version: `i2pa-lite2@1`."""
        return f"{self.name}@{self.version}"


@dataclass(frozen=True)
class ScoredPicture:
    """One picture's score.

    `score` has no zero and no unit: only differences between scores of one model mean anything,
    higher is better. `percentile` (0.1 to 99.9) and `level` (poor, bad, fair, good, excellent)
    place it in the model's reference set.
    """

    path: str
    score: float
    percentile: float
    level: str


@dataclass(frozen=True)
class RankedPicture(ScoredPicture):
    """A scored picture with its rank among all that were ranked; 1 is the best.

    Equal scores share a rank. `tied_with` is the first and last rank that are too close to call
    with this one (itself included), None where no other is. `group` numbers bursts and
    near-duplicates by their best picture, None for a picture alone; `group_rank` is the place
    within the group. `taken` is the camera's time, without a zone. `twins` are files that this
    picture stands for, such as the RAW beside a JPEG.
    """

    rank: int
    group: int | None = None
    group_rank: int = 1
    tied_with: tuple[int, int] | None = None
    taken: datetime | None = None
    twins: tuple[str, ...] = ()

    @property
    def files(self) -> list[Path]:
        """All files of the picture, the one that was looked at first."""
        return [Path(self.path), *map(Path, self.twins)]


@dataclass(frozen=True)
class StandIn:
    """A file that was scored for its picture, since the one to look at first could not be read."""

    path: str
    instead_of: str
    reason: str


@dataclass(frozen=True)
class Scores:
    """Scored pictures in the order given, and those that could not be scored."""

    model: ModelUsed
    reference: str
    items: tuple[ScoredPicture, ...]
    failures: tuple[Failure, ...]
    stand_ins: tuple[StandIn, ...] = ()


@dataclass(frozen=True)
class Ranking:
    """Scored pictures, best first, and those that could not be scored.

    `items` are all pictures, or the best few where that was asked for; ranks, ties and groups
    always refer to all of them, of which there are `ranked`.
    """

    model: ModelUsed
    reference: str
    ranked: int
    items: tuple[RankedPicture, ...]
    failures: tuple[Failure, ...]
    stand_ins: tuple[StandIn, ...] = ()


Verdict = Literal["first", "second", "too close to call"]


@dataclass(frozen=True)
class Duel:
    """Two pictures of a comparison, by their places in it, and how likely the first wins."""

    first: int
    second: int
    probability: float
    verdict: Verdict


@dataclass(frozen=True)
class Comparison:
    """Pictures side by side, with calibrated probabilities.

    `matrix[i][j]` is the chance that picture i gets more likes than picture j, posted by the same
    account at a similar time; matrix[i][j] + matrix[j][i] is 1 exactly. `verdicts` has each two
    pictures once. Between .4 and .6 the verdict is a tie. `items` are in the order given, each
    with its rank among them; `failures` could not be read, and have no place in the matrix.
    """

    model: ModelUsed
    reference: str
    items: tuple[RankedPicture, ...]
    matrix: tuple[tuple[float, ...], ...]
    verdicts: tuple[Duel, ...]
    failures: tuple[Failure, ...] = ()

    @property
    def first(self) -> RankedPicture:
        """The first picture given."""
        return self.items[0]

    @property
    def second(self) -> RankedPicture:
        """The second picture given."""
        return self.items[1]

    @property
    def probability(self) -> float:
        """Of two pictures, the chance that the first wins. Raises UserInputError for more."""
        return self._of_two.probability

    @property
    def verdict(self) -> Verdict:
        """Of two pictures, which is ahead. Raises UserInputError for more."""
        return self._of_two.verdict

    @property
    def _of_two(self) -> Duel:
        if len(self.verdicts) != 1:
            raise UserInputError(
                f"{len(self.items)} pictures have no single probability",
                remedy="see matrix and verdicts",
            )
        return self.verdicts[0]
