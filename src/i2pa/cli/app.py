"""The typer application that every command registers on, and the one place where errors print."""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Sequence

import click
import typer

from i2pa.errors import I2paError

app = typer.Typer(
    name="i2pa",
    help="Intrinsic image popularity: rank pictures by the attention their content alone earns.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

EXIT_CTRL_C = 130


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 nothing could be done, 2 wrong usage, 130 Ctrl-C."""
    # What Pillow warns of (odd EXIF, large pictures) ends as one line of ours, or does not matter.
    warnings.filterwarnings("ignore", module="PIL")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # File names need not be valid text; they come out as the bytes they are.
            stream.reconfigure(errors="surrogateescape")
    try:
        result = app(args=list(argv) if argv is not None else None, standalone_mode=False)
        sys.stdout.flush()
        code = result if isinstance(result, int) else 0
    except I2paError as error:
        print(f"i2pa: {error}", file=sys.stderr)
        code = error.exit_code
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (KeyboardInterrupt, click.Abort):
        print("i2pa: stopped", file=sys.stderr)
        code = EXIT_CTRL_C
    except BrokenPipeError:
        # The reader has gone (`i2pa rank . | head`): keep the interpreter's last flush quiet.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code)
