"""What a run leaves behind: metrics and curves as it goes, the card, and who may go on where."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from i2pa.errors import ModelError, UserInputError
from i2pa.files import make_run_folder
from i2pa.images.failure import Failure
from i2pa.metrics.accuracy import Accuracy, pairwise_accuracy
from i2pa.models.backbones import RANDOM, BackboneWeights
from i2pa.models.metadata import QUANTILES, ModelMetadata, Reference
from i2pa.models.registry import CHECKPOINT_FILE
from i2pa.training import ABSOLUTE, FINETUNE, PAPER, PROBE, NetworkRecipe, Recipe, TrainedModel
from i2pa.training.card import model_card
from i2pa.training.checkpoint import (
    Checkpoint,
    last_epoch,
    last_written,
    save_checkpoint,
)
from i2pa.training.curves import draw_curves
from i2pa.training.gather import DataFacts
from i2pa.training.journal import EVENTS_FOLDER, METRICS_FILE, journal, remove_events
from i2pa.training.loop import Epoch
from i2pa.training.measure import Calibration, Evaluation
from i2pa.training.pairset import SharedUsers
from i2pa.training.probe import CrossValidation
from i2pa.training.run import (
    check_run_folder,
    how_stopped,
    nothing_left,
    remove_results,
    remove_run,
)

WEIGHTS = BackboneWeights("efficientnet-lite2", "file its.pth", "b" * 64, "ours", "symmetric")
NAN = float("nan")
EPOCHS = (
    Epoch(1, 0.7, 0.5, 0.55, 0.69, 10.0, 1e-4),
    Epoch(2, 0.5, 0.8, 0.75, 0.60, 11.0, 9.5e-5),
    Epoch(3, 0.3, 0.9, 0.70, 0.65, 12.0, 9e-5),
)


def accuracy() -> Accuracy:
    return pairwise_accuracy(np.array([1.0, 1.0, -1.0]), np.array(["a", "a", "b"]), draws=50)


def model(recipe: Recipe | NetworkRecipe, **changes: object) -> TrainedModel:
    nothing = np.zeros(0)
    grid = tuple(
        CrossValidation(l2, 0.6, 0.7 - l2 / 10, nothing.astype(int), nothing, nothing)
        for l2 in (0.1, 1.0)
    )
    network = isinstance(recipe, NetworkRecipe)
    found = TrainedModel(
        ranker=nn.Identity(),
        recipe=recipe,
        weights=BackboneWeights(recipe.backbone, "file its.pth", "b" * 64, "ours", "unit"),
        metadata=ModelMetadata(
            name="mine",
            version=2,
            transform=recipe.transform,
            reference=Reference("4 pictures of 2 users, never trained on", 4, (0.0,) * QUANTILES),
            link="logistic",
            temperature=1.0,
            training="made up",
            licenses="ours",
        ),
        chosen="epoch 2 of 3 (best validation accuracy)" if network else "ℓ2 1",
        evaluations=(Evaluation("val", accuracy(), accuracy(), accuracy()),),
        calibration=Calibration(3, 2, 1.5, 0.6, 0.1),
        learnt_from="9 pairs of 18 pictures of 3 users",
        data=DataFacts(9, 18, 3, ("c" * 64,)),
        pairs_without_picture=1,
        measured_without_picture={},
        unreadable=(),
        l2=None if network else 1.0,
        grid=() if network else grid,
        epochs=EPOCHS if network else (),
        best_epoch=2 if network else None,
    )
    return replace(found, **changes)


def metrics(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((folder / METRICS_FILE).read_text())))


def test_metrics_are_there_after_every_epoch(tmp_path: Path) -> None:
    with suppress(KeyboardInterrupt), journal(tmp_path) as write:
        for n in (1, 2):
            write(EPOCHS[:n])
            rows = metrics(tmp_path)
            assert [row["epoch"] for row in rows] == [str(e.epoch) for e in EPOCHS[:n]]
        raise KeyboardInterrupt
    assert float(metrics(tmp_path)[1]["val_accuracy"]) == 0.75
    with journal(tmp_path) as write:
        write(EPOCHS)
    assert len(metrics(tmp_path)) == 3


def test_a_resumed_run_has_all_its_events_once(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for start in (1, 3):
        with journal(tmp_path) as write:
            for n in range(start, start + 2 if start == 1 else 4):
                write(EPOCHS[:n])
    events = EventAccumulator(str(tmp_path / EVENTS_FOLDER))
    events.Reload()
    found = [(event.step, event.value) for event in events.Scalars("loss/train")]
    assert [step for step, _ in found] == [1, 2, 3]
    assert [value for _, value in found] == pytest.approx([e.train_loss for e in EPOCHS])
    assert [e.value for e in events.Scalars("accuracy/val")] == pytest.approx([0.55, 0.75, 0.7])
    remove_events(tmp_path)
    assert not (tmp_path / EVENTS_FOLDER).exists()


def test_without_tensorboard_there_are_no_events_and_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # None in sys.modules makes an import fail, whatever is installed.
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard.writer", raising=False)
    with journal(tmp_path) as write:
        write(EPOCHS)
    assert [path.name for path in tmp_path.iterdir()] == [METRICS_FILE]


def figure_of(trained: TrainedModel, monkeypatch: pytest.MonkeyPatch):
    """The drawn figure, and its PNG."""
    from matplotlib.figure import Figure

    made = []
    save = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *a, **k: (made.append(self), save(self, *a, **k))[1]
    )
    png = draw_curves(trained)
    return made[0], png


def lines(axes) -> dict[str, list[float]]:
    return {line.get_label(): list(line.get_ydata()) for line in axes.get_lines()}


def test_curves_of_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    figure, png = figure_of(model(PAPER), monkeypatch)
    loss, right, rate = figure.axes
    assert lines(loss)["train (hard)"] == [0.7, 0.5, 0.3]
    assert lines(loss)["validation (hard)"] == [0.69, 0.6, 0.65]
    assert lines(right)["train (pooled)"] == [0.5, 0.8, 0.9]
    assert lines(right)["validation (mean of users)"] == [0.55, 0.75, 0.7]
    assert [1e-4, 9.5e-5, 9e-5] in lines(rate).values()
    for axes in figure.axes:
        assert list(axes.get_lines()[-1].get_xdata()) == [2, 2]
    picture = Image.open(io.BytesIO(png))
    assert picture.format == "PNG"
    assert png == draw_curves(model(PAPER))
    assert png != draw_curves(model(PAPER, best_epoch=3))


def test_curves_call_the_loss_of_likes_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    figure, _ = figure_of(model(ABSOLUTE), monkeypatch)
    assert set(lines(figure.axes[0])) >= {"train (least squares)", "validation (hard)"}


def test_curves_without_validation_and_of_one_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    blind = replace(EPOCHS[0], val_accuracy=NAN, val_loss=NAN)
    one = model(PAPER, epochs=(blind,), best_epoch=1)
    assert draw_curves(one).startswith(b"\x89PNG")
    for axes in figure_of(one, monkeypatch)[0].axes:
        assert axes.get_xticks().tolist() == [1]


@pytest.mark.parametrize("l2", [0.1, 0.0])
def test_curves_of_a_probe(l2: float, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = model(PROBE)
    trained = replace(trained, l2=l2, grid=(replace(trained.grid[0], l2=l2), trained.grid[1]))
    figure, _ = figure_of(trained, monkeypatch)
    loss, right = figure.axes
    assert [pytest.approx(0.69), pytest.approx(0.6)] in lines(loss).values()
    assert [0.6, 0.6] in lines(right).values()
    assert loss.get_xscale() == ("log" if l2 else "linear")
    assert list(right.get_lines()[-1].get_xdata()) == [l2, l2]


def test_the_card_says_where_everything_came_from() -> None:
    recipe = replace(FINETUNE, flip_labels=0.1)
    card = model_card(model(recipe), "a" * 64, {"pairs.parquet": "d" * 64, "more": "e" * 64})
    for said in (
        "# mine@2",
        "SHA-256 of the model file: " + "a" * 64,
        "SHA-256 of these weights: " + "b" * 64,
        "`rules_sha256`): " + "c" * 64,
        "| pairs.parquet | " + "d" * 64,
        "| more | " + "e" * 64,
        "9 pairs of 18 pictures of 3 users; 1 more pair had no readable picture.",
        "epoch 2 of 3",
        "accuracy on training pairs 0.800, on validation pairs 0.750",
        "**10 % of the training labels were turned round.**",
        "| val | model | 3 / 2 |",
        "| val | later wins | 3 / 2 |",
        "| val | brightness, colourfulness | 3 / 2 |",
        "(curves.png)",
        "/ 1.5), fitted on 3 pairs of 2 users",
        "the epoch was chosen there",
    ):
        assert said in card, said
    words = {True: "yes", False: "no", None: "not set"}
    for name, value in asdict(recipe).items():
        if name not in ("name", "pixel_scaling"):
            plain = words[value] if isinstance(value, bool | None) else str(value)
            assert f"| {name} | {plain} |" in card, name


def test_the_card_of_graded_pictures_in_both_lists_denies_nothing() -> None:
    shared = SharedUsers("again", 0, 4)
    card = model_card(model(PROBE, shared_users=(shared,)), "a" * 64, {})
    assert "No pair was scored" not in card
    assert "Some pairs were scored by a model trained on their pictures, as named below." in card
    assert "**WARNING: 'again' shares 4 pictures with the pairs to learn from: its" in card
    assert "do not compare with those about pictures never seen" in card


def test_the_cards_recipe_says_only_what_has_a_meaning() -> None:
    card = model_card(model(replace(ABSOLUTE, name="absolute")), "a" * 64, {})
    assert "| loss |" not in card
    assert "| flip_labels |" not in card
    assert "| pixel_scaling | unit, the backbone's default |" in card
    assert "| pixel_scaling | imagenet |" in model_card(
        model(replace(PAPER, pixel_scaling="imagenet")), "a" * 64, {}
    )
    card = model_card(model(PROBE), "a" * 64, {})
    assert "| folds |" not in card
    assert "| folds that choose ℓ2 | 10 |" in card
    assert "| loss | hard |" in card


def test_random_weights_are_the_first_thing_that_the_card_says() -> None:
    weights = BackboneWeights("resnet50", RANDOM, "", "none", "unit")
    card = model_card(model(PAPER, weights=weights), "a" * 64, {})
    assert card.splitlines()[0].startswith("**WARNING: this model starts from random weights")
    assert "WARNING" not in model_card(model(PAPER), "a" * 64, {})
    assert "turned round" not in card


def test_unrecorded_rules_and_a_fixed_l2_are_told() -> None:
    found = model(PROBE)
    fixed = replace(found, grid=found.grid[:1], data=replace(found.data, rules_sha256=()))
    assert "not recorded in the pairs" in model_card(fixed, "a" * 64, {})
    assert "ℓ2 was chosen" in model_card(found, "a" * 64, {})
    assert "ℓ2 was chosen" not in model_card(fixed, "a" * 64, {})


def finished(folder: Path, recipe: Recipe | NetworkRecipe, done: int, best: int) -> None:
    folder.mkdir(exist_ok=True)
    record = {
        "recipe": asdict(recipe),
        "inputs": {"pairs.parquet": "d" * 64},
        "backbone": {"sha256": WEIGHTS.sha256},
        "epochs": {"done": done, "best": best} if done else None,
    }
    (folder / "run.json").write_text(json.dumps(record))
    (folder / CHECKPOINT_FILE).write_bytes(b"")


def test_a_finished_run_goes_on_only_for_more_epochs_or_patience(tmp_path: Path) -> None:
    inputs = {"pairs.parquet": "d" * 64}
    recipe = replace(FINETUNE, epochs=10, patience=3)
    assert not nothing_left(tmp_path, recipe, WEIGHTS, inputs)
    finished(tmp_path, recipe, done=10, best=9)
    assert (
        nothing_left(tmp_path, recipe, WEIGHTS, inputs)
        == "10 epochs done: to go on, give more --epochs"
    )
    assert nothing_left(tmp_path, replace(recipe, epochs=4), WEIGHTS, inputs)
    assert not nothing_left(tmp_path, replace(recipe, epochs=11), WEIGHTS, inputs)
    finished(tmp_path, recipe, done=7, best=4)
    impatient = "no better epoch since epoch 4: to go on, give more --patience"
    assert nothing_left(tmp_path, recipe, WEIGHTS, inputs) == impatient
    assert nothing_left(tmp_path, replace(recipe, epochs=20), WEIGHTS, inputs) == impatient
    both = nothing_left(tmp_path, replace(recipe, epochs=7), WEIGHTS, inputs)
    assert both.endswith("to go on, give more --epochs and --patience")
    assert not nothing_left(tmp_path, replace(recipe, patience=5), WEIGHTS, inputs)
    assert not nothing_left(tmp_path, replace(recipe, patience=None), WEIGHTS, inputs)
    # What is trained is the same, so weights can be mixed anew, as those of a stopped run can.
    assert not nothing_left(tmp_path, replace(recipe, wise=0.5), WEIGHTS, inputs)
    for asked in (
        (replace(recipe, seed=1), WEIGHTS, inputs),
        (recipe, replace(WEIGHTS, sha256="f" * 64), inputs),
        (recipe, WEIGHTS, {"pairs.parquet": "e" * 64}),
    ):
        with pytest.raises(UserInputError, match="of another recipe, other pairs or weights"):
            nothing_left(tmp_path, *asked)
    (tmp_path / CHECKPOINT_FILE).unlink()
    with pytest.raises(UserInputError, match="checkpoint is gone"):
        nothing_left(tmp_path, replace(recipe, patience=None), WEIGHTS, inputs)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(ModelError, match="damaged run"):
        nothing_left(tmp_path, recipe, WEIGHTS, inputs)


def test_a_finished_probe_is_no_damaged_run_of_a_network(tmp_path: Path) -> None:
    finished(tmp_path, PROBE, done=0, best=0)
    with pytest.raises(UserInputError, match="of another recipe, other pairs or weights"):
        nothing_left(tmp_path, FINETUNE, WEIGHTS, {"pairs.parquet": "d" * 64})


def test_a_stopped_run_tells_its_checkpoint(tmp_path: Path) -> None:
    assert "no checkpoint yet" in how_stopped(tmp_path, PAPER)
    weights = {"weight": torch.zeros(3)}
    state = Checkpoint("plan", 7, weights, {}, {}, 5, weights, [], {}, [])
    save_checkpoint(state, tmp_path)
    assert last_epoch(tmp_path) == 7
    assert how_stopped(tmp_path, PAPER, last_written(tmp_path)) == (
        f"stopped before the first epoch was done; {tmp_path} still holds the run before it"
    )
    said = how_stopped(tmp_path, PAPER)
    assert said.startswith(f"stopped; {tmp_path} holds the checkpoint after epoch 7: --resume")
    (tmp_path / CHECKPOINT_FILE).write_bytes(b"half a file")
    assert last_epoch(tmp_path) == 0
    assert "embedded is kept" in how_stopped(tmp_path, PROBE)
    assert "no checkpoint yet" in how_stopped(tmp_path, FINETUNE)


def test_only_a_runs_own_files_are_removed(tmp_path: Path) -> None:
    events = tmp_path / EVENTS_FOLDER
    events.mkdir()
    results = ("run.json", "model.onnx", "model.onnx.sha256", "model.safetensors", "curves.png")
    for name in (*results, "card.md", METRICS_FILE, CHECKPOINT_FILE, "notes.txt"):
        (tmp_path / name).write_text("")
    for name in ("events.out.tfevents.1", "notes.txt"):
        (events / name).write_text("")
    remove_results(tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {METRICS_FILE, CHECKPOINT_FILE, EVENTS_FOLDER, "notes.txt"}
    remove_run(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {EVENTS_FOLDER, "notes.txt"}
    assert [path.name for path in events.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("name", [CHECKPOINT_FILE, "model.onnx", "model.onnx.sha256", "card.md"])
def test_a_file_half_written_when_the_run_was_killed_is_the_runs_own(
    name: str, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    script = (
        "import os, sys; from i2pa.files import whole_file\n"
        "with whole_file(sys.argv[1]): os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", script, folder / name], check=False)
    (aside,) = folder.iterdir()
    assert aside.name.startswith(f".{name}.")
    for how in ({}, {"resume": True}, {"overwrite": True}):
        check_run_folder(folder, **how)
    for other in (f".{name}.backup", f"{name}.12345678", ".notes.txt.12345678"):
        (folder / other).write_text("")
        with pytest.raises(UserInputError, match="holds other files"):
            check_run_folder(folder, resume=True)
        remove_run(folder)
        assert [path.name for path in folder.iterdir()] == [other]
        (folder / other).unlink()


def test_a_card_lists_the_first_pictures_that_could_not_be_read() -> None:
    lost = tuple(
        Failure(f"u{n}.jpg", "missing", "no such\nfile, `ls` says\n# no heading") for n in range(7)
    )
    card = model_card(model(PAPER, unreadable=lost), "e" * 64, {})
    assert "7 pictures could not be read:\n" in card
    assert "\n- `u4.jpg: no such file, 'ls' says # no heading`\n- and 2 more, in `run.json`" in card
    assert "u5.jpg" not in card
    assert "could not be read:" not in model_card(model(PAPER), "e" * 64, {})


def test_a_card_says_what_the_l2_of_a_network_is() -> None:
    said = "- ℓ2 of all weights, in Adam's gradient: 0.0001\n"
    assert said in model_card(model(PAPER), "e" * 64, {})
    assert "Adam" not in model_card(model(PROBE), "e" * 64, {})


def test_a_run_folder_that_cannot_be_made_is_told_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserInputError, match=r"cannot be made a run folder .*; name another"):
        make_run_folder(tmp_path / "file" / "run")
