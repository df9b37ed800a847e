"""What a pair list gives away without a model: baselines that every accuracy stands beside."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def later_wins(
    winner_time: npt.NDArray[np.datetime64], loser_time: npt.NDArray[np.datetime64]
) -> npt.NDArray[np.float64]:
    """Seconds by which the winner was posted later, shape [n]; NaN where a time is missing.

    As a score difference it claims that the later image of a pair wins (54.7 % right on the
    authors' released pairs).
    """
    delta = (winner_time - loser_time).astype("timedelta64[us]")
    seconds = delta.astype(np.float64) / 1e6
    seconds[np.isnat(delta)] = np.nan
    return seconds
