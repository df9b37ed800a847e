"""`python -m i2pa` is the command `i2pa`."""

from __future__ import annotations

import os
import signal


def main() -> None:
    """Run the command line; Ctrl-C ends it with 130 even while it is still being imported."""
    # Inside an import, libraries in C turn KeyboardInterrupt into errors of their own.
    signal.signal(signal.SIGINT, _leave)
    from i2pa.cli import main as run

    signal.signal(signal.SIGINT, signal.default_int_handler)
    run()


def _leave(number: int, frame: object) -> None:
    del number, frame
    os.write(2, b"i2pa: stopped\n")
    os._exit(130)


if __name__ == "__main__":
    main()
