"""Runs a command as the shell would, for the tests of commands."""

from __future__ import annotations

import pytest

from i2pa.cli.app import main


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    with pytest.raises(SystemExit) as stopped:
        main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    code = stopped.value.code
    assert isinstance(code, int)
    return code, said.out, said.err


def one_line(text: str) -> str:
    """The text itself, which has to be one line."""
    assert text.strip()
    assert len(text.strip().splitlines()) == 1, text
    return text
