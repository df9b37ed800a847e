"""The one family of exceptions that i2pa raises on purpose.

Each error says what is wrong, where, and what to do about it, as fields that the
command line and the API print alike. Anything else that escapes is a bug.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from numbers import Integral
from typing import Any, Literal, TypeAlias

FailureKind: TypeAlias = Literal[
    "no_path",
    "missing",
    "permission",
    "unreadable",
    "not_a_file",
    "not_a_picture",
    "damaged",
    "too_large",
    "out_of_memory",
    "timed_out",
    "decoder_failed",
    "needs_extra",
    "stopped",
    "no_score",
    "not_written",
]
"""Why a picture was left out, for programs; what each means is in docs/platform-engineer.md."""


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

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
        # Exceptions are made again from their arguments alone, and would lose the names of these:
        # a pool of processes breaks at an error that it cannot carry.
        return _made_again, (type(self), self.args), self.__dict__

    def __str__(self) -> str:
        line = f"{self.where}: {self.what}" if self.where else self.what
        if self.remedy:
            line = f"{line}; {self.remedy}"
        return " ".join(line.split())


def _made_again(kind: type[I2paError], args: tuple[Any, ...]) -> I2paError:
    return kind.__new__(kind, *args)


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

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
        # A value of any type may be unable to leave its process; what is said of it is not.
        make, given, state = super().__reduce__()
        if self.value is None or isinstance(self.value, (bool, int, float, str)):
            return make, given, state
        return make, given, state | {"value": shown(self.value)}


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


MOST_SEED = 2**63 - 1
"""Of what torch takes a little is left to tell seeds of weights from seeds of new layers."""


def require_seed(seed: object) -> None:
    """Raise ArgumentError unless `seed` is one that every random choice can start from."""
    good = isinstance(seed, Integral) and 0 <= int(seed) <= MOST_SEED
    require(good, "seed", seed, f"a whole number from 0 to {MOST_SEED}")


def require_name(name: object) -> None:
    """Raise ArgumentError unless `name` can be what a model is called: one line of text."""
    good = isinstance(name, str) and name.isprintable() and bool(name.strip())
    require(good, "name", name, "one line of text")


class DataError(I2paError):
    """The data given holds nothing that can be worked with (exit code 1)."""


class ImageError(DataError):
    """One picture cannot be read; a batch goes on without it. `kind` tells programs why."""

    def __init__(self, what: str, *, kind: FailureKind, where: str = "", remedy: str = "") -> None:
        super().__init__(what, where=where, remedy=remedy)
        self.kind = kind

    def at(self, where: str) -> ImageError:
        """The same, said of the picture called `where`."""
        return ImageError(self.what, kind=self.kind, where=where, remedy=self.remedy)


class ModelError(I2paError):
    """A model is missing, damaged or does not fit what it is asked to do (exit code 1)."""


class MissingExtraError(UserInputError):
    """A command needs packages that the base install leaves out."""

    def __init__(self, job: str, extra: str) -> None:
        super().__init__(
            f"{job} needs packages that are not installed",
            remedy=_how_to_install(extra),
        )


def _how_to_install(extra: str) -> str:
    """To what is installed, from a clone too, pip adds an extra by name, wherever it came from."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        version("i2pa")
    except PackageNotFoundError:
        return f"run in the clone: pip install '.[{extra}]'"
    return f"run: pip install 'i2pa[{extra}]'"


@contextmanager
def needs_extra(job: str, extra: str) -> Iterator[None]:
    """Around imports: a package of another project that is missing becomes MissingExtraError."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "i2pa":
            raise
        raise MissingExtraError(job, extra) from error
