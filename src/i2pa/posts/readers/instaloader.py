"""Instaloader's dumps: one JSON file a post (`.json` or `.json.xz`), its pictures beside it.

A post is a node of Instagram's web answer, sometimes with the app's answer (`iphone_struct`) in
it; the web's word comes first. Profiles in the same folder give followers. Row n of a folder is
its n-th file of JSON by name. When the counts were read is not written in a dump.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from i2pa.errors import DataError
from i2pa.files import as_text_name
from i2pa.posts.readers.documents import UnreadableError, as_raw, dig, first_of, load_json
from i2pa.posts.readers.source import Broken, Raw, Source

NAMES = (
    *("platform", "user_id", "post_id", "uploaded_at", "likes", "views", "comments", "followers"),
    *("followings", "user_posts", "caption", "media_type", "image_count", "image"),
)
SUFFIXES = (".json", ".json.xz")
PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".heic", ".avif")

# One post with thousands of comments stays far below.
_LARGEST = 1 << 26
_HIDDEN = "like_and_view_counts_disabled"
_NO_POST = "files of JSON that hold no post (profiles, stories, comments)"
_NO_PICTURE = "posts without a picture beside their file"


def dump_files(folder: Path) -> list[Path]:
    """Files of JSON below a folder, by name."""
    return sorted(p for p in folder.rglob("*.json*") if p.name.endswith(SUFFIXES) and p.is_file())


def is_dump(document: Any) -> bool:
    """Whether a document is a file of Instaloader's: a node, and mostly who made it."""
    if not isinstance(document, dict):
        return False
    return isinstance(document.get("node"), dict) or isinstance(document.get("instaloader"), dict)


def open_instaloader(path: Path) -> Source:
    """A folder of Instaloader's, or one of its files."""
    files = dump_files(path) if path.is_dir() else [path]
    names = [as_text_name(file) for file in files]
    root = path if path.is_dir() else path.parent
    if not files:
        raise DataError("the folder holds no .json or .json.xz", where=str(path))

    def read(wanted: Sequence[str]) -> Raw:
        posts: list[tuple[int, dict[str, Any]]] = []
        broken: list[Broken] = []
        profiles: dict[str, Any] = {}
        notes = dict.fromkeys((_NO_POST, _NO_PICTURE), 0)
        beside = _Pictures()
        for row, file in enumerate(files, 1):
            try:
                document = load_json(file, _LARGEST)
            except UnreadableError as error:
                broken.append((row, str(error), None))
                continue
            node = dig(document, "node")
            kind = dig(document, "instaloader", "node_type")
            if isinstance(node, dict) and (kind == "Profile" or "edge_followed_by" in node):
                profiles |= dict.fromkeys(_owner_keys(node), node)
            named = isinstance(node, dict) and ("shortcode" in node or "code" in node)
            if not named or kind not in (None, "Post"):
                notes[_NO_POST] += 1
                continue
            # Nor would its picture's be, which is to stand in a table.
            if names[row - 1] != str(file):
                broken.append((row, "the name of its file is no valid text", None))
                continue
            post = _post(node)
            image = beside.picture_of(file)
            notes[_NO_PICTURE] += image is None
            post["image"] = None if image is None else image.relative_to(root).as_posix()
            posts.append((row, post))
        for _, post in posts:
            _add_profile(post, profiles.get(str(post["user_id"])))
        return as_raw(wanted, posts, broken, notes)

    return Source(NAMES, read, names if path.is_dir() else None)


def _owner_keys(node: Any) -> list[str]:
    return [str(node[key]) for key in ("id", "username") if node.get(key) is not None]


def _post(node: dict[str, Any]) -> dict[str, Any]:
    """One node as columns; hidden likes come as -1."""
    phone = node.get("iphone_struct")
    owner = node.get("owner")
    likes = first_of(
        dig(node, "edge_media_preview_like", "count"),
        dig(node, "edge_liked_by", "count"),
        dig(node, "likes", "count"),
        dig(phone, "like_count"),
    )
    pictures = dig(node, "edge_sidecar_to_children", "edges")
    kind = first_of(node.get("__typename"), dig(phone, "media_type"))
    return {
        "platform": "instagram",
        "user_id": first_of(
            dig(owner, "id"),
            dig(phone, "user", "pk"),
            dig(owner, "username"),
            dig(phone, "user", "username"),
        ),
        "post_id": first_of(node.get("shortcode"), node.get("code")),
        "uploaded_at": first_of(
            node.get("taken_at_timestamp"), node.get("date"), dig(phone, "taken_at")
        ),
        # Both are told a number of 3 here, whatever it is.
        "likes": -1 if any(dig(n, _HIDDEN) is True for n in (node, phone)) else likes,
        "views": first_of(
            node.get("video_view_count"), node.get("video_play_count"), dig(phone, "play_count")
        ),
        "comments": first_of(
            dig(node, "edge_media_to_comment", "count"),
            dig(node, "edge_media_to_parent_comment", "count"),
            dig(node, "comments", "count"),
            node.get("comments"),
            dig(phone, "comment_count"),
        ),
        "caption": first_of(
            dig(node, "edge_media_to_caption", "edges", 0, "node", "text"),
            dig(node, "caption", "text"),
            node.get("caption"),
            dig(phone, "caption", "text"),
        ),
        "media_type": "video" if kind is None and node.get("is_video") is True else kind,
        "image_count": first_of(
            len(pictures) if isinstance(pictures, list) else None,
            dig(phone, "carousel_media_count"),
        ),
        "followers": dig(owner, "edge_followed_by", "count"),
    }


def _add_profile(post: dict[str, Any], profile: Any) -> None:
    post["followers"] = first_of(post["followers"], dig(profile, "edge_followed_by", "count"))
    post["followings"] = dig(profile, "edge_follow", "count")
    post["user_posts"] = dig(profile, "edge_owner_to_timeline_media", "count")


class _Pictures:
    """Which pictures lie in a folder; each folder is listed once."""

    def __init__(self) -> None:
        self._listed: dict[Path, dict[str, Path]] = {}

    def picture_of(self, file: Path) -> Path | None:
        """The picture of a post: named as its file, or that and `_1` where there are several."""
        if file.parent not in self._listed:
            here = sorted(file.parent.iterdir(), reverse=True)
            pictures = {p.stem: p for p in here if p.suffix.lower() in PICTURES}
            self._listed[file.parent] = pictures
        stem = file.name.removesuffix(".xz").removesuffix(".json")
        found = self._listed[file.parent]
        return found.get(stem) or found.get(f"{stem}_1")
