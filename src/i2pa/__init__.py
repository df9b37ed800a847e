"""i2pa: intrinsic image popularity, the attention a picture earns by its content alone.

`import i2pa` is light: each name below loads its room when first used.
"""

from __future__ import annotations

# As in `typing`. Nothing is imported here, since the command handles Ctrl-C only after this.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from i2pa.audit import audit_pairs
    from i2pa.errors import DataError, I2paError, ImageError, ModelError, UserInputError
    from i2pa.images.failure import Failure
    from i2pa.images.find import pictures_in
    from i2pa.images.limits import Limits
    from i2pa.models.score_cache import ScoreCache
    from i2pa.pairs import PairRules, build_pairs
    from i2pa.personal import personalize
    from i2pa.posts import read_posts
    from i2pa.scoring import (
        Comparison,
        RankedPicture,
        Ranking,
        ScoredPicture,
        Scorer,
        Scores,
        load_model,
    )
    from i2pa.training import train

__version__ = "0.1.0"

__all__ = [
    "Comparison",
    "DataError",
    "Failure",
    "I2paError",
    "ImageError",
    "Limits",
    "ModelError",
    "PairRules",
    "RankedPicture",
    "Ranking",
    "ScoreCache",
    "ScoredPicture",
    "Scorer",
    "Scores",
    "UserInputError",
    "audit_pairs",
    "build_pairs",
    "load_model",
    "personalize",
    "pictures_in",
    "read_posts",
    "train",
]

_ROOMS = {
    "Comparison": "i2pa.scoring",
    "DataError": "i2pa.errors",
    "Failure": "i2pa.images.failure",
    "I2paError": "i2pa.errors",
    "ImageError": "i2pa.errors",
    "Limits": "i2pa.images.limits",
    "ModelError": "i2pa.errors",
    "PairRules": "i2pa.pairs",
    "RankedPicture": "i2pa.scoring",
    "Ranking": "i2pa.scoring",
    "ScoreCache": "i2pa.models.score_cache",
    "ScoredPicture": "i2pa.scoring",
    "Scorer": "i2pa.scoring",
    "Scores": "i2pa.scoring",
    "UserInputError": "i2pa.errors",
    "audit_pairs": "i2pa.audit",
    "build_pairs": "i2pa.pairs",
    "load_model": "i2pa.scoring",
    "personalize": "i2pa.personal",
    "pictures_in": "i2pa.images.find",
    "read_posts": "i2pa.posts",
    "train": "i2pa.training",
}


def __getattr__(name: str) -> object:
    if name not in _ROOMS:
        raise AttributeError(f"module 'i2pa' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_ROOMS[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
