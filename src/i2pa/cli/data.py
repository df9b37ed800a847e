"""The command that reads posts, and what the commands that make data share.

DuckDB and pyarrow are imported inside the commands: whoever only ranks pictures has neither.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from i2pa.cli import output
from i2pa.cli.app import app
from i2pa.cli.options import JsonFlag
from i2pa.errors import DataError, MissingExtraError, UserInputError
from i2pa.files import check_not_input, check_parquet_name, check_text_name, whole_file

if TYPE_CHECKING:
    import pyarrow as pa

LOUD_SHARE = 0.01
"""Share of rejected rows above which `posts` warns."""

OutFile = Annotated[Path, typer.Option("-o", "--output", help="File to write (Parquet).")]
Seed = Annotated[int, typer.Option(help="Same seed, same result.")]
DownloadedAt = Annotated[
    str | None,
    typer.Option(help="When the counts were read (ISO date or time, UTC), where unknown."),
]


@app.command()
def posts(
    inputs: Annotated[
        # As text, since no path is empty.
        list[str],
        typer.Argument(metavar="IN...", help="Exports of posts: files or folders."),
    ],
    out: OutFile,
    file_format: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="csv, tsv, jsonl, parquet, instaloader, instagram-export, graph-api, reddit, smp "
            "or hessel; told if not given.",
        ),
    ] = None,
    column_map: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="OURS=THEIRS",
            help="A column's name, as likes=like_count, or a file of such, as columns.yaml.",
        ),
    ] = None,
    platform: Annotated[str | None, typer.Option(help="Where the posts appeared.")] = None,
    downloaded_at: DownloadedAt = None,
    as_json: JsonFlag = False,
) -> None:
    """Read exports of posts (tables, Instaloader, Instagram, Reddit, Flickr) into one table.

    Broken rows go to OUTPUT.rejects.csv with their file, row number and reason.

    Example: i2pa posts export.csv --map likes=like_count -o posts.parquet
    """
    need_data("i2pa posts")
    from i2pa.posts import read_posts
    from i2pa.posts.table import NoSoundRowError

    maps = [item for item in column_map or [] if _is_map_file(item)]
    check_output(out, *inputs, *maps)
    rejects = out.with_name(out.name + ".rejects.csv")
    check_output(rejects, *inputs, *maps)
    check_parquet_name(out)
    try:
        read = read_posts(
            inputs,
            file_format,
            _parse_map(column_map or []),
            platform,
            parse_time(downloaded_at),
            out=out,
        )
    except NoSoundRowError as error:
        _write_rejects(error.rejects, rejects)
        raise DataError(error.what, where=error.where, remedy=f"see {rejects}") from error
    _write_rejects(read.rejects, rejects)
    if read.rejected_share > LOUD_SHARE:
        worst = read.reasons[0]
        output.warn(
            f"WARNING: {read.rejected_share:.1%} of the rows were left out, most often: "
            f"{worst.what} ({worst.n:,}); see {rejects}"
        )
    for warning in read.warnings:
        output.warn(f"WARNING: {warning}")
    for choice in read.choices:
        output.note(choice)
    if as_json:
        counts = {"read": read.read, "kept": read.kept, "rejected": len(read.rejects)}
        output.print_json(
            "posts",
            output=str(out),
            **counts,
            reasons=[asdict(reason) for reason in read.reasons],
            notes=[asdict(note) for note in read.notes],
            warnings=list(read.warnings),
            choices=list(read.choices),
            rejects=str(rejects) if read.rejects.num_rows else None,
        )
        return
    rows = [("rows read", read.read), ("posts kept", read.kept)]
    rows += [(f"left out: {reason.what}", reason.n) for reason in read.reasons]
    rows += [(f"note: {note.what}", note.n) for note in read.notes]
    output.print_columns(str(out), ("", "rows"), [(name, f"{n:,}") for name, n in rows])


def need_data(job: str) -> None:
    """Raise MissingExtraError where the packages of the extra `data` are not installed."""
    if not all(importlib.util.find_spec(package) for package in ("duckdb", "pyarrow")):
        raise MissingExtraError(job, "data")


def check_output(out: Path, *inputs: str | Path, option: str = "-o") -> None:
    """Refuse an impossible output of an option before the work, not after it."""
    if str(out) == "-":
        what = f"{option} -: stdout is no place for it"
        raise UserInputError(what, remedy="name a file to write")
    if out.is_dir():
        raise UserInputError("is a folder", where=str(out), remedy="name a file to write")
    check_text_name(out)
    check_not_input(out, *inputs)


def _is_map_file(item: str) -> bool:
    return "=" not in item and Path(item).suffix.lower() in (".yaml", ".yml")


def _parse_map(items: Sequence[str]) -> dict[str, str]:
    from i2pa.posts import load_column_map

    parsed: dict[str, str] = {}
    for item in items:
        pair = dict([item.partition("=")[::2]])
        parsed |= load_column_map(item) if _is_map_file(item) else pair
    for ours, theirs in parsed.items():
        if not theirs:
            raise UserInputError(f"--map {ours} lacks '='", remedy="write --map likes=like_count")
    return parsed


def parse_time(text: str | None) -> datetime | None:
    """A date or time of the command line. Raises UserInputError for anything else."""
    try:
        return None if text is None else datetime.fromisoformat(text)
    except ValueError as error:
        raise UserInputError(
            f"{text!r} is no date or time", remedy="write it as 2019-06-28 or 2019-06-28T12:00:00Z"
        ) from error


def _write_rejects(rejects: pa.Table, path: Path) -> None:
    """Rejects as CSV beside the output, whole or not at all; an older run's file must not stay."""
    if not rejects.num_rows:
        path.unlink(missing_ok=True)
        return
    from pyarrow import csv

    with whole_file(path) as aside:
        csv.write_csv(rejects, aside)
