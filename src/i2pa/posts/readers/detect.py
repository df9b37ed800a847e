"""Which format an export is in, by its content first, its suffix next.

What the formats hold is for their readers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from i2pa.errors import DataError, UserInputError
from i2pa.posts.readers.documents import UnreadableError, load_json
from i2pa.posts.readers.hessel import pairs_of
from i2pa.posts.readers.instagram import export_posts, graph_posts, refuse_error
from i2pa.posts.readers.instaloader import SUFFIXES, dump_files, is_dump
from i2pa.posts.readers.smp import is_smp
from i2pa.posts.readers.streams import compression, peek

_BY_SUFFIX = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_EXPORT_FILE = re.compile(r"(posts(_\d+)?|reels|archived_posts)\.json")


def detect_format(path: Path) -> str:
    """The format of a file or folder; text of no known kind or suffix is CSV.

    Raises DataError for JSON of no known kind and compressed files that hold no JSON,
    UserInputError for a folder of no known kind.
    """
    if path.is_dir():
        return _detect_folder(path)
    with path.open("rb") as file:
        head = file.read(4)
    if head == b"PAR1":
        return "parquet"
    packed = compression(path)
    start = peek(path).lstrip()
    if path.name.endswith(SUFFIXES) and start[:1] in (b"{", b"["):
        return _detect_document(path, start)
    if start.startswith(b"{"):
        return "reddit" if _is_reddit(start) else "jsonl"
    if start.startswith(b"["):
        return _detect_document(path, start)
    if packed is not None:
        what = "holds no JSON" if start else "holds nothing that can be unpacked"
        remedy = "unpack it first; only JSON may stay packed" if start else "copy it again, whole"
        raise DataError(f"this {packed} file {what}", where=str(path), remedy=remedy)
    return _BY_SUFFIX.get(path.suffix.lower(), "csv")


def _is_reddit(start: bytes) -> bool:
    """By the first line, which may be longer than what was read of it."""
    line = start.split(b"\n", 1)[0]
    return b'"created_utc"' in line and (b'"subreddit"' in line or b'"subreddit_id"' in line)


def _detect_document(path: Path, start: bytes) -> str:
    if start.startswith(b"{") and _is_json(start.split(b"\n", 1)[0]) and b"\n" in start.rstrip():
        return "reddit" if _is_reddit(start) else "jsonl"
    try:
        document = load_json(path)
    except UnreadableError as error:
        if start.startswith(b"{") and not re.match(rb'\{\s*"(node|instaloader)"', start):
            return "reddit" if _is_reddit(start) else "jsonl"
        remedy = "copy or export it again"
        raise DataError(str(error), where=str(path), remedy=remedy) from error
    refuse_error(document, path)
    if is_dump(document):
        return "instaloader"
    if export_posts(document) is not None:
        return "instagram-export"
    if graph_posts(document) is not None:
        return "graph-api"
    if pairs_of(document) is not None:
        return "hessel"
    if isinstance(document, dict):
        return "reddit" if _is_reddit(start) else "jsonl"
    if document and isinstance(document[0], dict) and {"Uid", "Pid"} <= document[0].keys():
        return "smp"
    raise DataError(
        "one JSON array, where one JSON object a line is needed",
        where=str(path),
        remedy=f"convert it: jq -c '.[]' {path.name} > {path.stem}.jsonl",
    )


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _detect_folder(folder: Path) -> str:
    if is_smp(folder):
        return "smp"
    if export_files(folder):
        return "instagram-export"
    tables = tables_in(folder)
    dumps = dump_files(folder)
    if tables and not any(_is_dump(file) for file in dumps):
        raise UserInputError(
            f"is a folder of {named(tables)}", where=str(folder), remedy="name its files"
        )
    if dumps:
        return "instaloader"
    raise UserInputError(
        "is a folder, and holds no export that is known",
        where=str(folder),
        remedy="name its files, or a folder of Instaloader, Instagram's export or SMP",
    )


def _is_dump(file: Path) -> bool:
    try:
        return is_dump(load_json(file))
    except UnreadableError:
        return False


def tables_in(folder: Path) -> list[Path]:
    """Files in a folder that are tables by their suffix, but for what `i2pa posts` writes."""
    return sorted(
        file
        for file in folder.iterdir()
        if _BY_SUFFIX.get(file.suffix.lower(), "parquet") != "parquet"
        and not file.name.endswith(".rejects.csv")
    )


def named(files: Sequence[Path]) -> str:
    """The names of the first of some files."""
    more = f" and {len(files) - 3:,} more" if len(files) > 3 else ""
    return ", ".join(file.name for file in files[:3]) + more


def export_files(folder: Path) -> list[Path]:
    """The lists of posts in an unpacked account export: posts_1.json and the like, by name."""
    return sorted(p for p in folder.rglob("*.json") if _EXPORT_FILE.fullmatch(p.name))
