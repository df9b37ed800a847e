"""The command line: parse, call the public functions, print. No work is done here."""

from __future__ import annotations

# Each import registers its commands on the application.
from i2pa.cli import audit, cache, data, models, pairs, personal, scoring, split, training
from i2pa.cli.app import app, main

__all__ = [
    "app",
    "audit",
    "cache",
    "data",
    "main",
    "models",
    "pairs",
    "personal",
    "scoring",
    "split",
    "training",
]
