"""The training loop on a tiny network: it learns, resumes bit for bit, and shares work evenly."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import (
    ALONE,
    FROZEN,
    PICTURES,
    RECIPE,
    TINY,
    TRAIN,
    USERS,
    VAL,
    network,
    without_dropout,
)
from torch import Tensor

from i2pa.errors import DataError, ModelError
from i2pa.models.registry import CHECKPOINT_FILE
from i2pa.training.batches import Floats, Ints, epoch_batches, shares
from i2pa.training.checkpoint import last_epoch
from i2pa.training.feed import PictureFeed
from i2pa.training.loop import Fitted, fit
from i2pa.training.losses import LOSSES
from i2pa.training.pairwise import PairObjective
from i2pa.training.recipes import NetworkRecipe
from i2pa.training.validation import rate_pictures, validate


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The redder of two pictures wins; picture i of a user is redder than those after it."""
    folder = tmp_path_factory.mktemp("album")
    rng = np.random.default_rng(0)
    files = []
    for row in range(USERS * PICTURES):
        pixels = rng.integers(0, 80, (20, 26, 3)).astype(np.uint8)
        pixels[..., 0] += np.uint8(30 * (PICTURES - row % PICTURES - 1))
        files.append(folder / f"{row}.png")
        Image.fromarray(pixels).save(files[-1])
    return files


def run(
    album: list[Path], folder: Path, recipe: NetworkRecipe = RECIPE, **options: bool
) -> tuple[Fitted, dict[str, Tensor]]:
    folder.mkdir(exist_ok=True)
    trained = network(recipe.loss, nuisance=recipe.nuisance)
    feed = PictureFeed(album, TINY, seed=recipe.seed)
    fitted = fit(trained, TRAIN, VAL, feed, recipe, folder, processes=ALONE, **options)
    return fitted, trained.state_dict()


def assert_close(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    for name, value in one.items():
        # Differences give the bias no gradient but rounding, which Adam blows up.
        if name != "ranker.head.bias":
            assert torch.allclose(value, other[name], atol=1e-4), name


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_learns_what_can_be_seen(loss: str, album: list[Path], tmp_path: Path) -> None:
    recipe = replace(RECIPE, loss=loss, nuisance=loss == "soft", epochs=8, by_user=True)
    fitted, _ = run(album, tmp_path / "run", recipe)
    assert max(epoch.val_accuracy for epoch in fitted.history) > 0.9
    assert fitted.history[fitted.best - 1].val_accuracy == max(
        epoch.val_accuracy for epoch in fitted.history
    )
    assert fitted.history[-1].rate == pytest.approx(3e-2 * 0.9**7)


@pytest.mark.parametrize("p", [0.5, 0.3])
def test_hard_teaches_who_won_however_unsure_that_is(
    p: float, album: list[Path], tmp_path: Path
) -> None:
    recipe = replace(RECIPE, epochs=8, by_user=True)
    doubtful = replace(TRAIN, p=np.full(len(TRAIN), p))
    trained, feed = network(), PictureFeed(album, TINY, seed=recipe.seed)
    fitted = fit(trained, doubtful, VAL, feed, recipe, tmp_path, processes=ALONE)
    best = fitted.history[fitted.best - 1]
    assert best.val_accuracy > 0.9
    assert best.train_accuracy > 0.9


def test_the_best_epoch_is_what_is_left(album: list[Path], tmp_path: Path) -> None:
    recipe = replace(RECIPE, epochs=6)
    fitted, weights = run(album, tmp_path / "whole", recipe)
    again, best = run(album, tmp_path / "short", replace(recipe, epochs=fitted.best))
    assert again.history[-1].val_accuracy == fitted.history[fitted.best - 1].val_accuracy
    assert same(weights, best)


@pytest.mark.parametrize("stop_after", [1, 3])
def test_resuming_changes_no_bit(stop_after: int, album: list[Path], tmp_path: Path) -> None:
    whole, weights = run(album, tmp_path / "whole")
    run(album, tmp_path / "parts", replace(RECIPE, epochs=stop_after))
    resumed, other = run(album, tmp_path / "parts", resume=True)
    assert same(weights, other)
    assert [e.train_loss for e in whole.history] == [e.train_loss for e in resumed.history]


def test_patience_stops_and_a_resumed_run_stays_stopped(album: list[Path], tmp_path: Path) -> None:
    recipe = replace(RECIPE, epochs=30, patience=2)
    fitted, weights = run(album, tmp_path / "run", recipe)
    assert len(fitted.history) == fitted.best + 2 < 30
    again, other = run(album, tmp_path / "run", recipe, resume=True)
    assert len(again.history) == len(fitted.history)
    assert same(weights, other)


def test_a_checkpoint_to_go_on_from_is_refused_in_one_line_that_says_how_to_go_on(
    album: list[Path], tmp_path: Path
) -> None:
    run(album, tmp_path / "run", replace(RECIPE, epochs=1))
    file = tmp_path / "run" / CHECKPOINT_FILE
    kept = file.read_bytes()
    remedy = "; give the same options, or add --overwrite in place of --resume to begin anew"
    with pytest.raises(ModelError) as refused:
        run(album, tmp_path / "run", replace(RECIPE, seed=1), resume=True)
    assert str(refused.value) == (
        f"{file}: of another recipe, other pairs or pictures, or another version of i2pa{remedy}"
    )
    assert file.read_bytes() == kept
    for damaged in (b"PK\x03\x04 no more", b"hello world", b"", kept[:-100]):
        file.write_bytes(damaged)
        assert last_epoch(file.parent) == 0
        with pytest.raises(ModelError) as refused:
            run(album, tmp_path / "run", resume=True)
        assert str(refused.value) == f"{file}: damaged, or of another version of i2pa{remedy}"


def test_broken_pictures_drop_their_pairs_until_they_are_too_many(
    album: list[Path], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    files = [*album]
    files[3] = broken
    with pytest.raises(DataError, match="5 of 90 pairs lack a picture"):
        run(files, tmp_path / "strict")
    fitted, _ = run(files, tmp_path / "allowed", allow_unreadable=True)
    assert fitted.unreadable.keys() == {3}
    assert len(fitted.history) == RECIPE.epochs


def test_gradients_in_parts_are_those_of_the_whole(album: list[Path], tmp_path: Path) -> None:
    weights = []
    for accumulate in (1, 3):
        trained = without_dropout()
        recipe = replace(FROZEN, epochs=1, accumulate=accumulate)
        folder = tmp_path / str(accumulate)
        folder.mkdir()
        feed = PictureFeed(album, TINY)
        fit(trained, TRAIN, VAL, feed, recipe, folder, processes=ALONE)
        weights.append(trained.state_dict())
    assert_close(*weights)


def test_a_part_without_pairs_leaves_the_network_as_it_is(album: list[Path]) -> None:
    trained = without_dropout().train()
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    batch = epoch_batches(TRAIN, 1, seed=0, epoch=1)[0]
    _, empty = shares(batch, 2)
    (pictures,) = PictureFeed(album, TINY).batches([empty.images])
    value, counts = PairObjective(TRAIN, RECIPE).loss(trained, empty, pictures, len(batch))
    value.backward()
    assert same(before, trained.state_dict())
    assert trained.ranker.body[1].training
    # Every process has a gradient to share, if only of zeros.
    assert all((parameter.grad == 0).all() for parameter in trained.parameters())
    assert counts.tolist() == [0, 0, 0]


def test_batches_hold_every_pair_once_whatever_the_sides() -> None:
    for by_user in (False, True):
        batches = epoch_batches(TRAIN, 7, seed=3, epoch=2, by_user=by_user)
        met = np.concatenate([batch.pair for batch in batches])
        assert sorted(met.tolist()) == list(range(len(TRAIN)))
        for batch in batches:
            assert len(np.unique(batch.images)) == len(batch.images)
            a_won = batch.a_won
            assert (a_won == (batch.p > 0.5)).all()
            ends = batch.images[batch.a], batch.images[batch.b]
            assert (np.where(a_won, *ends) == TRAIN.winner[batch.pair]).all()
            assert (np.where(a_won, *ends[::-1]) == TRAIN.loser[batch.pair]).all()
            parts = list(shares(batch, 3))
            assert np.concatenate([part.pair for part in parts]).tolist() == batch.pair.tolist()
        won = np.concatenate([batch.p > 0.5 for batch in batches])
        assert 0.25 < won.mean() < 0.75
    again = epoch_batches(TRAIN, 7, seed=3, epoch=2, by_user=True)
    assert (again[0].pair == batches[0].pair).all()
    assert (epoch_batches(TRAIN, 7, 3, 3)[0].pair != epoch_batches(TRAIN, 7, 3, 2)[0].pair).any()


def start(album: list[Path], folder: Path, epochs: int, *more: str, n: int = 1) -> list[str]:
    folder.mkdir(exist_ok=True)
    launch = ["-m", "torch.distributed.run", "--nproc-per-node", str(n), "--master-port", PORT]
    script = str(Path(__file__).with_name("tiny.py"))
    return [
        *(sys.executable, *(launch if n > 1 else []), script),
        *(str(album[0].parent), str(folder), str(epochs), *more),
    ]


PORT = "29571"


@pytest.fixture(scope="module")
def one_and_two(album: list[Path], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Folders of a run by one process and by two."""
    folders = [tmp_path_factory.mktemp(name) for name in ("one", "two")]
    for n, folder in enumerate(folders, start=1):
        done = subprocess.run(start(album, folder, 2, n=n), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    return folders


@pytest.mark.slow
def test_two_processes_equal_one(one_and_two: list[Path]) -> None:
    assert_close(*(torch.load(folder / "weights.pt") for folder in one_and_two))


@pytest.mark.slow
def test_two_processes_rate_with_the_statistics_that_are_kept(
    one_and_two: list[Path], album: list[Path]
) -> None:
    first, second = (torch.load(one_and_two[1] / f"moving-{rank}.pt") for rank in (0, 1))
    assert same(first["weights"], second["weights"])
    kept = network()
    kept.load_state_dict(first["weights"])

    def scored(rows: Ints) -> Floats:
        return rate_pictures(kept, PictureFeed(album, TINY), rows, RECIPE, ALONE)[0]

    assert first["val_loss"] == pytest.approx(validate(scored, VAL, downward=False)[0], abs=1e-6)


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on_to_the_same_weights(
    album: list[Path], tmp_path: Path
) -> None:
    epochs = 12
    subprocess.run(start(album, tmp_path / "whole", epochs), check=True)
    folder = tmp_path / "killed"
    deaths = 0
    for _ in range(3):
        process = subprocess.Popen(start(album, folder, epochs, "--resume"))
        before = (folder / CHECKPOINT_FILE).stat().st_mtime_ns if deaths else 0
        while process.poll() is None:
            checkpoint = folder / CHECKPOINT_FILE
            if checkpoint.exists() and checkpoint.stat().st_mtime_ns > before:
                process.send_signal(signal.SIGKILL)
                deaths += 1
                break
        process.wait()
    assert deaths > 0
    subprocess.run(start(album, folder, epochs, "--resume"), check=True)
    one, other = (torch.load(tmp_path / n / "weights.pt") for n in ("whole", "killed"))
    assert same(one, other)
    assert sorted(file.name for file in folder.iterdir() if file.name[0] != ".") == [
        CHECKPOINT_FILE,
        "weights.pt",
    ]
