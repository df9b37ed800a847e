import numpy as np
import pytest
import torch

from i2pa.errors import ModelError
from i2pa.images.transforms import transform_named
from i2pa.models.backbones import load_backbone
from i2pa.models.efficientnet import EfficientNetLite, SamePadConv2d
from i2pa.models.engine import OUTPUTS
from i2pa.models.export import export_onnx
from i2pa.models.metadata import QUANTILES, ModelMetadata, Reference
from i2pa.models.onnx_engine import OnnxEngine
from i2pa.models.ranker import Ranker
from i2pa.models.registry import find_model

EGYPTIAN_CAT, ESPRESSO, MISSILE = 285, 967, 657


@pytest.fixture(scope="module")
def backbone():
    return load_backbone("efficientnet-lite2")


@pytest.mark.parametrize(
    ("picture", "label"),
    [("chelsea.png", EGYPTIAN_CAT), ("coffee.png", ESPRESSO), ("rocket.jpg", MISSILE)],
)
def test_pretrained_weights_name_what_is_in_the_pictures(backbone, examples, picture, label):
    pixels = transform_named("squash260@1").pixels(examples / picture)
    with torch.inference_mode():
        logits = backbone(torch.tensor(pixels).permute(2, 0, 1)[None].float())
    assert int(logits.argmax()) == label


@pytest.mark.parametrize(("side", "kernel", "stride"), [(5, 3, 2), (6, 3, 2), (6, 5, 2), (7, 5, 1)])
def test_same_padding_puts_the_odd_pixel_right_and_below(side, kernel, stride):
    convolution = SamePadConv2d(1, 1, kernel, stride=stride, bias=False)
    torch.nn.init.ones_(convolution.weight)
    pixels = torch.rand(1, 1, side, side)
    out = -(-side // stride)
    total = max((out - 1) * stride + kernel - side, 0)
    padded = np.pad(pixels[0, 0].numpy(), (total // 2, total - total // 2))
    wanted = [
        [padded[y : y + kernel, x : x + kernel].sum() for x in range(0, out * stride, stride)]
        for y in range(0, out * stride, stride)
    ]
    assert convolution(pixels)[0, 0].detach().numpy() == pytest.approx(np.array(wanted), rel=1e-5)


def test_an_unknown_backbone_lists_the_known():
    with pytest.raises(ModelError, match="efficientnet-lite2"):
        load_backbone("resnet-1")


@pytest.mark.slow
def test_export_equals_torch_on_other_pixels_and_keeps_the_metadata(tmp_path):
    torch.manual_seed(0)
    ranker = Ranker(EfficientNetLite(width=0.25, depth=0.5)).eval()
    metadata = ModelMetadata(
        "tiny",
        3,
        "squash260@1",
        Reference("made up", 2, tuple(np.linspace(-1, 1, QUANTILES).tolist())),
        "logistic",
        2.5,
        "random weights",
        "CC0",
    )
    file = export_onnx(ranker, metadata, 64, tmp_path / "tiny.onnx")
    engine = OnnxEngine(file.data)
    assert ModelMetadata.from_strings(engine.metadata, "tiny") == metadata
    assert find_model(file.path).sha256 == file.sha256
    pixels = np.random.default_rng(5).integers(0, 256, (5, 64, 64, 3), dtype=np.uint8)
    with torch.inference_mode():
        expected = ranker(torch.from_numpy(pixels))
    for name, wanted in zip(OUTPUTS, expected, strict=True):
        assert engine.run(pixels, (name,))[name] == pytest.approx(wanted.numpy(), abs=1e-4)


@pytest.mark.slow
def test_the_default_model_is_this_backbone_with_a_head(backbone, examples):
    path = examples / "chelsea.png"
    pixels = transform_named("squash260@1").pixels(path)[np.newaxis]
    with torch.inference_mode():
        features = backbone.features(torch.from_numpy(pixels).permute(0, 3, 1, 2).float())
    got = OnnxEngine(find_model().data).run(pixels, ("features",))["features"]
    assert got == pytest.approx(features.numpy(), abs=1e-3)
