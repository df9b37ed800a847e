"""A number of bytes that threads share out among what they work on."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

IN_FLIGHT_BYTES = 300_000_000
"""Decoded pixels at one time, over all threads, unless asked otherwise."""


class BudgetClosedError(Exception):
    """Nothing is admitted any more."""


class Budget:
    """Admits work of known size, first come first served, while it fits.

    What is larger than the whole budget goes alone. A large piece at the head of the queue holds
    back small ones behind it, so that it is not passed over for ever.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.used = 0
        self._queue: deque[object] = deque()
        self._changed = threading.Condition()
        self._closed = False

    @contextmanager
    def admitted(self, size: int) -> Iterator[None]:
        """Wait for `size` bytes to be free, and hold them. Raises BudgetClosedError once closed."""
        self._enter(size)
        try:
            yield
        finally:
            with self._changed:
                self.used -= size
                self._changed.notify_all()

    def close(self) -> None:
        """Turn away all that wait or come later; what is admitted may finish."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _enter(self, size: int) -> None:
        ticket = object()
        with self._changed:
            self._queue.append(ticket)
            try:
                self._changed.wait_for(lambda: self._closed or self._is_next(ticket, size))
                if self._closed:
                    raise BudgetClosedError
                self.used += size
            finally:
                self._queue.remove(ticket)
                self._changed.notify_all()

    def _is_next(self, ticket: object, size: int) -> bool:
        return self._queue[0] is ticket and (not self.used or self.used + size <= self.size)
