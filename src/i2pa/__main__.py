"""`python -m i2pa` is the command `i2pa`."""

import sys


def main() -> None:
    """Run the command line; Ctrl-C ends it with 130 even while it is still being imported."""
    try:
        from i2pa.cli import main as run

        run()
    except KeyboardInterrupt:
        print("i2pa: stopped", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
