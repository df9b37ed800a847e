"""What scoring gives back: frozen records, the same for Python, the terminal and JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


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
    """A scored picture with its rank; 1 is the best, equal scores share a rank."""

    rank: int


@dataclass(frozen=True)
class Failure:
    """A picture that could not be scored: why, and what to do about it."""

    path: str
    reason: str
    remedy: str


@dataclass(frozen=True)
class Scores:
    """Scored pictures in the order given, and those that could not be scored."""

    model: ModelUsed
    reference: str
    items: tuple[ScoredPicture, ...]
    failures: tuple[Failure, ...]


@dataclass(frozen=True)
class Ranking:
    """Scored pictures, best first, and those that could not be scored."""

    model: ModelUsed
    reference: str
    items: tuple[RankedPicture, ...]
    failures: tuple[Failure, ...]


Verdict = Literal["first", "second", "too close to call"]


@dataclass(frozen=True)
class Comparison:
    """Two pictures and the calibrated probability that the first gets more likes.

    It means: posted by the same account at a similar time. Between .4 and .6 the verdict is a tie.
    """

    model: ModelUsed
    first: ScoredPicture
    second: ScoredPicture
    probability: float
    verdict: Verdict
