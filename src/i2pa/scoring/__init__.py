"""From pictures and a saved model to scores, ranks and comparisons that people can use.

Reads saved models only: how they were trained is no concern of this room.
"""

from i2pa.images.failure import Failure
from i2pa.models.score_cache import ScoreCache
from i2pa.scoring.results import (
    Comparison,
    Duel,
    RankedPicture,
    Ranking,
    ScoredPicture,
    Scores,
)
from i2pa.scoring.scorer import Scorer, load_model

__all__ = [
    "Comparison",
    "Duel",
    "Failure",
    "RankedPicture",
    "Ranking",
    "ScoreCache",
    "ScoredPicture",
    "Scorer",
    "Scores",
    "load_model",
]
