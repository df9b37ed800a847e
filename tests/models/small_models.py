"""Model files made for tests: tiny ResNets of ours, and the authors' file with made-up weights."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import onnx
import torch

from i2pa.models.export import export_onnx
from i2pa.models.metadata import QUANTILES, ModelMetadata, Reference
from i2pa.models.ranker import Ranker
from i2pa.models.resnet import RESNET50_BLOCKS, ResNet

SIZE = 64


def settled(network: torch.nn.Module, pixels: torch.Tensor, forward) -> None:
    """Give random weights the running moments of one batch, so that no layer explodes."""
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = None
    network.train()
    with torch.no_grad():
        forward(pixels)
    network.eval()


def metadata(name: str = "tiny", transform: str = "squash224@1") -> ModelMetadata:
    quantiles = tuple(np.linspace(-3, 3, QUANTILES).tolist())
    reference = Reference("made up", 2, quantiles)
    return ModelMetadata(name, 1, transform, reference, "logistic", 1.0, "nothing", "none")


def tiny_model(path: Path, *, size: int = SIZE) -> bytes:
    """A ResNet of four blocks with random weights, as a model file for pictures of `size`."""
    torch.manual_seed(0)
    ranker = Ranker(ResNet((1, 1, 1, 1), None))
    noise = np.random.default_rng(1).integers(0, 256, (4, size, size, 3), dtype=np.uint8)
    settled(ranker, torch.from_numpy(noise), ranker)
    return export_onnx(ranker, metadata(), size, path).data


def with_spread(model: bytes) -> bytes:
    """The same model with a fourth output: a spread that grows with the score."""
    proto = onnx.load_from_string(model)
    graph = proto.graph
    graph.node.append(onnx.helper.make_node("Softplus", ["score"], ["spread"]))
    graph.output.append(onnx.helper.make_tensor_value_info("spread", onnx.TensorProto.FLOAT, ["n"]))
    return proto.SerializeToString()


def authors_state() -> dict[str, torch.Tensor]:
    """A state dict with the names and shapes of the authors' model-resnet50.pth."""
    torch.manual_seed(7)
    network = ResNet(RESNET50_BLOCKS, 1)
    noise = torch.rand(2, 3, SIZE, SIZE) * 255
    settled(network, noise, network)
    return copy.deepcopy(network.state_dict())
