"""How many of the processor's cores this process may keep busy."""

from __future__ import annotations

import math
import os
from pathlib import Path

MOST_THREADS = 1024
"""More are refused: each takes memory, and a machine may have no more to give."""

# A container's own limit (cgroup v2): microseconds of work, or "max", in a period of so many.
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def usable_cores() -> int:
    """Those it may run on, no more than its container's share of time keeps busy; at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(cores or 1, _by_quota()))


def _by_quota() -> int:
    """Cores that the container's quota comes to, rounded up; very many where it has none."""
    try:
        work, period = map(int, _QUOTA.read_text().split())
        return math.ceil(work / period)
    except (OSError, ValueError, ZeroDivisionError):
        return 1 << 16
