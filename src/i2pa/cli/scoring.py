"""Commands that score pictures: rank, score, compare."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from i2pa.cli import output
from i2pa.cli.app import app
from i2pa.errors import DataError, UserInputError
from i2pa.files import whole_file
from i2pa.images.find import pictures_in
from i2pa.images.lists import listed
from i2pa.models.registry import DEFAULT
from i2pa.scoring import (
    Failure,
    RankedPicture,
    Ranking,
    ScoredPicture,
    Scores,
    load_model,
)

Places = Annotated[
    list[Path],
    typer.Argument(
        help="Folders (searched in depth), picture files, globs, tables of paths "
        "(.csv, .tsv, .parquet), or - for a list on stdin."
    ),
]
ColumnOption = Annotated[
    str | None,
    typer.Option("--column", help="Column of paths in a table; default: image, path, file…"),
]
ModelOption = Annotated[
    str, typer.Option("--model", help="Name of a model, a .onnx file or a run folder.")
]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
CsvFlag = Annotated[bool, typer.Option("--csv", help="Print CSV.")]
OutFile = Annotated[
    Path | None, typer.Option("--output", "-o", help="Write to a .json or .csv file instead.")
]


@app.command()
def rank(
    places: Places,
    best: Annotated[
        int | None, typer.Option(min=1, help="Show only the best N; all are scored.")
    ] = None,
    column: ColumnOption = None,
    model: ModelOption = DEFAULT,
    as_json: JsonFlag = False,
    as_csv: CsvFlag = False,
    out: OutFile = None,
) -> None:
    """Rank pictures, best first. Example: i2pa rank ~/album --best 9"""
    kind = _kind(as_json, as_csv, out)
    pictures = pictures_in(places, column=column)
    scorer = load_model(model)
    with output.progress("scoring", "pictures") as progress:
        ranking = scorer.rank(pictures, progress=progress)
    shown = Ranking(ranking.model, ranking.reference, ranking.items[:best], ranking.failures)
    _show("i2pa.rank/1", shown, kind, out)
    _report_failures(ranking, len(pictures))


@app.command()
def score(
    pictures: Annotated[
        list[Path],
        typer.Argument(help="Picture files, globs, tables of paths, or - for a list on stdin."),
    ],
    column: ColumnOption = None,
    model: ModelOption = DEFAULT,
    as_json: JsonFlag = False,
    as_csv: CsvFlag = False,
    out: OutFile = None,
) -> None:
    """Score pictures in the order given. Example: i2pa score a.jpg b.png --csv"""
    kind = _kind(as_json, as_csv, out)
    for folder in (path for path in pictures if path.is_dir()):
        raise UserInputError("is a folder", where=str(folder), remedy=f"try: i2pa rank {folder}")
    pictures = listed(pictures, column=column)
    if not pictures:
        raise DataError("no pictures found", remedy="the list or table given is empty")
    scorer = load_model(model)
    with output.progress("scoring", "pictures") as progress:
        scores = scorer.score(pictures, progress=progress)
    _show("i2pa.score/1", scores, kind, out)
    _report_failures(scores, len(pictures))


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="A picture.")],
    second: Annotated[Path, typer.Argument(help="Another picture.")],
    model: ModelOption = DEFAULT,
    as_json: JsonFlag = False,
) -> None:
    """How likely the first picture gets more likes. Example: i2pa compare a.jpg b.jpg"""
    pictures_in([first, second])
    result = load_model(model).compare(first, second)
    if as_json:
        print(output.as_json("i2pa.compare/1", result))
        return
    _print_table("", (result.first, result.second))
    print(
        f"\nP({result.first.path} beats {result.second.path}) = {result.probability:.2f}: "
        f"{_verdict_line(result.verdict, result.first.path, result.second.path)}"
    )


def _verdict_line(verdict: str, first: str, second: str) -> str:
    winners = {"first": first, "second": second}
    return f"{winners[verdict]} is ahead" if verdict in winners else verdict


def _kind(as_json: bool, as_csv: bool, out: Path | None) -> str:
    if as_json and as_csv:
        raise UserInputError("--json and --csv exclude each other")
    if out is None:
        return "json" if as_json else "csv" if as_csv else "table"
    kind = out.suffix.lower().removeprefix(".")
    if kind not in ("json", "csv"):
        raise UserInputError(
            "the suffix decides the format", where=str(out), remedy="name it .json or .csv"
        )
    if (as_json and kind == "csv") or (as_csv and kind == "json"):
        raise UserInputError(f"--output {out} and --{'json' if as_json else 'csv'} disagree")
    return kind


def _show(schema: str, result: Scores | Ranking, kind: str, out: Path | None) -> None:
    if kind == "table":
        if not result.items:
            return
        title = f"{result.model.tag} · percentiles refer to: {result.reference}"
        _print_table(title, result.items)
        return
    row = RankedPicture if isinstance(result, Ranking) else ScoredPicture
    text = (
        output.as_json(schema, result) + "\n"
        if kind == "json"
        else output.as_csv(result.items, row)
    )
    if out:
        with whole_file(out) as aside:
            aside.write_text(text, encoding="utf-8", errors="surrogateescape")
        output.warn(f"wrote {out}: {len(result.items):,} pictures")
    else:
        print(text, end="")


def _print_table(title: str, items: Sequence[ScoredPicture]) -> None:
    ranked = any(isinstance(item, RankedPicture) for item in items)
    columns = (*(("rank",) if ranked else ()), "percentile", "level", "score", "picture")
    rows = [
        (
            *((str(item.rank),) if isinstance(item, RankedPicture) else ()),
            f"{item.percentile:.1f}",
            item.level,
            f"{item.score:+.2f}",
            item.path,
        )
        for item in items
    ]
    output.print_table(title, columns, rows, numbers=("rank", "percentile", "score"))


def _report_failures(result: Scores | Ranking, given: int) -> None:
    for failure in result.failures:
        output.warn(_failure_line(failure))
    if not result.failures:
        return
    if len(result.failures) == given:
        raise DataError(f"none of {given:,} pictures could be scored")
    output.warn(f"{len(result.failures):,} of {given:,} pictures could not be scored")


def _failure_line(failure: Failure) -> str:
    remedy = f"; {failure.remedy}" if failure.remedy else ""
    return f"{failure.path}: {failure.reason}{remedy}"
