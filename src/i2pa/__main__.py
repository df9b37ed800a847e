"""`python -m i2pa` is the command `i2pa`."""

from __future__ import annotations

from i2pa import stopping


def main() -> None:
    """Run the command line; Ctrl-C ends it with 130 whenever it comes."""
    stopping.install()
    from i2pa.cli import main as run

    try:
        run()
    except SystemExit as end:
        stopping.end_with(end.code if isinstance(end.code, int) else 0)
        raise


if __name__ == "__main__":
    main()
