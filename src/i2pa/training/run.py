"""A run folder: the model as ONNX and safetensors, and what there is to know of it.

`model.onnx` is what scores; `model.safetensors` with `run.json` is enough to export it anew;
`metrics.csv` lists the epochs, or what cross-validation saw, and `curves.png` draws them; `card.md`
is for people.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from i2pa.errors import ModelError, UserInputError, require, require_name
from i2pa.files import left_aside, make_run_folder, whole_file
from i2pa.images.transforms import transform_named
from i2pa.models.backbones import BackboneWeights, backbone_spec
from i2pa.models.export import export_onnx
from i2pa.models.metadata import ModelMetadata
from i2pa.models.ranker import Ranker
from i2pa.models.registry import CHECKPOINT_FILE, MODEL_FILE, ModelFile, digest_file
from i2pa.training.card import model_card
from i2pa.training.checkpoint import last_epoch, last_written
from i2pa.training.curves import CURVES_FILE, draw_curves
from i2pa.training.foldfile import holds_results_alone, remove_folds
from i2pa.training.journal import EVENTS_FOLDER, METRICS_FILE, as_csv, remove_events
from i2pa.training.loop import Epoch
from i2pa.training.recipes import NetworkRecipe, Recipe
from i2pa.training.trained import TrainedModel
from i2pa.words import many

WEIGHTS_FILE = "model.safetensors"
RUN_FILE = "run.json"
CARD_FILE = "card.md"
FOLDS_FOLDER = "folds"
"""What was learnt while users were left out in turn; it may be deleted."""
_ANEW = "put it back, or run i2pa train again"
# Columns of the metrics of a head.
_GRID = ("l2", "accuracy_mean_of_users", "log_loss")


def write_run(
    model: TrainedModel,
    folder: str | os.PathLike[str],
    inputs: Mapping[str, str] | None = None,
    *,
    overwrite: bool = False,
) -> ModelFile:
    """Write a trained model to `folder`, each file whole.

    `inputs` are the SHA-256 of the files of pairs by name, for the card, where pairs came from
    files. What another run left there is removed. `run.json` comes last, so a folder without it is
    an unfinished run. Raises UserInputError as `check_run_folder` does, but for the folder with the
    model's own checkpoint, and where the folder cannot be made.
    """
    require(isinstance(model, TrainedModel), "model", model, "a model that train gave")
    folder, inputs = Path(folder), inputs or {}
    own = model.checkpoints is not None and folder.exists() and folder.samefile(model.checkpoints)
    if not own:
        check_run_folder(folder, overwrite=overwrite)
    make_run_folder(folder)
    if own:
        remove_half_written(folder)
        remove_results(folder)
    else:
        remove_run(folder)
    # First, since it is by this that what a killed run leaves is known as a run's.
    with whole_file(folder / METRICS_FILE) as aside:
        aside.write_text(_metrics(model), encoding="utf-8")
    ranker = model.ranker
    size = transform_named(model.recipe.transform).size
    file = export_onnx(ranker, model.metadata, size, folder / MODEL_FILE)
    weights = {name: value.contiguous() for name, value in ranker.state_dict().items()}
    texts = {
        CARD_FILE: model_card(model, file.sha256, inputs),
        RUN_FILE: json.dumps(_record(model, inputs), indent=2),
    }
    with whole_file(folder / WEIGHTS_FILE) as aside:
        aside.write_bytes(save(weights))
    with whole_file(folder / CURVES_FILE) as aside:
        aside.write_bytes(draw_curves(model))
    for name, text in texts.items():
        with whole_file(folder / name) as aside:
            aside.write_text(text, encoding="utf-8")
    return file


def remove_results(folder: Path) -> None:
    """Remove what a finished run left in `folder`, but not what training goes on from."""
    for file in _results(folder):
        file.unlink(missing_ok=True)


def _results(folder: Path) -> list[Path]:
    """What a finished run leaves in `folder`; the first says that it is finished."""
    model = folder / MODEL_FILE
    names = (RUN_FILE, WEIGHTS_FILE, CARD_FILE, CURVES_FILE)
    return [*(folder / name for name in names), model, digest_file(model)]


def half_written(folder: Path) -> list[Path]:
    """What a run that was killed while it wrote a file left in `folder`."""
    files = [*_results(folder), folder / CHECKPOINT_FILE, folder / METRICS_FILE]
    return [aside for file in files for aside in left_aside(file)]


def remove_half_written(folder: Path) -> None:
    """Remove what a run that was killed while it wrote a file left in `folder`."""
    for aside in half_written(folder):
        aside.unlink(missing_ok=True)


def remove_run(folder: Path) -> None:
    """Remove all that a run, finished or not, left in `folder`; other files stay."""
    remove_half_written(folder)
    remove_results(folder)
    remove_folds(folder / FOLDS_FOLDER)
    remove_events(folder)
    # Last, since it is by these that what is left is known as a run's.
    for name in (CHECKPOINT_FILE, METRICS_FILE):
        (folder / name).unlink(missing_ok=True)


def how_stopped(folder: Path, recipe: Recipe | NetworkRecipe, given_up: int | None = None) -> str:
    """One line on what a training by `recipe` that was stopped has left behind.

    `given_up` tells when the checkpoint was written that training was to replace (`last_written`).
    """
    if isinstance(recipe, Recipe):
        return "stopped; what was embedded is kept, and the same command goes on from it"
    if given_up is not None and given_up == last_written(folder):
        return f"stopped before the first epoch was done; {folder} still holds the run before it"
    epoch = last_epoch(folder)
    if not epoch:
        return "stopped; there is no checkpoint yet"
    return f"stopped; {folder} holds the checkpoint after epoch {epoch}: --resume goes on from it"


def nothing_left(
    folder: Path, recipe: NetworkRecipe, weights: BackboneWeights, inputs: Mapping[str, str]
) -> str:
    """Why a finished run of `recipe` on `inputs` in `folder` would not go on, and what helps.

    Empty where there is none, or where `recipe` lets it go on: with more epochs, more patience
    where that ended it, or another share of the start's weights to mix in. Raises
    UserInputError where the finished run is of another recipe, other data or other weights of the
    backbone, or its checkpoint is gone; ModelError where its record cannot be read.
    """
    if not (folder / RUN_FILE).is_file():
        return ""
    try:
        record = json.loads((folder / RUN_FILE).read_text())
        more = {"epochs": recipe.epochs, "patience": recipe.patience, "wise": recipe.wise}
        same = (
            record["recipe"] | more == dataclasses.asdict(recipe)
            and record["inputs"] == dict(inputs)
            and record["backbone"]["sha256"] == weights.sha256
        )
        # A head has no epochs; what is of another recipe is none to go on with anyhow.
        epochs = record["epochs"] if same else {"done": 0, "best": 0}
        done, best = epochs["done"], epochs["best"]
        mixed_anew = same and record["recipe"]["wise"] != recipe.wise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"damaged run ({error!r})", where=str(folder)) from error
    if not same:
        raise UserInputError(
            "the finished run here is of another recipe, other pairs or weights, or another "
            "version of i2pa",
            where=str(folder),
            remedy="give the same options, or add --overwrite in place of --resume",
        )
    stops = []
    if done >= recipe.epochs:
        stops.append((f"{many(done, 'epoch')} done", "--epochs"))
    if recipe.patience is not None and done - best >= recipe.patience:
        stops.append((f"no better epoch since epoch {best}", "--patience"))
    if stops and not mixed_anew:
        reasons, helps = zip(*stops, strict=True)
        return f"{', '.join(reasons)}: to go on, give more {' and '.join(helps)}"
    if not (folder / CHECKPOINT_FILE).is_file():
        raise UserInputError(
            "its checkpoint is gone, so the run cannot go on",
            where=str(folder),
            remedy="add --overwrite in place of --resume to begin anew",
        )
    return ""


def check_run_folder(
    folder: str | os.PathLike[str], *, overwrite: bool = False, resume: bool = False
) -> None:
    """See before the work whether a run can be written to `folder`; nothing is made yet.

    Raises UserInputError where it cannot be, where the folder holds other files than a run's, or
    where it holds a run, finished or not, that neither `overwrite` gives up nor `resume` goes on.
    """
    folder = Path(folder)
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        why = "may not be written to" if nearest.is_dir() else "is a file"
        raise UserInputError(
            f"cannot be made a run folder ({nearest.name or nearest} {why})",
            where=str(folder),
            remedy="name another",
        )
    found = set(folder.iterdir()) - set(half_written(folder)) if folder.exists() else set()
    present = {path.name for path in found}
    if RUN_FILE in present and not (overwrite or resume):
        raise UserInputError(
            "holds a finished run", where=str(folder), remedy="add --overwrite or name another"
        )
    if CHECKPOINT_FILE in present and not (overwrite or resume):
        raise UserInputError(
            "holds a run that was stopped",
            where=str(folder),
            remedy="add --resume or --overwrite, or name another",
        )
    if present and not present & {RUN_FILE, CHECKPOINT_FILE} and not _left_by_killed(folder, found):
        raise UserInputError(
            "holds other files than a run's", where=str(folder), remedy="name a new folder"
        )
    # The record comes right after the card: where it alone is missing, it was hardly a kill.
    if CARD_FILE in present and RUN_FILE not in present and not (overwrite or resume):
        raise UserInputError(
            f"holds a finished run whose {RUN_FILE} is missing",
            where=str(folder),
            remedy="add --overwrite or name another",
        )


def _left_by_killed(folder: Path, found: set[Path]) -> bool:
    """Whether all that was `found` in `folder` is of a run that was killed before its checkpoint.

    Anybody's model may be called as a run's, so beside one there have to be metrics as we write.
    """
    folds, metrics = folder / FOLDS_FOLDER, folder / METRICS_FILE
    if folds in found and not holds_results_alone(folds):
        return False
    others = found - {folds}
    ours = {*_results(folder), metrics, folder / EVENTS_FOLDER}
    return not others or (others <= ours and _is_metrics(metrics))


def export_run(
    folder: str | os.PathLike[str],
    path: str | os.PathLike[str],
    name: str | None = None,
    version: int | None = None,
) -> ModelFile:
    """Export a finished run anew to the ONNX file `path`, under another name or version if given.

    Raises ModelError where `folder` holds no finished run, ArgumentError for a name of no or
    several lines.
    """
    folder, path = Path(folder), Path(path)
    if name is not None:
        require_name(name)
    if not (folder / RUN_FILE).is_file():
        stopped = (folder / CHECKPOINT_FILE).is_file()
        raise ModelError(
            "holds a run that was stopped" if stopped else f"no finished run here: no {RUN_FILE}",
            where=str(folder),
            remedy="finish it: the same i2pa train with --resume"
            if stopped
            else "run i2pa train first",
        )
    try:
        record = json.loads((folder / RUN_FILE).read_text())
        if str(record.get("format", "")).startswith("i2pa.personal-run/"):
            raise ModelError(
                "a personal model has no weights to export anew",
                where=str(folder),
                remedy=f"use {MODEL_FILE} in it, or name another with i2pa personalize --name",
            )
        metadata = ModelMetadata.from_strings(record["metadata"], where=str(folder / RUN_FILE))
        spec = backbone_spec(record["recipe"]["backbone"])
        # Runs written before there was a choice of scaling say nothing of it.
        scaling = record.get("backbone", {}).get("pixel_scaling")
        spread = metadata.link == "thurstone"
        ranker = Ranker(spec.build(spec.scaling(scaling)), spread=spread)
        ranker.load_state_dict(load((folder / WEIGHTS_FILE).read_bytes()))
    except FileNotFoundError as error:
        raise ModelError(f"{WEIGHTS_FILE} is missing", where=str(folder), remedy=_ANEW) from error
    except KeyError as error:
        what = f"{RUN_FILE} lacks {error}"
        raise ModelError(what, where=str(folder), remedy=_ANEW) from error
    except (OSError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
        what = f"{RUN_FILE} or {WEIGHTS_FILE} is damaged ({error})"
        raise ModelError(what, where=str(folder), remedy=_ANEW) from error
    metadata = replace(metadata, name=name or metadata.name, version=version or metadata.version)
    return export_onnx(ranker, metadata, transform_named(metadata.transform).size, path)


def _metrics(model: TrainedModel) -> str:
    rows: list[dict[str, float]] = [dataclasses.asdict(epoch) for epoch in model.epochs]
    rows += [
        dict(zip(_GRID, (row.l2, row.accuracy, row.log_loss), strict=True)) for row in model.grid
    ]
    return as_csv(rows)


def _is_metrics(path: Path) -> bool:
    """Whether a file is there that begins as metrics that we write."""
    columns = [field.name for field in dataclasses.fields(Epoch)]
    try:
        with path.open(encoding="utf-8") as file:
            return file.readline().rstrip("\n") in (",".join(columns), ",".join(_GRID))
    except (OSError, ValueError):
        return False


def _record(model: TrainedModel, inputs: Mapping[str, str]) -> dict[str, Any]:
    return {
        "i2pa": installed("i2pa"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "onnxruntime": installed("onnxruntime"),
        "numpy": np.__version__,
        "inputs": dict(inputs),
        "recipe": dataclasses.asdict(model.recipe),
        "backbone": {
            "name": model.weights.name,
            "origin": model.weights.origin,
            "sha256": model.weights.sha256,
            "license": model.weights.license,
            "pixel_scaling": model.weights.pixel_scaling,
        },
        "chosen": model.chosen,
        "epochs": {"done": len(model.epochs), "best": model.best_epoch} if model.epochs else None,
        "data": dataclasses.asdict(model.data),
        "learnt_from": model.learnt_from,
        "pairs_without_picture": model.pairs_without_picture,
        "measured_without_picture": dict(model.measured_without_picture),
        "shared_users": [dataclasses.asdict(shared) for shared in model.shared_users],
        "unreadable": [dataclasses.asdict(picture) for picture in model.unreadable],
        "evaluations": [dataclasses.asdict(evaluation) for evaluation in model.evaluations],
        "likes": None if model.likes is None else dataclasses.asdict(model.likes),
        "calibration": dataclasses.asdict(model.calibration),
        "metadata": model.metadata.to_strings(),
    }
