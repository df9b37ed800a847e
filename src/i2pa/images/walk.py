"""Folders below a folder, however they are linked to each other."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path


def folders_below(
    folder: Path,
    seen: set[tuple[int, int]] | None = None,
    on_error: Callable[[OSError], None] | None = None,
) -> Iterator[tuple[Path, list[str]]]:
    """`folder` and those below it with the sorted names of their files, in a stable order.

    Linked folders are followed, each folder is given once, and so loops end; those in `seen`, by
    device and inode, are left out, and it grows. Dot-folders are skipped.
    """
    seen = set() if seen is None else seen
    for parent, folders, files in os.walk(folder, onerror=on_error, followlinks=True):
        status = Path(parent).stat()
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield Path(parent), sorted(files)
