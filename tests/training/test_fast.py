"""Faster steps are the same steps, and leave nothing behind."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from i2pa.models.efficientnet import EfficientNetLite
from i2pa.models.initialise import he_initialise
from i2pa.models.ranker import Ranker
from i2pa.models.resnet import ResNet
from i2pa.training import FINETUNE, PAPER
from i2pa.training.fast import fast_steps
from i2pa.training.objective import autocast

CPU = torch.device("cpu")
BUILDS = {
    "lite": lambda: EfficientNetLite(width=0.25, depth=0.5),
    "resnet": lambda: ResNet((1, 2, 1, 1), None),
}


def ranker(build: str) -> Ranker:
    torch.manual_seed(0)
    made = Ranker(BUILDS[build]())
    for module in made.modules():
        if isinstance(module, nn.Conv2d):
            he_initialise(module)
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.1)
    return made.eval()


def step(made: Ranker, recipe: object) -> tuple[Tensor, dict[str, Tensor]]:
    torch.manual_seed(1)
    pixels = torch.randint(0, 256, (4, 65, 65, 3), dtype=torch.uint8)
    with autocast(CPU, recipe):
        score = made(pixels)[0]
    loss = functional.softplus(score[::2] - score[1::2]).mean()
    loss.backward()
    gradients = {name: p.grad.clone() for name, p in made.named_parameters() if p.grad is not None}
    made.zero_grad(set_to_none=True)
    return score.detach(), gradients


@pytest.mark.parametrize("build", BUILDS)
def test_scores_and_gradients_are_the_same(build: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # In float32 a unit on the edge of a ReLU may fall on either side, by rounding alone.
    monkeypatch.setattr("i2pa.models.ranker._planes", lambda p: p.permute(0, 3, 1, 2).double())
    made = ranker(build).double()
    expected, slopes = step(made, FINETUNE)
    with fast_steps(made, FINETUNE, CPU):
        found, fast_slopes = step(made, FINETUNE)
    assert torch.allclose(found, expected, rtol=1e-10)
    assert slopes.keys() == fast_slopes.keys()
    largest = max(slope.abs().max().item() for slope in slopes.values())
    for name, slope in slopes.items():
        assert torch.allclose(fast_slopes[name], slope, rtol=1e-8, atol=1e-12 * largest), name
    again, _ = step(made, FINETUNE)
    assert torch.equal(again, expected)
    assert all("forward" not in vars(module) for module in made.modules())


@pytest.mark.parametrize("build", BUILDS)
def test_bfloat16_is_near(build: str) -> None:
    made = ranker(build)
    expected, _ = step(made, FINETUNE)
    recipe = replace(FINETUNE, precision="bfloat16")
    with fast_steps(made, recipe, CPU):
        found, slopes = step(made, recipe)
    assert torch.allclose(found, expected, atol=0.05 * expected.abs().max().item())
    assert all(slope.dtype == torch.float32 for slope in slopes.values())


def test_moving_statistics_are_left_alone_and_an_error_leaves_all_as_it_was() -> None:
    made = ranker("lite")
    with fast_steps(made, PAPER, CPU):
        assert all("forward" not in vars(module) for module in made.modules())

    def stopped() -> None:
        with fast_steps(made, FINETUNE, CPU):
            assert any("forward" in vars(module) for module in made.modules())
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        stopped()
    assert all("forward" not in vars(module) for module in made.modules())


def test_every_batch_norm_is_behind_its_convolution() -> None:
    for build in BUILDS:
        made = ranker(build)
        norms = [m for m in made.modules() if isinstance(m, nn.BatchNorm2d)]
        paired = [norm for _, norm, _ in made.backbone.conv_norms()]
        assert {id(norm) for norm in norms} == {id(norm) for norm in paired}
        for conv, norm, _ in made.backbone.conv_norms():
            assert conv.out_channels == norm.num_features
            assert conv.bias is None


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_scores_of_fewer_bits_lie_on_no_grid(precision: str) -> None:
    made = ranker("lite").float()
    with torch.no_grad():
        made.head.bias.fill_(4.0)
    pixels = torch.randint(0, 256, (16, 64, 64, 3), dtype=torch.uint8)
    with torch.inference_mode(), autocast(CPU, replace(FINETUNE, precision=precision)):
        score, embedding, features = made(pixels)
    assert features.dtype == embedding.dtype == getattr(torch, precision)
    assert score.dtype == torch.float32
    assert not torch.equal(score, score.to(embedding.dtype).float())
