"""Instagram shortcodes: the code in a post's address, the 64-bit id it spells, and what that says.

A code is its id in base64url, most significant digit first, without leading `A`. From the top an
id holds 41 bits of milliseconds since 1314220021721 (2011-08-24 21:07:01.721 UTC), 13 bits of the
database shard (one user, one shard, before 2016-06-24) and 10 bits of a sequence number. Arrays in,
arrays out. What is a post, and whether its time is known already, stays out.
"""

from __future__ import annotations

import string
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

EPOCH_MS = 1_314_220_021_721
"""Milliseconds since 1970 at which an id's clock starts."""

MAX_LENGTH = 11
"""Digits that 64 bits need."""

MIN_POST_LENGTH = 9
"""Shorter codes are older than this scheme (2011-08-25): their ids hold no time."""

_DIGITS = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
_VALUE = np.full(256, 64, dtype=np.uint64)
_VALUE[np.frombuffer(_DIGITS.encode(), np.uint8)] = np.arange(64, dtype=np.uint64)
_SYMBOL = np.frombuffer(_DIGITS.encode(), np.uint8)

Ids = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Codes = Sequence[str] | npt.NDArray[np.str_]


def decode(codes: Codes) -> tuple[Ids, Flags]:
    """Ids [n] of codes [n], and which of them are codes of 64 bits at all (the others' id is 0)."""
    texts = np.asarray(codes, dtype=np.str_)
    if not texts.size:
        return np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=bool)
    # A code point a column, each string padded with zeros at its end.
    points = texts.astype(f"<U{MAX_LENGTH + 1}").view(np.uint32).reshape(len(texts), -1)
    filled = points != 0
    value = _VALUE[np.where(points < 256, points, 255)]
    length = filled.sum(axis=1)
    # A twelfth digit, a digit beyond bit 64, or a NUL inside (seen as a gap) is no code.
    whole = filled[:, :-1] | ~filled[:, 1:]
    good = (length > 0) & (length <= MAX_LENGTH) & whole.all(axis=1)
    good &= ((value < 64) | ~filled).all(axis=1)
    good &= (length < MAX_LENGTH) | (value[:, 0] < 16)
    ids = np.zeros(len(texts), dtype=np.uint64)
    for column in range(MAX_LENGTH):
        digit = value[:, column] & np.uint64(63)
        ids = np.where(filled[:, column], (ids << np.uint64(6)) | digit, ids)
    return np.where(good, ids, np.uint64(0)), good


def encode(ids: npt.ArrayLike) -> npt.NDArray[np.str_]:
    """Codes [n] of ids [n]; the inverse of `decode` for codes without leading `A`."""
    numbers = np.asarray(ids, dtype=np.uint64)
    shifts = np.arange(6 * (MAX_LENGTH - 1), -1, -6, dtype=np.uint64)
    digits = (numbers[:, None] >> shifts) & np.uint64(63)
    leading = np.cumsum(digits != 0, axis=1) == 0
    leading[:, -1] = False
    texts = [
        row[blank.sum() :].tobytes().decode()
        for row, blank in zip(_SYMBOL[digits], leading, strict=True)
    ]
    return np.array(texts, dtype=f"<U{MAX_LENGTH}")


def upload_ms(ids: Ids) -> Numbers:
    """When the post was made: milliseconds since 1970 UTC."""
    return (ids >> np.uint64(23)).astype(np.int64) + EPOCH_MS


def shard(ids: Ids) -> Numbers:
    """Database shard, 0 to 8191; until 2016-06-24 00:08 UTC it follows the user."""
    return ((ids >> np.uint64(10)) & np.uint64(0x1FFF)).astype(np.int64)


def sequence(ids: Ids) -> Numbers:
    """Number within a shard and millisecond, 0 to 1023."""
    return (ids & np.uint64(0x3FF)).astype(np.int64)


def post_times(codes: Codes) -> tuple[Numbers, Flags]:
    """Upload times (ms since 1970 UTC) of what may be posts' codes, and which of them tell one.

    Codes of 9 to 11 characters tell; those all of digits do not: they are other ids.
    """
    ids, good = decode(codes)
    texts = np.asarray(codes, dtype=np.str_)
    if texts.size:
        good &= (np.char.str_len(texts) >= MIN_POST_LENGTH) & ~np.char.isdigit(texts)
    return upload_ms(ids), good
