"""The command that shows and deletes the cache."""

from __future__ import annotations

from typing import Annotated

import typer

from i2pa.cli import output
from i2pa.cli.app import app
from i2pa.models.score_cache import ScoreCache, delete_scores


@app.command()
def cache(
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete the scores that are kept.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Where scores are kept, and how many. Example: i2pa cache --delete"""
    if delete:
        delete_scores()
    with ScoreCache(warn=output.warn) as scores:
        size = scores.size()
    if as_json:
        output.print_json("cache", path=str(scores.path), **vars(size))
        return
    print(
        f"{scores.path}: {size.scores:,} scores, {size.files:,} files known, "
        f"{size.bytes / 1e6:,.1f} MB"
    )
