"""An epoch as batches: which pictures go through the network, which of them are compared.

Order and sides are drawn from the seed and the epoch alone, so an epoch can be made again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LabelledPairs:
    """Pairs to learn from: rows of pictures, times, and how sure it is that the winner wins.

    All [n]: `winner`, `loser` rows; `user` numbers; `winner_time`, `loser_time` microseconds since
    1970 (UNKNOWN_TIME where nobody knows); `p` from 0 to 1 that the winner is the better one;
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

    `images` [m] rows; `a`, `b` [n] places in `images`; `a_won` bool [n] who won, `p` [n] how likely
    A is the better; `pair` [n] which pair of the epoch's each is.
    """

    images: Ints
    a: Ints
    b: Ints
    a_won: npt.NDArray[np.bool_]
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


def picture_batches(pairs: LabelledPairs, size: int, seed: int, epoch: int) -> list[Batch]:
    """About `size` pictures a batch, of few users, and every pair that has both in one batch.

    Each picture goes through the network once an epoch. A user of at most `size` pictures stays
    whole, so that all pairs count; of a larger one those within a drawn part of the pictures do,
    and weigh as much together as all of the user's. The list alone says what is a pair: two posts
    that it does not pair may differ in caption or time. A pair's share of the loss does not depend
    on how many others are in its batch.
    """
    size = max(2, size // 2 * 2)
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(pairs))
    place_of_user = rng.permutation(int(pairs.user.max()) + 1)
    order = order[np.argsort(place_of_user[pairs.user[order]], kind="stable")]
    swapped = rng.random(len(pairs)) < 0.5
    batch_of = np.full(len(pairs), -1)
    n_batches, room = 0, 0
    for own in np.split(order, np.flatnonzero(np.diff(pairs.user[order])) + 1):
        # In order of pairs, so that of a long list of single pairs none is torn.
        rows, first = np.unique(
            np.stack([pairs.winner[own], pairs.loser[own]], axis=1), return_index=True
        )
        rows = rows[np.argsort(first)]
        if len(rows) > room:
            n_batches, room = n_batches + 1, size
        part = np.arange(len(rows)) // size
        place = dict(zip(rows.tolist(), (n_batches - 1 + part).tolist(), strict=True))
        n_batches += int(part[-1])
        room = room - len(rows) if not part[-1] else 0
        winner, loser = (
            np.array([place[row] for row in side[own].tolist()])
            for side in (pairs.winner, pairs.loser)
        )
        batch_of[own] = np.where(winner == loser, winner, -1)
    kept = order[batch_of[order] >= 0]
    made = [kept[batch_of[kept] == n] for n in range(n_batches)]
    made = [own for own in made if len(own)]
    whole, counted = (
        np.bincount(pairs.user[own], pairs.weight[own], len(place_of_user)) for own in (order, kept)
    )
    scale = np.divide(whole, counted, out=np.zeros_like(whole), where=counted > 0)
    weighted = replace(pairs, weight=pairs.weight * scale[pairs.user] * len(made) / len(pairs))
    return [
        replace(batch, weight=batch.weight * len(batch))
        for batch in (_batch(weighted, own, swapped) for own in made)
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
        a_won=~swap,
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
            a_won=batch.a_won[pair],
            p=batch.p[pair],
            weight=batch.weight[pair],
            a_time=batch.a_time[pair],
            b_time=batch.b_time[pair],
            pair=batch.pair[pair],
        )
