"""The command that shows and deletes the cache."""

from __future__ import annotations

from typing import Annotated

import typer

from i2pa.cli import output
from i2pa.cli.app import app
from i2pa.errors import UserInputError
from i2pa.models.cache import delete_embeddings, embeddings_bytes, embeddings_folder
from i2pa.models.score_cache import CacheSize, ScoreCache, delete_scores, scores_file
from i2pa.words import many


@app.command()
def cache(
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete the scores and embeddings that are kept.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Where scores and embeddings are kept.

    Example: i2pa cache --delete
    """
    scores, size = scores_file(), _size()
    embeddings, taken = embeddings_folder(), embeddings_bytes()
    if not as_json:
        print(
            f"{scores}: {many(size.scores, 'score')}, {many(size.files, 'file')} known, "
            f"{size.bytes / 1e6:,.1f} MB"
        )
        print(f"{embeddings}: embeddings of personalize and train, {taken / 1e6:,.1f} MB")
    if delete:
        _delete()
    if as_json:
        output.print_json(
            "cache",
            path=str(scores),
            **vars(size),
            embeddings_path=str(embeddings),
            embeddings_bytes=taken,
            deleted=delete,
        )
    elif delete:
        print(f"deleted {(size.bytes + taken) / 1e6:,.1f} MB of scores and embeddings")


def _size() -> CacheSize:
    """How much there is; showing it makes no cache."""
    if not scores_file().exists():
        return CacheSize(0, 0, 0)
    with ScoreCache(warn=output.warn) as scores:
        return scores.size()


def _delete() -> None:
    try:
        delete_scores()
    except OSError as error:
        raise UserInputError(
            f"cannot be deleted ({error.strerror or error})", where=str(scores_file())
        ) from error
    delete_embeddings()
