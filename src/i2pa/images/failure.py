"""A picture that could not be used, as every result lists it beside those that could."""

from __future__ import annotations

from dataclasses import dataclass

from i2pa.errors import I2paError


@dataclass(frozen=True)
class Failure:
    """A picture that was left out: why, and what to do about it."""

    path: str
    reason: str
    remedy: str = ""

    @classmethod
    def of(cls, path: object, error: I2paError) -> Failure:
        """What an error says of the picture at `path`."""
        return cls(str(path), error.what, error.remedy)
