"""The typer application that every command registers on, and the one place where errors print."""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from i2pa.errors import I2paError

EXIT_CTRL_C = 130


class _Commands(TyperGroup):
    """Ends every command with one line, if any, and an exit code; never with a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """0 done, 1 nothing could be done, 2 wrong usage, 130 Ctrl-C."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except I2paError as error:
            print(f"i2pa: {error}", file=sys.stderr)
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt as error:
            print("i2pa: stopped", file=sys.stderr)
            raise typer.Exit(EXIT_CTRL_C) from error
        except BrokenPipeError as error:
            # The reader has gone (`i2pa rank . | head`): keep the interpreter's last flush quiet.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit from error
        return result


app = typer.Typer(
    name="i2pa",
    cls=_Commands,
    help="Intrinsic image popularity: rank pictures by the attention their content alone earns.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line, with `argv` in place of the process's arguments if given, and exit."""
    # What Pillow warns of (odd EXIF, large pictures) ends as one line of ours, or does not matter.
    warnings.filterwarnings("ignore", module="PIL")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # File names need not be valid text; they come out as the bytes they are.
            stream.reconfigure(errors="surrogateescape")
    app(args=list(argv) if argv is not None else None, prog_name="i2pa")
