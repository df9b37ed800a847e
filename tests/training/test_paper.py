"""The recipe `paper` with a real ResNet-50: the paper's numbers, and that its mechanics learn."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from torch import nn

from i2pa.cli import main
from i2pa.errors import ModelError
from i2pa.images.transforms import transform_named
from i2pa.models.backbones import backbone_weights, load_weights
from i2pa.models.ranker import Ranker
from i2pa.models.registry import CHECKPOINT_FILE
from i2pa.training import PAPER, TrainedModel, train, write_run
from i2pa.training.batches import LabelledPairs, epoch_batches
from i2pa.training.feed import PictureFeed
from i2pa.training.loop import _optimizer, _train_mode
from i2pa.training.losses import cross_entropy, loss_named
from i2pa.training.pairwise import PairNetwork
from i2pa.training.recipes import NetworkRecipe
from made_up import RULES, album

pytestmark = pytest.mark.slow

# What a handful of pairs needs in place of 2.5 million: larger steps, fewer pairs each.
SMALL = replace(PAPER, batch=2, epochs=2, rate_body=3e-4, rate_head=3e-4)
STOPPED_AFTER = 1


@dataclass(frozen=True)
class Run:
    """A run that was never stopped, one that was and went on, and the data of both."""

    model: TrainedModel
    again: TrainedModel
    folder: Path
    other: Path
    pictures: Path
    pairs: pa.Table


def small_run(pairs: pa.Table, pictures: Path, recipe: NetworkRecipe, folder: Path, **how: bool):
    how |= {"warn": lambda _: None}
    return train(pairs, pictures, recipe, weights="random", folder=folder, name="red", **how)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    place = tmp_path_factory.mktemp("paper")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("I2PA_CACHE", str(place / "cache"))
        pictures = place / "pictures"
        pairs = album(pictures, users=3, pairs_each=2)
        model = small_run(pairs, pictures, SMALL, place / "run")
        stopped = replace(SMALL, epochs=STOPPED_AFTER)
        small_run(pairs, pictures, stopped, place / "other")
        again = small_run(pairs, pictures, SMALL, place / "other", resume=True)
    return Run(model, again, place / "run", place / "other", pictures, pairs)


@pytest.fixture(scope="module")
def network() -> PairNetwork:
    weights = backbone_weights(PAPER.backbone, "random", pixel_scaling=PAPER.pixel_scaling)
    torch.manual_seed(0)
    return PairNetwork(Ranker(load_weights(weights)), nuisance=False)


def checkpoint(folder: Path) -> dict:
    return torch.load(folder / CHECKPOINT_FILE, weights_only=True)


def test_adam_has_the_papers_rates_and_l2(network: PairNetwork) -> None:
    optimizer = _optimizer(network, PAPER)
    assert type(optimizer) is torch.optim.Adam
    body, head = optimizer.param_groups
    assert (body["lr"], head["lr"]) == (1e-5, 1e-4)
    assert [group["weight_decay"] for group in (body, head)] == [1e-4, 1e-4]
    assert {id(p) for p in head["params"]} == {id(p) for p in network.ranker.head.parameters()}
    everything = {id(p) for p in network.parameters()}
    assert {id(p) for group in (body, head) for p in group["params"]} == everything


def test_rates_fall_by_a_twentieth_an_epoch(run: Run) -> None:
    groups = checkpoint(run.folder)["optimizer"]["param_groups"]
    for group, first in zip(groups, (SMALL.rate_body, SMALL.rate_head), strict=True):
        assert group["lr"] == pytest.approx(first * 0.95 ** (len(run.model.epochs) - 1))
    rates = [epoch.rate for epoch in run.model.epochs]
    assert rates == pytest.approx([SMALL.rate_head * 0.95**n for n in range(SMALL.epochs)])


def test_a_step_is_64_pairs_with_hard_labels(network: PairNetwork) -> None:
    n = 200
    rows, ones = np.arange(n), np.ones(n)
    pairs = LabelledPairs(rows, rows + n, rows, rows, rows, 0.96 * ones, ones)
    batches = epoch_batches(pairs, PAPER.batch, PAPER.seed, 1, by_user=PAPER.by_user)
    assert [len(batch.pair) for batch in batches] == [64, 64, 64, 8]
    loss = loss_named(PAPER.loss)
    assert not loss.soft
    assert loss.per_pair is cross_entropy
    assert network.ranker.spread is None
    assert network.clock is None


def test_pictures_are_random_crops_of_224_from_a_short_side_of_256(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    transform = transform_named(PAPER.transform)
    resized = transform.resized(tmp_path / "noise.png")
    assert resized.shape[:2] == (256, 341)
    assert PAPER.random_crop
    feed = PictureFeed([tmp_path / "noise.png"], transform)
    one, other, middle = (
        next(feed.batches([np.zeros(1, np.int64)], random_crop_of_epoch=epoch)).pixels[0]
        for epoch in (1, 2, None)
    )
    windows = np.lib.stride_tricks.sliding_window_view(resized, (224, 224), axis=(0, 1))
    corners = windows[..., :4, :4].transpose(0, 1, 3, 4, 2)
    for crop in (one, other, middle):
        assert crop.shape == (224, 224, 3)
        assert (corners == crop[:4, :4]).all(axis=(2, 3, 4)).sum() == 1
    assert not np.array_equal(one, other)
    assert np.array_equal(middle, resized[16:240, 58:282])


def test_pixels_are_plain_from_0_to_1(network: PairNetwork) -> None:
    seen = []
    first = network.ranker.backbone.conv1
    handle = first.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    pixels = torch.tensor([0, 51, 255], dtype=torch.uint8).repeat(1, 32, 32, 1)
    with torch.inference_mode():
        network.ranker.eval()(pixels)
    handle.remove()
    assert torch.allclose(seen[0][0, :, 0, 0], torch.tensor([0.0, 0.2, 1.0]))


def test_the_last_layer_begins_as_he_et_al_say(network: PairNetwork) -> None:
    head = network.ranker.head
    assert head.weight.shape == (1, 2048)
    # 2,048 draws: the standard error of their deviation is 1.6 %.
    assert head.weight.std().item() == pytest.approx(math.sqrt(2 / 2048), rel=0.08)
    assert head.bias.item() == 0


def test_batch_norm_is_in_training_mode(network: PairNetwork, run: Run) -> None:
    network.eval()
    _train_mode(network, PAPER)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == 53
    assert all(norm.training for norm in norms)
    steps = SMALL.epochs * math.ceil(run.model.data.pairs / SMALL.batch)
    counted = checkpoint(run.folder)["network"]["ranker.backbone.bn1.num_batches_tracked"]
    assert counted.item() == steps


def test_it_learns_the_pairs_by_heart(run: Run) -> None:
    assert run.model.data.pairs == 4
    assert run.model.epochs[0].train_loss > run.model.epochs[-1].train_loss
    assert run.model.epochs[-1].train_accuracy == 1


def test_resumed_it_ends_with_the_same_bits(run: Run) -> None:
    one, other = checkpoint(run.folder), checkpoint(run.other)
    assert one["epoch"] == other["epoch"] == SMALL.epochs
    for name, value in one["network"].items():
        assert torch.equal(value, other["network"][name]), name
    for number, state in one["optimizer"]["state"].items():
        for name, value in state.items():
            assert torch.equal(value, other["optimizer"]["state"][number][name]), (number, name)
    kept, again = run.model.ranker.state_dict(), run.again.ranker.state_dict()
    assert all(torch.equal(value, again[name]) for name, value in kept.items())
    losses = [[epoch.train_loss for epoch in m.epochs] for m in (run.model, run.again)]
    assert losses[0] == losses[1]


def test_another_start_is_another_run(run: Run) -> None:
    renamed = run.pairs.set_column(
        run.pairs.column_names.index("winner_image"), "winner_image", run.pairs["loser_image"]
    ).set_column(
        run.pairs.column_names.index("loser_image"), "loser_image", run.pairs["winner_image"]
    )
    with pytest.raises(ModelError, match="of another recipe, other pairs or pictures"):
        small_run(renamed, run.pictures, SMALL, run.other, resume=True)


def test_it_exports_and_ranks_a_folder(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_run(run.model, run.folder, {"pairs.parquet": "0" * 64})
    made = {path.name for path in run.folder.iterdir()} - {"tensorboard"}
    assert made == {
        *("model.onnx", "model.onnx.sha256", "model.safetensors", "run.json"),
        *("card.md", "metrics.csv", "curves.png", CHECKPOINT_FILE),
    }
    card = (run.folder / "card.md").read_text()
    assert card.startswith("**WARNING: this model starts from random weights")
    assert file.sha256 in card
    assert RULES in card
    assert f"| pairs.parquet | {'0' * 64} |" in card
    record = json.loads((run.folder / "run.json").read_text())
    assert record["epochs"] == {"done": SMALL.epochs, "best": run.model.best_epoch}
    assert record["data"] == {"pairs": 4, "pictures": 8, "users": 2, "rules_sha256": [RULES]}

    with pytest.raises(SystemExit) as ended:
        main(["rank", str(run.pictures), "--model", str(run.folder), "--json"])
    assert ended.value.code == 0
    ranking = json.loads(capsys.readouterr().out)
    assert ranking["model"]["name"] == "red"
    assert ranking["model"]["sha256"] == file.sha256
    assert len(ranking["items"]) == 12
    assert ranking["failures"] == []
