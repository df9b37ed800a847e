"""Readers of exports, one module a family of formats.

Each opens a file as a `Source`: the names of its columns and a way to read some of them. A reader
only says what is written; `clean` decides what it means.
"""

from __future__ import annotations

from pathlib import Path

from i2pa.errors import DataError, UserInputError
from i2pa.posts.readers.source import Source
from i2pa.posts.readers.tabular import open_csv, open_json_lines, open_parquet

_OPENERS = {
    "csv": lambda path: open_csv(path),
    "tsv": lambda path: open_csv(path, delimiter="\t"),
    "jsonl": open_json_lines,
    "parquet": open_parquet,
}
FORMATS = tuple(_OPENERS)

_SUFFIXES = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}


def open_source(path: Path, file_format: str | None = None) -> Source:
    """Open one export; the format is told by content and suffix unless forced.

    Raises UserInputError when there is no such file or format, DataError when it is empty or
    cannot be read at all.
    """
    if file_format is not None and file_format not in FORMATS:
        raise UserInputError(
            f"unknown format {file_format!r}", remedy=f"choose from {', '.join(FORMATS)}"
        )
    if not path.is_file():
        what = "is a folder, not a file" if path.is_dir() else "no such file"
        raise UserInputError(what, where=str(path))
    if path.stat().st_size == 0:
        raise DataError("the file is empty", where=str(path))
    return _OPENERS[file_format or detect_format(path)](path)


def detect_format(path: Path) -> str:
    """The format of a file by its first bytes, then its suffix; text of no known suffix is CSV."""
    with path.open("rb") as file:
        head = file.read(4096)
    if head[:4] == b"PAR1":
        return "parquet"
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise DataError("the text is UTF-16", where=str(path), remedy="save it as UTF-8")
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"{"):
        return "jsonl"
    if start.startswith(b"["):
        raise DataError(
            "one JSON array, where one JSON object a line is needed",
            where=str(path),
            remedy=f"convert it: jq -c '.[]' {path.name} > {path.stem}.jsonl",
        )
    return _SUFFIXES.get(path.suffix.lower(), "csv")
