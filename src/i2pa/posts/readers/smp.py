"""Flickr as the Social Media Prediction challenge hands it out: a folder of JSON files and labels.

`*_temporalspatial*.json` (Uid, Pid, Postdate in seconds), `*_text.json` or `*_tags.json` (Title,
Alltags, Mediatype) are arrays of one object a post, matched by Uid and Pid; `*_label.txt` has one
number a line in the order of the first, `*_img_filepath.txt` (or `_img_path`) the pictures. Row n
is the n-th post. The label is taken to be log2(views a day) + 1: `score` holds it as thousandths of
a view a day, so that differences of its natural log are those of the views a day. The days are not
written.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from i2pa.errors import DataError
from i2pa.posts.readers.documents import UnreadableError, as_raw, dig, load_json
from i2pa.posts.readers.source import Broken, Raw, Source
from i2pa.words import many

NAMES = (
    *("platform", "user_id", "post_id", "uploaded_at", "score", "caption", "media_type"),
    *("image_count", "image"),
)
NOTE = "labels of log2(views a day) + 1, read as score in thousandths of a view a day"

_TIMES = ("*_temporalspatial_information.json", "*_temporalspatial.json")
_TEXTS = ("*_text.json", "*_tags.json")
_LABELS = ("*_label.txt",)
_PICTURES = ("*_img_filepath.txt", "*_img_path.txt")


def is_smp(folder: Path) -> bool:
    """Whether a folder holds the challenge's times, which every part of it has."""
    return any(next(folder.glob(pattern), None) for pattern in _TIMES)


def open_smp(path: Path) -> Source:
    """The folder of one part (train or test), or any of its files."""
    folder = path if path.is_dir() else path.parent
    times_file = _only(folder, _TIMES)
    if times_file is None:
        raise DataError(
            "no *_temporalspatial_information.json",
            where=str(folder),
            remedy="give the folder of the challenge that holds it (train_allmetadata_json)",
        )
    labels_file = _only(folder, _LABELS)
    if labels_file is None:
        raise DataError(
            "no *_label.txt, so nothing says how popular a post was",
            where=str(folder),
            remedy="take the part with labels (train)",
        )

    def read(wanted: Sequence[str]) -> Raw:
        posts = _array(times_file)
        labels = _lines(labels_file, len(posts))
        texts_file, pictures_file = _only(folder, _TEXTS), _only(folder, _PICTURES)
        texts = {_key(text): text for text in _array(texts_file)} if texts_file else {}
        pictures = _lines(pictures_file, len(posts)) if pictures_file else [None] * len(posts)
        found, broken = [], list[Broken]()
        for row, (post, label, picture) in enumerate(zip(posts, labels, pictures, strict=True), 1):
            score = _score(label)
            if score is None:
                broken.append((row, "its label is no number from 0 to 60", label))
                continue
            found.append((row, _post(post, texts.get(_key(post)), score, picture)))
        return as_raw(wanted, found, broken, {NOTE: len(found)})

    return Source(NAMES, read)


def _post(post: Any, text: Any, score: int, picture: str | None) -> dict[str, Any]:
    user, photo = dig(post, "Uid"), dig(post, "Pid")
    title, tags = dig(text, "Title") or "", str(dig(text, "Alltags") or "")
    # Tags are words; a hashtag is what the rules compare.
    hashtags = " ".join(f"#{tag.lstrip('#')}" for tag in tags.split())
    return {
        "platform": "flickr",
        "user_id": user,
        # Photos are numbered within a user.
        "post_id": None if user is None or photo is None else f"{user}/{photo}",
        "uploaded_at": dig(post, "Postdate"),
        "score": score,
        "caption": f"{title} {hashtags}".strip(),
        "media_type": dig(text, "Mediatype"),
        "image": picture,
    }


def _score(label: str | None) -> int | None:
    try:
        value = float((label or "").split()[0])
    except (ValueError, IndexError):
        return None
    return round(1000 * 2 ** (value - 1)) if 0 <= value <= 60 and math.isfinite(value) else None


def _key(item: Any) -> tuple[str, str]:
    return str(dig(item, "Uid")), str(dig(item, "Pid"))


def _only(folder: Path, patterns: Sequence[str]) -> Path | None:
    """The one file of a kind; two would mean two parts in one folder."""
    files = sorted({file for pattern in patterns for file in folder.glob(pattern)})
    if len(files) > 1:
        raise DataError(
            f"both {files[0].name} and {files[1].name}",
            where=str(folder),
            remedy="put train and test into folders of their own",
        )
    return files[0] if files else None


def _array(file: Path) -> list[Any]:
    try:
        items = load_json(file)
    except UnreadableError as error:
        raise DataError(str(error), where=str(file), remedy="download it again") from error
    if not isinstance(items, list):
        raise DataError("is not a JSON array", where=str(file), remedy="download it again")
    return items


def _lines(file: Path, n: int) -> list[str | None]:
    lines: list[str | None] = list(file.read_text(encoding="utf-8", errors="replace").splitlines())
    while lines and not lines[-1]:
        lines.pop()
    if len(lines) != n:
        raise DataError(
            f"has {many(len(lines), 'line')} for {many(n, 'post')}",
            where=str(file),
            remedy="take all files from the same part of the challenge",
        )
    return lines
