"""The command that audits a pair list. It parses, calls and prints, nothing more.

DuckDB and pyarrow are imported inside the command: whoever only ranks pictures has neither.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from i2pa import stopping
from i2pa.cli import output
from i2pa.cli.app import app
from i2pa.cli.data import check_output, need_data
from i2pa.errors import UserInputError
from i2pa.files import check_parquet_name
from i2pa.scoring.names import shortened
from i2pa.words import many

if TYPE_CHECKING:
    from i2pa.audit import Audit


@app.command()
def audit(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="PAIRS", help="pairs.parquet, or a CSV of Low_popularity,High_popularity."
        ),
    ],
    posts: Annotated[
        Path | None, typer.Option(help="posts.parquet: adds captions and ages.")
    ] = None,
    images: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of pictures (repeatable): adds files and duplicates."),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page with figures as well.")
    ] = None,
    balance: Annotated[
        str | None, typer.Option(metavar="time", help="Write weights: later wins in half. With -o.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--output", help="With --balance: pairs.parquet to write.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same result.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """What a model could learn from a pair list without looking at a picture.

    Example: i2pa audit pairs.parquet --posts posts.parquet --images photos --html audit.html
    """
    need_data("i2pa audit")
    _check_options(balance, out, html)
    for path, option in ((out, "-o"), (html, "--html")):
        if path is not None:
            inputs = [source, posts] if posts is not None else [source]
            check_output(path, *inputs, option=option)
    if out is not None:
        check_parquet_name(out)
    if html is not None and html.suffix.lower() not in (".html", ".htm"):
        raise UserInputError("is no name for a page", where=str(html), remedy="name it .html")
    from i2pa.audit import audit_pairs, balance_time, read_pair_list
    from i2pa.audit.report import as_record, write_html
    from i2pa.pairs import write_pairs
    from i2pa.posts import load_posts

    with output.progress("pictures", "pictures") as report:
        found = audit_pairs(
            source,
            posts=None if posts is None else load_posts(posts),
            images=images or (),
            seed=seed,
            progress=report,
        )
    stopping.check()
    if html is not None:
        write_html(found, html)
    if out is not None:
        write_pairs(balance_time(read_pair_list(source)[0]), out)
    for warning in found.warnings:
        output.warn(f"WARNING: {warning}")
    if as_json:
        files = {"html": html and str(html), "output": out and str(out)}
        print(output.as_json("i2pa.audit/1", as_record(found) | files))
        return
    _show(found)
    for written in (html, out):
        if written is not None:
            print(f"written: {written}")


def _check_options(balance: str | None, out: Path | None, html: Path | None) -> None:
    """Refuse options that do not go together."""
    if balance not in (None, "time"):
        raise UserInputError(f"cannot balance by {balance!r}", remedy="--balance time")
    if (balance is None) != (out is None):
        raise UserInputError(
            "--balance time and -o FILE go together",
            remedy="for example --balance time -o balanced.parquet",
        )
    if out is not None and html is not None and os.path.realpath(out) == os.path.realpath(html):
        raise UserInputError(
            "-o and --html name one file", where=str(out), remedy="give each a file of its own"
        )


def _show(found: Audit) -> None:
    from i2pa.audit.report import COLUMNS, TABLE_COLUMNS, rows, table_rows

    users = "unknown users" if found.users is None else many(found.users, "user")
    title = f"{found.source}: {many(found.pairs, 'pair')}, {users}"
    output.print_table(title, COLUMNS, rows(found.checks), numbers=COLUMNS[1:5])
    for table in found.tables[:1]:
        output.print_table(table.title, TABLE_COLUMNS, table_rows(table), numbers=TABLE_COLUMNS[1:])
    if found.date_gaps:
        print(f"pairs by UTC dates apart, from 0: {' '.join(map(str, found.date_gaps))}")
    if found.unreadable:
        first = found.unreadable[0]
        print(
            f"{many(len(found.unreadable), 'picture')} left out; first: "
            f"{output.printable(first.path)}: {first.reason}"
        )
    for check in found.checks:
        if check.name in ("same_shard", "contradicting_pairs"):
            print(f"{check.title}: {check.says}")
    for check in found.checks:
        if check.found:
            named = shortened(check.first_found, output.LONGEST_LINE)
            print(f"{check.title}: {output.printable(named)}")
    for skipped in found.not_checked:
        print(f"not checked: {skipped.name}: {skipped.why}")
    print(f"\nVerdict: {found.overall}")
