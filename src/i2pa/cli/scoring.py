"""Commands that score pictures: rank, score, compare."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from i2pa.cli import delivery, output
from i2pa.cli.app import app
from i2pa.cli.results import form_of, report_failures, show, show_comparison
from i2pa.errors import UserInputError
from i2pa.files import check_not_input
from i2pa.images.find import found_among
from i2pa.images.lists import listed
from i2pa.models.catalogue import LITE2
from i2pa.models.checks import kept_checks, processor_name
from i2pa.models.engine import AUTO, PRECISIONS, precision_named
from i2pa.models.metadata import Likeness
from i2pa.models.registry import DEFAULT, model_path
from i2pa.models.score_cache import ScoreCache
from i2pa.scoring import Scorer, load_model
from i2pa.scoring.bursts import MEASURED
from i2pa.scoring.ranking import RankOptions
from i2pa.scoring.scorer import MOST_MEGABYTES

Places = Annotated[
    list[Path],
    typer.Argument(
        help="Folders (searched in depth), picture files, globs, lists of paths (.txt), tables of "
        "paths (.csv, .tsv, .parquet), or - for a list on stdin."
    ),
]
ColumnOption = Annotated[
    str | None,
    typer.Option("--column", help="Column of paths in a table; default: image, path, file…"),
]
ModelOption = Annotated[
    str, typer.Option("--model", help="Name of a model, a .onnx file or a run folder.")
]
EngineOption = Annotated[
    str, typer.Option("--engine", help="auto, onnxruntime, openvino, torch or cuda.")
]
PrecisionOption = Annotated[
    str,
    typer.Option("--precision", help="float32, or bfloat16: faster, scores a little different."),
]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
CsvFlag = Annotated[bool, typer.Option("--csv", help="Print CSV.")]
OutFile = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Write to a .json, .csv or .parquet file instead."),
]
NoCache = Annotated[
    bool, typer.Option("--no-cache", help="Neither use nor keep scores of earlier runs.")
]
Verify = Annotated[
    bool, typer.Option("--verify", help="Read and hash files again even if they seem unchanged.")
]


DecodeMemory = Annotated[
    int | None,
    typer.Option(
        "--decode-memory",
        metavar="MB",
        min=1,
        max=MOST_MEGABYTES,
        help="Memory that decoding one picture may take (default: 400).",
    ),
]


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
    decode_memory: DecodeMemory = None,
    no_cache: NoCache = False,
    verify: Verify = False,
) -> None:
    """Rank pictures, best first. Example: i2pa rank ~/album --best 9"""
    for given, option in ((diverse, "--diverse"), (whole_groups, "--all")):
        if given and best is None:
            raise UserInputError(f"{option} needs --best", remedy="say how many, as --best 9")
    form = form_of(as_json, as_csv, out)
    wanted = delivery.Delivery(html, copy_to, xmp, stars, sidecar, overwrite_ratings, dry_run)
    named = _listed(places, column)
    delivery.check(wanted, named, places)
    pictures = found_among(named)
    files = [file for picture in pictures for file in picture.files]
    _check_outputs((out, html), places, files)
    scorer = _load(model, engine, precision, decode_memory)
    likeness = _likeness(scorer, alike, alike_burst)
    options = RankOptions(best, diverse, whole_groups, likeness)
    with _scoring(no_cache, verify) as cache, output.progress("scoring", "pictures") as progress:
        ranking, shown = scorer.rank_all(pictures, options, progress=progress, cache=cache)
    show(shown, form, out)
    report_failures(ranking, len(pictures))
    delivery.deliver(ranking, wanted, places=named, shown=shown, limits=scorer.limits)


@app.command()
def score(
    pictures: Annotated[
        list[Path],
        typer.Argument(
            help="Picture files, globs, lists (.txt) or tables of paths, or - for a list on stdin."
        ),
    ],
    column: ColumnOption = None,
    model: ModelOption = DEFAULT,
    engine: EngineOption = AUTO,
    precision: PrecisionOption = "float32",
    as_json: JsonFlag = False,
    as_csv: CsvFlag = False,
    out: OutFile = None,
    decode_memory: DecodeMemory = None,
    no_cache: NoCache = False,
    verify: Verify = False,
) -> None:
    """Score pictures in the order given. Example: i2pa score a.jpg b.png --csv"""
    form = form_of(as_json, as_csv, out)
    places, pictures = pictures, _files(pictures, column)
    _check_outputs((out,), places, pictures)
    scorer = _load(model, engine, precision, decode_memory)
    with _scoring(no_cache, verify) as cache, output.progress("scoring", "pictures") as progress:
        scores = scorer.score(pictures, progress=progress, cache=cache)
    show(scores, form, out)
    report_failures(scores, len(pictures))


@app.command()
def compare(
    pictures: Annotated[
        list[Path],
        typer.Argument(metavar="A B [C]...", help="Two pictures or more; globs and lists too."),
    ],
    column: ColumnOption = None,
    model: ModelOption = DEFAULT,
    engine: EngineOption = AUTO,
    precision: PrecisionOption = "float32",
    as_json: JsonFlag = False,
    decode_memory: DecodeMemory = None,
    no_cache: NoCache = False,
    verify: Verify = False,
) -> None:
    """How likely each picture gets more likes. Example: i2pa compare a.jpg b.jpg"""
    pictures = _files(pictures, column)
    scorer = _load(model, engine, precision, decode_memory)
    with _scoring(no_cache, verify) as cache:
        comparison = scorer.compare(*pictures, cache=cache)
    show_comparison(comparison, as_json)


def _listed(places: list[Path], column: str | None) -> list[Path]:
    """What the places name. Raises UserInputError for an address of the web."""
    for place in places:
        # A path has lost one of its slashes.
        if re.match(r"[a-z]{2,}:/", str(place), re.IGNORECASE) and not os.path.lexists(place):
            raise UserInputError(
                "addresses are not fetched",
                where=str(place).replace(":/", "://", 1),
                remedy="give files",
            )
    return listed(places, column=column)


def _check_outputs(
    outputs: Sequence[Path | None], places: Sequence[Path], pictures: Sequence[Path]
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
        output.warn(
            f"{scorer.model.tag} has no cosines of its own to group pictures by: "
            f"{known.same_picture:g}, and {known.same_moment:g} in a burst, were measured for "
            f"{LITE2.tag}; --alike and --alike-burst set others"
        )
    return None


def _load(model: str, engine: str, precision: str, decode_memory: int | None) -> Scorer:
    """The model, with a line of what a precision below float32 is known to cost."""
    scorer = load_model(model, engine=engine, precision=precision, decode_megabytes=decode_memory)
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
    output.warn(f"{name}: {cost}")
    return scorer


def _files(places: list[Path], column: str | None) -> list[Path]:
    """Picture files in the order given, repeats kept. Raises UserInputError for a folder."""
    for folder in (path for path in places if path.is_dir()):
        raise UserInputError("is a folder", where=str(folder), remedy=f"try: i2pa rank {folder}")
    return _listed(places, column)


@contextmanager
def _scoring(no_cache: bool, verify: bool) -> Iterator[ScoreCache | None]:
    """The cache, if it is to be used; a stop says that nothing is lost."""
    if no_cache and verify:
        raise UserInputError("--no-cache and --verify exclude each other")
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
