"""What Ctrl-C, and a scheduler's polite end (SIGTERM), do to the command `i2pa`.

While a command works they raise KeyboardInterrupt, so that it cleans up and says what is kept.
Before that there is nothing to clean up, and much that would make a traceback or an error of its
own of KeyboardInterrupt: they end the process at once. Once the work is done they come too late.
Only the process's own entry point installs this; a program that uses i2pa keeps its handlers.
No import here takes long: until it is installed, a signal ends in a traceback.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.machinery import ModuleSpec

EXIT_STOPPED = 130

PATIENCE = 2.0
"""Seconds for which who asks again does not disturb what cleans up."""


class _ForPyarrow:
    """Sees to what pyarrow imports in the midst of work, from C that drops a KeyboardInterrupt.

    Pandas is kept out of the process, which has no use for it, and which it would hold up for
    longer than many a command takes. Dateutil comes first.
    """

    @classmethod
    def find_spec(cls, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """There is a pandas, for those who ask before they import it; of others nothing is known.

        Torch asks, and must not hear of an error.
        """
        del path, target
        if name == "pyarrow":
            with suppress(ImportError):
                import_module("dateutil.relativedelta")
        return ModuleSpec(name, cls) if name == "pandas" else None  # type: ignore[arg-type]

    @staticmethod
    def create_module(spec: ModuleSpec) -> None:
        """It cannot be imported."""
        raise ModuleNotFoundError("i2pa leaves pandas out", name=spec.name)

    @staticmethod
    def exec_module(module: object) -> None:
        """Never reached, but loaders have it."""


class _State:
    def __init__(self) -> None:
        self.working = False
        self.came = False
        self.at = 0.0
        self.code: int | None = None


_state = _State()


def install() -> None:
    """Handle both signals from here on; in the main thread only."""
    signal.signal(signal.SIGINT, _stop)
    signal.signal(signal.SIGTERM, _stop)
    sys.meta_path.insert(0, _ForPyarrow)


@contextmanager
def working() -> Iterator[None]:
    """Around what has something to clean up."""
    try:
        _state.working = True
        yield
    finally:
        _state.working = False


def came() -> bool:
    """Whether a signal came, whatever became of the KeyboardInterrupt that it raised.

    Libraries in C, numpy and onnxruntime among them, make an ImportError of it.
    """
    return _state.came


def check() -> None:
    """Raise KeyboardInterrupt if one was raised and dropped: before a result is written."""
    if _state.came:
        raise KeyboardInterrupt


def end_with(code: int) -> None:
    """The work is done, and the process about to end with `code`."""
    _state.code = code


def _stop(number: int, frame: object) -> None:
    del number, frame
    asked_before, _state.came = _state.came, True
    if not asked_before:
        _state.at = time.monotonic()
    if _state.working:
        # Set while `finally` and its like run because of the first one, and then only.
        cleaning = isinstance(sys.exc_info()[1], KeyboardInterrupt)
        if cleaning and asked_before and time.monotonic() - _state.at < PATIENCE:
            return
        raise KeyboardInterrupt
    if _state.code is not None and not asked_before:
        # What is left is Python's own end; only who asks again has to wait too long for it.
        return
    if not asked_before:
        os.write(2, b"i2pa: stopped\n")
    os._exit(EXIT_STOPPED if _state.code is None else _state.code)
