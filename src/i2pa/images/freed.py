"""Memory that was freed goes back to the system, not only to the C library.

glibc keeps freed blocks of up to 32 MB for its own later use, in each thread: enough to double what
decoding large pictures takes.
"""

from __future__ import annotations

import ctypes
from typing import Any


def _trimmer() -> Any:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        # Other C libraries give back by themselves, or cannot be asked.
        return None


_TRIM = _trimmer()


def give_back() -> None:
    """Return what is freed now. Costs a few milliseconds."""
    if _TRIM is not None:
        _TRIM(0)
