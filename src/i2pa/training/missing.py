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


def check_named(pairs: pa.Table, images: Folders, *, allow: bool) -> None:
    """As `check_readable`, by what is known before a picture is read: which files are there.

    Where none is, the folders are wrong, which is for whoever reads pictures to say. Raises
    UserInputError for a folder that does not exist.
    """
    places = existing_folders(images)
    if not pairs.num_rows:
        raise DataError("no pairs to learn from", remedy="i2pa pairs tells why posts found no pair")
    wanted = images_of(pairs)
    if not wanted:
        raise DataError("no post in the pairs names a picture", remedy="give others")
    if allow:
        return
    there = {image for image in wanted if find_named(image, places) is not None}
    if there:
        gone = [Failure(image, "missing", "no such file") for image in wanted if image not in there]
        check_readable(pairs, there, gone, allow=allow)


def check_readable(
    pairs: pa.Table, readable: Collection[str], failures: Sequence[Failure], *, allow: bool
) -> None:
    """Raise DataError where too many of the pairs lack one of the pictures `readable`.

    The error names the first of the `failures` that are in the pairs.
    """
    if allow:
        return
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
    )


def check_missing(
    lost: int, pairs: int, *, allow: bool, unnamed: int = 0, failures: Sequence[Failure] = ()
) -> None:
    """Raise DataError where too many of the pairs, `lost` of them, lack a readable picture.

    `unnamed` of these are of posts that name no picture; `failures` are pictures of the others.
    """
    if allow or lost <= MOST_UNREADABLE * pairs:
        return
    why = "; ".join(_reasons(unnamed, failures))
    raise DataError(
        f"{lost:,} of {pairs:,} pairs lack a picture that can be read, more than "
        f"{MOST_UNREADABLE:.0%}" + (f" ({why})" if why else ""),
        remedy="add --allow-unreadable to leave them out"
        if unnamed == lost
        else "mend the pictures, or --allow-unreadable",
    )


def _reasons(unnamed: int, failures: Sequence[Failure]) -> Iterator[str]:
    if unnamed:
        yield f"{many(unnamed, 'pair')} of posts that name none"
    for failure in failures[:_NAMED]:
        yield f"{failure.path}: {failure.reason}"
    if (more := len(failures) - _NAMED) > 0:
        yield f"and {many(more, 'more picture')}"


def _count(mask: pa.ChunkedArray) -> int:
    return int(pc.sum(mask).as_py() or 0)
