"""Pairs of posts that differ by picture alone: rules, building, splitting. No pictures here."""

from __future__ import annotations

from i2pa.pairs.build import PairsBuilt, build_pairs
from i2pa.pairs.levels import pairs_from_levels
from i2pa.pairs.rules import (
    PAPER,
    RULE_SETS,
    SAME_USER_WIDE,
    PairRules,
    probability_discriminable,
    within_days,
)
from i2pa.pairs.schema import PAIRS, read_pairs, write_pairs
from i2pa.pairs.split import PairsSplit, split_pairs

__all__ = [
    "PAIRS",
    "PAPER",
    "RULE_SETS",
    "SAME_USER_WIDE",
    "PairRules",
    "PairsBuilt",
    "PairsSplit",
    "build_pairs",
    "pairs_from_levels",
    "probability_discriminable",
    "read_pairs",
    "split_pairs",
    "within_days",
    "write_pairs",
]
