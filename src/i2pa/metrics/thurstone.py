"""Probabilities from score differences and spreads: Thurstone's law of comparative judgment.

Case III: the scores of two pictures vary independently, each with its own standard deviation.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from i2pa.metrics.calibration import MAX_SHARPNESS, MIN_SHARPNESS

Floats = npt.NDArray[np.float64]

_erfc = np.frompyfunc(math.erfc, 1, 1)


def standardised(delta: Floats, spread_a: Floats, spread_b: Floats) -> Floats:
    """z = Δ / √(s_A² + s_B²) of score differences and spreads above 0, all [n]."""
    return delta / np.hypot(spread_a, spread_b)


def normal_probability(z: npt.ArrayLike, temperature: float) -> Floats:
    """P(A beats B) = Φ(z / temperature) of `standardised` score differences."""
    return _phi(np.asarray(z, dtype=np.float64) / temperature)


def normal_log_loss(z: Floats, target: Floats, weight: Floats, temperature: float) -> float:
    """Weighted mean cross-entropy (nats) of `normal_probability` to labels `target` in [0, 1]."""
    return float(np.average(normal_costs(z, target, temperature), weights=weight))


def normal_costs(z: Floats, target: Floats, temperature: float) -> Floats:
    """Cross-entropy (nats) of each `normal_probability` to its label, [n]; finite everywhere."""
    won, lost = _log_phi(z / temperature), _log_phi(-z / temperature)
    return -(target * won + (1 - target) * lost)


def fit_normal_temperature(z: Floats, target: Floats, weight: Floats) -> float:
    """The temperature (> 0) of least log loss, as `calibration.fit_temperature` for Φ.

    ln Φ is concave, so the loss is convex in 1 / temperature.
    """

    def slope(sharpness: float) -> float:
        at = sharpness * z
        won, lost = _hazard(at), _hazard(-at)
        return float(np.average(z * ((1 - target) * lost - target * won), weights=weight))

    low, high = MIN_SHARPNESS, MAX_SHARPNESS
    for _ in range(100):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if slope(middle) > 0 else (middle, high)
    return 1 / math.sqrt(low * high)


def _phi(z: Floats) -> Floats:
    """The normal distribution function, exact far to the left, to where it is below 1e-300."""
    return np.asarray(_erfc(-z / math.sqrt(2)) / 2, dtype=np.float64)


def _log_phi(z: Floats) -> Floats:
    # Beyond -30, where Φ leaves the range of floats, ln Φ falls as -z²/2 - ln|z|.
    far = np.minimum(z, -30.0)
    return np.log(_phi(np.maximum(z, -30.0))) + (900 - far**2) / 2 + np.log(-30 / far)


def _hazard(z: Floats) -> Floats:
    """φ(z) / Φ(z), which is nearly -z far to the left."""
    near = np.maximum(z, -30.0)
    inside = np.exp(-(near**2) / 2) / math.sqrt(2 * math.pi) / _phi(near)
    return np.where(z < -30, -z, inside)
