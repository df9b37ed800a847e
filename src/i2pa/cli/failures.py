"""What is said of pictures that could not be scored, and when there are too many of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Annotated

import typer

from i2pa.cli import output
from i2pa.errors import DataError, UserInputError
from i2pa.images.failure import Failure
from i2pa.words import many

MaxFailures = Annotated[
    str | None,
    typer.Option(
        "--max-failures",
        metavar="N|N%",
        help="End with exit code 1 if more pictures than that fail; the output is written anyhow.",
    ),
]


@dataclass(frozen=True)
class MostFailures:
    """How many pictures of a run may fail: a number, or a share of those given, up to 1."""

    text: str
    number: int | None = None
    share: float | None = None

    @classmethod
    def of(cls, text: str | None) -> MostFailures:
        """What `--max-failures` says; None: all but one. Raises UserInputError for no number."""
        if text is None:
            return cls("")
        try:
            if "_" in text:
                raise ValueError(text)
            if text.endswith("%"):
                share = float(text[:-1]) / 100
                if 0 <= share <= 1:
                    return cls(text, share=share)
            elif int(text) >= 0:
                return cls(text, number=int(text))
        except ValueError:
            pass
        raise UserInputError(
            f"--max-failures {text} is no number of pictures", remedy="give one as 10 or as 0.5%"
        )

    def allow(self, failed: int, given: int) -> bool:
        """Whether so many of all pictures given may fail."""
        if self.share is not None:
            return failed <= self.share * given
        return self.number is None or failed <= self.number


class Tally:
    """Counts pictures and failures as they come, and keeps those failures that will be named."""

    def __init__(self) -> None:
        self.given = 0
        self._kinds: Counter[str] = Counter()
        self._named: list[Failure] = []

    @property
    def failed(self) -> int:
        """How many pictures failed."""
        return self._kinds.total()

    def add(self, result: object) -> None:
        """Count one picture, by its failure if it is one."""
        self.given += 1
        if isinstance(result, Failure):
            self._kinds[result.kind] += 1
            if len(self._named) < output.MOST_LINES:
                self._named.append(result)

    def report(self, *, none_there: str = "") -> None:
        """Name the first failures and count all by kind.

        Raises DataError where nothing could be scored; with `none_there` as the remedy, where no
        file was there.
        """
        output.warn_of(self._named, more=self.failed - len(self._named))
        counts = (f"{n:,} {kind.replace('_', ' ')}" for kind, n in self._kinds.most_common())
        kinds = ", ".join(counts)
        if self.failed and self.failed == self.given:
            raise DataError(
                "the one picture given could not be scored"
                if self.given == 1
                else f"none of {self.given:,} pictures could be scored: {kinds}",
                remedy=none_there if set(self._kinds) == {"missing"} else "",
            )
        if self.failed:
            output.note(f"{self.failed:,} of {self.given:,} pictures could not be scored: {kinds}")

    def end(self, most: MostFailures) -> None:
        """Raise DataError where more failed than may."""
        if not most.allow(self.failed, self.given):
            raise DataError(
                f"{many(self.failed, 'picture')} of {self.given:,} failed, more than "
                f"--max-failures {most.text} allows"
            )
