"""Numbers in sentences."""

from __future__ import annotations

from numbers import Integral


def many(number: float, what: str) -> str:
    """`1 picture`, `2,000 pictures`, `0.5 days`."""
    shown = f"{number:,}" if isinstance(number, Integral) else f"{number:g}"
    return f"{shown} {what}{'' if number == 1 else 's'}"
