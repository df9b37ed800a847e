"""What pictures are called where people read it: short, and harmless to a terminal or a page."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path

# Persian words and emoji are made with these.
_JOINERS = "\u200c\u200d"


def common_folder(places: Iterable[str | Path]) -> Path:
    """The deepest folder that holds all places, each a folder or a file; links are not resolved.

    One folder is its own. Where nothing holds all, as on two drives of Windows, an empty path.
    """
    folders = {_absolute(p) if Path(p).is_dir() else _absolute(p).parent for p in places}
    try:
        return Path(os.path.commonpath(folders))
    except ValueError:
        return Path()


def short_names(paths: Iterable[str], places: Iterable[str | Path]) -> dict[str, str]:
    """A name for each path, relative to the `common_folder` of the places that were ranked.

    So that one folder and a name lead to each picture. Separators are `/`.
    """
    folder = common_folder(places)
    names = {}
    for path in paths:
        whole = _absolute(path)
        below = whole.relative_to(folder) if whole.is_relative_to(folder) else whole
        names[path] = below.as_posix()
    return names


def _absolute(path: str | Path) -> Path:
    # Links keep the names that the user knows them by.
    return Path(os.path.abspath(path))  # noqa: PTH100


def shortened(text: str, most: int) -> str:
    """The same, without its middle where it has more than `most` characters."""
    if len(text) <= most:
        return text
    end = most // 2 - 3
    return f"{text[: most - 3 - end]} … {text[-end:]}"


def readable(name: str) -> str:
    """A name as harmless text: what could steer a terminal or a reader's eye becomes a mark."""
    return "".join(
        c if c.isprintable() or unicodedata.category(c) == "Zs" or c in _JOINERS else "\ufffd"
        for c in name
    )
