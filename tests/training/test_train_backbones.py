"""Training and export with backbones whose weights no package carries."""

import hashlib
import json

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from i2pa.cli import main
from i2pa.models.backbones import load_backbone
from i2pa.models.cache import cache_folder
from i2pa.pairs import pairs_from_levels
from i2pa.pairs.schema import write_pairs
from i2pa.scoring import load_model

pytestmark = pytest.mark.slow


def run(*arguments):
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return ended.value.code


@pytest.fixture
def graded(tmp_path):
    """Bright pictures are graded above dark ones; gives the pairs' file and the folder."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    names, levels = [], []
    for number in range(24):
        bright = number % 2
        noise = rng.integers(0, 100, (80, 100, 3)) + 150 * bright
        names.append(f"{number}.png")
        levels.append(1 + 4 * bright)
        Image.fromarray(noise.astype(np.uint8)).save(folder / names[-1])
    file = tmp_path / "pairs.parquet"
    write_pairs(pairs_from_levels(pa.table({"image": names, "level": levels}), "stars"), file)
    return file, folder


def test_a_head_on_weights_from_a_file(graded, tmp_path, capsys):
    pairs, pictures = graded
    weights = tmp_path / "alexnet.pth"
    torch.save(load_backbone("alexnet", "random", seed=9).state_dict(), weights)
    out = tmp_path / "run"
    chosen = ("--backbone", "alexnet", "--weights", weights, "--pixel-scaling", "imagenet")
    assert run("train", pairs, "--images", pictures, "-o", out, *chosen) == 0
    record = json.loads((out / "run.json").read_text())
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert record["backbone"] == {
        "name": "alexnet",
        "origin": "file alexnet.pth",
        "sha256": digest,
        "license": f"alexnet weights of the file alexnet.pth (SHA-256 {digest}): licence not known",
        "pixel_scaling": "imagenet",
    }
    assert "alexnet (file alexnet.pth, imagenet pixels)" in (out / "card.md").read_text()
    (store,) = cache_folder().glob("embeddings/alexnet-*")
    assert store.name == f"alexnet-{digest[:12]}-imagenet-squash260@1"

    # A run can be exported where its weights file is gone.
    weights.unlink()
    assert run("export", out, "-o", tmp_path / "again.onnx") == 0
    scorer, again = load_model(out), load_model(tmp_path / "again.onnx")
    dark, bright = (scorer.score_one(pictures / name).score for name in ("0.png", "1.png"))
    assert bright > dark
    assert again.score_one(pictures / "1.png").score == bright


def test_missing_weights_are_told_before_any_work(graded, tmp_path, capsys):
    pairs, pictures = graded
    command = ("train", pairs, "--images", pictures, "-o", tmp_path / "run")
    for options, code, message in (
        (("--backbone", "vgg16"), 1, "--weights FILE"),
        (("--backbone", "vgg17"), 2, "choose from efficientnet-lite2, resnet50"),
        (("--backbone", "vgg16", "--weights", tmp_path / "no.pth"), 2, "no.pth"),
        (("--pixel-scaling", "unit"), 2, "no pixel scaling 'unit'"),
    ):
        assert run(*command, *options) == code
        err = capsys.readouterr().err
        assert message in err
        assert len(err.splitlines()) == 1
    assert not (tmp_path / "run").exists()
    assert not cache_folder().joinpath("embeddings").exists()
