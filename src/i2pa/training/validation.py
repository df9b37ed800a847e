"""What a network says of pictures, and how well that does on pairs it does not learn from."""

from __future__ import annotations

import numpy as np
import torch

from i2pa.errors import DataError
from i2pa.metrics.accuracy import accuracy_of_users
from i2pa.training.batches import Floats, Ints, LabelledPairs
from i2pa.training.diverged import no_scores
from i2pa.training.feed import Feed
from i2pa.training.objective import Network, Scored, autocast
from i2pa.training.processes import Processes
from i2pa.training.recipes import NetworkRecipe

_PICTURES_AT_ONCE = 64
# Few stay in a core's cache.
_AT_ONCE_ON_CPU = 4


def rate_pictures(
    network: Network,
    feed: Feed,
    rows: Ints,
    recipe: NetworkRecipe,
    processes: Processes,
    *,
    kept: int | None = None,
) -> tuple[Floats, Floats | None]:
    """Scores [n] of the pictures `rows` [n], crops at the centre, and their spreads [n], if any.

    NaN where a picture is unreadable, and nowhere else. Raises ModelError, in every process, where
    a picture that can be read gets no finite score; `kept` epochs are in the checkpoint, if any.
    """
    network.ranker.eval()
    has_spread = network.ranker.spread is not None
    found = np.zeros((2 if has_spread else 1, len(rows)))
    lost = np.zeros(1)
    own = np.arange(len(rows))[processes.rank :: processes.n]
    at_once = _AT_ONCE_ON_CPU if processes.device.type == "cpu" else _PICTURES_AT_ONCE
    parts = [own[start : start + at_once] for start in range(0, len(own), at_once)]
    with torch.inference_mode():
        for part, fed in zip(parts, feed.batches(rows[part] for part in parts), strict=True):
            found[:, part] = np.nan
            if len(fed.pixels):
                with autocast(processes.device, recipe):
                    score, _, _, *spread = network.rank(
                        torch.from_numpy(fed.pixels).to(processes.device)
                    )
                given = torch.stack([score, *spread])
                found[:, part[fed.place >= 0]] = given.cpu().numpy()
                lost += int((~torch.isfinite(given).all(dim=0)).sum())
    found, lost = processes.summed(found), processes.summed(lost)
    if lost[0]:
        raise no_scores(int(lost[0]), len(rows), recipe, kept)
    return found[0], found[1] if has_spread else None


def validate(scored: Scored, held_out: LabelledPairs, *, downward: bool) -> tuple[float, float]:
    """Hard log loss (nats, temperature 1) and mean of users' accuracy on pairs not learnt from."""
    if not len(held_out):
        return float("nan"), float("nan")
    rows = np.unique(np.concatenate([held_out.winner, held_out.loser]))
    scores = -scored(rows) if downward else scored(rows)
    winner, loser = (np.searchsorted(rows, side) for side in (held_out.winner, held_out.loser))
    delta = scores[winner] - scores[loser]
    known = ~np.isnan(delta)
    if not known.any():
        raise DataError("no pair to validate on has both pictures", remedy="check --images")
    _, means, _ = accuracy_of_users(delta[known], held_out.user[known].astype(str))
    return float(np.logaddexp(0, -delta[known]).mean()), float(means.mean())
