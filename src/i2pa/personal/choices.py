"""What a person chose, as pairs of pictures, and which pictures belong together.

Knows rows, times and folders; reading pictures and fitting stay out.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from i2pa.errors import UserInputError

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]
Bools: TypeAlias = npt.NDArray[np.bool_]

Within = Literal["auto", "folder", "time", "all"]

SESSION_GAP = timedelta(hours=4)
BURST_GAP = timedelta(seconds=30)
# Of 4,950 pairs of unrelated photographs, one in 10,000 is this alike.
ALIKE = 0.9
SESSIONS_TO_SPLIT_BY = 10
"""From so many sessions on, a whole session is held out at once."""

MOST_PAIRS = 10_000
_MOST_SHARE_UNTIMED = 0.1
_BLOCK = 1024


@dataclass(frozen=True)
class Choices:
    """Pairs of pictures, by row, the winner first.

    `p` [m] is the chance that the winner is the better one and `clear` [m] whether accuracy is
    measured on the pair. `group` [n] numbers the pictures' groups, which are held out and
    resampled whole; `side` [n] is 1 for a kept picture, 0 for a rejected one; `place` [n] is a
    post's place in time, and None for keeps and rejects.
    """

    winner: Ints
    loser: Ints
    p: Floats
    clear: Bools
    group: Ints
    side: Ints
    place: Ints | None

    @property
    def groups(self) -> int:
        """How many groups there are."""
        return len(np.unique(self.group))


@dataclass(frozen=True)
class Candidate:
    """What is known of a kept or rejected picture beside its content.

    `folder` is where it lies; `subfolder` its folder below the one given, empty if none.
    """

    kept: bool
    taken: datetime | None
    folder: str
    subfolder: str


def keeps_and_rejects(
    pictures: Sequence[Candidate], embeddings: Floats, within: Within, seed: int
) -> tuple[Choices, str]:
    """Pairs of each kept with each rejected picture of its session, and what a session was.

    `auto` takes for a session what is the same for at least half of the kept pictures and some
    rejected one: the folder, the sub-folder of the same name, the time (a session ends where
    nothing was taken for four hours); else all pictures are one. At most 10,000 pairs, by seed.
    Raises UserInputError where `within` is unknown or leaves no pair.
    """
    session, said = _sessions(pictures, within)
    kept = np.array([picture.kept for picture in pictures])
    winner, loser = _pairs(session, kept, seed)
    group = groups_of(embeddings, [picture.taken for picture in pictures])
    sessions = len(np.unique(session[winner]))
    if sessions >= SESSIONS_TO_SPLIT_BY:
        group = _merged(group, np.where(session < 0, -1, session))
    choices = Choices(
        winner=winner,
        loser=loser,
        p=np.ones(len(winner)),
        clear=np.ones(len(winner), np.bool_),
        group=group,
        side=kept.astype(np.int64),
        place=None,
    )
    return choices, said if sessions > 1 or said == ALL else f"{said}, but there is one only"


ALL = "each kept with each rejected picture"


def _sessions(pictures: Sequence[Candidate], within: Within) -> tuple[Ints, str]:
    """A number for each picture's session, -1 for none, and in words what pairs."""
    if within not in get_args(Within):
        raise UserInputError(
            f"unknown way to pair {within!r}", remedy=f"choose from {', '.join(get_args(Within))}"
        )
    kept = np.array([picture.kept for picture in pictures])
    by_name = _numbered([picture.subfolder or None for picture in pictures])
    by_folder = _numbered([picture.folder for picture in pictures])
    by_time = _by_time([picture.taken for picture in pictures])
    ways = {
        "folder": [
            (by_folder, "kept with rejected pictures of the same folder"),
            (by_name, "kept with rejected pictures of the sub-folder of the same name"),
        ],
        "time": [(by_time, "kept with rejected pictures taken within the same session")],
    }
    for way, found in ways.items():
        for session, said in found if within in ("auto", way) else ():
            shared = np.isin(session[kept], session[~kept & (session >= 0)])
            many = len(np.unique(session[session >= 0])) > 1
            untimed = (session < 0).mean() if way == "time" else 0.0
            if within == way and shared.any():
                return session, said
            if many and shared.mean() >= 0.5 and untimed <= _MOST_SHARE_UNTIMED:
                return session, said
    if within in ("folder", "time"):
        raise UserInputError(
            f"no kept and rejected picture share a session by {within}",
            remedy="leave --within out, or give --within all",
        )
    return np.zeros(len(pictures), np.int64), ALL


def _numbered(labels: Sequence[Hashable | None]) -> Ints:
    numbers = {label: n for n, label in enumerate(dict.fromkeys(labels)) if label is not None}
    return np.array([numbers.get(label, -1) for label in labels], np.int64)


def _by_time(taken: Sequence[datetime | None], gap: timedelta = SESSION_GAP) -> Ints:
    """Sessions end where nothing was taken for `gap`; -1 for pictures without a time."""
    session = np.full(len(taken), -1)
    timed = sorted((time, row) for row, time in enumerate(taken) if time is not None)
    number, last = 0, None
    for time, row in timed:
        number += last is not None and time - last > gap
        session[row], last = number, time
    return session


def _pairs(session: Ints, kept: Bools, seed: int) -> tuple[Ints, Ints]:
    rng = np.random.default_rng(seed)
    keeps = np.flatnonzero(kept & (session >= 0))
    rejects = {s: np.flatnonzero(~kept & (session == s)) for s in np.unique(session[keeps])}
    most = max(1, MOST_PAIRS // max(len(keeps), 1))
    losers = [
        found if len(found := rejects[session[row]]) <= most else rng.permutation(found)[:most]
        for row in keeps
    ]
    winner = np.repeat(keeps, [len(found) for found in losers])
    loser = np.concatenate(losers) if losers else np.zeros(0, np.int64)
    return winner[:MOST_PAIRS], loser[:MOST_PAIRS]


def groups_of(embeddings: Floats, taken: Sequence[datetime | None]) -> Ints:
    """Numbers the groups of pictures that show nearly the same: look-alikes and bursts.

    Embeddings [n, d] of a cosine of .9 or more, or taken within 30 seconds of the one before;
    what is linked through others belongs together.
    """
    burst = _by_time(taken, BURST_GAP)
    directions = embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12)
    group = np.arange(len(embeddings))
    for start in range(0, len(directions), _BLOCK):
        first, second = np.nonzero(directions[start : start + _BLOCK] @ directions.T >= ALIKE)
        for one, other in zip(first + start, second, strict=True):
            if one < other and group[one] != group[other]:
                group[group == group[other]] = group[one]
    return _merged(group, burst)


def _merged(group: Ints, other: Ints) -> Ints:
    """Groups joined where they share a number of `other` [n]; -1 there joins nothing."""
    group = group.copy()
    for number in np.unique(other[other >= 0]):
        linked = np.unique(group[other == number])
        group[np.isin(group, linked)] = linked[0]
    return np.unique(group, return_inverse=True)[1].astype(np.int64)
