"""How scores, rankings and comparisons are shown: tables, JSON, CSV and Parquet."""

from __future__ import annotations

import csv
import dataclasses
import importlib.util
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from i2pa.cli import output
from i2pa.errors import DataError, MissingExtraError, UserInputError, needs_extra
from i2pa.files import whole_file
from i2pa.scoring import Comparison, RankedPicture, Ranking, ScoredPicture, Scores
from i2pa.scoring.names import readable
from i2pa.words import many

FILES = ("json", "csv", "parquet")

_SCORE_COLUMNS = ("path", "score", "percentile", "level")
_RANK_COLUMNS = (
    "path",
    "rank",
    "score",
    "percentile",
    "level",
    "group",
    "group_rank",
    "tied_from",
    "tied_to",
    "taken",
    "twins",
)


def form_of(as_json: bool, as_csv: bool, out: Path | None) -> str:
    """`table`, `json`, `csv` or `parquet`, checked before any work is done.

    Raises UserInputError where options contradict each other or the suffix tells no format, and
    MissingExtraError where Parquet cannot be written.
    """
    if as_json and as_csv:
        raise UserInputError("--json and --csv exclude each other")
    if out is None:
        return "json" if as_json else "csv" if as_csv else "table"
    form = out.suffix.lower().removeprefix(".")
    if form not in FILES:
        raise UserInputError(
            "the suffix decides the format",
            where=str(out),
            remedy="name it .json, .csv or .parquet",
        )
    if (as_json and form != "json") or (as_csv and form != "csv"):
        raise UserInputError(f"--output {out} and --{'json' if as_json else 'csv'} disagree")
    if form == "parquet" and importlib.util.find_spec("pyarrow") is None:
        raise MissingExtraError("writing Parquet", "data")
    return form


def show(result: Scores | Ranking, form: str, out: Path | None) -> None:
    """Print a result, or write it to `out`."""
    if form == "table":
        _print_pictures(result)
        return
    if out is None:
        # A file or program gets names as they are.
        print(_text(result, form, for_people=sys.stdout.isatty()), end="")
        return
    with whole_file(out) as aside:
        if form == "parquet":
            _write_parquet(result, aside)
        else:
            aside.write_text(_text(result, form), encoding="utf-8", errors="surrogateescape")
    output.warn(f"wrote {out}: {many(len(result.items), 'picture')}")


def report_failures(result: Scores | Ranking, given: int) -> None:
    """List what could not be scored, or not by its first file. Raises DataError if nothing was."""
    output.warn_of_stand_ins(result.stand_ins)
    output.warn_of(result.failures)
    if not result.failures:
        return
    if len(result.failures) == given:
        none = "the one picture given" if given == 1 else f"none of {given:,} pictures"
        raise DataError(f"{none} could{' not' if given == 1 else ''} be scored")
    output.warn(f"{len(result.failures):,} of {given:,} pictures could not be scored")


def show_comparison(result: Comparison, as_json: bool) -> None:
    """Two pictures with one line, more with a matrix and their ranking; then those left out."""
    if as_json:
        print(output.as_json("i2pa.compare/1", result))
    else:
        _print_comparison(result)
    output.warn_of(result.failures)
    if result.failures:
        given = len(result.items) + len(result.failures)
        output.warn(f"{len(result.failures):,} of {given:,} pictures could not be compared")


def _print_comparison(result: Comparison) -> None:
    title = _title(result)
    if len(result.items) == 2:
        _print_scores(title, result.items)
        print(
            f"\nP({readable(result.first.path)} beats {readable(result.second.path)}) = "
            f"{result.probability:.2f}: {readable(_verdict(result))}"
        )
        return
    _print_ranking(title, sorted(result.items, key=lambda item: item.rank))
    letters = [_letter(place) for place in range(len(result.items))]
    ties = {
        pair
        for duel in result.verdicts
        if duel.verdict == "too close to call"
        for pair in ((duel.first, duel.second), (duel.second, duel.first))
    }
    rows = [
        (
            letters[i],
            *(
                "" if i == j else f"{'~' if (i, j) in ties else ''}{chance:.2f}"
                for j, chance in enumerate(result.matrix[i])
            ),
            item.path,
        )
        for i, item in enumerate(result.items)
    ]
    print()
    output.print_table(
        "P(row beats column); ~ marks what is too close to call",
        ("", *letters, "picture"),
        rows,
        numbers=letters,
    )


def _letter(place: int) -> str:
    return chr(ord("A") + place) if place < 26 else f"#{place + 1}"


def _verdict(result: Comparison) -> str:
    winners = {"first": result.first.path, "second": result.second.path}
    winner = winners.get(result.verdict)
    return f"{winner} is ahead" if winner else result.verdict


def _title(result: Scores | Ranking | Comparison) -> str:
    return f"{result.model.tag} · percentiles refer to: {result.reference}"


def _print_pictures(result: Scores | Ranking) -> None:
    if not result.items:
        return
    if isinstance(result, Scores):
        _print_scores(_title(result), result.items)
    else:
        _print_ranking(_title(result), result.items)


def _print_scores(title: str, items: Sequence[ScoredPicture]) -> None:
    columns = ("percentile", "level", "score", "picture")
    rows = [
        (f"{item.percentile:.1f}", item.level, f"{item.score:+.2f}", item.path) for item in items
    ]
    output.print_table(title, columns, rows, numbers=("percentile", "score"))


def _print_ranking(title: str, items: Sequence[RankedPicture]) -> None:
    grouped = any(item.group for item in items)
    rows = [
        (
            str(item.rank),
            _ties(item),
            *((_group(item),) if grouped else ()),
            f"{item.percentile:.1f}",
            item.level,
            f"{item.score:+.2f}",
            item.path,
        )
        for item in items
    ]
    group = ("group",) if grouped else ()
    columns = ("rank", "ties with", *group, "percentile", "level", "score", "picture")
    output.print_table(title, columns, rows, numbers=("rank", "ties with", "percentile", "score"))


def _ties(item: RankedPicture) -> str:
    first, last = item.tied_with or (item.rank, item.rank)
    # Equal scores share a rank already, which says as much.
    return f"{first}-{last}" if first < last else ""


def _group(item: RankedPicture) -> str:
    if item.group is None:
        return ""
    return f"{item.group} best" if item.group_rank == 1 else str(item.group)


def _text(result: Scores | Ranking, form: str, for_people: bool = False) -> str:
    if form == "json":
        kind = "score" if isinstance(result, Scores) else "rank"
        return output.as_json(f"i2pa.{kind}/1", result) + "\n"
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_RANK_COLUMNS if isinstance(result, Ranking) else _SCORE_COLUMNS)
    for item in result.items:
        row = _flat(item).values()
        writer.writerow(map(_harmless, row) if for_people else row)
    return text.getvalue()


def _harmless(value: object) -> object:
    return readable(value) if isinstance(value, str) else value


def _flat(item: ScoredPicture) -> dict[str, object]:
    """One row of a table, in the order of its columns."""
    fields = dict(vars(item))
    if not isinstance(item, RankedPicture):
        return {name: fields[name] for name in _SCORE_COLUMNS}
    fields["tied_from"], fields["tied_to"] = item.tied_with or (None, None)
    fields["taken"] = item.taken.isoformat() if item.taken else None
    # One cell holds any number of names, whatever signs are in them.
    fields["twins"] = json.dumps(item.twins) if item.twins else None
    return {name: fields[name] for name in _RANK_COLUMNS}


def _write_parquet(result: Scores | Ranking, path: Path) -> None:
    with needs_extra("writing Parquet", "data"):
        import pyarrow as pa
        import pyarrow.parquet as pq
    types = {
        "path": pa.string(),
        "rank": pa.int32(),
        "score": pa.float64(),
        "percentile": pa.float64(),
        "level": pa.string(),
        "group": pa.int32(),
        "group_rank": pa.int32(),
        "tied_from": pa.int32(),
        "tied_to": pa.int32(),
        "taken": pa.timestamp("us"),
        "twins": pa.list_(pa.string()),
    }
    names = _RANK_COLUMNS if isinstance(result, Ranking) else _SCORE_COLUMNS
    rows = []
    for item in result.items:
        row = _flat(item) | {"path": _as_text(item.path)}
        if isinstance(item, RankedPicture):
            row |= {"taken": item.taken, "twins": [_as_text(twin) for twin in item.twins]}
        rows.append(row)
    about = {
        "i2pa.model": json.dumps(dataclasses.asdict(result.model)),
        "i2pa.reference": result.reference,
    }
    schema = pa.schema([(name, types[name]) for name in names], metadata=about)
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)


def _as_text(name: str) -> str:
    r"""Parquet holds UTF-8: stray bytes in a file name are written as `\udcff`."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")
