"""Which posts may pair at all: the rules on single posts, over columns of numbers.

Which post pairs with which is `candidates`' business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from i2pa.pairs.blocks import in_one
from i2pa.pairs.rules import PairRules
from i2pa.words import many

DAY = 86_400_000_000  # microseconds

COUNTS_OF = {
    "likes": ("likes",),
    "views": ("views",),
    "score": ("score",),
    "likes-per-view": ("likes", "views"),
}
"""The counts that each measure is made of; S is the log of the first, less that of the second."""

ANOTHER_MEASURE = "another --measure"
"""What relaxes a rule on what is measured; which measures the posts have, the error looks up."""

UNKNOWN = np.iinfo(np.int64).min
"""Stands for a time that nobody knows."""

Mask = npt.NDArray[np.bool_]
Column = npt.NDArray[Any]
Numbers = Mapping[str, Column]


@dataclass(frozen=True)
class PostRule:
    """A rule on single posts: its name, the columns it reads, when it holds, what relaxes it."""

    name: str
    columns: tuple[str, ...]
    holds: Callable[[Numbers], Mask]
    relax: str


def post_rules(
    rules: PairRules, *, downloaded_at: int | None, assume_settled: bool
) -> list[PostRule]:
    """Rules that a post meets or fails by itself, in the order of the funnel.

    `downloaded_at` (microseconds since 1970, UTC) stands in where a post has none.
    """
    found = []
    if rules.single_images:
        found.append(
            PostRule(
                "a single image",
                ("media_type", "image_count"),
                lambda n: n["media_type"] & (n["image_count"] == 1),
                "--without single-image",
            )
        )
    counts = COUNTS_OF[rules.measure]
    found.append(
        PostRule(
            f"{' and '.join(counts)} known and above 0",
            counts,
            lambda n: np.logical_and.reduce([n[count] > 0 for count in counts]),
            ANOTHER_MEASURE,
        )
    )
    least = rules.min_likes
    if least is not None:
        found.append(
            PostRule(
                f"at least {least} {counts[0].removesuffix('s') if least == 1 else counts[0]}",
                counts[:1],
                lambda n: n[counts[0]] >= least,
                "--min-likes 1",
            )
        )
    if rules.min_age_days is not None:
        found += _age_rules(rules.min_age_days, downloaded_at, assume_settled=assume_settled)
    most = rules.max_caption_words
    if most is not None:
        found.append(
            PostRule(
                f"at most {many(most, 'caption word')}",
                ("caption_words",),
                lambda n: n["caption_words"] <= most,
                "--without caption-words",
            )
        )
    return found


def _age_rules(
    min_age_days: float, downloaded_at: int | None, *, assume_settled: bool
) -> list[PostRule]:
    given = UNKNOWN if downloaded_at is None else downloaded_at
    age = int(min_age_days * DAY)

    def read_at(n: Numbers) -> Column:
        at = n["downloaded_at"]
        return at if given == UNKNOWN else np.asarray(np.where(at == UNKNOWN, given, at))

    def settled(n: Numbers) -> Mask:
        at = read_at(n)
        # From an unknown time the difference wraps around; nobody asks for it.
        old = at - n["uploaded_at"] >= age
        known = at != UNKNOWN
        return np.asarray(old | ~known if assume_settled else old & known)

    columns = ("downloaded_at", "uploaded_at")
    found = []
    if not assume_settled:
        found.append(
            PostRule(
                "time of download known",
                columns[:1],
                lambda n: read_at(n) != UNKNOWN,
                "--downloaded-at DATE or --assume-settled",
            )
        )
    name = f"settled {many(min_age_days, 'day')} before download"
    found.append(PostRule(name, columns, settled, "--min-age-days 0"))
    return found


def numbers(table: pa.Table, columns: Sequence[str]) -> dict[str, Column]:
    """Columns of posts as numbers: unknown counts 0, unknown times UNKNOWN, images True."""
    return {name: _number(in_one(table[name])) for name in columns}


def _number(column: pa.Array) -> Column:
    if pa.types.is_dictionary(column.type):
        is_image = np.array([*(word == "image" for word in column.dictionary.to_pylist()), False])
        codes = _filled(column.indices, len(column.dictionary))
        return is_image.take(codes)
    unknown = 0
    if pa.types.is_timestamp(column.type):
        column, unknown = column.view(pa.int64()), UNKNOWN
    return _filled(column, unknown)


def _filled(column: pa.Array, unknown: int) -> Column:
    return np.asarray(pc.fill_null(column, unknown) if column.null_count else column)


def meeting(
    known: Numbers, n: int, posts_meet: Sequence[PostRule]
) -> tuple[npt.NDArray[np.int64], list[int]]:
    """Rows of those of `n` posts that meet the rules, and how many each rule removed in turn."""
    good = np.ones(n, dtype=bool)
    removed = []
    left = n
    for rule in posts_meet:
        good &= rule.holds(known)
        before, left = left, int(np.count_nonzero(good))
        removed.append(before - left)
    return np.flatnonzero(good), removed
