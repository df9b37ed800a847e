"""What a delivery needs to know of a ranking, and what its pictures are called outside.

Nothing is read or written here: the page, the copies and the stars have modules of their own.
"""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

from i2pa.scoring.results import ModelUsed

# Persian words and emoji are made with these.
_JOINERS = "\u200c\u200d"

Progress = Callable[[int, int], None]


class Ranked(Protocol):
    """One ranked picture.

    `rank` 1 is the best. Pictures of one `group` are a burst or near-duplicates (None: alone).
    `tied_with` is the first and last rank that is too close to call with this one, or None.
    `twins` are files of the same shot, such as the RAW beside a JPEG.
    """

    @property
    def path(self) -> str: ...  # noqa: D102
    @property
    def score(self) -> float: ...  # noqa: D102
    @property
    def percentile(self) -> float: ...  # noqa: D102
    @property
    def level(self) -> str: ...  # noqa: D102
    @property
    def rank(self) -> int: ...  # noqa: D102
    @property
    def group(self) -> int | str | None: ...  # noqa: D102
    @property
    def tied_with(self) -> Sequence[int] | None: ...  # noqa: D102
    @property
    def twins(self) -> Sequence[str | Path]: ...  # noqa: D102


class RankedSet(Protocol):
    """Ranked pictures, best first, with the model and the reference set behind them."""

    @property
    def model(self) -> ModelUsed: ...  # noqa: D102
    @property
    def reference(self) -> str: ...  # noqa: D102
    @property
    def items(self) -> Sequence[Ranked]: ...  # noqa: D102


def short_names(paths: Iterable[str], places: Iterable[str | Path]) -> dict[str, str]:
    """A name for each path that tells no more than needed of where it lies.

    It is relative to the ranked folder that holds it, or the bare file name. Names that would
    be equal grow by parent folders until they differ. Separators are `/`.
    """
    folders = sorted(
        (_parts(place) for place in places if Path(place).is_dir()), key=len, reverse=True
    )
    parts = {path: _parts(path) for path in paths}
    shown = {}
    for path, whole in parts.items():
        inside = [folder for folder in folders if whole[: len(folder)] == folder]
        shown[path] = max(1, len(whole) - len(inside[0])) if inside else 1
    while True:
        names = {path: "/".join(parts[path][-length:]) for path, length in shown.items()}
        times = Counter(names.values())
        unclear = [
            path for path in names if times[names[path]] > 1 and shown[path] < len(parts[path])
        ]
        if not unclear:
            return names
        for path in unclear:
            shown[path] += 1


def _parts(path: str | Path) -> tuple[str, ...]:
    # Links keep the names that the user knows them by.
    return Path(os.path.abspath(path)).parts  # noqa: PTH100


def readable(name: str) -> str:
    """A name as harmless text: what could steer a terminal or a reader's eye becomes a mark."""
    return "".join(
        c if c.isprintable() or unicodedata.category(c) == "Zs" or c in _JOINERS else "\ufffd"
        for c in name
    )
