"""What Instagram itself hands out: an account's own export, and media of the Graph API, as JSON.

Row n is the n-th post of a file. The export ("Download your information") knows pictures, times
and titles, but no likes, no codes and no account: a post is named by its first picture, the
account `self`. Its text is UTF-8 that went through Latin-1, and is mended.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from i2pa.errors import DataError
from i2pa.posts.readers.documents import UnreadableError, as_raw, dig, first_of, load_json
from i2pa.posts.readers.source import Broken, Raw, Source

EXPORT_NAMES = (
    *("platform", "user_id", "post_id", "uploaded_at", "caption", "media_type"),
    *("image_count", "image"),
)
GRAPH_NAMES = (
    *("platform", "user_id", "post_id", "uploaded_at", "likes", "views", "comments", "followers"),
    *("followings", "user_posts", "caption", "media_type", "image_count", "image"),
)
NO_LIKES = (
    "an account export holds no likes, so its posts make no pairs; two ways out: the Graph API's "
    "media with like_count (its JSON is read as well), or your own keeps and rejects (i2pa pairs "
    "levels.csv --levels)"
)

_VIDEOS = (".mp4", ".mov", ".m4v", ".webm")
_KINDS = ("IMAGE", "VIDEO", "CAROUSEL_ALBUM")
_CODE = re.compile(r"instagram\.com/(?:[^/]+/)?(?:p|reel|tv)/([A-Za-z0-9_-]+)")


def mend(text: str) -> str:
    """UTF-8 that was taken for Latin-1, back as it was; other text as it is."""
    try:
        return text.encode("latin-1").decode()
    except UnicodeError:
        return text


def export_posts(document: Any) -> list[Any] | None:
    """The posts of an account export; None where the document is none."""
    if isinstance(document, dict):
        lists = [v for k, v in document.items() if k.startswith("ig_") and isinstance(v, list)]
        if not lists:
            return [document] if dig(document, "media", 0, "uri") else None
        return [item for items in lists for item in items]
    if isinstance(document, list) and any(dig(item, "media", 0, "uri") for item in document):
        return document
    return None


def graph_posts(document: Any) -> list[tuple[Any, Any]] | None:
    """Posts of the Graph API, each with the account around it; None where it is no such answer.

    Media may come in an answer, in a list of answers, in a list of their own or as one.
    """
    if _is_bare(document):
        return [(document, None)]
    if isinstance(document, list):
        if any(_is_bare(post) for post in document):
            return [(post, None) for post in document]
        pages = [graph_posts(page) for page in document if isinstance(page, dict)]
        found = [post for page in pages if page is not None for post in page]
        return found or None
    account = dig(document, "business_discovery") or document
    for holder in (dig(account, "media"), account):
        posts = dig(holder, "data")
        if isinstance(posts, list) and (not posts or any(_is_media(post) for post in posts)):
            return [(post, account) for post in posts]
    return None


def _is_media(post: Any) -> bool:
    return isinstance(post, dict) and any(
        key in post for key in ("media_type", "permalink", "like_count", "media_url", "timestamp")
    )


def _is_bare(post: Any) -> bool:
    """Whether this is media without an answer around it, of which less is sure: by two signs."""
    link, kind = dig(post, "permalink"), dig(post, "media_type")
    known = isinstance(link, str) and _CODE.search(link) is not None
    return dig(post, "id") is not None and (known or kind in _KINDS)


def refuse_error(document: Any, path: Path) -> None:
    """Raise DataError where the API answered with an error, saying which."""
    said = dig(document, "error", "message")
    if isinstance(said, str):
        raise DataError(
            f"is an error of the Graph API, not media ({said[:200]})",
            where=str(path),
            remedy="mend the request and ask again",
        )


def open_export(path: Path) -> Source:
    """One file of an account export, as `posts_1.json`."""
    posts = export_posts(_load(path))
    if posts is None:
        raise DataError(
            "this is no list of posts of an account export",
            where=str(path),
            remedy="take posts_1.json of its folder media or content",
        )

    def read(wanted: Sequence[str]) -> Raw:
        broken: list[Broken] = []
        found = []
        for row, post in enumerate(posts, 1):
            media = dig(post, "media") or ([post] if dig(post, "uri") else [])
            if not isinstance(media, list) or not isinstance(dig(media, 0, "uri"), str):
                broken.append((row, "holds no picture or video", None))
                continue
            found.append((row, _export_post(post, media)))
        return as_raw(wanted, found, broken)

    return Source(EXPORT_NAMES, read, no_likes=True, warning=NO_LIKES)


def _export_post(post: Any, media: list[Any]) -> dict[str, Any]:
    first = media[0]["uri"]
    is_video = PurePosixPath(first).suffix.lower() in _VIDEOS
    kind = "carousel" if len(media) > 1 else "video" if is_video else "image"
    title = dig(post, "title") or dig(media, 0, "title")
    return {
        "platform": "instagram",
        "user_id": "self",
        "post_id": first,
        "uploaded_at": first_of(
            dig(post, "creation_timestamp"), dig(media, 0, "creation_timestamp")
        ),
        "caption": mend(title) if isinstance(title, str) else None,
        "media_type": kind,
        "image_count": None if kind == "video" else len(media),
        "image": first,
    }


def open_graph(path: Path) -> Source:
    """An answer of the Graph API, or a list of its pages."""
    document = _load(path)
    refuse_error(document, path)
    posts = graph_posts(document)
    if posts is None:
        raise DataError("this is no answer of the Graph API with media", where=str(path))

    def read(wanted: Sequence[str]) -> Raw:
        broken: list[Broken] = []
        found = []
        for row, (post, account) in enumerate(posts, 1):
            typed = _graph_post(post, account) if isinstance(post, dict) else None
            if typed is None:
                broken.append((row, "is not a JSON object", None))
            elif typed["user_id"] is None:
                broken.append((row, "names no user: ask the API for the field username", None))
            else:
                found.append((row, typed))
        return as_raw(wanted, found, broken)

    return Source(GRAPH_NAMES, read)


def _graph_post(post: dict[str, Any], account: Any) -> dict[str, Any]:
    link = post.get("permalink")
    code = _CODE.search(link) if isinstance(link, str) else None
    pictures = dig(post, "children", "data")
    insights = dict(_insights(post))
    kind = post.get("media_type")
    return {
        "platform": "instagram",
        "user_id": first_of(
            post.get("username"),
            dig(post, "owner", "id"),
            dig(account, "username"),
            dig(account, "id"),
        ),
        "post_id": first_of(post.get("shortcode"), code and code.group(1), post.get("id")),
        "uploaded_at": post.get("timestamp"),
        "likes": first_of(post.get("like_count"), insights.get("likes")),
        "views": first_of(
            post.get("view_count"), insights.get("views"), insights.get("impressions")
        ),
        "comments": first_of(post.get("comments_count"), insights.get("comments")),
        "followers": dig(account, "followers_count"),
        "followings": dig(account, "follows_count"),
        "user_posts": dig(account, "media_count"),
        "caption": post.get("caption"),
        "media_type": kind,
        "image_count": len(pictures) if isinstance(pictures, list) else None,
        "image": first_of(
            post.get("thumbnail_url") if kind == "VIDEO" else None, post.get("media_url")
        ),
    }


def _insights(post: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    metrics = dig(post, "insights", "data")
    for metric in metrics if isinstance(metrics, list) else []:
        name = dig(metric, "name")
        if isinstance(name, str):
            yield name, dig(metric, "values", 0, "value")


def _load(path: Path) -> Any:
    try:
        return load_json(path)
    except UnreadableError as error:
        raise DataError(str(error), where=str(path), remedy="export or copy it again") from error
