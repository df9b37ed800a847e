"""The best few of a ranking: one of each group, and on request unlike each other."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from i2pa.scoring.chances import Chances
from i2pa.scoring.ranking import Ranked, RankOptions

RELEVANCE = 0.4
"""Share of merit against novelty. Above .5 little changes, at .3 merit falls off a cliff
(benchmarks/diversity.py)."""


def best_places(ranked: Ranked, options: RankOptions, chances: Chances) -> list[int]:
    """Places in `ranked` of the best `options.best`, in rank order.

    One of each group, its best, unless `whole_groups`. With `diverse` they are chosen one by one
    by maximal marginal relevance (Carbonell, Goldstein 1998): merit, the chance against the best
    picture from 0 to .5, doubled, against the greatest cosine to those chosen.
    """
    places = np.arange(len(ranked.items))
    n = len(places) if options.best is None else options.best
    if not options.whole_groups:
        places = places[ranked.leaders == places]
    if not options.diverse:
        return [int(place) for place in places[:n]]
    scores, spreads = ranked.scores, ranked.spreads
    merit = np.array(
        [2 * chances.beats(scores[i], scores[0], spreads[i], spreads[0]) for i in places]
    )
    chosen = _unlike(merit, ranked.embeddings[places].astype(np.float32), n)
    return sorted(int(places[i]) for i in chosen)


def _unlike(
    merit: npt.NDArray[np.float64], embeddings: npt.NDArray[np.float32], n: int
) -> list[int]:
    likeness = np.zeros(len(merit))
    free = np.ones(len(merit), bool)
    chosen: list[int] = []
    while len(chosen) < min(n, len(merit)):
        value = RELEVANCE * merit - (1 - RELEVANCE) * likeness
        pick = int(np.where(free, value, -np.inf).argmax())
        chosen.append(pick)
        free[pick] = False
        likeness = np.maximum(likeness, embeddings @ embeddings[pick])
    return chosen
