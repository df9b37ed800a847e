"""The command that splits pairs into parts: split. It parses, calls and prints, nothing more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, cast

import typer

from i2pa.cli import output
from i2pa.cli.app import app
from i2pa.cli.data import (
    OutFile,
    Seed,
    check_output,
    need_data,
)
from i2pa.cli.options import JsonFlag
from i2pa.errors import UserInputError
from i2pa.files import check_parquet_name
from i2pa.words import many

if TYPE_CHECKING:
    from i2pa.pairs import PairsSplit
    from i2pa.pairs.split import Part

Number = TypeVar("Number")


@app.command()
def split(
    source: Annotated[Path, typer.Argument(metavar="PAIRS", help="pairs.parquet")],
    out: OutFile,
    by: Annotated[
        str,
        typer.Option(
            help="user; pair (as the paper does); time (each part after the last; pairs across a "
            "cut are in none, at the cost of train or what --counts calls rest)."
        ),
    ] = "user",
    fractions: Annotated[
        str | None, typer.Option(help="Of pairs, to train, val and test (default: .8,.1,.1).")
    ] = None,
    counts: Annotated[
        str | None,
        typer.Option(help="Pairs of train, val and test instead, as rest,50000,50000."),
    ] = None,
    seed: Seed = 0,
    as_json: JsonFlag = False,
) -> None:
    """Share out pairs among train, val and test, and prove what the parts share.

    Example: i2pa split pairs.parquet -o split.parquet --by user --fractions .7,.15,.15
    """
    need_data("i2pa split")
    from i2pa.pairs import read_pairs, split_pairs, write_pairs

    check_output(out, source)
    check_parquet_name(out)
    if fractions is not None and counts is not None:
        raise UserInputError("--fractions and --counts do not go together", remedy="give one")
    shares = _three("--fractions", fractions or ".8,.1,.1", ".8,.1,.1", float)
    wanted = None if counts is None else _three("--counts", counts, "rest,50000,50000", _count)
    done = split_pairs(read_pairs(source), cast("Any", by), shares, seed, counts=wanted)
    write_pairs(done.pairs, out)
    _show_split(done, out, as_json)


def _three(option: str, text: str, example: str, parse: Callable[[str], Number]) -> list[Number]:
    try:
        if "_" in text:
            raise ValueError(text)
        return [parse(part.strip()) for part in text.split(",")]
    except ValueError as error:
        raise UserInputError(
            f"{option} {text} is not three numbers", remedy=f"for example {example}"
        ) from error


def _count(text: str) -> int | Literal["rest"]:
    return "rest" if text == "rest" else int(text)


def _show_split(done: PairsSplit, out: Path, as_json: bool) -> None:
    parts = [
        asdict(part) | {end: time and time.isoformat() for end, time in _ends(part).items()}
        for part in done.parts
    ]
    if as_json:
        output.print_json(
            "split",
            output=str(out),
            by=done.by,
            parts=parts,
            users_shared=done.users_shared,
            images_shared=done.images_shared,
            without_user=done.without_user,
            left_out=done.left_out,
        )
        return
    output.print_columns(
        str(out),
        ("part", "pairs", "users", "images", "first post", "last post"),
        [
            (
                p.name,
                *("unknown" if n is None else f"{n:,}" for n in (p.pairs, p.users, p.images)),
                *(f"{time:%Y-%m-%d %H:%M}" if time else "" for time in _ends(p).values()),
            )
            for p in done.parts
        ],
    )
    users = f"unknown users ({many(done.without_user, 'pair')} without user_id)"
    if done.users_shared is not None:
        users = many(done.users_shared, "user")
    print(f"in more than one part: {users}, {many(done.images_shared, 'image')}")
    if done.left_out:
        print(f"in no part, across a cut in time: {many(done.left_out, 'pair')}")


def _ends(part: Part) -> dict[str, datetime | None]:
    return {"first": part.first, "last": part.last}
