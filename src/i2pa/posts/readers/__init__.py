"""Readers of exports, one module a family of formats.

Each opens a file or folder as a `Source`: the names of its columns and a way to read some of them.
A reader only says what is written; `clean` decides what it means.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from i2pa.errors import DataError, UserInputError
from i2pa.files import check_text_name
from i2pa.posts.readers.detect import (
    detect_format,
    export_files,
    named,
    tables_in,
)
from i2pa.posts.readers.hessel import open_hessel
from i2pa.posts.readers.instagram import open_export, open_graph
from i2pa.posts.readers.instaloader import open_instaloader
from i2pa.posts.readers.jsonl import open_json_lines
from i2pa.posts.readers.reddit import open_reddit
from i2pa.posts.readers.refused import refuse_binary, refuse_utf_16, refuse_zip
from i2pa.posts.readers.smp import open_smp
from i2pa.posts.readers.source import Source
from i2pa.posts.readers.tabular import open_csv, open_parquet

_OPENERS = {
    "csv": lambda path: open_csv(path),
    "tsv": lambda path: open_csv(path, delimiter="\t"),
    "jsonl": open_json_lines,
    "parquet": open_parquet,
    "instaloader": open_instaloader,
    "instagram-export": open_export,
    "graph-api": open_graph,
    "reddit": open_reddit,
    "smp": open_smp,
    "hessel": open_hessel,
}
FORMATS = tuple(_OPENERS)

_SEPARATED = ("csv", "tsv")
_LINES = (*_SEPARATED, "jsonl", "reddit")
_FOLDERS = ("instaloader", "instagram-export", "smp")


def open_sources(path: Path, file_format: str | None = None) -> list[tuple[Path, Source]]:
    """Open one export, a file or a folder; the format is told by its content unless forced.

    Most exports are one source; a folder of an account export is one for each of its files. Raises
    UserInputError when there is no such file or format, DataError when it is empty or cannot be
    read at all.
    """
    if file_format is not None and file_format not in FORMATS:
        raise UserInputError(
            f"unknown format {file_format!r}", remedy=f"choose from {', '.join(FORMATS)}"
        )
    if not path.exists():
        raise UserInputError("no such file", where=str(path))
    if not path.is_file() and not path.is_dir():
        raise UserInputError("is no regular file", where=str(path), remedy="save it as one first")
    check_text_name(path)
    try:
        if path.is_file() and path.stat().st_size == 0:
            raise DataError("the file is empty", where=str(path))
        if path.is_file():
            refuse_zip(path)
        chosen = file_format or detect_format(path)
        if path.is_dir() and chosen not in _FOLDERS:
            raise UserInputError(
                f"is a folder, not a file of {chosen}", where=str(path), remedy="name its files"
            )
        if chosen in _LINES:
            refuse_utf_16(path)
        if chosen in _SEPARATED:
            refuse_binary(path)
        files = [path]
        if path.is_dir() and chosen == "instagram-export":
            files = export_files(path)
        if not files:
            raise DataError("the folder holds no posts_1.json", where=str(path))
        for file in files:
            check_text_name(file)
        opened = [(file, _OPENERS[chosen](file)) for file in files]
        if path.is_dir() and (tables := tables_in(path)):
            first, source = opened[0]
            left = f"read as {chosen}, without {named(tables)}: name the files to read them"
            warning = "; ".join(filter(None, (source.warning, left)))
            opened[0] = first, replace(source, warning=warning)
        return opened
    except OSError as error:
        raise UserInputError(f"cannot be read ({error.strerror})", where=str(path)) from error
