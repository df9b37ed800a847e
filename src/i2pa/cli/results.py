"""How rankings and comparisons are shown: tables, JSON, CSV and Parquet.

Scores, of which there may be any number, are `writers`' business.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from i2pa.cli import output
from i2pa.cli.writers import (
    SCORE_CELLS,
    csv_writer,
    harmless,
    parquet_metadata,
    score_cells,
    title_of,
    valid_text,
)
from i2pa.errors import UserInputError
from i2pa.files import whole_file
from i2pa.images.failure import Failure
from i2pa.images.tables import pyarrow_for
from i2pa.scoring import Comparison, RankedPicture, Ranking
from i2pa.scoring.names import readable
from i2pa.words import many

FILES = ("json", "csv", "parquet")

Listed = TypeVar("Listed", Ranking, Comparison)

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


def form_of(flags: Mapping[str, bool], out: Path | None, files: Sequence[str] = FILES) -> str:
    """`table`, or one of the forms that `flags` and the suffix of `out` tell, before any work.

    Raises UserInputError where options contradict each other, the suffix tells none of `files`, or
    Parquet cannot be written.
    """
    asked = [form for form, given in flags.items() if given]
    if len(asked) > 1:
        raise UserInputError(
            f"--{asked[0]} and --{asked[1]} exclude each other", remedy="give one of them"
        )
    if out is None:
        return asked[0] if asked else "table"
    form = out.suffix.lower().removeprefix(".")
    if form not in files:
        *others, last = (f".{name}" for name in files)
        suffixes = f"{', '.join(others)} or {last}"
        if out == Path():
            raise UserInputError("--output names no file", remedy=f"give a name in {suffixes}")
        raise UserInputError(
            "the suffix decides the format", where=str(out), remedy=f"name it {suffixes}"
        )
    if asked and asked[0] != form:
        raise UserInputError(f"--output {out} and --{asked[0]} disagree")
    if form == "parquet":
        pyarrow_for("writing Parquet")
    return form


def show(result: Ranking, form: str, out: Path | None) -> None:
    """Print a ranking, or write it to `out`."""
    if form == "table":
        if result.items:
            _print_ranking(_title(result), result.items)
        return
    if out is None:
        # A file or program gets names as they are.
        print(_text(result, form, for_people=sys.stdout.isatty()), end="")
        return
    with whole_file(out) as aside:
        if form == "parquet":
            _write_parquet(result, aside)
        else:
            aside.write_text(_text(result, form), encoding="utf-8", errors=output.UNPRINTABLE)
    output.note(f"wrote {out}: {many(len(result.items), 'picture')}")


def as_given(result: Listed, names: Mapping[str, str], pathless: Sequence[Failure] = ()) -> Listed:
    """The same with each path as it was given, by the path that was looked at.

    `pathless` are the failures of rows that gave none.
    """

    def name(path: str) -> str:
        return names.get(path, path)

    items = tuple(
        replace(item, path=name(item.path), twins=tuple(map(name, item.twins)))
        for item in result.items
    )
    failures = (*pathless, *(replace(one, path=name(one.path)) for one in result.failures))
    if isinstance(result, Comparison):
        return replace(result, items=items, failures=failures)
    stand_ins = tuple(
        replace(one, path=name(one.path), instead_of=name(one.instead_of))
        for one in result.stand_ins
    )
    return replace(result, items=items, failures=failures, stand_ins=stand_ins)


def show_comparison(result: Comparison, as_json: bool) -> None:
    """Two pictures with one line, more with a matrix and their ranking; then those left out."""
    if as_json:
        print(output.as_json("i2pa.compare/1", result))
    else:
        _print_comparison(result)
    output.warn_of(result.failures)
    if result.failures:
        given = len(result.items) + len(result.failures)
        output.note(f"{len(result.failures):,} of {given:,} pictures could not be compared")


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


def _title(result: Ranking | Comparison) -> str:
    return title_of(result.model, result.reference)


def _print_scores(title: str, items: Sequence[RankedPicture]) -> None:
    rows = [score_cells(item) for item in items]
    output.print_table(title, SCORE_CELLS, rows, numbers=("percentile", "score"))


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


def _text(result: Ranking, form: str, for_people: bool = False) -> str:
    if form == "json":
        return output.as_json("i2pa.rank/1", result) + "\n"
    text = io.StringIO()
    writer = csv_writer(text)
    writer.writerow(_RANK_COLUMNS)
    for item in result.items:
        row = _flat(item).values()
        writer.writerow(map(harmless, row) if for_people else row)
    return text.getvalue()


def _flat(item: RankedPicture) -> dict[str, object]:
    """One row of a table, in the order of its columns."""
    fields = dict(vars(item))
    fields["tied_from"], fields["tied_to"] = item.tied_with or (None, None)
    fields["taken"] = item.taken.isoformat() if item.taken else None
    # One cell holds any number of names, whatever signs are in them.
    fields["twins"] = json.dumps(item.twins) if item.twins else None
    return {name: fields[name] for name in _RANK_COLUMNS}


def _write_parquet(result: Ranking, path: Path) -> None:
    pa, pq = pyarrow_for("writing Parquet")
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
    rows = [
        _flat(item)
        | {
            "path": valid_text(item.path),
            "taken": item.taken,
            "twins": [valid_text(twin) for twin in item.twins],
        }
        for item in result.items
    ]
    about = parquet_metadata(result.model, result.reference)
    schema = pa.schema([(name, types[name]) for name in _RANK_COLUMNS], metadata=about)
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
