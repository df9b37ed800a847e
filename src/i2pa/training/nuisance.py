"""What the clock says of a pair, learnt beside the pictures so that the score need not learn it.

In the authors' released pairs the later picture wins more often than not, by how long it is after
the other (63 % at minutes, 51 % at a day, 58 % at nine), and so do some hours and weekdays. In
training O = f(A) - f(B) + g(A, B), g from times alone; at test g is dropped, and f is what is left
for pictures to explain. Pictures stay out.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
_DAY_US = 86_400_000_000

UNKNOWN_TIME = int(np.iinfo(np.int64).min)
"""Stands for no time, as numpy's NaT does when read as int64."""

GAPS = {
    "1min": _MINUTE,
    "10min": 10 * _MINUTE,
    "1h": _HOUR,
    "6h": 6 * _HOUR,
    "1d": _DAY,
    "2d": 2 * _DAY,
    "5d": 5 * _DAY,
    "10d": 10 * _DAY,
    "30d": 30 * _DAY,
}
"""Knots of the gap in seconds: the effect of order is straight between them on a log scale."""

TIME_FEATURES = (
    *(f"later_by_{label}" for label in GAPS),
    *("day_sin", "day_cos", "half_day_sin", "half_day_cos"),
    *("mon", "tue", "wed", "thu", "fri", "sat", "sun"),
)
"""Names of the columns of `time_features`."""


class NuisanceTower(nn.Module):
    """g: a weighted sum of `time_features`, so g(B, A) = -g(A, B) exactly. It starts at 0.

    Linear, since order × gap is a feature already and boosted trees did no better on the released
    pairs; `begin_with` gives it the weights of a head's fit. Add its output to the score
    differences of a batch; leave it out of the saved model.
    """

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(len(TIME_FEATURES), 1, bias=False)
        nn.init.zeros_(self.linear.weight)

    def begin_with(self, weights: npt.NDArray[np.float64]) -> None:
        """Start from weights [20] of the features."""
        with torch.no_grad():
            self.linear.weight.copy_(torch.from_numpy(weights)[None])

    def forward(self, features: Tensor) -> Tensor:
        """Features float [n, 20] to what they add to O, [n]."""
        added: Tensor = self.linear(features).squeeze(1)
        return added


def time_features(
    time_a: Tensor | npt.NDArray[np.int64], time_b: Tensor | npt.NDArray[np.int64]
) -> Tensor:
    """Features [n, 20] of when A and B were posted, default float dtype, columns TIME_FEATURES.

    `time_a` and `time_b`, int64 [n], are microseconds since 1970 UTC. Swapping them flips every
    sign exactly, so a loader that swaps sides may negate. The columns: the sign of A's time less
    B's, shared between the two GAPS next to the gap (the outermost holds beyond its end); sine and
    cosine of A's UTC time of day less B's, of periods 24 and 12 hours; A's UTC weekday, one-hot,
    less B's. The seven weekdays sum to 0, which ℓ2 or a start at 0 settles. A pair with an
    UNKNOWN_TIME has zeros, and so g = 0.
    """
    a, b = _tensor(time_a), _tensor(time_b)
    known = (a != UNKNOWN_TIME) & (b != UNKNOWN_TIME)
    # Two posts of one time differ in nothing, so all features of such a pair are 0.
    a, b = torch.where(known, a, 0), torch.where(known, b, 0)
    later = torch.sign(a - b).unsqueeze(1) * _gap_shares((a - b).abs().double() / 1e6)
    features = [later, _time_of_day(a) - _time_of_day(b), _weekday(a) - _weekday(b)]
    return torch.cat(features, dim=1).to(torch.get_default_dtype())


def _gap_shares(seconds: Tensor) -> Tensor:
    """Hat functions of the log of the gap at GAPS, float64 [n, 9]: each row sums to 1."""
    knots = torch.tensor(list(GAPS.values()), dtype=torch.float64, device=seconds.device).log()
    place = seconds.clamp(min(GAPS.values()), max(GAPS.values())).log()
    above = torch.searchsorted(knots, place).clamp(1, len(knots) - 1)
    share = ((place - knots[above - 1]) / (knots[above] - knots[above - 1])).unsqueeze(1)
    one_hot = [functional.one_hot(knot, len(knots)) for knot in (above - 1, above)]
    return (1 - share) * one_hot[0] + share * one_hot[1]


def _time_of_day(time: Tensor) -> Tensor:
    """Sine and cosine of the UTC time of day, once and twice a day, float64 [n, 4]."""
    angle = 2 * math.pi * (time % _DAY_US).double() / _DAY_US
    waves = [wave(times * angle) for times in (1, 2) for wave in (torch.sin, torch.cos)]
    return torch.stack(waves, dim=1)


def _weekday(time: Tensor) -> Tensor:
    """The UTC weekday, one-hot from Monday, float64 [n, 7]. 1970-01-01 was a Thursday."""
    return functional.one_hot((time // _DAY_US + 3) % 7, 7).double()


def _tensor(time: Tensor | npt.NDArray[np.int64]) -> Tensor:
    # torch.tensor copies: arrays from Arrow are read-only, which torch cannot share.
    return time if isinstance(time, Tensor) else torch.tensor(time)
