from dataclasses import replace

import numpy as np
import pytest
import torch
from small_models import SIZE, metadata, settled

from i2pa.errors import ModelError
from i2pa.models.engine import OUTPUTS
from i2pa.models.export import export_onnx
from i2pa.models.head import LinearHead, read_head, spreads_of, with_head
from i2pa.models.metadata import ModelMetadata
from i2pa.models.onnx_engine import OnnxEngine
from i2pa.models.ranker import Ranker
from i2pa.models.registry import find_model
from i2pa.models.resnet import ResNet


@pytest.fixture(scope="module")
def model():
    return find_model().data


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 256, (2, 260, 260, 3), dtype=np.uint8)


def test_the_head_that_is_read_makes_the_score(model, pixels):
    out = OnnxEngine(model).run(pixels, ("score", "embedding"))
    head = read_head(model, "here")
    assert head.score(out["embedding"].astype(float)) == pytest.approx(out["score"], abs=1e-4)


def test_another_head_changes_the_score_and_nothing_else(model, pixels):
    engine = OnnxEngine(model)
    metadata = ModelMetadata.from_strings(engine.metadata, "here")
    head = LinearHead(np.random.default_rng(1).normal(size=1280), -3.0)
    changed = OnnxEngine(with_head(model, head, metadata, "here"))
    old = engine.run(pixels, ("score", "embedding", "features"))
    new = changed.run(pixels, ("score", "embedding", "features"))
    assert (new["embedding"] == old["embedding"]).all()
    assert (new["features"] == old["features"]).all()
    assert new["score"] == pytest.approx(head.score(old["embedding"].astype(float)), abs=1e-3)
    assert ModelMetadata.from_strings(changed.metadata, "there") == metadata


def test_what_has_no_such_head_is_refused(model):
    metadata = ModelMetadata.from_strings(OnnxEngine(model).metadata, "here")
    with pytest.raises(ModelError, match="1,280 weights, not 3"):
        with_head(model, LinearHead(np.ones(3), 0.0), metadata, "here")
    with pytest.raises(ModelError, match=r"my\.onnx: not an ONNX model"):
        read_head(b"no model", "my.onnx")


def test_a_thurstone_model_tells_its_spreads_and_loses_them_with_a_logistic_head(
    tmp_path,
):
    torch.manual_seed(0)
    ranker = Ranker(ResNet((1, 1, 1, 1), None), spread=True)
    torch.nn.init.normal_(ranker.spread.weight, std=0.1)
    pixels = np.random.default_rng(1).integers(0, 256, (4, SIZE, SIZE, 3), dtype=np.uint8)
    settled(ranker, torch.from_numpy(pixels), ranker)
    thurstone = replace(metadata(), link="thurstone")
    data = export_onnx(ranker, thurstone, SIZE, tmp_path / "t.onnx").data
    arrays = OnnxEngine(data).run(pixels, ("embedding", "spread"))
    assert np.ptp(arrays["spread"]) > 0.01
    embeddings = arrays["embedding"].astype(np.float64)
    assert spreads_of(data, embeddings) == pytest.approx(arrays["spread"], rel=1e-4)
    head = read_head(data, "t")
    kept = OnnxEngine(with_head(data, head, thurstone, "t"))
    assert "spread" in kept.outputs
    logistic = OnnxEngine(with_head(data, head, metadata(), "t"))
    assert logistic.outputs == OUTPUTS
    assert logistic.run(pixels)["score"] == pytest.approx(kept.run(pixels)["score"], abs=1e-5)
