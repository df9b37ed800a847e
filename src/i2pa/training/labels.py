"""Labels to learn from: the pairs within a batch of pictures, and labels flipped on purpose."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from i2pa.errors import UserInputError
from i2pa.pairs.rules import PAPER

Bools = npt.NDArray[np.bool_]


def pairs_in_batch(
    user: Tensor,
    s: Tensor,
    least_gap: float = PAPER.min_log_gap,
    *,
    sigma: float = PAPER.sigma,
    image: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """All pairs of one user's pictures in a batch with |ΔS| >= `least_gap`, each once.

    n forward passes serve up to n(n-1)/2 pairs (RankIQA, Liu et al. 2017). `user`, int [n],
    numbers the users; `s`, float [n], is the natural log of the measure, and a picture with NaN
    is in no pair. Gives `winner` and `loser`, int64 [m], positions in the batch, and `p` [m] in
    [.5, 1], dtype of `s`: Eq. 6 with `sigma`. The default gap is the paper's, for hard labels;
    with soft labels it may be 0, where equal S give p = .5 and the first of the two is named
    winner. Of one user's pictures with the same `image`, int [n], only the first takes part. Time
    and caption are not looked at: a batch should hold posts that may be paired.
    """
    same = user.unsqueeze(1) == user
    if image is not None:
        again = torch.tril(same & (image.unsqueeze(1) == image), diagonal=-1).any(dim=1)
        same &= ~(again.unsqueeze(1) | again)
    first, second = torch.nonzero(torch.triu(same, diagonal=1), as_tuple=True)
    gap = s[first] - s[second]
    kept = gap.abs() >= least_gap
    first, second, gap = first[kept], second[kept], gap[kept]
    winner = torch.where(gap < 0, second, first)
    loser = torch.where(gap < 0, first, second)
    return winner, loser, torch.special.ndtr(gap.abs() / (math.sqrt(2) * sigma))


def flip_labels(pairs: pa.Table, share: float, seed: int) -> Bools:
    """Which labels of a pairs table to flip, bool [rows]: label noise as in Table 2 of the paper.

    Exactly round(share × rows) are flipped, those of least BLAKE2b(seed, platform, winner_id,
    loser_id), so the order of rows is no matter and a larger share flips the same ones and more;
    of a pair listed twice the first row comes first. Only pairs to learn from should be given, as
    the share is of the rows. Raises UserInputError for a share outside [0, .5].
    """
    if not 0 <= share <= 0.5:
        raise UserInputError(
            f"the share of labels to flip is {share}, but must be from 0 to .5",
            remedy="for example .1; beyond .5 winners and losers change places",
        )
    names = pc.binary_join_element_wise(
        *(pairs[name].cast(pa.string()) for name in ("platform", "winner_id", "loser_id")),
        "\x1f",
        null_handling="replace",
        null_replacement="",
    )
    digests = b"".join(
        hashlib.blake2b(f"{seed}\x1f{name}".encode(), digest_size=16).digest()
        for name in names.to_pylist()
    )
    # 128 bits, so that no two pairs of different ids tie.
    high, low = np.frombuffer(digests, ">u8").reshape(pairs.num_rows, 2).T
    flipped = np.zeros(pairs.num_rows, dtype=np.bool_)
    flipped[np.lexsort((low, high))[: round(share * pairs.num_rows)]] = True
    return flipped
