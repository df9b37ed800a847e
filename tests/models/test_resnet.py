import numpy as np
import pytest
import torch
from plain_networks import as_arrays, resnet_features

from i2pa.models.backbones import load_backbone
from i2pa.models.resnet import RESNET50_BLOCKS, RESNET101_BLOCKS, ResNet

NORM = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}


def with_uneven_norms(network):
    """Batch norms as after training: no moment, gain or shift stays at its first value."""
    generator = torch.Generator().manual_seed(1)
    for name, value in network.state_dict().items():
        if name.endswith("running_mean") or ("bn" in name and name.endswith("bias")):
            value.copy_(torch.randn(value.shape, generator=generator) / 5)
        elif value.ndim == 1 and value.is_floating_point():
            value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
    return network


def names_and_shapes(blocks, classes):
    """What torchvision's state dict holds, by rule: widths 64 to 512, outputs four times that."""
    shapes = {}

    def add_norm(name, channels):
        shapes.update({f"{name}.{part}": (channels,) for part in NORM})
        shapes[f"{name}.num_batches_tracked"] = ()

    shapes["conv1.weight"] = (64, 3, 7, 7)
    add_norm("bn1", 64)
    channels = 64
    for stage in range(4):
        width = 64 * 2**stage
        for block in range(blocks[stage]):
            at = f"layer{stage + 1}.{block}"
            shapes[f"{at}.conv1.weight"] = (width, channels, 1, 1)
            shapes[f"{at}.conv2.weight"] = (width, width, 3, 3)
            shapes[f"{at}.conv3.weight"] = (4 * width, width, 1, 1)
            for number, wide in ((1, width), (2, width), (3, 4 * width)):
                add_norm(f"{at}.bn{number}", wide)
            if block == 0:
                shapes[f"{at}.downsample.0.weight"] = (4 * width, channels, 1, 1)
                add_norm(f"{at}.downsample.1", 4 * width)
            channels = 4 * width
    shapes["fc.weight"], shapes["fc.bias"] = (classes, 2048), (classes,)
    return shapes


@pytest.mark.parametrize(
    ("blocks", "parameters", "tensors"),
    [(RESNET50_BLOCKS, 25_557_032, 320), (RESNET101_BLOCKS, 44_549_160, 626)],
)
def test_tensors_are_torchvisions(blocks, parameters, tensors):
    with torch.device("meta"):
        network = ResNet(blocks)
    assert sum(value.numel() for value in network.parameters()) == parameters
    state = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert state == names_and_shapes(blocks, 1000)
    assert len(state) == tensors
    assert list(state)[:2] == ["conv1.weight", "bn1.weight"]
    assert list(state)[-2:] == ["fc.weight", "fc.bias"]


@pytest.mark.parametrize(
    ("scaling", "blocks"), [("unit", (3, 4, 6, 3)), ("imagenet", (1, 1, 2, 1))]
)
def test_outputs_equal_plain_numpy(scaling, blocks):
    torch.manual_seed(0)
    network = with_uneven_norms(ResNet(blocks, 7, scaling)).eval()
    picture = np.random.default_rng(0).uniform(0, 255, (3, 64, 96)).astype(np.float32)
    x = picture.astype(np.float64) / 255
    if scaling == "imagenet":
        x = (x - np.reshape([0.485, 0.456, 0.406], (3, 1, 1))) / np.reshape(
            [0.229, 0.224, 0.225], (3, 1, 1)
        )
    state = as_arrays(network)
    features = resnet_features(x, state, blocks)
    outputs = state["fc.weight"] @ features.mean((1, 2)) + state["fc.bias"]
    with torch.inference_mode():
        planes = torch.from_numpy(picture)[None]
        ours = network.features(planes)
        embedding = network.embed(ours)
        logits = network(planes)
    assert ours.shape == (1, 2048, 2, 3)
    for got, wanted in (
        (ours[0], features),
        (embedding[0], features.mean((1, 2))),
        (logits[0], outputs),
    ):
        assert np.abs(got.numpy() - wanted).max() < 1e-4 * np.abs(wanted).max()


def test_random_weights_are_he_normal_and_depend_on_the_seed_alone():
    first = load_backbone("resnet50", "random", seed=3).state_dict()
    torch.rand(5)
    again = load_backbone("resnet50", "random", seed=3).state_dict()
    other = load_backbone("resnet50", "random", seed=4).state_dict()
    assert all((first[name] == again[name]).all() for name in first)
    weight = first["layer4.2.conv2.weight"]
    assert (weight != other["layer4.2.conv2.weight"]).any()
    assert float(weight.std()) == pytest.approx((2 / (512 * 9)) ** 0.5, rel=0.01)
    assert float(weight.mean()) == pytest.approx(0, abs=1e-4)
    assert not any(name.startswith("fc.") for name in first)
