"""Pair files of Hessel, Lee and Mimno 2017 ("Cats and Captions vs. Creators and the Clock").

One JSON document a community of Reddit (`aww_data.json`): among other things a list of pairs, each
with submissions `ex1` and `ex2` (id, time, score, caption, url, folder, fname). Their submissions
come as posts, each once; the pairs themselves are for the pair rules to find again. Row n is the
n-th submission, two a pair. Authors are not given: `user_id` is the community.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from i2pa.errors import DataError
from i2pa.posts.readers.documents import UnreadableError, as_raw, dig, load_json
from i2pa.posts.readers.source import Broken, Raw, Source

NAMES = (
    *("platform", "user_id", "post_id", "uploaded_at", "score", "caption", "media_type"),
    *("image_count", "image"),
)
WARNING = (
    "these pair files name no authors, so user_id is the community and pairs are of different "
    "people; the paper pairs submissions at most 30 seconds apart: i2pa pairs --measure score "
    "--rules same-user-wide --window-hours .00834"
)
_AGAIN = "submissions that are in more than one pair, taken once"


def pairs_of(document: Any) -> list[Any] | None:
    """The list of pairs in a document, under whatever key; None where there is none."""
    lists = document.values() if isinstance(document, dict) else [document]
    for items in lists:
        if isinstance(items, list) and items and dig(items, 0, "ex1") and dig(items, 0, "ex2"):
            return list(items)
    return None


def open_hessel(path: Path) -> Source:
    """The pair file of one community."""
    try:
        pairs = pairs_of(load_json(path))
    except UnreadableError as error:
        raise DataError(str(error), where=str(path), remedy="download it again") from error
    if pairs is None:
        raise DataError("holds no pairs of ex1 and ex2", where=str(path))
    community = "r/" + path.name.split(".")[0].removesuffix("_data")

    def read(wanted: Sequence[str]) -> Raw:
        found, seen, again = [], set[str](), 0
        broken: list[Broken] = []
        for row, post in enumerate((dig(p, side) for p in pairs for side in ("ex1", "ex2")), 1):
            if not isinstance(post, dict):
                broken.append((row, "is not a JSON object", None))
                continue
            name = str(post.get("id"))
            if name in seen:
                again += 1
                continue
            seen.add(name)
            found.append((row, _post(post, community)))
        return as_raw(wanted, found, broken, {_AGAIN: again})

    return Source(NAMES, read, warning=WARNING)


def _post(post: dict[str, Any], community: str) -> dict[str, Any]:
    folder, name = post.get("folder"), post.get("fname")
    in_folder = isinstance(folder, str) and isinstance(name, str) and "/" not in name
    return {
        "platform": "reddit",
        "user_id": community,
        "post_id": post.get("id"),
        "uploaded_at": post.get("time"),
        "score": post.get("score"),
        "caption": post.get("caption"),
        "media_type": "image",
        "image": f"{folder.rstrip('/')}/{name}"
        if in_folder and folder
        else name or post.get("url"),
    }
