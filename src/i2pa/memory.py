"""Memory that the C library would give back and ask for anew, again and again, kept for a while."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Numbers of glibc's malloc.h, and the values that its own adjustment ends with.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_BEFORE = {_TRIM_THRESHOLD: 64 << 20, _MMAP_THRESHOLD: 32 << 20}
# -1 is never.
_KEEP = {_TRIM_THRESHOLD: -1, _MMAP_THRESHOLD: 1 << 30}


@contextmanager
def kept_memory() -> Iterator[None]:
    """What is freed inside serves what comes next, and goes back to the system at the end.

    For the whole process, on systems with glibc; elsewhere nothing happens.
    """
    malloc = _glibc()
    if malloc is None:
        yield
        return
    try:
        for option, value in _KEEP.items():
            malloc.mallopt(option, value)
        yield
    finally:
        for option, value in _BEFORE.items():
            malloc.mallopt(option, value)
        malloc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    """The C library, where it is glibc: others have no such knobs."""
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None
