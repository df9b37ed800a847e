"""What `--diverse` gives up and what it gains: the best N of a folder, plain and diverse.

Run: python benchmarks/diversity.py FOLDER [--best 9]

For several shares of merit against novelty, the mean percentile of the chosen, their mean chance
against the best picture, and the mean cosine of the embeddings of each two of them. The share
that i2pa uses is marked.
"""

from __future__ import annotations

import argparse
from itertools import combinations
from pathlib import Path

import numpy as np

from i2pa.images.find import pictures_in
from i2pa.models.score_cache import ScoreCache
from i2pa.scoring import best, load_model
from i2pa.scoring.chances import Chances
from i2pa.scoring.ranking import rank_measured
from i2pa.scoring.results import Failure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--best", type=int, default=9)
    options = parser.parse_args()
    scorer = load_model()
    with ScoreCache() as cache:
        results = scorer.measure(pictures_in([options.folder]), cache=cache)
        measured = [result for result in results if not isinstance(result, Failure)]
    chances = Chances.of(scorer.metadata)
    ranked = rank_measured(measured, chances, np.asarray(scorer.metadata.reference.quantiles))
    print(f"the best {options.best} of {len(measured)} pictures, one of each group")
    print("share of merit  percentile  chance against the best  cosine of two")
    used = best.RELEVANCE
    for share in (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3):
        best.RELEVANCE = share
        places = best.best_places(ranked, options.best, chances, diverse=True)
        items = [ranked.items[place] for place in places]
        vectors = ranked.embeddings[places].astype(np.float32)
        cosine = np.mean([vectors[i] @ vectors[j] for i, j in combinations(range(len(places)), 2)])
        chance = np.mean([chances.beats(i.score, ranked.items[0].score) for i in items])
        mean = np.mean([item.percentile for item in items])
        mark = "  <- i2pa" if share == used else ""
        print(f"{share:14.1f}  {mean:10.1f}  {chance:23.3f}  {cosine:13.3f}{mark}")


if __name__ == "__main__":
    main()
