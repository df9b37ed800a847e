"""The one family of exceptions that i2pa raises on purpose.

Each error says what is wrong, where, and what to do about it, as fields that the
command line and the API print alike. Anything else that escapes is a bug.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class I2paError(Exception):
    """Base of every error that i2pa raises on purpose.

    `what` is wrong, `where` (a file, row or field; may be empty) and the `remedy`
    (may be empty) are kept apart; `str()` joins them into one line.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        self.what = what
        self.where = where
        self.remedy = remedy
        super().__init__(what, where, remedy)

    def __str__(self) -> str:
        line = f"{self.where}: {self.what}" if self.where else self.what
        if self.remedy:
            line = f"{line}; {self.remedy}"
        return " ".join(line.split())


class UserInputError(I2paError):
    """The command or call cannot be carried out as given (exit code 2)."""

    exit_code = 2


class ArgumentError(UserInputError):
    """An argument has a value, or is of a type, that cannot be meant.

    `name` is what Python calls it, `value` what was given, `wanted` what may be.
    """

    def __init__(self, name: str, value: object, wanted: str, *, remedy: str = "") -> None:
        self.name = name
        self.value = value
        self.wanted = wanted
        super().__init__(f"{name} is {shown(value)}, but must be {wanted}", remedy=remedy)


def shown(value: object) -> str:
    """A value in an error: as it is written where that is short, else by its type."""
    if isinstance(value, float):
        return f"{value:g}"
    few = isinstance(value, (list, tuple)) and len(value) < 6
    if value is None or few or isinstance(value, (bool, int, str)):
        text = repr(value)
        return text if len(text) <= 60 else f"{text[:57]}..."
    return f"of type {type(value).__name__}"


def require(holds: bool, name: str, value: object, wanted: str, *, remedy: str = "") -> None:
    """Raise ArgumentError unless the argument is what it must be."""
    if not holds:
        raise ArgumentError(name, value, wanted, remedy=remedy)


class DataError(I2paError):
    """The data given holds nothing that can be worked with (exit code 1)."""


class ImageError(DataError):
    """One picture cannot be read; a batch goes on without it."""


class ModelError(I2paError):
    """A model is missing, damaged or does not fit what it is asked to do (exit code 1)."""


class MissingExtraError(UserInputError):
    """A command needs packages that the base install leaves out."""

    def __init__(self, job: str, extra: str) -> None:
        super().__init__(
            f"{job} needs packages that are not installed",
            remedy=f"run: pip install 'i2pa[{extra}]' (in a clone: '.[{extra}]')",
        )


@contextmanager
def needs_extra(job: str, extra: str) -> Iterator[None]:
    """Around imports: a package of another project that is missing becomes MissingExtraError."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "i2pa":
            raise
        raise MissingExtraError(job, extra) from error
