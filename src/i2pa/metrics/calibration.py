"""From a score difference to a probability, and the one temperature that makes it honest."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

TIE_BAND = (0.4, 0.6)

MAX_SHARPNESS = 1e4
MIN_SHARPNESS = 1e-4


def probability(delta: npt.ArrayLike, temperature: float) -> npt.NDArray[np.float64]:
    """P(A beats B) = sigmoid(delta / temperature) of score differences A - B (Bradley-Terry).

    No bias, so P(A beats B) + P(B beats A) = 1. Paper, section 3: P_AB = e^O / (1 + e^O), which
    is a temperature of 1.
    """
    logits = np.asarray(delta, dtype=np.float64) / temperature
    result: npt.NDArray[np.float64] = np.exp(-np.logaddexp(0.0, -logits))
    return result


def log_loss(
    delta: npt.NDArray[np.float64],
    target: npt.NDArray[np.float64],
    weight: npt.NDArray[np.float64],
    temperature: float,
) -> float:
    """Weighted mean cross-entropy (nats) of `probability` to soft labels `target` in [0, 1].

    Saying .5 of every pair costs ln 2 = .693.
    """
    logits = delta / temperature
    return float(np.average(np.logaddexp(0.0, logits) - target * logits, weights=weight))


def fit_temperature(
    delta: npt.NDArray[np.float64],
    target: npt.NDArray[np.float64],
    weight: npt.NDArray[np.float64],
) -> float:
    """The temperature (> 0) of least log loss; the loss is convex in 1 / temperature.

    `delta` [n] are score differences, `target` [n] soft labels in [0, 1], `weight` [n] is >= 0.
    Scores that tell nothing of the targets give the largest temperature, 10,000: every P is .5.
    """

    def slope(sharpness: float) -> float:
        predicted = probability(delta, 1 / sharpness)
        return float(np.average(delta * (predicted - target), weights=weight))

    low, high = MIN_SHARPNESS, MAX_SHARPNESS
    for _ in range(100):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if slope(middle) > 0 else (middle, high)
    return 1 / math.sqrt(low * high)
