"""What the times of two posts say of which wins: order by gap, hour and weekday.

Numbers of arrays of times; nothing here knows a picture. A baseline that accuracies stand beside.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from i2pa.metrics.baselines import later_wins
from i2pa.metrics.crossfit import cross_fitted, one_hot

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Times = npt.NDArray[np.datetime64]

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0

GAPS: tuple[tuple[str, float], ...] = (
    ("< 1 min", _MINUTE),
    ("1–10 min", 10 * _MINUTE),
    ("10–60 min", _HOUR),
    ("1–6 h", 6 * _HOUR),
    ("6–24 h", _DAY),
    ("1–2 d", 2 * _DAY),
    ("2–4 d", 4 * _DAY),
    ("4–6 d", 6 * _DAY),
    ("6–8 d", 8 * _DAY),
    ("8–10 d", 10 * _DAY),
    ("10–30 d", 30 * _DAY),
    ("30–90 d", 90 * _DAY),
    ("> 90 d", np.inf),
)
"""Classes of the time between the two posts: label and upper end in seconds."""


def time_says(
    winner_time: Times, loser_time: Times, users: npt.NDArray[np.generic], weight: Floats
) -> Floats:
    """Log odds [n] that the winner wins by `time_design`, each user's fitted to the others'.

    NaN where a time is unknown (NaT). Raises ValueError where times are known of fewer than two
    users.
    """
    _, number = np.unique(users, return_inverse=True)
    timed = ~np.isnan(later_wins(winner_time, loser_time))
    weight = weight / weight.mean()
    return cross_fitted(time_design(winner_time, loser_time), number, weight, timed, seed=0)


def time_design(winner_time: Times, loser_time: Times) -> Floats:
    """Features [n, 44], winner less loser: order × gap, UTC hour, UTC weekday; 0 where unknown."""
    later_by = later_wins(winner_time, loser_time)
    order = one_hot(gap_class(later_by), len(GAPS)) * np.sign(np.nan_to_num(later_by))[:, None]
    hours = one_hot(hour(winner_time), 24) - one_hot(hour(loser_time), 24)
    days = one_hot(weekday(winner_time), 7) - one_hot(weekday(loser_time), 7)
    return np.concatenate([order, hours, days], axis=1)


def gap_class(later_by: Floats) -> Ints:
    """Index [n] into GAPS of the absolute time between two posts in seconds; -1 where unknown."""
    ends = np.array([end for _, end in GAPS])
    found = np.searchsorted(ends, np.abs(later_by), side="right").astype(np.int64)
    return np.where(np.isnan(later_by), -1, np.minimum(found, len(GAPS) - 1))


def hour(times: Times) -> Ints:
    """UTC hour of the day [n], 0 to 23; -1 for NaT."""
    micros = times.astype("datetime64[us]").astype(np.int64)
    return np.where(np.isnat(times), -1, micros // 3_600_000_000 % 24)


def weekday(times: Times) -> Ints:
    """UTC day of the week [n], 0 Monday to 6 Sunday; -1 for NaT. 1970-01-01 was a Thursday."""
    days = times.astype("datetime64[D]").astype(np.int64)
    return np.where(np.isnat(times), -1, (days + 3) % 7)
