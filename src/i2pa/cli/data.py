"""The commands that make data: posts, pairs, split. They parse, call and print, nothing more.

DuckDB and pyarrow are imported inside the commands: whoever only ranks pictures has neither.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from i2pa.cli import output
from i2pa.cli.app import app
from i2pa.errors import MissingExtraError, UserInputError
from i2pa.files import whole_file

if TYPE_CHECKING:
    from i2pa.pairs import PairRules, PairsBuilt, PairsSplit
    from i2pa.pairs.match import Matching
    from i2pa.posts import PostsRead

LOUD_SHARE = 0.01
"""Share of rejected rows above which `posts` warns."""

# What --without NAME sets.
OFF: dict[str, dict[str, Any]] = {
    "confidence": {"confidence": None},
    "same-user": {"same_user": False},
    "age": {"min_age_days": None},
    "dates": {"dates_closer_than": None, "window_hours": None},
    "hashtags": {"same_hashtags": False},
    "mentions": {"same_mentions": False},
    "caption-words": {"max_caption_words": None},
    "single-image": {"single_images": False},
    "min-likes": {"min_likes": None},
    "one-image-one-pair": {"one_image_one_pair": False},
}

OutFile = Annotated[Path, typer.Option("-o", "--output", help="File to write (Parquet).")]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
DownloadedAt = Annotated[
    str | None,
    typer.Option(help="When the counts were read (ISO date or time, UTC), where unknown."),
]
Seed = Annotated[int, typer.Option(help="Same seed, same result.")]


@app.command()
def posts(
    inputs: Annotated[
        list[Path], typer.Argument(metavar="IN...", help="Exports of posts: files or folders.")
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
    _need_data("i2pa posts")
    from i2pa.posts import read_posts, write_posts

    _check_output(out)
    read = read_posts(
        cast("list[str | os.PathLike[str]]", inputs),
        file_format,
        _parse_map(column_map or []),
        platform,
        _parse_time(downloaded_at),
    )
    rejects = out.with_name(out.name + ".rejects.csv")
    _write_rejects(read, rejects)
    write_posts(read.posts, out)
    if read.rejected_share > LOUD_SHARE:
        worst = read.reasons[0]
        output.warn(
            f"WARNING: {read.rejected_share:.1%} of the rows were left out, most of them because "
            f"{worst.what} ({worst.n:,}); see {rejects}"
        )
    for warning in read.warnings:
        output.warn(f"WARNING: {warning}")
    if as_json:
        counts = {"read": read.read, "kept": len(read.posts), "rejected": len(read.rejects)}
        _print_json(
            "posts",
            output=str(out),
            **counts,
            reasons=[asdict(reason) for reason in read.reasons],
            notes=[asdict(note) for note in read.notes],
            warnings=list(read.warnings),
            rejects=str(rejects) if read.rejects.num_rows else None,
        )
        return
    rows = [("rows read", read.read), ("posts kept", read.posts.num_rows)]
    rows += [(f"left out: {reason.what}", reason.n) for reason in read.reasons]
    rows += [(f"note: {note.what}", note.n) for note in read.notes]
    _print_table(str(out), ("", "rows"), [(name, f"{n:,}") for name, n in rows])


@app.command()
def pairs(
    source: Annotated[
        Path, typer.Argument(metavar="POSTS", help="posts.parquet, or with --levels a CSV.")
    ],
    out: OutFile,
    rules: Annotated[str, typer.Option(help="paper or same-user-wide.")] = "paper",
    days: Annotated[
        int | None,
        typer.Option(
            help="Width of the time window: UTC calendar dates less than this apart (paper), or "
            "at most so many times 24 hours (same-user-wide)."
        ),
    ] = None,
    window_hours: Annotated[
        float | None, typer.Option(help="Count the window in hours instead of dates.")
    ] = None,
    sigma: Annotated[float | None, typer.Option(help="Spread of log likes of one image.")] = None,
    confidence: Annotated[float | None, typer.Option(help="T of Eq. 6, above .5.")] = None,
    min_age_days: Annotated[float | None, typer.Option(help="Age at download.")] = None,
    max_caption_words: Annotated[
        int | None, typer.Option(help="Words without hashtags and mentions.")
    ] = None,
    min_likes: Annotated[int | None, typer.Option(help="Of what --measure says.")] = None,
    measure: Annotated[str, typer.Option(help="likes, views or score.")] = "likes",
    without: Annotated[
        list[str] | None, typer.Option(metavar="RULE", help=f"Switch off: {', '.join(OFF)}.")
    ] = None,
    matching: Annotated[
        str, typer.Option(help="random, most-certain or closest-in-time.")
    ] = "random",
    seed: Seed = 0,
    candidates: Annotated[
        int, typer.Option(min=1, help="Later posts that each post looks at, at most.")
    ] = 64,
    downloaded_at: DownloadedAt = None,
    assume_settled: Annotated[
        bool,
        typer.Option("--assume-settled", help="Posts of unknown download time are old enough."),
    ] = False,
    memory_limit: Annotated[str, typer.Option(help="For DuckDB, which spills to disk.")] = "4GB",
    threads: Annotated[int | None, typer.Option(min=1, help="Default: every core.")] = None,
    levels: Annotated[
        bool, typer.Option("--levels", help="POSTS is a CSV with the columns image and level.")
    ] = False,
    name: Annotated[str, typer.Option(help="With --levels: what to call the set.")] = "levels",
    as_json: JsonFlag = False,
) -> None:
    """Pair posts that differ by picture alone, by the rules of the paper.

    Example: i2pa pairs posts.parquet -o pairs.parquet --matching closest-in-time
    """
    _need_data("i2pa pairs")
    from i2pa.pairs import build_pairs, pairs_from_levels, write_pairs
    from i2pa.posts import load_posts

    _check_output(out)
    if levels:
        graded = pairs_from_levels(source, name)
        write_pairs(graded, out)
        if as_json:
            _print_json("pairs", output=str(out), pairs=graded.num_rows, name=name)
        else:
            print(f"{out}: {graded.num_rows:,} pairs across levels")
        return
    numbers = {
        "sigma": sigma,
        "confidence": confidence,
        "min_age_days": min_age_days,
        "max_caption_words": max_caption_words,
        "min_likes": min_likes,
    }
    chosen = _choose_rules(rules, days, window_hours, numbers, measure, without or [])
    built = build_pairs(
        load_posts(source),
        chosen,
        seed=seed,
        matching=cast("Matching", matching),
        downloaded_at=_parse_time(downloaded_at),
        assume_settled=assume_settled,
        candidates=candidates,
        memory_limit=memory_limit,
        threads=threads,
    )
    write_pairs(built.pairs, out)
    _show_pairs(built, chosen, out, as_json)


@app.command()
def split(
    source: Annotated[Path, typer.Argument(metavar="PAIRS", help="pairs.parquet")],
    out: OutFile,
    fractions: Annotated[str, typer.Option(help="Of pairs, to train, val and test.")] = ".8,.1,.1",
    seed: Seed = 0,
    as_json: JsonFlag = False,
) -> None:
    """Share out pairs among train, val and test so that no user is in two of them.

    Example: i2pa split pairs.parquet -o split.parquet --fractions .7,.15,.15
    """
    _need_data("i2pa split")
    from i2pa.pairs import read_pairs, split_pairs, write_pairs

    _check_output(out)
    try:
        shares = [float(share) for share in fractions.split(",")]
    except ValueError as error:
        raise UserInputError(
            f"--fractions {fractions} is not three numbers", remedy="for example .8,.1,.1"
        ) from error
    done = split_pairs(read_pairs(source), "user", shares, seed)
    write_pairs(done.pairs, out)
    _show_split(done, out, as_json)


def _need_data(job: str) -> None:
    if not all(importlib.util.find_spec(package) for package in ("duckdb", "pyarrow")):
        raise MissingExtraError(job, "data")


def _check_output(out: Path) -> None:
    """Refuse an impossible output before the work, not after it."""
    if out.is_dir():
        raise UserInputError("is a folder", where=str(out), remedy="name a file to write")


def _parse_map(items: Sequence[str]) -> dict[str, str]:
    from i2pa.posts import load_column_map

    parsed: dict[str, str] = {}
    for item in items:
        is_file = "=" not in item and Path(item).suffix.lower() in (".yaml", ".yml")
        parsed |= load_column_map(item) if is_file else dict([item.partition("=")[::2]])
    for ours, theirs in parsed.items():
        if not theirs:
            raise UserInputError(f"--map {ours} lacks '='", remedy="write --map likes=like_count")
    return parsed


def _parse_time(text: str | None) -> datetime | None:
    try:
        return None if text is None else datetime.fromisoformat(text)
    except ValueError as error:
        raise UserInputError(
            f"{text!r} is no date or time", remedy="write it as 2019-06-28 or 2019-06-28T12:00:00Z"
        ) from error


def _choose_rules(
    named: str,
    days: int | None,
    window_hours: float | None,
    numbers: dict[str, float | None],
    measure: str,
    without: Sequence[str],
) -> PairRules:
    from i2pa.pairs import RULE_SETS, within_days

    if named not in RULE_SETS:
        raise UserInputError(
            f"unknown rules {named!r}", remedy=f"choose from {', '.join(RULE_SETS)}"
        )
    changes: dict[str, Any] = {k: v for k, v in numbers.items() if v is not None}
    rules = replace(RULE_SETS[named], measure=cast("Any", measure), **changes)
    if days is not None:
        rules = within_days(rules, days)
    if window_hours is not None:
        rules = replace(rules, dates_closer_than=None, window_hours=window_hours)
    for name in without:
        if name not in OFF:
            raise UserInputError(
                f"--without {name}: no such rule", remedy=f"choose from {', '.join(OFF)}"
            )
        rules = replace(rules, **OFF[name])
    return rules


def _show_pairs(built: PairsBuilt, rules: PairRules, out: Path, as_json: bool) -> None:
    from i2pa.pairs.schema import metadata
    from i2pa.pairs.summary import table_1

    facts = metadata(built.pairs)
    lines = table_1(built.summary, rules.measure)
    if as_json:
        _print_json(
            "pairs",
            output=str(out),
            pairs=built.pairs.num_rows,
            rules=asdict(rules),
            **{key: facts[key] for key in ("rules_sha256", "matching", "posts_hash")},
            seed=int(facts["seed"]),
            funnel=[asdict(step) | {"after": step.after} for step in built.funnel],
            windows_cut=built.windows_cut,
            table_1=[{"attribute": a, "value": v, "paper": p} for a, v, p in lines],
        )
        return
    _print_table(
        f"{out}: what each rule leaves",
        ("rule", "of", "in", "removed", "left"),
        [
            (step.rule, step.unit, f"{step.before:,}", f"{step.removed:,}", f"{step.after:,}")
            for step in built.funnel
        ],
    )
    if built.windows_cut:
        print(
            f"{built.windows_cut:,} posts had more than {facts['candidates']} later posts in their "
            "window and looked at a seeded choice of them (--candidates)"
        )
    _print_table(
        "Table 1",
        ("attribute", "here", "paper"),
        [(a, _number(v), _number(p)) for a, v, p in lines],
    )


def _number(value: float) -> str:
    return f"{value:,.4g}" if value < 1e4 else f"{value:,.0f}"


def _show_split(done: PairsSplit, out: Path, as_json: bool) -> None:
    if as_json:
        _print_json(
            "split",
            output=str(out),
            parts=[asdict(part) for part in done.parts],
            users_shared=done.users_shared,
            images_shared=done.images_shared,
        )
        return
    _print_table(
        str(out),
        ("part", "pairs", "users", "images"),
        [(p.name, f"{p.pairs:,}", f"{p.users:,}", f"{p.images:,}") for p in done.parts],
    )
    print(f"in more than one part: {done.users_shared:,} users, {done.images_shared:,} images")


def _write_rejects(read: PostsRead, path: Path) -> None:
    """Rejects as CSV beside the output, whole or not at all; an older run's file must not stay."""
    if not read.rejects.num_rows:
        path.unlink(missing_ok=True)
        return
    from pyarrow import csv

    with whole_file(path) as aside:
        csv.write_csv(read.rejects, aside)


def _print_json(kind: str, **fields: object) -> None:
    print(output.as_json(f"i2pa.{kind}/1", fields))


def _print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    output.print_table(title, columns, rows, numbers=columns[1:])
