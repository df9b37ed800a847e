"""From two scores to the chance that one beats the other, and to what is too close to call.

The link is the model's own: logistic (Bradley-Terry, one scale for all pairs) or Thurstone, where
each picture has a spread of its own. No bias, so the two chances of a pair add up to 1 exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from i2pa.metrics.calibration import probability
from i2pa.models.metadata import TIE_LIMIT, Link, ModelMetadata

FloatArray = npt.NDArray[np.float64]

_BLOCK = 256
_LEAST_SPREAD = 1e-9


@dataclass(frozen=True)
class Chances:
    """How one model's score differences become chances."""

    link: Link
    temperature: float

    @classmethod
    def of(cls, metadata: ModelMetadata) -> Chances:
        """The link and temperature that the model's file states."""
        return cls(metadata.link, metadata.temperature)

    def scale(self, one: npt.ArrayLike, other: npt.ArrayLike) -> FloatArray:
        """What a score difference is divided by, from the spreads of the two pictures.

        tau for the logistic link, which has no spreads; tau √(s_A² + s_B²) for Thurstone's.
        """
        if self.link == "logistic":
            return np.asarray(self.temperature)
        return self.temperature * np.hypot(
            np.maximum(one, _LEAST_SPREAD), np.maximum(other, _LEAST_SPREAD)
        )

    def beats(
        self, one: float, other: float, spread_of_one: float = 0.0, spread_of_other: float = 0.0
    ) -> float:
        """P(one beats other): sigmoid(delta / tau), or Φ(delta / (tau √(s_A² + s_B²)))."""
        delta = abs(one - other)
        scaled = delta / float(self.scale(spread_of_one, spread_of_other))
        if self.link == "logistic":
            chance = float(probability(scaled, 1.0))
        else:
            chance = NormalDist().cdf(scaled)
        # The weaker side gets the rest of 1, whichever was asked first.
        return chance if one >= other else 1.0 - chance

    def tied(
        self, one: float, other: float, spread_of_one: float = 0.0, spread_of_other: float = 0.0
    ) -> bool:
        """Whether the pair is too close to call: .4 <= P <= .6."""
        scale = float(self.scale(spread_of_one, spread_of_other))
        return abs(one - other) / scale <= TIE_LIMIT[self.link]

    def tie_runs(self, scores: FloatArray, spreads: FloatArray) -> tuple[npt.NDArray[np.intp], ...]:
        """Of falling `scores` [n], the first and last place tied with each, all between tied too.

        With the logistic link that is every tied picture. With Thurstone's an uncertain picture
        may be tied with others beyond a surer one; the run ends before the first that is not.
        """
        if self.link == "logistic":
            return self._logistic_runs(scores)
        n = len(scores)
        first, last = np.empty(n, np.intp), np.empty(n, np.intp)
        places = np.arange(n)
        for start in range(0, n, _BLOCK):
            rows = places[start : start + _BLOCK]
            scale = self.scale(spreads[rows, None], spreads[None, :])
            told = np.abs(scores[rows, None] - scores) / scale > TIE_LIMIT[self.link]
            before, after = places < rows[:, None], places > rows[:, None]
            first[rows] = np.where(told & before, places, -1).max(axis=1) + 1
            last[rows] = np.where(told & after, places, n).min(axis=1) - 1
        return first, last

    def _logistic_runs(self, scores: FloatArray) -> tuple[npt.NDArray[np.intp], ...]:
        width = self.temperature * TIE_LIMIT["logistic"]
        rising = scores[::-1]
        first = len(scores) - np.searchsorted(rising, scores + width, side="right")
        last = len(scores) - 1 - np.searchsorted(rising, scores - width, side="left")
        return first, last
