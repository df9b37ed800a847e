"""How far two scorers of the same pictures agree on their order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Agreement:
    """Of all pairs of pictures that the first scorer tells apart: how many the second turns round.

    `flips` and `decided_flips` are counts; an equal score of the second counts as half a flip.
    `decided` pairs lie further apart than a margin, too far to be called a tie.
    """

    pairs: int
    flips: float
    decided: int
    decided_flips: float
    largest_difference: float
    spread: float

    @property
    def flip_rate(self) -> float:
        """Share of pairs turned round."""
        return self.flips / self.pairs if self.pairs else 0.0

    @property
    def decided_flip_rate(self) -> float:
        """Share of the decided pairs turned round."""
        return self.decided_flips / self.decided if self.decided else 0.0


def agreement(
    first: npt.NDArray[np.floating],
    second: npt.NDArray[np.floating],
    margin: float = 0.0,
    spreads: npt.NDArray[np.floating] | None = None,
) -> Agreement:
    """Compare two scores [n] of the same pictures, the first being what is trusted.

    Pairs that the first tells apart by more than `margin` are decided; where pictures have
    `spreads` [n], by more than `margin` times √(s_A² + s_B²).
    `largest_difference` is between the two scores of one picture, `spread` the standard deviation
    of the first. Time grows with n², memory with n.
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    pairs = decided = 0
    flips = decided_flips = 0.0
    for place in range(len(first) - 1):
        gap = first[place + 1 :] - first[place]
        turned = np.sign(gap) * np.sign(second[place + 1 :] - second[place])
        flipped = np.where(gap != 0, (1 - turned) / 2, 0.0)
        pairs += int(np.count_nonzero(gap))
        flips += float(flipped.sum())
        scale = 1.0 if spreads is None else np.hypot(spreads[place], spreads[place + 1 :])
        far = np.abs(gap) > margin * scale
        decided += int(np.count_nonzero(far & (gap != 0)))
        decided_flips += float(flipped[far].sum())
    return Agreement(
        pairs=pairs,
        flips=flips,
        decided=decided,
        decided_flips=decided_flips,
        largest_difference=float(np.abs(first - second).max()) if len(first) else 0.0,
        spread=float(first.std()) if len(first) else 0.0,
    )
