"""Whose the files in a folder are: only a run's own are replaced, whenever a run was killed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from test_run_folder import model

from i2pa.errors import ModelError, UserInputError
from i2pa.models.registry import CHECKPOINT_FILE
from i2pa.training import PAPER, PROBE, NetworkRecipe, Recipe
from i2pa.training.journal import METRICS_FILE
from i2pa.training.measure import Calibration
from i2pa.training.run import _metrics, check_run_folder, export_run, remove_run, write_run


def made(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("mine")
    return folder


FOLD = "folds/fold-0-0123456789abcdef/fold-0123456789abcdef.json"


@pytest.mark.parametrize(
    "names",
    [
        ("folds/split0.csv", "model.onnx", "metrics.csv", "notes.txt"),
        ("model.onnx", "model.onnx.sha256"),
        ("metrics.csv",),
        ("folds/fold-0/train.csv",),
        (FOLD, "folds/fold-1-0123456789abcdef/train.csv"),
        (FOLD, "notes.txt"),
    ],
)
def test_files_called_as_a_runs_are_not_taken_for_one(
    names: tuple[str, ...], tmp_path: Path
) -> None:
    made(tmp_path, *names)
    for how in ({}, {"resume": True}, {"overwrite": True}):
        with pytest.raises(UserInputError, match="holds other files than a run's"):
            check_run_folder(tmp_path, **how)
    assert all((tmp_path / name).read_text() == "mine" for name in names)


def test_folds_of_others_stay(tmp_path: Path) -> None:
    others = ("folds/split0.csv", "folds/fold-0/checkpoint.pt", "folds/fold-2/train.csv")
    place = FOLD.rpartition("/")[0]
    made(tmp_path, FOLD, f"{place}/{CHECKPOINT_FILE}", f"{place}/metrics.csv", *others)
    made(tmp_path, f"{place}/.{CHECKPOINT_FILE}.abcd_123", "run.json")
    remove_run(tmp_path)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == set(others)


@pytest.mark.parametrize("recipe", [PROBE, PAPER])
def test_a_run_killed_at_any_step_of_its_writing_can_be_started_again(
    recipe: Recipe | NetworkRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a run in the place of a finished one, which is removed file by file."""
    done = made(
        *(tmp_path / "0", "run.json", "model.onnx", "model.onnx.sha256", "model.safetensors"),
        *("card.md", "curves.png", FOLD),
    )
    (done / METRICS_FILE).write_text(_metrics(model(recipe)))
    steps: list[str] = []

    class KilledError(Exception):
        pass

    def step(path: Path) -> None:
        if len(steps) == last:
            raise KilledError
        steps.append(path.name)

    unlink = Path.unlink
    monkeypatch.setattr(
        Path, "unlink", lambda path, missing_ok=False: (step(path), unlink(path, missing_ok))
    )

    def exported(_: object, __: object, ___: object, path: Path) -> None:
        for file in (path, path.with_name(f"{path.name}.sha256")):
            step(file)
            file.write_text("ours")
        raise KilledError

    monkeypatch.setattr("i2pa.training.run.export_onnx", exported)
    for last in range(40):
        steps.clear()
        folder = tmp_path / str(last + 1)
        shutil.copytree(done, folder)
        with pytest.raises(KilledError):
            write_run(model(recipe), folder, overwrite=True)
        check_run_folder(folder, overwrite=True)
        if len(steps) < last:
            break
    assert "model.onnx.sha256" in steps[-1:]
    check_run_folder(folder)


def test_no_finished_run_and_no_folder_of_others_is_written_over_unasked(tmp_path: Path) -> None:
    photos, finished = made(tmp_path / "photos", "a.jpg"), made(tmp_path / "run", "run.json")
    for folder, says in ((photos, "other files than a run's"), (finished, "a finished run")):
        with pytest.raises(UserInputError, match=says):
            write_run(model(PROBE), str(folder))
        assert len([*folder.iterdir()]) == 1
    with pytest.raises(UserInputError, match="other files than a run's"):
        write_run(model(PROBE), photos, overwrite=True)


def test_a_finished_run_whose_record_is_lost_is_given_up_only_when_asked(tmp_path: Path) -> None:
    made(tmp_path, "model.onnx", "card.md")
    (tmp_path / METRICS_FILE).write_text(_metrics(model(PROBE)))
    with pytest.raises(UserInputError, match=r"whose run\.json is missing"):
        check_run_folder(str(tmp_path))
    check_run_folder(tmp_path, overwrite=True)


@pytest.mark.parametrize(
    ("record", "says"),
    [(None, r"no run\.json"), ("{}", r"run\.json lacks 'metadata'"), ("{", r"run\.json or .* is")],
)
def test_a_damaged_run_is_told_by_its_file(record: str | None, says: str, tmp_path: Path) -> None:
    made(tmp_path, "model.safetensors")
    if record is not None:
        (tmp_path / "run.json").write_text(record)
    with pytest.raises(ModelError, match=says):
        export_run(str(tmp_path), str(tmp_path / "again.onnx"))


@pytest.mark.parametrize(("nats", "nothing"), [(0.6931, True), (0.7, True), (0.6, False)])
def test_probabilities_no_better_than_a_coins_are_known(nats: float, nothing: bool) -> None:
    assert Calibration(10, 2, 1e4, nats, 0.2).tells_nothing is nothing
