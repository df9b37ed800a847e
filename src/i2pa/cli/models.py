"""Commands about models: which there are, getting one, and what an engine does to one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from i2pa.cli import output
from i2pa.cli.app import app
from i2pa.cli.options import ColumnOption, JsonFlag
from i2pa.errors import DataError, UserInputError
from i2pa.images.find import pictures_in
from i2pa.models.catalogue import PAPER_RESNET50, PUBLISHED, MeasuredAccuracy, published
from i2pa.models.checks import AT_MOST, EngineCheck, check_engine, keep_check
from i2pa.models.engine import AUTO, load_engine
from i2pa.models.listing import ModelFacts, listed_models, model_facts
from i2pa.models.registry import find_model

models = typer.Typer(
    help="List the models that can be asked for by name. Example: i2pa models --json",
    invoke_without_command=True,
    rich_markup_mode=None,
)
app.add_typer(models, name="models")


@models.callback()
def list_models(context: typer.Context, as_json: JsonFlag = False) -> None:
    """List the models that can be asked for by name. Example: i2pa models --json"""
    if context.invoked_subcommand:
        if as_json:
            raise UserInputError(f"give --json after {context.invoked_subcommand}")
        return
    _print_list(as_json)


@models.command("list")
def list_again(as_json: JsonFlag = False) -> None:
    """The same, by the name that other tools give it. Example: i2pa models list"""
    _print_list(as_json)


def _print_list(as_json: bool) -> None:
    listed = listed_models()
    if as_json:
        output.print_json("models", models=[dataclasses.asdict(model) for model in listed])
        return
    for model in listed:
        here = model.path if model.on_disk else f"not here: i2pa models get {model.name}"
        facts = {
            "origin": model.origin,
            "licence": model.license,
            "size": f"{model.megabytes:.1f} MB",
            "transform": model.transform,
            "accuracy": _accuracy(model.accuracy),
            "weights": model.weights_sha256 and f"SHA-256 {model.weights_sha256}",
            "file": here,
            "SHA-256": model.sha256,
        }
        _print_facts(f"{model.name}@{model.version}", facts, model.checks)


@models.command()
def show(
    model: Annotated[str, typer.Argument(help="Name of a model, a .onnx file or a run folder.")],
    as_json: JsonFlag = False,
) -> None:
    """Print what a model says of itself. Example: i2pa models show run"""
    facts = model_facts(model)
    if as_json:
        output.print_json("models.show", **dataclasses.asdict(facts))
        return
    _print_facts(f"{facts.name}@{facts.version}", _shown(facts), facts.checks)


@models.command()
def get(
    name: Annotated[str, typer.Argument(help="Name of a published model.")],
    source: Annotated[
        Path | None,
        typer.Option("--from", help="The authors' weights file, on a machine without network."),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Make it anew though it is here.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Get a model that does not come with i2pa. Example: i2pa models get paper-resnet50"""
    model = published(name)
    if model is None:
        names = ", ".join(known.name for known in PUBLISHED if known.source)
        raise UserInputError(f"no published model {name!r}", remedy=f"choose from {names}")
    if model.source is None:
        if source:
            raise UserInputError(f"{model.name} comes inside i2pa: leave --from out")
        file = find_model(name)
    else:
        assert model is PAPER_RESNET50
        from i2pa.models.paper import get_paper_resnet50

        try:
            with output.progress("downloading", "kB") as progress:
                file = get_paper_resnet50(source, again=again, progress=_in_kilobytes(progress))
        except KeyboardInterrupt as error:
            raise KeyboardInterrupt("stopped; the same command goes on from here") from error
    if as_json:
        output.print_json(
            "models.get",
            name=model.name,
            version=model.version,
            path=str(file.path),
            sha256=file.sha256,
        )
        return
    print(f"{model.tag}: {file.path}  sha256 {file.sha256}")
    print(f"Try it: i2pa rank FOLDER --model {model.name}")


@models.command()
def check(
    model: Annotated[str, typer.Argument(help="Name of a model, a .onnx file or a run folder.")],
    images: Annotated[
        list[Path], typer.Option(help="Folder, picture, list or table to measure on; repeatable.")
    ],
    column: ColumnOption = None,
    engine: Annotated[str, typer.Option(help="The engine to check.")] = AUTO,
    precision: Annotated[str, typer.Option(help="Its precision.")] = "bfloat16",
    as_json: JsonFlag = False,
) -> None:
    """Measure how many pairs an engine turns round. Example: i2pa models check run --images photos

    The result is kept beside the model, and i2pa models shows it.
    """
    pictures = pictures_in(images, column=column)
    file = find_model(model)
    where = str(file.path)
    checked = load_engine(file.data, engine=engine, precision=precision, threads=1, where=where)
    reference = load_engine(file.data, engine="onnxruntime", threads=1, where=where)
    with output.progress("scoring", "pictures") as progress:
        result, failures = check_engine(file, checked, reference, pictures, progress=progress)
    output.warn_of(failures)
    try:
        kept = f"kept in {keep_check(file, result)}"
    except (UserInputError, DataError) as error:
        output.warn(str(error))
        kept = "not kept"
    if as_json:
        output.print_json(
            "models.check",
            **dataclasses.asdict(result),
            keeps_order=result.keeps_order,
            failures=[dataclasses.asdict(picture) for picture in failures],
        )
        return
    print(_check_line(result))
    faster = result.pictures_per_second / result.reference_pictures_per_second
    print(
        f"largest difference {result.largest_difference:.2g} at a spread of {result.spread:.2g}; "
        f"{faster:.2f} × as fast as {result.reference_engine}, one caller, network alone"
    )
    verdict = "keeps the order" if result.keeps_order else "does not keep the order"
    print(f"{result.engine} {verdict} (at most {AT_MOST:.0%} of pairs); {kept}")


def _in_kilobytes(progress: Callable[[int, int], None]) -> Callable[[int, int], None]:
    def report(done: int, total: int) -> None:
        # The rate of nothing done cannot be divided by.
        if done >= 1000:
            progress(done // 1000, total // 1000)

    return report


def _accuracy(accuracy: MeasuredAccuracy) -> str:
    users = f" of {accuracy.users} users" if accuracy.users else ""
    return (
        f"{accuracy.value:.4g} [{accuracy.low:.4g}, {accuracy.high:.4g}] ({accuracy.counted}, "
        f"{accuracy.interval}) on {accuracy.pairs:,} pairs{users}: {accuracy.on}; measured by "
        f"{accuracy.measured_by}"
    )


def _shown(facts: ModelFacts) -> dict[str, str]:
    return {
        "training": facts.training,
        "licences": facts.licenses,
        "size": f"{facts.megabytes:.1f} MB",
        "transform": facts.transform,
        "reference": facts.reference,
        "probability": f"{facts.link}, temperature {facts.temperature:.3g}",
        "groups": "cosines not measured"
        if facts.likeness is None
        else f"cosine {facts.likeness.same_picture:g}, {facts.likeness.same_moment:g} in a burst",
        "outputs": ", ".join(facts.outputs),
        "file": facts.path,
        "SHA-256": facts.sha256 if facts.pinned else f"{facts.sha256} (no .sha256 beside it)",
    }


def _check_line(check: EngineCheck) -> str:
    return (
        f"{check.engine}: turns round {check.flip_rate:.2%} of {check.pairs:,} pairs of "
        f"{check.pictures:,} pictures, {check.decided_flip_rate:.2%} of the "
        f"{check.decided_pairs:,} not too close to call"
    )


def _print_facts(title: str, facts: dict[str, str], checks: tuple[EngineCheck, ...]) -> None:
    print(output.printable(title))
    rows = [*facts.items(), *(("check", f"{_check_line(c)} ({c.processor})") for c in checks)]
    for name, value in rows:
        if value:
            print(f"  {name:<12}{output.printable(value)}")
    print()
