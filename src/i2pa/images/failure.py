"""A picture that could not be used, as every result lists it beside those that could."""

from __future__ import annotations

import errno
from dataclasses import dataclass

from i2pa.errors import FailureKind, I2paError, ImageError

_KINDS: dict[int | None, FailureKind] = {
    errno.ENOENT: "missing",
    errno.ENOTDIR: "missing",
    errno.EACCES: "permission",
    errno.EPERM: "permission",
}


@dataclass(frozen=True)
class Failure:
    """A picture that was left out: why (`kind` for programs), and what to do about it."""

    path: str
    kind: FailureKind
    reason: str
    remedy: str = ""

    @classmethod
    def of(cls, path: object, error: I2paError) -> Failure:
        """What an error says of the picture at `path`, or of the file to write there."""
        kind = error.kind if isinstance(error, ImageError) else "not_written"
        return cls(str(path), kind, error.what, error.remedy)

    def as_error(self) -> ImageError:
        """The error that says the same."""
        return ImageError(self.reason, kind=self.kind, where=self.path, remedy=self.remedy)


def unreadable(where: str, error: Exception) -> ImageError:
    """What the system said when the file at `where` was to be opened or read."""
    number = getattr(error, "errno", None)
    reason = getattr(error, "strerror", None) or error
    return ImageError(
        f"cannot be read ({reason})", kind=_KINDS.get(number, "unreadable"), where=where
    )
