"""Which column of somebody's export is which column of ours.

Knows names only: common aliases, the user's own map, the one error that says what is missing, and
the line that says what was chosen among several.
Values are judged elsewhere.
"""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Container, Mapping, Sequence

from i2pa.errors import DataError, UserInputError
from i2pa.posts.schema import MEASURES

# Best guess first: an export with both `shortcode` and `id` is known by its shortcode.
ALIASES: Mapping[str, tuple[str, ...]] = {
    "platform": ("platform", "network"),
    "user_id": (
        *("user_id", "username", "owner_username", "owner_id", "owner", "user", "author", "uid"),
        *("account", "channel_id", "channel"),
    ),
    "post_id": ("post_id", "shortcode", "code", "id", "media_id", "pk", "photo_id", "video_id"),
    "uploaded_at": (
        *("uploaded_at", "timestamp", "taken_at", "taken_at_timestamp", "created_utc"),
        *("created_at", "published_at", "posted_at", "upload_time", "date_utc", "date", "time"),
    ),
    "downloaded_at": (
        *("downloaded_at", "crawled_at", "scraped_at", "retrieved_at", "retrieved_on"),
        *("fetched_at", "download_time"),
    ),
    "likes": ("likes", "like_count", "likes_count", "n_likes", "num_likes"),
    "views": ("views", "view_count", "views_count", "video_view_count", "play_count"),
    "comments": ("comments", "comment_count", "comments_count", "num_comments"),
    "followers": ("followers", "follower_count", "followers_count", "subscribers"),
    "followings": ("followings", "following", "following_count", "follows_count"),
    "user_posts": ("user_posts", "media_count", "post_count", "posts_count"),
    "score": ("score", "ups", "points"),
    "caption": ("caption", "caption_text", "text", "title", "description"),
    "media_type": ("media_type", "typename", "type", "content_type"),
    "image_count": ("image_count", "n_images", "num_images", "carousel_media_count"),
    "image": ("image", "image_path", "image_file", "filename", "file", "path"),
}

REQUIRED = ("post_id", "user_id", "uploaded_at")


def match_columns(
    found: Sequence[str],
    mapping: Mapping[str, str] | None,
    *,
    where: str,
    spared: Container[str] = (),
    doubtful: Container[str] = (),
    hint: str = "",
) -> dict[str, str]:
    """Our column names to the names `found` in one export.

    `mapping` ({ours: theirs}) wins over aliases; columns in `spared` may be missing, "likes" there
    meaning any measure; those in `doubtful` may too, but are named beside others that may not.
    `hint` is another way out where uploaded_at is missing. Raises UserInputError for a map that
    names a column nobody has, DataError when a required column is missing.
    """
    mapping = dict(mapping or {})
    for ours, theirs in mapping.items():
        if ours not in ALIASES:
            raise UserInputError(
                f"--map {ours}={theirs}: there is no column {ours!r} to map to",
                remedy=f"choose from {', '.join(ALIASES)}",
            )
        if theirs not in found:
            raise DataError(
                f"--map {ours}={theirs}: no column {theirs!r}; it has {_listed(found)}",
                where=where,
            )
    plain = {_plain(name): name for name in reversed(found)}
    taken = set(mapping.values())
    for ours, names in ALIASES.items():
        theirs_or_none = next((plain[n] for n in names if n in plain), None)
        if ours not in mapping and theirs_or_none is not None and theirs_or_none not in taken:
            mapping[ours] = theirs_or_none
            taken.add(theirs_or_none)
    missing = [ours for ours in REQUIRED if ours not in mapping]
    if not any(measure in mapping for measure in MEASURES):
        missing.append("likes")
    missing = [ours for ours in missing if ours not in spared]
    if any(ours not in doubtful for ours in missing):
        spare = [name for name in found if name not in taken]
        wanted = ["likes, views or score" if ours == "likes" else ours for ours in missing]
        hint = f", or {hint}" if hint and "uploaded_at" in missing else ""
        maps = " ".join(f"--map {ours}={_guess(ours, spare)}" for ours in missing)
        raise DataError(
            f"no column for {' and for '.join(wanted)}; it has {_listed(found)}",
            where=where,
            remedy=f"say which it is: {maps}{hint}",
        )
    return mapping


def chosen_among(
    found: Sequence[str], names: Mapping[str, str], mapping: Mapping[str, str] | None
) -> str:
    """Which columns were taken where others would have done; empty where none was a choice.

    A column that has our own name is none, unless another differs from it by case or signs alone.
    """
    taken = set(names.values())
    said, example = [], ""
    for ours, theirs in names.items():
        if ours in (mapping or {}):
            continue
        known = {_plain(theirs)} if theirs == ours else ALIASES[ours]
        others = [name for name in found if name not in taken and _plain(name) in known]
        if others:
            said.append(f"{theirs!r} for {ours} (not {' or '.join(map(repr, others))})")
            example = example or f"--map {shlex.quote(f'{ours}={others[0]}')}"
    return f"took {', '.join(said)}; {example} takes another" if said else ""


def looks_like_shortcodes(name: str) -> bool:
    """Whether a column of ids is called as Instagram calls its codes."""
    return _plain(name) in ("shortcode", "code")


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.casefold()).strip("_")


def _guess(ours: str, spare: list[str]) -> str:
    """The unused column most like any alias, to put into the suggested --map; now it is used."""
    for alias in ALIASES[ours]:
        close = difflib.get_close_matches(alias, spare, n=1, cutoff=0.5)
        if close:
            spare.remove(close[0])
            return close[0]
    return "COLUMN"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:20])
    return f"{shown} and {len(names) - 20} more" if len(names) > 20 else shown or "none"
