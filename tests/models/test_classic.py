import numpy as np
import pytest
import torch
from plain_networks import (
    alexnet_features,
    as_arrays,
    classic_embedding,
    linear,
    vgg16_features,
)

from i2pa.models.backbones import load_backbone
from i2pa.models.classic import alexnet, vgg16

# (place in the list, outputs, inputs, kernel) of each convolution; linear layers alike.
ALEXNET_CONVOLUTIONS = [
    (0, 64, 3, 11),
    (3, 192, 64, 5),
    (6, 384, 192, 3),
    (8, 256, 384, 3),
    (10, 256, 256, 3),
]
VGG16_CONVOLUTIONS = [
    (0, 64, 3, 3),
    (2, 64, 64, 3),
    (5, 128, 64, 3),
    (7, 128, 128, 3),
    (10, 256, 128, 3),
    (12, 256, 256, 3),
    (14, 256, 256, 3),
    (17, 512, 256, 3),
    (19, 512, 512, 3),
    (21, 512, 512, 3),
    (24, 512, 512, 3),
    (26, 512, 512, 3),
    (28, 512, 512, 3),
]
ALEXNET_LINEARS = [(1, 4096, 9216), (4, 4096, 4096), (6, 1000, 4096)]
VGG16_LINEARS = [(0, 4096, 25088), (3, 4096, 4096), (6, 1000, 4096)]


@pytest.mark.parametrize(
    ("build", "parameters", "convolutions", "linears"),
    [
        (alexnet, 61_100_840, ALEXNET_CONVOLUTIONS, ALEXNET_LINEARS),
        (vgg16, 138_357_544, VGG16_CONVOLUTIONS, VGG16_LINEARS),
    ],
)
def test_tensors_are_torchvisions(build, parameters, convolutions, linears):
    with torch.device("meta"):
        network = build()
    assert sum(value.numel() for value in network.parameters()) == parameters
    wanted = []
    for place, outputs, inputs, kernel in convolutions:
        wanted.append((f"features.{place}.weight", (outputs, inputs, kernel, kernel)))
        wanted.append((f"features.{place}.bias", (outputs,)))
    for place, outputs, inputs in linears:
        wanted.append((f"classifier.{place}.weight", (outputs, inputs)))
        wanted.append((f"classifier.{place}.bias", (outputs,)))
    state = [(name, tuple(value.shape)) for name, value in network.state_dict().items()]
    assert state == wanted


@pytest.mark.parametrize(
    ("name", "plain_features", "grid", "layers", "shape"),
    [
        ("alexnet", alexnet_features, 6, (1, 4), (256, 2, 3)),
        pytest.param(*("vgg16", vgg16_features, 7, (0, 3), (512, 3, 4)), marks=pytest.mark.slow),
    ],
)
def test_outputs_equal_plain_numpy(name, plain_features, grid, layers, shape):
    network = load_backbone(name, "random")
    generator = torch.Generator().manual_seed(2)
    for key, value in network.state_dict().items():
        if key.endswith("bias"):
            value.copy_(torch.randn(value.shape, generator=generator) / 10)
    last = torch.nn.Linear(4096, 3)
    network.classifier[6] = last
    picture = np.random.default_rng(0).uniform(0, 255, (3, 96, 128)).astype(np.float32)
    state = as_arrays(network)
    features = plain_features(picture.astype(np.float64) / 255, state)
    embedding = classic_embedding(features, state, grid, layers)
    with torch.inference_mode():
        planes = torch.from_numpy(picture)[None]
        ours = network.features(planes)
        embedded = network.embed(ours)
        logits = network(planes)
    assert ours.shape[1:] == shape
    assert embedded.shape == (1, 4096)
    for got, wanted in (
        (ours[0], features),
        (embedded[0], embedding),
        (logits[0], linear(embedding, state, "classifier.6")),
    ):
        assert np.abs(got.numpy() - wanted).max() < 1e-4 * np.abs(wanted).max()
