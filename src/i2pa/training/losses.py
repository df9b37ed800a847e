"""Losses of pairs, as plain functions of tensors: the paper's, and three that know more.

A loss takes the score difference O = f(A) - f(B) of each pair, float [n], and a label P in [0, 1],
float [n]: 1 where A won, 0 where B did, or the probability of the first. It gives the loss of each
pair [n], unreduced, and treats the sides alike: loss(O, P) = loss(-O, 1 - P). Values and gradients
stay finite however far O is. Subtract scores in float32 or more, as the scores' differences are
small beside them. Networks, optimisers and data stay out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from i2pa.errors import UserInputError
from i2pa.models.metadata import Link

GAUGE_STRENGTH = 1e-2


@dataclass(frozen=True)
class PairLoss:
    """One way to learn from pairs.

    `link` turns O into P(A beats B) once trained. `soft` says whether labels are the pairs'
    probabilities or 0 and 1. Where `spread`, the network gives a spread beside each score, and O
    is first divided by that of the pair (`standardised`).
    """

    name: str
    link: Link
    soft: bool
    spread: bool
    per_pair: Callable[[Tensor, Tensor], Tensor]

    def label(self, p: Tensor, a_won: Tensor) -> Tensor:
        """The label P, float [n], of pairs of which side A is better with probability `p` [n].

        Where labels are hard only who won counts, `a_won` bool [n], however sure that is.
        """
        return p if self.soft else a_won.to(p.dtype)


def cross_entropy(delta: Tensor, label: Tensor) -> Tensor:
    """-P O + ln(1 + e^O): least where sigmoid(O) = P. Paper, section 3, with P in {0, 1}.

    With P = Φ(ΔS / √2σ) of Eq. 6 it is the soft form, which the paper leaves out. Computed as
    -P ln sigmoid(O) - (1 - P) ln sigmoid(-O), which loses no digits where O is large and right.
    """
    return -(label * functional.logsigmoid(delta) + (1 - label) * functional.logsigmoid(-delta))


def thurstone(z: Tensor, label: Tensor) -> Tensor:
    """-P ln Φ(z) - (1 - P) ln Φ(-z): least where Φ(z) = P. Thurstone 1927, by likelihood.

    z is `standardised` score differences. Far on the wrong side it grows as z²/2, where
    `cross_entropy` grows as |O|: a wrong label that contradicts a sure network costs more here.
    (UNIQUE, Zhang et al. 2021, puts the same probabilities into the fidelity loss.)
    """
    won, lost = torch.special.log_ndtr(z), torch.special.log_ndtr(-z)
    loss: Tensor = -(label * won + (1 - label) * lost)
    return loss


def fidelity(delta: Tensor, label: Tensor) -> Tensor:
    """1 - √(P Q) - √((1 - P)(1 - Q)), Q = sigmoid(O), in [0, 1]: least, 0, where Q = P.

    Tsai et al. 2007 (FRank). Bounded, with a gradient that vanishes where O is far on the wrong
    side, so that wrong labels are not chased; nor is a network that starts out surely wrong
    corrected. Computed as the half squared distance of (√P, √(1 - P)) from (√Q, √(1 - Q)), which
    is the same number and is never negative; √Q comes from ln Q, whose gradient is finite at 0.
    """
    root_q = torch.exp(functional.logsigmoid(delta) / 2)
    root_rest = torch.exp(functional.logsigmoid(-delta) / 2)
    return ((label.sqrt() - root_q) ** 2 + ((1 - label).sqrt() - root_rest) ** 2) / 2


HARD = PairLoss("hard", "logistic", soft=False, spread=False, per_pair=cross_entropy)
SOFT = PairLoss("soft", "logistic", soft=True, spread=False, per_pair=cross_entropy)
THURSTONE = PairLoss("thurstone", "thurstone", soft=True, spread=True, per_pair=thurstone)
FIDELITY = PairLoss("fidelity", "logistic", soft=True, spread=False, per_pair=fidelity)

LOSSES = {loss.name: loss for loss in (HARD, SOFT, THURSTONE, FIDELITY)}


def loss_named(name: str) -> PairLoss:
    """The loss called `name`. Raises UserInputError if there is none."""
    if name not in LOSSES:
        raise UserInputError(f"unknown loss {name!r}", remedy=f"choose from {', '.join(LOSSES)}")
    return LOSSES[name]


def standardised(delta: Tensor, spread_a: Tensor, spread_b: Tensor) -> Tensor:
    """z = O / √(s_A² + s_B²), [n], of score differences [n] and spreads above 0 [n].

    Thurstone's case III: scores of two pictures vary independently.
    """
    return delta / torch.hypot(spread_a, spread_b)


def gauge_penalty(score: Tensor, spread: Tensor, strength: float = GAUGE_STRENGTH) -> Tensor:
    """strength × (mean(score)² + mean(ln spread)²) over the pictures of a batch, a scalar.

    z does not change when all scores move by one number, nor when scores and spreads are scaled
    by one number, so the loss leaves both free to drift. The penalty settles them, at mean score
    0 and typical spread 1, and costs the fit nothing, as any strength does. Normalising the batch
    instead would make a score depend on the pictures beside it. A batch of n pictures lets a trace
    of shrinkage through, strength / n of the variance of the scores, hence a small strength.
    """
    penalty: Tensor = strength * (score.mean() ** 2 + spread.log().mean() ** 2)
    return penalty


def user_weights(user: Tensor) -> Tensor:
    """Weights [n], float with mean 1, of pairs whose users are numbered by `user`, int [n].

    Every user's pairs weigh n / users together, so that heavy posters do not lead: as
    `PairSet.evenly` for what is listed here, a batch or an epoch.
    """
    _, index, counts = torch.unique(user, return_inverse=True, return_counts=True)
    weights: Tensor = len(user) / (len(counts) * counts[index])
    return weights
