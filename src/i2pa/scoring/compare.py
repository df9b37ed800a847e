"""A few pictures side by side: each pair's probability, and whether it is too close to call."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

from i2pa.errors import UserInputError
from i2pa.scoring.chances import Chances
from i2pa.scoring.pipeline import Measured
from i2pa.scoring.ranking import rank_measured
from i2pa.scoring.results import Comparison, Duel, ModelUsed, Verdict

MOST = 100


def check_comparable(n: int) -> None:
    """Raise UserInputError unless `n` pictures can be compared."""
    if n < 2:
        raise UserInputError("comparing takes two pictures or more")
    if n > MOST:
        raise UserInputError(
            f"comparing {n:,} pictures takes a probability for each two",
            remedy=f"compare up to {MOST}, or rank them",
        )


def compare_measured(
    measured: Sequence[Measured],
    chances: Chances,
    quantiles: npt.NDArray[np.float64],
    model: ModelUsed,
    reference: str,
) -> Comparison:
    """Compare pictures, in the order given."""
    matrix = [[0.5] * len(measured) for _ in measured]
    verdicts = []
    for i, j in combinations(range(len(measured)), 2):
        one, other = measured[i], measured[j]
        pair = (one.score, other.score, one.spread or 0.0, other.spread or 0.0)
        matrix[i][j] = chances.beats(*pair)
        matrix[j][i] = 1.0 - matrix[i][j]
        verdict: Verdict = "first" if one.score > other.score else "second"
        if chances.tied(*pair):
            verdict = "too close to call"
        verdicts.append(Duel(i, j, matrix[i][j], verdict))
    ranked = rank_measured(measured, chances, quantiles)
    return Comparison(
        model, reference, ranked.in_order_given(), tuple(map(tuple, matrix)), tuple(verdicts)
    )
