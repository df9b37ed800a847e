import numpy as np
import pytest

from i2pa.errors import ModelError
from i2pa.models.head import LinearHead, read_head, with_head
from i2pa.models.metadata import ModelMetadata
from i2pa.models.onnx_engine import OnnxEngine
from i2pa.models.registry import find_model


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
