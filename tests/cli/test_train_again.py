"""i2pa train into a folder that holds something already: what is refused leaves it as it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_runner import run

from i2pa.models.registry import CHECKPOINT_FILE
from i2pa.pairs.schema import write_pairs
from made_up import album


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pairs.parquet, four users to learn from, and the pictures they name."""
    folder = tmp_path_factory.mktemp("again")
    write_pairs(album(folder / "pictures", users=5, pairs_each=1), folder / "pairs.parquet")
    return folder


def test_folds_of_a_finished_run_are_refused(
    place: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("i2pa.training.run.nothing_left", lambda *_: "2 epochs done")
    options = ("train", place / "pairs.parquet", "--images", place / "pictures")
    options = (*options, "-o", tmp_path / "run")
    code, out, err = run(capsys, *options, "--recipe", "finetune", "--resume", "--folds", 2)
    assert (code, out) == (2, "")
    assert err == (
        f"i2pa: {tmp_path / 'run'}: this run is finished (2 epochs done), and --folds belongs to "
        "one that trains; leave --folds out, or add --overwrite in place of --resume\n"
    )


@pytest.mark.parametrize("recipe", ["probe", "finetune"])
def test_a_run_is_not_given_up_for_one_that_is_refused(
    recipe: str, place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in (CHECKPOINT_FILE, "run.json", "model.onnx"):
        (tmp_path / name).write_text("old")
    options = ("train", place / "pairs.parquet", "-o", tmp_path, "--recipe", recipe, "--overwrite")
    code, _, err = run(capsys, *options, "--images", tmp_path / "nowhere")
    assert (code, "no such folder of pictures" in err) == (2, True)
    assert {path.read_text() for path in tmp_path.iterdir()} == {"old"}
    assert len([*tmp_path.iterdir()]) == 3


def test_an_export_is_not_taken_for_a_run(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("model.onnx", "model.onnx.sha256"):
        (tmp_path / name).write_text("mine")
    code, _, err = run(
        capsys, "train", place / "pairs.parquet", "--images", place, "-o", tmp_path, "--overwrite"
    )
    assert (code, "holds other files than a run's" in err) == (2, True)
    assert (tmp_path / "model.onnx").read_text() == "mine"
