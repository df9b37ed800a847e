"""Patterns of file names that the shell did not fill in."""

from __future__ import annotations

import fnmatch
import glob
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

from i2pa.images.walk import folders_below

_WILD = frozenset("*?[")
_ANY_DEPTH = "**"


def is_pattern(place: Path) -> bool:
    """Whether a place that is no file has a character that stands for others."""
    return bool(_WILD & set(str(place)))


def matches(pattern: Path) -> list[Path]:
    """Files and folders that match, sorted.

    `**` as a part of its own means any depth, and as the last one all files there. Linked folders
    are followed, each once, so links to a folder around them end. Names that begin with a dot
    match only where the pattern has the dot.
    """
    return sorted(set(_matches(Path(), pattern.parts)))


def may_match(pattern: Path, file: Path) -> bool:
    """Whether `matches` would find `file`, were it there; links are not resolved."""
    return _fits(_whole(pattern).parts, _whole(file).parts)


def _whole(path: Path) -> Path:
    # Links keep the names that a pattern knows them by.
    return Path(os.path.abspath(path))  # noqa: PTH100


def _fits(pattern: tuple[str, ...], parts: tuple[str, ...]) -> bool:
    if not pattern or not parts:
        return not pattern and not parts
    if pattern[0] != _ANY_DEPTH:
        first = fnmatch.fnmatch(parts[0], pattern[0]) and _shown(parts[0], pattern[0])
        return first and _fits(pattern[1:], parts[1:])
    if len(pattern) == 1:
        return not any(part.startswith(".") for part in parts)
    visible = itertools.takewhile(lambda part: not part.startswith("."), parts)
    return any(_fits(pattern[1:], parts[skip:]) for skip in range(len(list(visible)) + 1))


def _shown(name: str, pattern: str) -> bool:
    return not name.startswith(".") or pattern.startswith(".")


def _matches(folder: Path, parts: tuple[str, ...]) -> Iterator[Path]:
    if _ANY_DEPTH not in parts:
        root = None if folder == Path() else folder
        for name in glob.glob(str(Path(*parts)), root_dir=root):  # noqa: PTH207 (any root)
            yield folder / name
        return
    at = parts.index(_ANY_DEPTH)
    starts = _matches(folder, parts[:at]) if at else (folder,)
    for start in starts:
        if start.is_dir():
            for below, files in folders_below(start):
                if at + 1 < len(parts):
                    yield from _matches(below, parts[at + 1 :])
                else:
                    yield from (below / name for name in files if not name.startswith("."))
