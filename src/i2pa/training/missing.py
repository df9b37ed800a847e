"""How many pairs may lack a readable picture before training stops: one rule for every recipe."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from i2pa.errors import DataError
from i2pa.images.failure import Failure
from i2pa.images.named import Folders, existing_folders, find_named
from i2pa.training.pairset import images_of
from i2pa.words import many

MOST_UNREADABLE = 0.05
"""Share of pairs without a readable picture above which training stops, unless allowed."""

_NAMED = 3


def check_named(pairs: pa.Table, images: Folders, *, allow: bool, label: str = "") -> None:
    """As `check_readable`, by what is known before a picture is read: which files are there.

    Raises DataError for a list without pairs, too, and UserInputError for a folder that does not
    exist.
    """
    places = existing_folders(images)
    if not pairs.num_rows:
        raise DataError(
            f"no pairs in {label!r}" if label else "no pairs to learn from",
            remedy="i2pa pairs tells why posts found no pair",
        )
    wanted = images_of(pairs)
    if not wanted:
        raise DataError(f"no post in the pairs{_of(label)} names a picture", remedy="give others")
    there = {image for image in wanted if find_named(image, places) is not None}
    if not there:
        raise DataError(
            f"none of the pictures in the pairs{_of(label)} can be read",
            where=", ".join(map(str, places)),
            remedy="check --images: picture paths in the pairs are relative to it",
        )
    gone = [Failure(image, "missing", "no such file") for image in wanted if image not in there]
    check_readable(pairs, there, gone, allow=allow, label=label)


def check_readable(
    pairs: pa.Table,
    readable: Collection[str],
    failures: Sequence[Failure],
    *,
    allow: bool,
    label: str = "",
) -> None:
    """Raise DataError where too many of the pairs lack one of the pictures `readable`, or all do.

    The error names the first of the `failures` that are in the pairs, and the list that they are
    of by its `label`, empty for the pairs to learn from. What `allow` lets pass is too many.
    """
    sides = [pairs[name].cast(pa.string()) for name in ("winner_image", "loser_image")]
    known = pa.array(list(readable), pa.string())
    winner, loser = (pc.is_in(side, value_set=known) for side in sides)
    unnamed = _count(pc.or_(*(pc.is_null(side) for side in sides)))
    wanted = set(images_of(pairs))
    check_missing(
        pairs.num_rows - _count(pc.and_(winner, loser)),
        pairs.num_rows,
        allow=allow,
        unnamed=unnamed,
        failures=[failure for failure in failures if failure.path in wanted],
        label=label,
    )


def check_missing(
    lost: int,
    pairs: int,
    *,
    allow: bool,
    unnamed: int = 0,
    failures: Sequence[Failure] = (),
    label: str = "",
) -> None:
    """Raise DataError where too many of the pairs, `lost` of them, lack a readable picture, or all.

    `unnamed` of these are of posts that name no picture; `failures` are pictures of the others.
    """
    reasons = "; ".join(_reasons(unnamed, failures))
    why = f" ({reasons})" if reasons else ""
    if lost == pairs:
        raise DataError(f"no pair{_of(label)} has both pictures{why}", remedy="check --images")
    if allow or lost <= MOST_UNREADABLE * pairs:
        return
    raise DataError(
        f"{lost:,} of {pairs:,} pairs{_of(label)} lack a picture that can be read, more than "
        f"{MOST_UNREADABLE:.0%}{why}",
        remedy="add --allow-unreadable to leave them out"
        if unnamed == lost
        else "mend the pictures, or --allow-unreadable",
    )


def _of(label: str) -> str:
    return f" of {label!r}" if label else ""


def _reasons(unnamed: int, failures: Sequence[Failure]) -> Iterator[str]:
    if unnamed:
        yield f"{many(unnamed, 'pair')} of posts that name none"
    for failure in failures[:_NAMED]:
        yield f"{failure.path}: {failure.reason}"
    if (more := len(failures) - _NAMED) > 0:
        yield f"and {many(more, 'more picture')}"


def _count(mask: pa.ChunkedArray) -> int:
    return int(pc.sum(mask).as_py() or 0)
