"""A training that runs away stops at once, says where, and leaves its last good checkpoint."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import ALONE, PICTURES, RECIPE, TINY, TRAIN, USERS, VAL, network
from torch import Tensor

from i2pa.errors import ModelError
from i2pa.models.efficientnet import EfficientNetLite
from i2pa.models.ranker import Ranker
from i2pa.training.checkpoint import last_epoch
from i2pa.training.feed import PictureFeed
from i2pa.training.loop import Epoch, Fitted, fit
from i2pa.training.pairwise import PairNetwork
from i2pa.training.recipes import NetworkRecipe, Precision
from i2pa.training.validation import rate_pictures

STEPS = -(-len(TRAIN) // RECIPE.batch)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("album")
    rng = np.random.default_rng(0)
    made = []
    for row in range(USERS * PICTURES):
        made.append(folder / f"{row}.png")
        Image.fromarray(rng.integers(0, 256, (20, 26, 3), dtype=np.uint8)).save(made[-1])
    return made


def run(
    files: list[Path],
    folder: Path,
    recipe: NetworkRecipe,
    *,
    gradient: Callable[[int, Tensor], Tensor] | None = None,
    on_epoch: Callable[[Sequence[Epoch], torch.nn.Module], None] | None = None,
    resume: bool = False,
) -> tuple[Fitted, dict[str, Tensor]]:
    """`gradient` gets the number of the step, and changes what the head's weights are taught."""
    folder.mkdir(exist_ok=True)
    trained = network()
    steps = []

    def changed(given: Tensor) -> Tensor:
        steps.append(1)
        return given if gradient is None else gradient(len(steps), given)

    trained.ranker.head.weight.register_hook(changed)
    fitted = fit(
        trained,
        TRAIN,
        VAL,
        PictureFeed(files, TINY),
        recipe,
        folder,
        processes=ALONE,
        resume=resume,
        on_epoch=None if on_epoch is None else lambda history: on_epoch(history, trained),
    )
    return fitted, trained.state_dict()


def test_the_first_loss_that_is_no_number_stops_and_the_checkpoint_before_it_stays(
    files: list[Path], tmp_path: Path
) -> None:
    def spoil(history: Sequence[Epoch], trained: torch.nn.Module) -> None:
        if len(history) == 2:
            with torch.no_grad():
                trained.ranker.head.weight.fill_(float("nan"))

    with pytest.raises(ModelError) as stopped:
        run(files, tmp_path / "run", RECIPE, on_epoch=spoil)
    line = str(stopped.value)
    assert line == (
        "training diverged: the loss of epoch 3, step 1 is nan; begin anew (--overwrite) with a "
        "lower --rate-body and --rate-head, or end with the best epoch so far: --resume --epochs 2"
    )
    assert last_epoch(tmp_path / "run") == 2
    two = replace(RECIPE, epochs=2)
    fitted, weights = run(files, tmp_path / "run", two, resume=True)
    again, expected = run(files, tmp_path / "short", two)
    assert fitted.best == again.best
    assert all(torch.equal(weights[name], expected[name]) for name in expected)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_weights_of_a_backbone_that_are_no_numbers_are_not_kept(
    files: list[Path], tmp_path: Path, precision: Precision
) -> None:
    # A ReLU computed inside a convolution may make 0 of what is no number, and so a loss of it.
    recipe = replace(
        RECIPE, precision=precision, freeze_norm=True, random_crop=False, rate_body=1e-4
    )
    torch.manual_seed(0)
    trained = PairNetwork(Ranker(EfficientNetLite(width=0.25, depth=0.5)), nuisance=False)
    trained.ranker.backbone.fc.requires_grad_(False)

    def spoil(history: Sequence[Epoch]) -> None:
        if len(history) == 2:
            with torch.no_grad():
                trained.ranker.backbone.conv_stem.weight[3] = float("nan")

    folder = tmp_path / "run"
    folder.mkdir()
    with pytest.raises(ModelError, match=r"^training diverged: .*epoch 3.* (nan|not finite)"):
        fit(
            *(trained, TRAIN, VAL, PictureFeed(files, TINY), recipe, folder),
            processes=ALONE,
            on_epoch=spoil,
        )
    assert last_epoch(folder) == 2


def test_rates_that_are_far_too_high_are_told_within_the_first_epoch(
    files: list[Path], tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=r"epoch 1, step \d+ is (nan|inf); begin anew") as stopped:
        run(files, tmp_path / "run", replace(RECIPE, rate_head=3e37, accumulate=2))
    assert "--resume" not in str(stopped.value)
    assert last_epoch(tmp_path / "run") == 0


def test_a_last_step_that_spoils_the_weights_makes_no_checkpoint(
    files: list[Path], tmp_path: Path
) -> None:
    def spoil(step: int, given: Tensor) -> Tensor:
        return given * float("nan") if step == 2 * STEPS else given

    with pytest.raises(ModelError, match=r"after epoch 2 the tensor ranker.head.weight is not"):
        run(files, tmp_path / "run", RECIPE, gradient=spoil)
    assert last_epoch(tmp_path / "run") == 1


def test_a_step_that_the_scaler_skips_is_meant(files: list[Path], tmp_path: Path) -> None:
    def overflow(step: int, given: Tensor) -> Tensor:
        return given * float("inf") if step == 2 else given

    recipe = replace(RECIPE, precision="float16", epochs=2)
    fitted, weights = run(files, tmp_path / "half", recipe, gradient=overflow)
    assert len(fitted.history) == 2
    assert all(torch.isfinite(value).all() for value in weights.values())
    with pytest.raises(ModelError, match=r"epoch 1, step 3 is nan"):
        run(files, tmp_path / "whole", replace(recipe, precision="float32"), gradient=overflow)


def test_pictures_that_cannot_be_read_are_told_apart_from_scores_that_are_none(
    files: list[Path], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    feed = PictureFeed([broken, *files[1:]], TINY)
    rated, rows = network(), np.arange(5)
    scores, _ = rate_pictures(rated, feed, rows, RECIPE, ALONE)
    assert np.isnan(scores).tolist() == [True, False, False, False, False]
    with torch.no_grad():
        rated.ranker.head.bias.fill_(float("inf"))
    recipe = replace(RECIPE, precision="bfloat16")
    said = (
        "4 of 5 pictures get no finite score; begin anew.*or --precision float32, or end.*pochs 3"
    )
    with pytest.raises(ModelError, match=said):
        rate_pictures(rated, feed, rows, recipe, ALONE, kept=3)


def test_of_epochs_as_accurate_the_one_of_lower_loss_is_kept(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = [(0.60, 0.8), (0.50, 0.8), (0.55, 0.8), (0.50, 0.8), (0.40, 0.7)]

    def measure(given: list[tuple[float, float]]) -> None:
        left = iter(given)
        monkeypatch.setattr("i2pa.training.loop.validate", lambda *_, **__: next(left))

    recipe = replace(RECIPE, epochs=5)
    measure(measured)
    whole, weights = run(files, tmp_path / "whole", recipe)
    assert whole.best == 2
    measure(measured)
    run(files, tmp_path / "parts", replace(recipe, epochs=1))
    run(files, tmp_path / "parts", replace(recipe, epochs=3), resume=True)
    resumed, other = run(files, tmp_path / "parts", recipe, resume=True)
    assert resumed.best == 2
    assert all(torch.equal(weights[name], other[name]) for name in weights)


def test_the_line_names_no_option_that_is_not_there() -> None:
    from i2pa.training.diverged import diverged

    options = re.findall(r"--[a-z-]+", str(diverged("x", replace(RECIPE, precision="float16"), 1)))
    source = Path(__file__).parents[2] / "src" / "i2pa" / "cli" / "training.py"
    names = source.read_text(encoding="utf-8")
    for option in options:
        field = option.removeprefix("--").replace("-", "_")
        assert f"{field}: Annotated" in names, option
