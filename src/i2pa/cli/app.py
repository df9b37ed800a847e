"""The typer application that every command registers on, and the one place where errors print."""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import i2pa
from i2pa import stopping
from i2pa.cli.output import UNPRINTABLE, set_quiet, warn
from i2pa.errors import I2paError
from i2pa.files import FAILED_DISK


class _Commands(TyperGroup):
    """Ends every command with one line, if any, and an exit code; never with a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """0 done, 1 nothing could be done, 2 wrong usage, 130 Ctrl-C."""
        try:
            with stopping.working():
                result = super().invoke(ctx)
                sys.stdout.flush()
                # A library may have dropped what was raised.
                stopping.check()
        except KeyboardInterrupt as error:
            # A command that was stopped may have more to say of it.
            warn(str(error) or "stopped")
            raise typer.Exit(stopping.EXIT_STOPPED) from error
        except Exception as error:
            if (end := _ended_by(error)) is None:
                raise
            raise end from error
        return result


def _ended_by(error: Exception) -> typer.Exit | None:
    """What an error ends the command with, once its line is printed; None for others'."""
    if stopping.came():
        warn("stopped")
        return typer.Exit(stopping.EXIT_STOPPED)
    if isinstance(error, I2paError):
        warn(str(error))
        return typer.Exit(error.exit_code)
    if isinstance(error, BrokenPipeError):
        # The reader has gone (`i2pa rank . | head`).
        _silence_stdout()
        return typer.Exit()
    if isinstance(error, OSError):
        what = str(error.strerror or error)
        if error.filename is None:
            _silence_stdout()
            # Other files that are written have a name, or errors of ours.
            if error.errno in FAILED_DISK:
                what = f"standard output cannot be written ({what}); make room, or write elsewhere"
        warn(f"{error.filename}: {what}" if error.filename else what)
        return typer.Exit(1)
    return None


def _silence_stdout() -> None:
    """Keep the interpreter's last flush quiet: what it holds can no longer be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


app = typer.Typer(
    name="i2pa",
    cls=_Commands,
    help="Intrinsic image popularity: rank pictures by the attention their content alone earns.",
    no_args_is_help=True,
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        print(f"i2pa {i2pa.__version__}")
        raise typer.Exit


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line, with `argv` in place of the process's arguments if given, and exit."""
    # What Pillow warns of (odd EXIF, large pictures) ends as one line of ours, or does not matter.
    warnings.filterwarnings("ignore", module="PIL")
    set_quiet(False)
    # A stream that the caller closed is None; what is meant for it is lost.
    sys.stdout = sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115 (open to the end)
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=UNPRINTABLE)
    app(args=list(argv) if argv is not None else None, prog_name="i2pa")
