"""What pictures are called where people read it: short, and harmless to a terminal or a page."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

# Persian words and emoji are made with these.
_JOINERS = "\u200c\u200d"


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
