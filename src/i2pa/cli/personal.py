"""The command that learns a person's own taste: personalize."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from i2pa.cli import output
from i2pa.cli.app import app
from i2pa.cli.data import DownloadedAt, parse_time
from i2pa.cli.options import JsonFlag
from i2pa.errors import DataError, UserInputError, needs_extra
from i2pa.models.registry import DEFAULT

if TYPE_CHECKING:
    from i2pa.pairs.rules import Measure
    from i2pa.personal.choices import Within

LIKES = "From likes"
KEEPS = "From keeps and rejects"
NoCache = Annotated[
    bool, typer.Option("--no-cache", help="Neither use nor keep what was computed of pictures.")
]


@app.command(context_settings={"allow_extra_args": True})
def personalize(
    context: typer.Context,
    out: Annotated[Path, typer.Option("--output", "-o", help="Run folder to write.")],
    keep: Annotated[
        list[Path] | None,
        typer.Option(
            help="Pictures you kept: a folder, a .txt with a path a line, or a pattern in quotes "
            "('best/*.jpg'); repeatable.",
            rich_help_panel=KEEPS,
        ),
    ] = None,
    reject: Annotated[
        list[Path] | None,
        typer.Option(
            help="Pictures you did not keep, alike; what is in both is kept. Repeatable.",
            rich_help_panel=KEEPS,
        ),
    ] = None,
    within: Annotated[
        str,
        typer.Option(
            help="Which kept and rejected pictures pair: of one folder, of one time, all, or auto.",
            rich_help_panel=KEEPS,
        ),
    ] = "auto",
    likes: Annotated[
        Path | None,
        typer.Option(
            help="Your own posts: posts.parquet or an export (see i2pa posts).",
            rich_help_panel=LIKES,
        ),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder that picture paths of posts or lists start from.")
    ] = None,
    user: Annotated[
        str | None, typer.Option(help="Whose posts, if several.", rich_help_panel=LIKES)
    ] = None,
    measure: Annotated[
        str, typer.Option(help="likes, views or score.", rich_help_panel=LIKES)
    ] = "likes",
    days: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Posts at most so far apart pair (default: 30).",
            rich_help_panel=LIKES,
        ),
    ] = None,
    min_age_days: Annotated[
        float | None,
        typer.Option(min=0, help="Age of posts at download (default: 30).", rich_help_panel=LIKES),
    ] = None,
    downloaded_at: DownloadedAt = None,
    assume_settled: Annotated[
        bool,
        typer.Option(
            "--assume-settled",
            help="Posts of unknown download time are old enough.",
            rich_help_panel=LIKES,
        ),
    ] = False,
    model: Annotated[
        str, typer.Option("--model", help="The model to start from: a name, .onnx or run folder.")
    ] = DEFAULT,
    name: Annotated[str, typer.Option(help="Name of the new model.")] = "my-taste",
    version: Annotated[int, typer.Option(min=1, help="Version of the new model.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Seed of folds and intervals.")] = 0,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Write the model though no gain is shown.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the personal model in the run folder.")
    ] = False,
    allow_unreadable: Annotated[
        bool,
        typer.Option("--allow-unreadable", help="Go on though over 5 % of pictures are broken."),
    ] = False,
    no_cache: NoCache = False,
    as_json: JsonFlag = False,
) -> None:
    """Learn your own taste from what you kept, or from likes, and hear whether it adds anything.

    Example: i2pa personalize --keep best --reject album -o my-taste
    """
    if context.args:
        raise UserInputError(
            f"{context.args[0]!r} belongs to no option",
            remedy="a pattern goes in quotes, so that all it names is one option's: "
            "--keep 'best/*.jpg'",
        )
    with needs_extra("i2pa personalize", "personal"):
        from i2pa.personal import Reading, check_taste_folder, write_taste
        from i2pa.personal import personalize as learn
        from i2pa.personal.card import gain_table
        from i2pa.personal.run import taste_record
        from i2pa.personal.taste import DAYS, MIN_AGE_DAYS
    keeping: dict[str, object] = {"--keep": keep, "--reject": reject, "--within": within != "auto"}
    liking: dict[str, object] = {
        "--user": user is not None,
        "--measure": measure != "likes",
        "--days": days is not None,
        "--min-age-days": min_age_days is not None,
        "--downloaded-at": downloaded_at is not None,
        "--assume-settled": assume_settled,
    }
    if likes is not None:
        _refuse(keeping, "--likes")
    else:
        _refuse(liking, "--keep and --reject")
    check_taste_folder(out, overwrite=overwrite)
    with (
        output.progress("embedding", "pictures") as progress,
        output.progress("cross-validating", "folds") as fit_progress,
    ):
        taste = learn(
            keep or [],
            reject or [],
            likes=likes,
            images=images,
            user=user,
            measured_by=cast("Measure", measure),
            days=DAYS if days is None else days,
            min_age_days=MIN_AGE_DAYS if min_age_days is None else min_age_days,
            downloaded_at=parse_time(downloaded_at),
            assume_settled=assume_settled,
            within=cast("Within", within),
            model=model,
            name=name,
            version=version,
            seed=seed,
            reading=Reading(
                allow_unreadable=allow_unreadable,
                use_cache=not no_cache,
                progress=progress,
                left_out=output.warn_of,
                warn=output.warn,
            ),
            fit_progress=fit_progress,
        )
    written = write_taste(taste, out) if taste.verdict == "adds" or anyway else None
    for note in taste.notes:
        output.warn(note)
    if as_json:
        model_file = (
            None if written is None else {"path": str(written.path), "sha256": written.sha256}
        )
        output.print_json("personalize", model=model_file, **taste_record(taste))
    else:
        print(f"{taste.learnt_from}; {taste.pairs:,} pairs: {taste.pairing}\n")
        print("\n".join(gain_table(taste)))
        if written:
            print(f"\n{taste.says}\n{taste.metadata.tag}: {written.path}")
            print(f"Try it: i2pa rank FOLDER --model {shlex.quote(str(out))}")
    if not written:
        raise DataError(taste.says, remedy="nothing was written; --anyway writes it all the same")


def _refuse(ignored: dict[str, object], source: str) -> None:
    """Refuse options that would be ignored."""
    for option, given in ignored.items():
        if given:
            raise UserInputError(f"{option} means nothing beside {source}", remedy="leave it out")
