"""Commands that score pictures: rank, score, compare."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from i2pa.cli import delivery, output
from i2pa.cli.app import app
from i2pa.cli.failures import MaxFailures, MostFailures, Tally
from i2pa.cli.options import (
    CarryOption,
    ColumnOption,
    CsvFlag,
    DecodeMemory,
    EngineOption,
    JsonFlag,
    JsonlFlag,
    ModelOption,
    NoCache,
    OutFile,
    Places,
    PrecisionOption,
    QuietFlag,
    RowsFile,
    ThreadsOption,
    Verify,
)
from i2pa.cli.results import as_given, form_of, show, show_comparison
from i2pa.cli.writers import Heading, check_carried, writer
from i2pa.errors import UserInputError
from i2pa.files import check_not_input
from i2pa.images.failure import Failure
from i2pa.images.find import found_among
from i2pa.images.limits import LIMITS, Limits
from i2pa.images.lists import STDIN
from i2pa.images.rows import Rows
from i2pa.models.catalogue import LITE2
from i2pa.models.checks import kept_checks, processor_name
from i2pa.models.engine import AUTO, PRECISIONS, precision_named
from i2pa.models.metadata import Likeness
from i2pa.models.registry import DEFAULT, model_path
from i2pa.models.score_cache import ScoreCache
from i2pa.scoring import Scorer, load_model
from i2pa.scoring.bursts import MEASURED
from i2pa.scoring.ranking import RankOptions
from i2pa.scoring.rows import failure_of, score_rows
from i2pa.words import many

ROW_FILES = ("csv", "jsonl", "parquet", "json")
STREAMED = ("csv", "jsonl")

_WHERE_LISTS_START = (
    "paths in a list or table start from its folder; to start those of a list from here, give it "
    "as: - < LIST"
)


@app.command()
def rank(
    places: Places,
    best: Annotated[
        int | None,
        typer.Option(min=1, help="Show only the best N, one of each group; all are scored."),
    ] = None,
    whole_groups: Annotated[
        bool, typer.Option("--all", help="Let --best show several pictures of one group.")
    ] = False,
    diverse: Annotated[
        bool, typer.Option("--diverse", help="Let --best choose pictures unlike each other.")
    ] = False,
    alike: Annotated[
        float | None,
        typer.Option(help="Cosine from which two pictures are one group (default: the model's)."),
    ] = None,
    alike_burst: Annotated[
        float | None, typer.Option(help="The same of two taken within ten seconds.")
    ] = None,
    column: ColumnOption = None,
    model: ModelOption = DEFAULT,
    engine: EngineOption = AUTO,
    precision: PrecisionOption = "float32",
    as_json: JsonFlag = False,
    as_csv: CsvFlag = False,
    out: OutFile = None,
    html: delivery.HtmlOption = None,
    copy_to: delivery.CopyToOption = None,
    xmp: delivery.XmpFlag = False,
    stars: delivery.StarsOption = None,
    sidecar: delivery.SidecarOption = None,
    overwrite_ratings: delivery.OverwriteFlag = False,
    dry_run: delivery.DryRunFlag = False,
    threads: ThreadsOption = None,
    decode_memory: DecodeMemory = None,
    no_cache: NoCache = False,
    verify: Verify = False,
    max_failures: MaxFailures = None,
    quiet: QuietFlag = False,
) -> None:
    """Rank pictures, best first. Example: i2pa rank ~/album --best 9"""
    output.set_quiet(quiet)
    for given, option in ((diverse, "--diverse"), (whole_groups, "--all")):
        if given and best is None:
            raise UserInputError(f"{option} needs --best", remedy="say how many, as --best 9")
    form = form_of({"json": as_json, "csv": as_csv}, out)
    most = MostFailures.of(max_failures)
    wanted = delivery.Delivery(html, copy_to, xmp, stars, sidecar, overwrite_ratings, dry_run)
    asked = _asked(_fetchable(places), column)
    delivery.check(wanted, asked.paths, places)
    pictures = found_among(asked.paths) if asked.paths else []
    files = [file for picture in pictures for file in picture.files]
    _check_outputs((out, html), places, files)
    scorer = _load(model, engine, precision, threads, decode_memory)
    likeness = _likeness(scorer, alike, alike_burst)
    options = RankOptions(best, diverse, whole_groups, likeness)
    with _scoring(no_cache, verify) as cache, output.progress("scoring", "pictures") as progress:
        ranking, chosen = scorer.rank_all(pictures, options, progress=progress, cache=cache)
    shown = as_given(chosen, asked.names, asked.pathless)
    show(shown, form, out)
    output.note_stand_ins(shown.stand_ins)
    tally = Tally()
    for result in (*ranking.items, *shown.failures):
        tally.add(result)
    tally.report()
    delivery.deliver(
        ranking, wanted, places=asked.paths, shown=chosen, limits=scorer.limits, threads=threads
    )
    tally.end(most)


@app.command()
def score(
    pictures: Annotated[
        list[str],
        typer.Argument(
            help="Picture files, globs, lists (.txt) or tables of paths, or - for a list on stdin."
        ),
    ],
    column: ColumnOption = None,
    carry: CarryOption = None,
    model: ModelOption = DEFAULT,
    engine: EngineOption = AUTO,
    precision: PrecisionOption = "float32",
    as_json: JsonFlag = False,
    as_csv: CsvFlag = False,
    as_jsonl: JsonlFlag = False,
    out: RowsFile = None,
    threads: ThreadsOption = None,
    decode_memory: DecodeMemory = None,
    no_cache: NoCache = False,
    verify: Verify = False,
    max_failures: MaxFailures = None,
    quiet: QuietFlag = False,
) -> None:
    """Score pictures, a row for each, in the order given.

    Example: i2pa score a.jpg b.png --csv

    Example: i2pa score posts.csv --column photo --carry id -o scores.parquet
    """
    output.set_quiet(quiet)
    form = form_of({"json": as_json, "csv": as_csv, "jsonl": as_jsonl}, out, ROW_FILES)
    carried = check_carried(carry)
    most = MostFailures.of(max_failures)
    rows = Rows(_files(pictures), column=column, carry=carried, each_by_itself=True)
    given = _count(rows, out, pictures)
    scorer = _load(model, engine, precision, threads, decode_memory)
    heading = Heading(scorer.model, scorer.metadata.reference.name, carried, rows.types)
    tally = Tally()
    # Rows that come to a terminal one by one are progress enough.
    hidden = out is None and form in STREAMED and sys.stdout.isatty()
    # The cache first: what is wrong with it is said before a line is printed.
    with (
        _scoring(no_cache, verify) as cache,
        writer(form, out, heading) as write,
        output.progress("scoring", "pictures", hidden=hidden) as progress,
    ):
        for row, result in score_rows(scorer, rows, cache=cache):
            write(row, result)
            tally.add(result)
            progress(tally.given, given)
    if out is not None:
        output.note(f"wrote {out}: {many(tally.given, 'row')}")
    listed = any(os.path.lexists(place) for place in pictures) or STDIN in pictures
    tally.report(none_there=_WHERE_LISTS_START if listed else "")
    tally.end(most)


@app.command()
def compare(
    pictures: Annotated[
        list[str],
        typer.Argument(metavar="A B [C]...", help="Two pictures or more; globs and lists too."),
    ],
    column: ColumnOption = None,
    model: ModelOption = DEFAULT,
    engine: EngineOption = AUTO,
    precision: PrecisionOption = "float32",
    as_json: JsonFlag = False,
    threads: ThreadsOption = None,
    decode_memory: DecodeMemory = None,
    no_cache: NoCache = False,
    verify: Verify = False,
    quiet: QuietFlag = False,
) -> None:
    """How likely each picture gets more likes. Example: i2pa compare a.jpg b.jpg"""
    output.set_quiet(quiet)
    asked = _asked(_files(pictures), column, each_by_itself=True)
    scorer = _load(model, engine, precision, threads, decode_memory)
    with _scoring(no_cache, verify) as cache:
        comparison = scorer.compare(*asked.paths, cache=cache)
    show_comparison(as_given(comparison, asked.names, asked.pathless), as_json)


@dataclass(frozen=True)
class _Asked:
    """The paths of all rows; how each was given first; and the failures of rows without one."""

    paths: list[Path]
    names: dict[str, str]
    pathless: list[Failure]


def _asked(places: list[str], column: str | None, *, each_by_itself: bool = False) -> _Asked:
    asked = _Asked([], {}, [])
    for row in Rows(places, column=column, each_by_itself=each_by_itself):
        if row.path is None:
            asked.pathless.append(failure_of(row))
        else:
            asked.paths.append(row.path)
            asked.names.setdefault(str(row.path), row.given or "")
    return asked


def _fetchable(places: list[str]) -> list[str]:
    """The same places. Raises UserInputError for an address of the web."""
    for place in places:
        if re.match(r"[a-z]{2,}://", place, re.IGNORECASE) and not os.path.lexists(place):
            raise UserInputError("addresses are not fetched", where=place, remedy="give files")
    return places


def _files(places: list[str]) -> list[str]:
    """The same places. Raises UserInputError for an address or a folder."""
    for folder in filter(os.path.isdir, places):
        raise UserInputError(
            "is a folder", where=folder, remedy=f"try: i2pa rank {shlex.quote(folder)}"
        )
    return _fetchable(places)


def _count(rows: Rows, out: Path | None, places: Sequence[str]) -> int:
    """How many rows there are; lists and tables are found sound, or not, before any work.

    Raises as `Rows` does, and UserInputError where one of them, or of the places, is the output.
    """
    _check_outputs((out,), places, ())
    written_over = out is not None and out.exists()
    number = 0
    for row in rows:
        number += 1
        if written_over and row.path is not None:
            _check_outputs((out,), (), (row.path,))
    return number


def _check_outputs(
    outputs: Sequence[Path | None], places: Sequence[str], pictures: Sequence[Path]
) -> None:
    for path in outputs:
        if path is not None:
            check_not_input(path, *places, *pictures)


def _likeness(scorer: Scorer, alike: float | None, alike_burst: float | None) -> Likeness | None:
    """What to group by, where it is not the model's own; with a line where nothing was measured."""
    known = scorer.likeness or MEASURED
    if alike is not None or alike_burst is not None:
        return Likeness(
            known.same_picture if alike is None else alike,
            # Of pictures that were taken at any time less is never asked.
            min(known.same_moment, alike or 1.0) if alike_burst is None else alike_burst,
        )
    if scorer.likeness is None:
        output.note(
            f"{scorer.model.tag} has no cosines of its own to group pictures by: "
            f"{known.same_picture:g}, and {known.same_moment:g} in a burst, were measured for "
            f"{LITE2.tag}; --alike and --alike-burst set others"
        )
    return None


def _load(
    model: str, engine: str, precision: str, threads: int | None, decode_memory: int | None
) -> Scorer:
    """The model, with a line of what a precision below float32 is known to cost."""
    limits = LIMITS if decode_memory is None else Limits(decode_bytes=decode_memory * 1_000_000)
    scorer = load_model(model, engine=engine, precision=precision, threads=threads, limits=limits)
    if precision_named(precision) == PRECISIONS[0]:
        return scorer
    name = scorer.model.engine
    known = [
        check
        for check in kept_checks(model_path(model), scorer.model.sha256)
        if (check.engine, check.processor) == (name, processor_name())
    ]
    if known:
        cost = f"turns round {known[0].flip_rate:.2%} of pairs here (i2pa models check)"
    else:
        cost = (
            "how many pairs it turns round was not checked here: "
            f"i2pa models check {model} --images FOLDER --engine {engine} --precision {precision}"
        )
    output.note(f"{name}: {cost}")
    return scorer


@contextmanager
def _scoring(no_cache: bool, verify: bool) -> Iterator[ScoreCache | None]:
    """The cache, if it is to be used; a stop says that nothing is lost."""
    if no_cache and verify:
        raise UserInputError(
            "--no-cache and --verify exclude each other", remedy="give one of them"
        )
    if no_cache:
        yield None
        return
    with ScoreCache(verify=verify, warn=output.warn) as cache:
        try:
            yield cache
        except KeyboardInterrupt as error:
            raise KeyboardInterrupt(
                "stopped; what has been scored is kept, and the same command goes on from there"
            ) from error
