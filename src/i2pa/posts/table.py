"""Posts in memory and on disk: read exports into one table, write it, read it back.

The table is whole once it leaves here: typed, free of duplicates, its captions parsed. Rules
about pairs stay out.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from i2pa.errors import DataError, UserInputError, require
from i2pa.files import check_input, check_not_input, check_text_name, whole_file
from i2pa.posts.clean import INSTAGRAM, Cleaned, Count, clean, on_instagram, tells_times
from i2pa.posts.columns import chosen_among, looks_like_shortcodes, match_columns
from i2pa.posts.database import database
from i2pa.posts.download_time import as_download_time
from i2pa.posts.facts import in_parts, with_facts
from i2pa.posts.readers import open_sources
from i2pa.posts.readers.source import BROKEN, Raw, Source
from i2pa.posts.schema import POSTS
from i2pa.words import many

# Texts and hashes that are all distinct gain nothing from a dictionary.
_DISTINCT = {"post_id", "uploaded_at", "caption", "image", "tags_key"}
PARQUET: dict[str, Any] = {
    # Captions are most of the bytes and read least; LZ4 is read in half the time; random ids and
    # times shrink by a tenth at most.
    "compression": {
        **dict.fromkeys(POSTS.names, "lz4"),
        **{"caption": "zstd", "post_id": "none", "uploaded_at": "none"},
    },
    "use_dictionary": [name for name in POSTS.names if name not in _DISTINCT],
}
"""How posts are written, for whoever writes them piece by piece."""

_BY_CODE = (
    "for uploaded_at, if these are Instagram's shortcodes, which tell it: --platform instagram"
)
REJECTS = pa.schema([pa.field("file", pa.string()), *BROKEN])


class NoSoundRowError(DataError):
    """No row of the exports is sound; `rejects` (schema REJECTS) has them all."""

    rejects: pa.Table


@dataclass(frozen=True)
class PostsRead:
    """Posts read from exports.

    `rejects` has file, row, reason, value for each row left out; `read` counts those and the posts
    `kept`; `reasons` counts rejects and `notes` assumptions, most frequent first; `warnings` say
    what an export never holds and how to go on, and which file is cut short or damaged; `choices`
    say which columns were taken where others would have done.
    """

    where: pa.Table | Path
    rejects: pa.Table
    kept: int
    read: int
    reasons: tuple[Count, ...]
    notes: tuple[Count, ...]
    warnings: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()

    @cached_property
    def posts(self) -> pa.Table:
        """The posts (schema POSTS), read from the file that they were written to, if any."""
        return load_posts(self.where) if isinstance(self.where, Path) else self.where

    @property
    def rejected_share(self) -> float:
        """Share of the rows read that were left out."""
        return len(self.rejects) / self.read


def read_posts(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    format: str | None = None,
    columns: Mapping[str, str] | None = None,
    platform: str | None = None,
    downloaded_at: datetime | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
) -> PostsRead:
    """Read exports, files or folders of any of FORMATS, into one table of posts.

    `columns` maps our column names to the export's ({"likes": "like_count"}) where the usual
    aliases fail; `platform` overrules the export; `downloaded_at` fills what it lacks. With
    `out`, posts go to that file, which appears whole or not at all. Raises UserInputError when
    there is no such file, DataError when a column is missing, NoSoundRowError when no row is sound.
    """
    files = _files(paths)
    downloaded_at = as_download_time(downloaded_at)
    is_map = columns is None or isinstance(columns, Mapping)
    require(is_map, "columns", columns, "a mapping, such as {'likes': 'like_count'}")
    for name, text in (("format", format), ("platform", platform)):
        require(text is None or isinstance(text, str), name, text, "text")
    if platform is not None:
        platform = platform.strip().lower()
        if not platform:
            raise UserInputError("the platform is empty", remedy="name it, as instagram, or none")
    if out is not None:
        check_not_input(out, *files)
    typed, broken, notes = [], [], Counter[str]()
    # The file of every row, by number: of a folder each file has its own.
    places: list[str] = []
    warnings: list[str] = []
    # What was chosen, and the first file that it was chosen in.
    choices: dict[str, Path] = {}
    for file, source in (opened for path in files for opened in _opened(path, format)):
        with _as_data_error(file):
            found, raw, chosen = _read_one(file, source, columns, platform, downloaded_at)
        numbers = pa.repeat(pa.scalar(len(places)), found.typed.num_rows)
        rows, lost = found.typed["row"], found.broken
        lost_in = pa.repeat(pa.scalar(str(file)), lost.num_rows)
        if source.parts is not None:
            numbers = pc.add(rows.combine_chunks(), len(places) - 1)
            rows = pa.repeat(pa.scalar(1), len(rows))
            lost_in = pa.array(source.parts).take(pc.subtract(lost["row"].combine_chunks(), 1))
            lost = lost.set_column(0, BROKEN.field("row"), pa.repeat(pa.scalar(1), len(lost)))
        places += source.parts if source.parts is not None else [str(file)]
        typed.append(found.typed.set_column(0, "row", rows).append_column("file", numbers))
        broken.append(lost.add_column(0, REJECTS.field("file"), lost_in).cast(REJECTS))
        notes.update({note.what: note.n for note in found.notes})
        notes.update(dict(raw.notes))
        if chosen:
            choices.setdefault(chosen, file)
        if raw.damage:
            warnings.append(f"{file}: {raw.damage}; what came after it is lost: copy it again")
        if source.warning and not any(source.warning in warning for warning in warnings):
            warnings.append(f"{file}: {source.warning}")
    unique, twice = _first_of_each(pa.concat_tables(typed), places)
    rejects = _in_order(pa.concat_tables([*broken, twice]), places)
    n_read = unique.num_rows + rejects.num_rows
    if n_read == 0:
        raise DataError("there are no posts in it", where=str(files[0]))
    reasons = _most_frequent(rejects["reason"])
    if unique.num_rows == 0:
        first = rejects.slice(0, 1).to_pylist()[0]
        error = NoSoundRowError(
            f"none of {many(n_read, 'row')} is sound; {reasons[0].n:,}: {reasons[0].what}; first: "
            f"row {first['row']}, {first['reason']} ({first['value'] or 'empty'})",
            where=first["file"],
        )
        error.rejects = rejects
        raise error
    assumed = sorted(notes.items(), key=lambda note: -note[1])
    return PostsRead(
        where=with_facts(unique) if out is None else _write(unique, Path(out)),
        rejects=rejects,
        kept=unique.num_rows,
        read=n_read,
        reasons=reasons,
        notes=tuple(Count(what, n) for what, n in assumed),
        warnings=tuple(warnings),
        choices=tuple(f"{file}: {chosen}" for chosen, file in choices.items()),
    )


def _files(paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> list[Path]:
    given = [paths] if isinstance(paths, (str, os.PathLike)) else paths
    are_paths = isinstance(given, Iterable) and not isinstance(given, (bytes, Mapping))
    files = list(given) if are_paths else []
    are_paths = are_paths and all(isinstance(file, (str, os.PathLike)) for file in files)
    require(are_paths, "paths", paths, "the path of an export, or paths of several")
    if not files:
        raise UserInputError("no file of posts given")
    # As a path it would mean the current folder; a shell's variable may be empty.
    if any(os.fspath(file) == "" for file in files):
        raise UserInputError(
            "the name of a file is empty", remedy="name a file or folder; . is the current folder"
        )
    return [Path(file) for file in files]


def _opened(path: Path, format: str | None) -> list[tuple[Path, Source]]:
    with _as_data_error(path):
        return open_sources(path, format)


@contextmanager
def _as_data_error(file: Path) -> Iterator[None]:
    """What no reader foresaw (damaged pages, bytes that are no text) becomes one line."""
    try:
        yield
    except (pa.ArrowException, duckdb.Error, OSError) as error:
        raise DataError(
            f"cannot be read ({str(error).splitlines()[0]})",
            where=str(file),
            remedy="export it again",
        ) from error


def _read_one(
    file: Path,
    source: Source,
    columns: Mapping[str, str] | None,
    platform: str | None,
    downloaded_at: datetime | None,
) -> tuple[Cleaned, Raw, str]:
    """One source's rows, typed and as read, and what was chosen among its columns."""
    spared = {"likes"} if source.no_likes else set[str]()
    told = {"uploaded_at"} if platform == INSTAGRAM else set[str]()
    by_name = any(map(looks_like_shortcodes, source.names)) and platform is None
    names = match_columns(
        *(source.names, columns),
        where=str(file),
        spared=spared | told,
        doubtful={"uploaded_at"},
        hint=_BY_CODE if by_name else "",
    )
    raw = source.read(list(dict.fromkeys(names.values())))
    if "uploaded_at" not in names:
        said = raw.columns[names["platform"]].cast(pa.string()) if "platform" in names else None
        # Only Instagram's codes tell when a post was made.
        if not on_instagram(said, platform).any():
            fits = by_name or tells_times(raw.columns[names["post_id"]])
            match_columns(
                *(source.names, columns),
                where=str(file),
                spared=spared,
                hint=_BY_CODE if fits else "",
            )
    cleaned = clean(raw, names, platform=platform, downloaded_at=downloaded_at)
    return cleaned, raw, chosen_among(source.names, names, columns)


def _first_of_each(typed: pa.Table, files: Sequence[str]) -> tuple[pa.Table, pa.Table]:
    """Keep the first row of each (platform, post_id); the later ones are rejects."""
    with database() as connection:
        places = pa.array(np.arange(typed.num_rows))
        connection.register(
            "typed", typed.select(["platform", "post_id"]).append_column("i", places)
        )
        distinct = connection.sql("SELECT count(DISTINCT hash(platform, post_id)) FROM typed")
        if distinct.fetchall() == [(typed.num_rows,)]:
            return typed, REJECTS.empty_table()
        later = connection.sql(
            "SELECT unnest(list_sort(list(i))[2:]) AS i FROM typed "
            "GROUP BY platform, post_id HAVING count(*) > 1 ORDER BY i"
        ).to_arrow_table()["i"]
    if not len(later):
        return typed, REJECTS.empty_table()
    twice = typed.take(later)
    reason = pa.repeat(pa.scalar("post_id appears before"), len(later))
    names = pa.array(files).take(twice["file"].combine_chunks())
    mask = np.ones(typed.num_rows, dtype=bool)
    mask[later.to_numpy()] = False
    rejects = pa.table([names, twice["row"], reason, twice["post_id"]], schema=REJECTS)
    return typed.filter(pa.array(mask)), rejects


def _in_order(rejects: pa.Table, files: Sequence[str]) -> pa.Table:
    """Rejects by file, in the order given, and row."""
    place = pc.index_in(rejects["file"], pa.array(files, pa.string()))
    keys = pa.table({"place": place, "row": rejects["row"]})
    return rejects.take(
        pc.sort_indices(keys, sort_keys=[("place", "ascending"), ("row", "ascending")])
    )


def _most_frequent(reasons: pa.ChunkedArray) -> tuple[Count, ...]:
    counted = [Count(c["values"], c["counts"]) for c in pc.value_counts(reasons).to_pylist()]
    return tuple(sorted(counted, key=lambda count: (-count.n, count.what)))


def write_posts(posts: pa.Table, path: str | os.PathLike[str]) -> None:
    """Write a posts table as Parquet; the file appears whole or not at all."""
    with whole_file(path) as aside:
        pq.write_table(posts.cast(POSTS), aside, **PARQUET)


def _write(typed: pa.Table, path: Path) -> Path:
    """Write typed posts with their facts, in order, while more are worked out."""
    with whole_file(path) as aside, pq.ParquetWriter(aside, POSTS, **PARQUET) as file:
        for part in in_parts(typed):
            file.write_table(part)
    return path


def load_posts(path: str | os.PathLike[str], columns: Sequence[str] | None = None) -> pa.Table:
    """Read a posts.parquet (some of its columns, if asked) that `write_posts` wrote.

    Raises UserInputError when there is no such file, DataError when it is not a posts table.
    """
    file = check_posts_file(path)
    names = list(columns) if columns else POSTS.names
    try:
        table = pq.read_table(file, columns=names)
    except (pa.ArrowException, OSError) as error:
        raise damaged(file, error) from error
    return as_posts(table.select(names), str(file))


def check_posts_file(path: str | os.PathLike[str]) -> Path:
    """The path of a posts.parquet, if it is one; raises as `load_posts`. Its rows are not read."""
    file = Path(path)
    check_input(file, "a posts.parquet")
    check_text_name(file)
    try:
        names = pq.read_schema(file).names
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(
            "this is not a posts.parquet", where=str(file), remedy=_remake(file)
        ) from error
    missing = [name for name in POSTS.names if name not in names]
    if missing:
        raise DataError(
            f"this is not a posts.parquet: it has no {', '.join(missing[:4])}",
            where=str(file),
            remedy=_remake(file),
        )
    return file


def as_posts(table: pa.Table, where: str) -> pa.Table:
    """Some columns of posts in the types of POSTS, whatever another tool made of them.

    Raises DataError naming the first that holds something else.
    """
    columns = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        wanted = POSTS.field(name).type
        try:
            columns.append(column if column.type == wanted else column.cast(wanted))
        except pa.ArrowException as error:
            raise DataError(
                f"column {name} holds {column.type}, not {wanted}",
                where=where,
                remedy="make it anew: i2pa posts",
            ) from error
    return pa.table(columns, names=table.column_names)


def damaged(file: Path, error: Exception) -> DataError:
    """What to say of a posts.parquet that cannot be read to its end."""
    return DataError(f"damaged ({error})", where=str(file), remedy=_remake(file))


def _remake(file: Path) -> str:
    if file.suffix == ".parquet":
        return "make it anew from the export: i2pa posts EXPORT -o posts.parquet"
    return f"make one first: i2pa posts {file} -o posts.parquet"
