"""Which pictures show the same thing: near-duplicates, edits, and the frames of a burst.

The best picture leads its group, and every other member is directly similar to that leader. Chains
(a like b, b like c) do not join what does not look alike, and no square of pictures is kept.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from i2pa.models.metadata import Likeness

MEASURED = Likeness()
"""For the embeddings of EfficientNet-Lite2: of small edits 1 in 800 lies below .85, of pictures of
two accounts 1 pair in 4.8 million above (benchmarks/groups.py)."""

MOMENT_SECONDS = 10.0

_BLOCK = 512


def leaders(
    embeddings: npt.NDArray[np.floating],
    taken: npt.NDArray[np.float64],
    likeness: Likeness = MEASURED,
) -> npt.NDArray[np.intp]:
    """For pictures given best first, the place of each one's leader, itself where it leads.

    `embeddings` [n, d] are of unit length, `taken` [n] seconds on one clock, nan where unknown. A
    picture joins the most similar of the leaders before it whose cosine is that of `likeness`, the
    one of a moment where both were taken within MOMENT_SECONDS; else it leads itself. Time grows
    with n times the number of groups, memory with n.
    """
    n = len(embeddings)
    leader = np.arange(n)
    leading = np.empty(0, np.intp)
    for start in range(0, n, _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, n))
        block = embeddings[rows].astype(np.float32)
        among = _linked(block, block, taken[rows], taken[rows], likeness)
        best, cosine = _most_similar(block, embeddings, taken, rows, leading, likeness)
        new: list[int] = []
        for place in range(len(rows)):
            inside = among[place, new] if new else np.empty(0)
            if len(inside) and inside.max() > max(cosine[place], 0.0):
                leader[rows[place]] = rows[new[int(inside.argmax())]]
            elif cosine[place] > 0:
                leader[rows[place]] = best[place]
            else:
                new.append(place)
        leading = np.concatenate([leading, rows[new]])
    return leader


def _most_similar(
    block: npt.NDArray[np.float32],
    embeddings: npt.NDArray[np.floating],
    taken: npt.NDArray[np.float64],
    rows: npt.NDArray[np.intp],
    leading: npt.NDArray[np.intp],
    likeness: Likeness,
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    """The linked leader of greatest cosine for each row of the block; cosine 0 where none is."""
    best = np.zeros(len(rows), np.intp)
    cosine = np.zeros(len(rows), np.float32)
    for start in range(0, len(leading), _BLOCK):
        part = leading[start : start + _BLOCK]
        others = embeddings[part].astype(np.float32)
        linked = _linked(block, others, taken[rows], taken[part], likeness)
        at = linked.argmax(axis=1)
        nearer = linked[np.arange(len(rows)), at]
        best = np.where(nearer > cosine, part[at], best)
        cosine = np.maximum(cosine, nearer)
    return best, cosine


def _linked(
    some: npt.NDArray[np.float32],
    others: npt.NDArray[np.float32],
    taken: npt.NDArray[np.float64],
    taken_of_others: npt.NDArray[np.float64],
    likeness: Likeness,
) -> npt.NDArray[np.float32]:
    """Cosines [n, m] where the pair shows the same, 0 elsewhere."""
    cosines = some @ others.T
    # A comparison with nan, an unknown time, is false.
    moment = np.abs(taken[:, None] - taken_of_others[None, :]) <= MOMENT_SECONDS
    same = (cosines >= likeness.same_picture) | (moment & (cosines >= likeness.same_moment))
    return np.where(same, cosines, np.float32(0))
