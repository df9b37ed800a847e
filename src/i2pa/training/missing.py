"""How many pairs may lack a readable picture before training stops: one rule for every recipe."""

from __future__ import annotations

from i2pa.errors import DataError

MOST_UNREADABLE = 0.05
"""Share of pairs without a readable picture above which training stops, unless allowed."""


def check_missing(lost: int, pairs: int, *, allow: bool) -> None:
    """Raise DataError where too many of the pairs, `lost` of them, lack a readable picture."""
    if lost > MOST_UNREADABLE * pairs and not allow:
        raise DataError(
            f"{lost:,} of {pairs:,} pairs lack a picture that can be read, more than "
            f"{MOST_UNREADABLE:.0%}",
            remedy="mend the pictures, or --allow-unreadable",
        )
