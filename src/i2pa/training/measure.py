"""How good a trained head is on pairs it did not learn from, and the scale of its scores."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from i2pa.errors import DataError
from i2pa.metrics import baselines
from i2pa.metrics.accuracy import Accuracy, graded_accuracy, pairwise_accuracy
from i2pa.metrics.calibration import fit_temperature, log_loss
from i2pa.metrics.clock import time_says
from i2pa.metrics.reference import weighted_quantiles
from i2pa.metrics.thurstone import fit_normal_temperature, normal_log_loss
from i2pa.models.metadata import QUANTILES, Link, Reference
from i2pa.training.pairset import Floats, PairSet, is_graded
from i2pa.words import many


@dataclass(frozen=True)
class Evaluation:
    """The model and the baselines on one list of pairs that the model did not learn from.

    `later_wins` is None where the pairs have no times, `time` besides where they have one user: it
    is what order and gap, hour and weekday say together, each user's judged by a fit to the other
    users of the same list. `properties` is a head on brightness and colourfulness alone, by
    the paper's loss, users counting alike, without the clock.
    """

    pairs: str
    model: Accuracy
    later_wins: Accuracy | None
    properties: Accuracy
    time: Accuracy | None = None


@dataclass(frozen=True)
class Calibration:
    """The temperature, and the log loss (nats) of its probabilities on the pairs it was fitted to.

    Saying .5 of every pair costs .693; `log_loss_of_labels` is the entropy of the soft labels
    themselves, below which no model gets.
    """

    pairs: int
    users: int
    temperature: float
    log_loss: float
    log_loss_of_labels: float

    @property
    def tells_nothing(self) -> bool:
        """Whether the probabilities are hardly better than a coin's."""
        return self.log_loss > 0.99 * math.log(2)


def evaluate(
    label: str, table: pa.Table, pairs: PairSet, model_delta: Floats, plain_delta: Floats
) -> Evaluation:
    """Accuracy of the model's score differences, beside later-wins and the plain head's.

    `table` holds the same pairs, row by row, for their times. Raises DataError for no pairs.
    """
    if not len(pairs):
        raise DataError(f"no pair of {label!r} has both pictures", remedy="check --images")
    if is_graded(table):
        return Evaluation(
            pairs=label,
            model=graded_accuracy(model_delta, pairs.winner, pairs.loser),
            later_wins=None,
            properties=graded_accuracy(plain_delta, pairs.winner, pairs.loser),
        )
    times = table["winner_time"].to_numpy(), table["loser_time"].to_numpy()
    later = baselines.later_wins(*times)
    users_timed = len(np.unique(pairs.user[~np.isnan(later)]))
    by_time = time_says(*times, pairs.user, pairs.weight) if users_timed > 1 else None
    return Evaluation(
        pairs=label,
        model=pairwise_accuracy(model_delta, pairs.user),
        later_wins=pairwise_accuracy(later, pairs.user) if users_timed else None,
        properties=pairwise_accuracy(plain_delta, pairs.user),
        time=None if by_time is None else pairwise_accuracy(by_time, pairs.user),
    )


def calibrate(delta: Floats, pairs: PairSet, link: Link = "logistic") -> Calibration:
    """Fit the temperature to soft labels P̄ = Φ(ΔS/√2σ), the column p, each user weighing alike.

    `delta` are score differences, with the link `thurstone` standardised by their spreads.

    Where the fit runs against its bounds (scores that separate nothing, or everything) the
    temperature is the bound, and the log loss tells.
    """
    if not len(pairs):
        raise DataError("no pair to calibrate on has both pictures", remedy="check --images")
    weight = pairs.evenly().weight
    thurstone = link == "thurstone"
    fit, loss = (
        (fit_normal_temperature, normal_log_loss) if thurstone else (fit_temperature, log_loss)
    )
    temperature = fit(delta, pairs.p, weight)
    certain = np.clip(pairs.p, 1e-12, 1 - 1e-12)
    entropy = -(certain * np.log(certain) + (1 - certain) * np.log1p(-certain))
    return Calibration(
        pairs=len(pairs),
        users=len(np.unique(pairs.user)),
        temperature=temperature,
        log_loss=loss(delta, pairs.p, weight, temperature),
        log_loss_of_labels=float(np.average(entropy, weights=weight)),
    )


def reference(scores: Floats, pairs: PairSet, whose: str, how: str) -> Reference:
    """Quantiles of the scores [rows] of all pictures in `pairs`, each user weighing alike.

    A picture counts once for its user, however many pairs it is in. The name of the reference
    says in the plural `whose` pictures they are and `how` they came to be scored.
    """
    rows, first = np.unique(np.concatenate([pairs.winner, pairs.loser]), return_index=True)
    users, index, counts = np.unique(
        np.concatenate([pairs.user, pairs.user])[first], return_inverse=True, return_counts=True
    )
    quantiles = weighted_quantiles(scores[rows], 1 / counts[index], QUANTILES)
    of = f"1 {whose.removesuffix('s')}" if len(users) == 1 else f"{len(users):,} {whose}"
    return Reference(
        name=f"{many(len(rows), 'picture')} of {of}, {how}",
        n=len(rows),
        quantiles=tuple(float(q) for q in quantiles),
    )
