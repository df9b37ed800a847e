"""Blocks that keep their weights: what they give is computed once, and the rest trains the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_loop import album  # noqa: F401
from tiny import ALONE, RECIPE, TRAIN, VAL
from torch import nn

from i2pa.errors import UserInputError
from i2pa.images.transforms import Transform
from i2pa.models.classic import alexnet
from i2pa.models.efficientnet import EfficientNetLite
from i2pa.models.ranker import Ranker, freeze_blocks
from i2pa.models.resnet import ResNet
from i2pa.training import ABSOLUTE, FINETUNE, PAPER
from i2pa.training.absolute import FEATURES, AbsoluteNetwork
from i2pa.training.feed import EarlyFeed, PictureFeed
from i2pa.training.loop import fit
from i2pa.training.pairwise import PairNetwork
from i2pa.training.recipes import changed

SMALL = Transform("small", 1, size=32)


def ranker() -> Ranker:
    torch.manual_seed(0)
    made = Ranker(EfficientNetLite(width=0.25, depth=0.5))
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return made.eval()


@pytest.mark.parametrize("blocks", [0, 1, 3])
@pytest.mark.parametrize("build", [lambda: ranker().backbone, lambda: ResNet((1, 1, 1, 1), None)])
def test_early_and_late_make_the_whole(blocks, build) -> None:
    torch.manual_seed(1)
    made = Ranker(build()).eval()
    pixels = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    with torch.inference_mode():
        whole = made(pixels)
        parts = made.later(made.earlier(pixels, blocks), blocks)
    assert all(torch.equal(one, other) for one, other in zip(whole, parts, strict=True))


def test_only_the_first_blocks_are_frozen() -> None:
    made = ranker()
    freeze_blocks(made, 2)
    frozen = {name for name, p in made.named_parameters() if not p.requires_grad}
    assert {name.split(".")[1] for name in frozen} == {"conv_stem", "bn0", "blocks"}
    assert {name.split(".")[2] for name in frozen if ".blocks." in name} == {"0", "1"}


def test_as_many_blocks_as_there_are() -> None:
    made = ranker()
    with pytest.raises(UserInputError, match=f"has {made.backbone.n_blocks} blocks"):
        freeze_blocks(made, made.backbone.n_blocks + 1)
    with pytest.raises(UserInputError, match="has 0 blocks"):
        freeze_blocks(Ranker(alexnet(None)), 1)


def test_likes_are_learnt_beside_frozen_blocks_too() -> None:
    made = ranker()
    network = AbsoluteNetwork(made, 5.0, frozen=2).eval()
    pixels = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    features = torch.zeros(2, len(FEATURES))
    with torch.inference_mode():
        early = network(made.earlier(pixels, 2), features)
        whole = network.predict(made(pixels)[0], features)
    assert torch.equal(early, whole)


def test_it_goes_with_still_pixels_and_still_statistics_only() -> None:
    assert changed(FINETUNE, {"frozen_blocks": 11}).frozen_blocks == 11
    for recipe in (PAPER, ABSOLUTE):
        with pytest.raises(UserInputError, match="--frozen-blocks means nothing"):
            changed(recipe, {"frozen_blocks": 3})


@pytest.mark.parametrize("memory", [0, 1 << 20])
def test_what_is_kept_is_what_the_blocks_give(
    memory: int,
    album: list[Path],  # noqa: F811
    tmp_path: Path,
) -> None:
    files = [*album[:5], tmp_path / "none.png"]
    made = ranker()
    feed = EarlyFeed(PictureFeed(files, SMALL), made, 2, memory_bytes=memory)
    wanted = [np.array([0, 5, 3]), np.array([5]), np.array([3, 1]), np.array([0, 4])]
    pixels = np.stack([SMALL.pixels(path) for path in album[:5]])
    with torch.inference_mode():
        expected = made.earlier(torch.from_numpy(pixels), 2).numpy()
    for _ in range(2):
        for rows, fed in zip(wanted, feed.batches(iter(wanted)), strict=True):
            readable = rows != 5
            assert (fed.place >= 0).tolist() == readable.tolist()
            assert np.allclose(fed.pixels[fed.place[readable]], expected[rows[readable]], atol=1e-5)
            assert fed.pixels.shape[1:] == expected.shape[1:]
    assert feed.unreadable.keys() == {5}


def test_training_is_that_of_the_whole_with_the_blocks_held(
    album: list[Path],  # noqa: F811
    tmp_path: Path,
) -> None:
    recipe = replace(
        RECIPE,
        freeze_norm=True,
        random_crop=False,
        epochs=1,
        rate_body=1e-3,
        rate_head=1e-3,
        batch=16,
    )
    trained = []
    for blocks in (0, 2):
        made = ranker()
        freeze_blocks(made, 2)
        network = PairNetwork(made, nuisance=False, frozen=blocks)
        feed = PictureFeed(album, SMALL)
        fit(
            network,
            TRAIN,
            VAL,
            EarlyFeed(feed, ranker(), 2) if blocks else feed,
            replace(recipe, frozen_blocks=blocks),
            tmp_path / str(blocks) if (tmp_path / str(blocks)).mkdir() is None else tmp_path,
            processes=ALONE,
        )
        trained.append(network.state_dict())
    before = ranker().state_dict()
    moved = 0
    apart = whole_way = 0.0
    for name, value in trained[0].items():
        # Differences give the bias no gradient but rounding, which Adam blows up.
        if name != "ranker.head.bias":
            start = before[name.removeprefix("ranker.")]
            apart += float((value - trained[1][name]).double().square().sum())
            whole_way += float((value - start).double().square().sum())
        early = name.startswith(("ranker.backbone.conv_stem", "ranker.backbone.blocks.0."))
        if early:
            assert torch.equal(trained[1][name], before[name.removeprefix("ranker.")])
        moved += not torch.equal(value, before[name.removeprefix("ranker.")])
    assert moved > 10
    # Adam blows up rounding where a slope is near 0, so only the whole way is compared.
    assert apart < 0.01**2 * whole_way
