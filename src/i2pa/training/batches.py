"""An epoch as batches: which pictures go through the network, which of them are compared.

Order and sides are drawn from the seed and the epoch alone, so an epoch can be made again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LabelledPairs:
    """Pairs to learn from: rows of pictures, times, and how sure it is that the winner wins.

    All [n]: `winner`, `loser` rows; `user` numbers; `winner_time`, `loser_time` microseconds since
    1970 (UNKNOWN_TIME where nobody knows); `p` from 0 to 1, below .5 where a label was flipped;
    `weight` above 0.
    """

    winner: Ints
    loser: Ints
    user: Ints
    winner_time: Ints
    loser_time: Ints
    p: Floats
    weight: Floats

    def __len__(self) -> int:
        return len(self.winner)


@dataclass(frozen=True)
class Batch:
    """Pictures, each once, and the pairs among them.

    `images` [m] rows; `a`, `b` [n] places in `images`; `p` [n] that A beats B; `pair` [n] which
    pair of the epoch's each is.
    """

    images: Ints
    a: Ints
    b: Ints
    p: Floats
    weight: Floats
    a_time: Ints
    b_time: Ints
    pair: Ints

    def __len__(self) -> int:
        return len(self.pair)


def epoch_batches(
    pairs: LabelledPairs, size: int, seed: int, epoch: int, *, by_user: bool = False
) -> list[Batch]:
    """All pairs once, `size` a batch, in the order and with the sides of this epoch.

    `by_user` keeps a user's pairs together, so that pictures in several pairs go through the
    network once a batch; users come in a drawn order.
    """
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(pairs))
    if by_user:
        place_of_user = rng.permutation(int(pairs.user.max()) + 1)
        order = order[np.argsort(place_of_user[pairs.user[order]], kind="stable")]
    swapped = rng.random(len(pairs)) < 0.5
    return [
        _batch(pairs, order[start : start + size], swapped) for start in range(0, len(order), size)
    ]


def _batch(pairs: LabelledPairs, pair: Ints, swapped: npt.NDArray[np.bool_]) -> Batch:
    swap = swapped[pair]
    winner, loser = pairs.winner[pair], pairs.loser[pair]
    a, b = np.where(swap, loser, winner), np.where(swap, winner, loser)
    images, places = np.unique(np.concatenate([a, b]), return_inverse=True)
    times = pairs.winner_time[pair], pairs.loser_time[pair]
    p = pairs.p[pair]
    return Batch(
        images=images,
        a=places[: len(pair)],
        b=places[len(pair) :],
        p=np.where(swap, 1 - p, p),
        weight=pairs.weight[pair],
        a_time=np.where(swap, times[1], times[0]),
        b_time=np.where(swap, times[0], times[1]),
        pair=pair,
    )


def shares(batch: Batch, n_parts: int) -> Iterator[Batch]:
    """A batch in `n_parts` of whole pairs: for accumulated gradients or several processes."""
    for pair in np.array_split(np.arange(len(batch.pair)), n_parts):
        images, places = np.unique(
            np.concatenate([batch.a[pair], batch.b[pair]]), return_inverse=True
        )
        yield Batch(
            images=batch.images[images],
            a=places[: len(pair)],
            b=places[len(pair) :],
            p=batch.p[pair],
            weight=batch.weight[pair],
            a_time=batch.a_time[pair],
            b_time=batch.b_time[pair],
            pair=batch.pair[pair],
        )
