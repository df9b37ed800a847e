"""Commands that make models: train, export."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import Annotated

import typer

from i2pa.cli import output
from i2pa.cli.app import app
from i2pa.errors import DataError, UserInputError, needs_extra
from i2pa.words import many

NETWORK = "Whole networks (finetune, paper, absolute)"


@app.command()
def train(
    pairs: Annotated[Path, typer.Argument(help="Pairs to learn from, made by i2pa pairs.")],
    images: Annotated[
        list[Path], typer.Option(help="Folder that picture paths are relative to; repeatable.")
    ],
    out: Annotated[Path, typer.Option("--output", "-o", help="Run folder to write.")],
    recipe: Annotated[str, typer.Option(help="How to train.")] = "probe",
    validate: Annotated[
        list[Path] | None,
        typer.Option(
            help="Pairs of other users to measure accuracy on; repeatable. A file called val "
            "chooses the epoch of a whole network."
        ),
    ] = None,
    calibrate: Annotated[
        Path | None,
        typer.Option(help="Ordinary pairs of other users, for probabilities and percentiles."),
    ] = None,
    shared_users: Annotated[
        bool,
        typer.Option(
            "--shared-users", help="Measure on users or graded pictures learnt from, too."
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Begin anew; give up the run in the run folder.")
    ] = False,
    name: Annotated[str, typer.Option(help="Name of the model.")] = "my-model",
    version: Annotated[int, typer.Option(min=1, help="Version of the model.")] = 1,
    l2: Annotated[
        float | None,
        typer.Option(
            metavar="NUMBER",
            help="Fixed ℓ2 of the probe's head (default: cross-validated); of a whole network, "
            "that in Adam's gradient (default: 1e-4).",
        ),
    ] = None,
    transform: Annotated[
        str | None, typer.Option(help="Preprocessing: squash260@1, squash224@1 or crop224@1.")
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option(help="efficientnet-lite2, resnet50, resnet101, alexnet or vgg16."),
    ] = None,
    posts: Annotated[
        Path | None,
        typer.Option(
            help="Posts that the pairs were made from (absolute).", rich_help_panel=NETWORK
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|random",
            help="The backbone's weights, .pth or .safetensors (default: those of a package).",
        ),
    ] = None,
    pixel_scaling: Annotated[
        str | None, typer.Option(help="unit or imagenet, where the backbone has both.")
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**63 - 1, help="Seed of folds and of random weights.")
    ] = 0,
    loss: Annotated[str | None, typer.Option(help="hard, soft, thurstone or fidelity.")] = None,
    nuisance: Annotated[
        bool | None,
        typer.Option(
            "--nuisance/--no-nuisance", help="Train the clock's share beside the pictures."
        ),
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(min=2, help="Also leave users out in so many turns, and say how it does."),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="At most.", rich_help_panel=NETWORK)
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(min=1, help="Epochs without a better one.", rich_help_panel=NETWORK),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(
            min=1, help="Pairs a step; pictures with --all-pairs.", rich_help_panel=NETWORK
        ),
    ] = None,
    accumulate: Annotated[
        int | None,
        typer.Option(min=1, help="Passes that a step is made of.", rich_help_panel=NETWORK),
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help="float32, bfloat16 or float16.", rich_help_panel=NETWORK)
    ] = None,
    rate_body: Annotated[
        float | None,
        typer.Option(metavar="0…1", help="Adam's rate, but for the head.", rich_help_panel=NETWORK),
    ] = None,
    rate_head: Annotated[
        float | None,
        typer.Option(metavar="0…1", help="Adam's rate of the head.", rich_help_panel=NETWORK),
    ] = None,
    all_pairs: Annotated[
        bool | None,
        typer.Option(
            "--all-pairs/--no-all-pairs",
            help="Batches of pictures: every listed pair in one counts.",
            rich_help_panel=NETWORK,
        ),
    ] = None,
    frozen_blocks: Annotated[
        int | None,
        typer.Option(min=0, help="First blocks that keep their weights.", rich_help_panel=NETWORK),
    ] = None,
    per_user: Annotated[
        bool | None,
        typer.Option("--per-user/--no-per-user", help="Users count alike, not pairs."),
    ] = None,
    flip_labels: Annotated[
        float | None,
        typer.Option(
            metavar="0…0.5",
            help="Share of training labels turned round (Table 2).",
        ),
    ] = None,
    wise: Annotated[
        float | None,
        typer.Option(
            metavar="0…1",
            help="Share of the trained weights (WiSE-FT).",
            rich_help_panel=NETWORK,
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on from the last epoch.", rich_help_panel=NETWORK),
    ] = False,
    allow_unreadable: Annotated[
        bool,
        typer.Option(
            "--allow-unreadable",
            help="Go on though over 5 % of a list's pairs lack a picture.",
        ),
    ] = False,
) -> None:
    """Train a model. Example: i2pa train pairs.parquet --images photos -o run

    Recipes: probe, a head on a frozen backbone, in seconds; finetune, from there into the whole
    network; paper, the paper's own; absolute, its baseline that learns likes (--posts).
    """
    with needs_extra("i2pa train", "train"):
        # Drawn with at the end; that it is missing should be told before hours of training.
        import matplotlib  # noqa: F401

        from i2pa.models.backbones import backbone_weights
        from i2pa.models.registry import CHECKPOINT_FILE
        from i2pa.pairs.schema import read_labelled_pairs
        from i2pa.posts import load_posts
        from i2pa.training import Recipe, check_run_folder, write_run
        from i2pa.training import train as train_model
        from i2pa.training.absolute import POST_COLUMNS
        from i2pa.training.card import evaluation_table
        from i2pa.training.checkpoint import last_written
        from i2pa.training.crossval import left_out_users, to_leave_out
        from i2pa.training.processes import is_alone, is_first_process
        from i2pa.training.recipes import changed, fits_head, recipe_named, trains_pairs
        from i2pa.training.run import FOLDS_FOLDER, how_stopped, nothing_left
    changes = {
        "l2": l2,
        "transform": transform,
        "backbone": backbone,
        "pixel_scaling": pixel_scaling,
        "loss": loss,
        "epochs": epochs,
        "patience": patience,
        "batch": batch,
        "accumulate": accumulate,
        "precision": precision,
        "rate_body": rate_body,
        "rate_head": rate_head,
        "nuisance": nuisance,
        "all_pairs": all_pairs,
        "frozen_blocks": frozen_blocks,
        "per_user": per_user,
        "flip_labels": flip_labels,
        "wise": wise,
    }
    chosen = changed(recipe_named(recipe), {"seed": seed} | changes)
    if resume and overwrite:
        raise UserInputError("--resume goes on with a run and --overwrite gives it up: choose one")
    if resume and isinstance(chosen, Recipe):
        raise UserInputError(
            f"--resume means nothing to the recipe {recipe}",
            remedy="leave it out: what was embedded is kept, and the rest takes seconds",
        )
    if folds and not is_alone():
        raise UserInputError("--folds is for one process", remedy="leave torchrun out")
    check_run_folder(out, overwrite=overwrite, resume=resume)
    measured = _labelled(validate or [], attrgetter("stem"))
    others = [path for path in (pairs, calibrate, posts) if path]
    files = measured | _labelled(others, attrgetter("name"), taken=measured)
    learn = read_labelled_pairs(pairs)
    if not learn.num_rows:
        raise DataError("holds no pairs", where=str(pairs), remedy="i2pa pairs tells why")
    validate_on = {label: read_labelled_pairs(path) for label, path in measured.items()}
    calibrate_on = read_labelled_pairs(calibrate) if calibrate else None
    facts = load_posts(posts, POST_COLUMNS) if posts else None
    if folds:
        # That they cannot be made should be told before hours of training.
        to_leave_out(learn, images, folds)
    inputs = {label: hashlib.sha256(path.read_bytes()).hexdigest() for label, path in files.items()}
    if resume and not isinstance(chosen, Recipe):
        carried = backbone_weights(
            chosen.backbone, weights, pixel_scaling=chosen.pixel_scaling, seed=chosen.seed
        )
        if why := nothing_left(out, chosen, carried, inputs):
            if folds:
                raise UserInputError(
                    f"this run is finished ({why}), and --folds belongs to one that trains",
                    where=str(out),
                    remedy="leave --folds out, or add --overwrite in place of --resume",
                )
            if is_first_process():
                print(f"{out}: this run is finished, {why}")
            return
    if is_first_process() and resume and not (out / CHECKPOINT_FILE).is_file():
        output.warn(f"{out}: there is no checkpoint to go on from; training begins anew")
    given_up = last_written(out) if overwrite else None
    unit = "pairs" if trains_pairs(chosen) else "pictures"
    first = "embedding" if fits_head(chosen) else "reading"
    # With --folds the cache is tried twice, as are random weights; one line is enough.
    warn = cache(output.warn if is_first_process() else lambda _: None)
    try:
        with (
            output.progress(first, "pictures") as progress,
            output.progress("training", unit) as training_progress,
        ):
            model = train_model(
                learn,
                images,
                chosen,
                posts=facts,
                weights=weights,
                validate_on=validate_on,
                calibrate_on=calibrate_on,
                name=name,
                version=version,
                folder=out,
                resume=resume,
                allow_unreadable=allow_unreadable,
                shared_users=shared_users,
                progress=progress,
                training_progress=training_progress,
                warn=warn,
            )
            if folds:
                left_out = left_out_users(
                    learn,
                    images,
                    chosen,
                    folds,
                    posts=facts,
                    weights=weights,
                    kept=out / FOLDS_FOLDER,
                    training_progress=training_progress,
                    allow_unreadable=allow_unreadable,
                    warn=warn,
                )
                model = replace(model, evaluations=(left_out, *model.evaluations))
        if not is_first_process():
            return
        file = write_run(model, out, inputs, overwrite=overwrite or resume)
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(how_stopped(out, chosen, given_up)) from error
    output.warn_of(model.unreadable)
    if model.pairs_without_picture:
        output.warn(f"{many(model.pairs_without_picture, 'pair')} left out: a picture is missing")
    for label, lost in model.measured_without_picture.items():
        output.warn(f"{many(lost, 'pair')} of {label!r} left out: a picture is missing")
    if model.calibration.tells_nothing:
        output.warn(
            "WARNING: of the pairs that probabilities were fitted on the scores tell next to "
            f"nothing (log loss {model.calibration.log_loss:.3f} nats, a coin's is .693): every "
            "comparison will say about 50 %"
        )
    for note in model.likes.notes if model.likes else ():
        output.warn(note)
    print("\n".join(evaluation_table(model.evaluations)))
    print(f"\n{model.metadata.tag}: {file.path} ({model.chosen})")
    print(f"Try it: i2pa rank FOLDER --model {shlex.quote(str(out))}")


def _labelled(
    files: Sequence[Path], short: Callable[[Path], str], taken: Collection[str] = ()
) -> dict[str, Path]:
    """Each file under its short name, or its whole path where two share that or it is `taken`."""
    names = [*taken, *map(short, files)]
    return {
        short(path) if names.count(short(path)) == 1 else str(path): path
        for path in dict.fromkeys(files)
    }


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="Run folder written by i2pa train.")],
    out: Annotated[Path, typer.Option("--output", "-o", help="The .onnx file to write.")],
    name: Annotated[str | None, typer.Option(help="Another name for the model.")] = None,
    version: Annotated[int | None, typer.Option(min=1, help="Another version.")] = None,
) -> None:
    """Export a trained model to one ONNX file. Example: i2pa export run -o mine.onnx --name mine"""
    with needs_extra("i2pa export", "train"):
        from i2pa.training import export_run
    if out.suffix != ".onnx":
        raise UserInputError("a model is one .onnx file", where=str(out))
    file = export_run(run, out, name, version)
    print(f"{file.path}  sha256 {file.sha256}")
