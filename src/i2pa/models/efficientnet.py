"""EfficientNet-Lite (Tan et al. 2020): made for processors, so it scores many pictures a second."""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional

from i2pa.models.conv_norm import ConvNorm
from i2pa.models.pixels import scale_pixels

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
        return super().forward(functional.pad(input, self.pads(input)))

    def pads(self, input: Tensor) -> list[int]:
        """Pixels to add left, right, above and below, in the order of `functional.pad`."""
        pads: list[int] = []
        for dim in (1, 0):
            side, kernel, stride = input.shape[2 + dim], self.kernel_size[dim], self.stride[dim]
            pad = max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)
            pads += [pad // 2, pad - pad // 2]
        return pads


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project; added to the input where shapes agree."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels * expansion
        self.residual = stride == 1 and channels == out
        if expansion != 1:
            self.expand_conv = nn.Conv2d(channels, wide, 1, bias=False)
            self.bn0 = nn.BatchNorm2d(wide, eps=_BATCH_NORM_EPSILON)
            self.relu0 = nn.ReLU6()
        self.expands = expansion != 1
        self.depthwise_conv = SamePadConv2d(
            wide, wide, kernel, stride=stride, groups=wide, bias=False
        )
        self.bn1 = nn.BatchNorm2d(wide, eps=_BATCH_NORM_EPSILON)
        self.relu1 = nn.ReLU6()
        self.project_conv = nn.Conv2d(wide, out, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out, eps=_BATCH_NORM_EPSILON)

    def conv_norms(self) -> list[ConvNorm]:
        """Each convolution and what follows it."""
        first = [ConvNorm(self.expand_conv, self.bn0, self.relu0)] if self.expands else []
        return [
            *first,
            ConvNorm(self.depthwise_conv, self.bn1, self.relu1),
            ConvNorm(self.project_conv, self.bn2, None),
        ]

    def forward(self, x: Tensor) -> Tensor:
        """[n, c, h, w] to [n, c', h', w']."""
        y = self.relu0(self.bn0(self.expand_conv(x))) if self.expands else x
        y = self.relu1(self.bn1(self.depthwise_conv(y)))
        y = self.bn2(self.project_conv(y))
        result: Tensor = x + y if self.residual else y
        return result


class EfficientNetLite(nn.Module):
    """EfficientNet-Lite: no squeeze-and-excitation, ReLU6, stem and head of fixed width."""

    embedding_size = 1280

    def __init__(self, width: float, depth: float) -> None:
        super().__init__()
        self.conv_stem = SamePadConv2d(3, _STEM_CHANNELS, 3, stride=2, bias=False)
        self.bn0 = nn.BatchNorm2d(_STEM_CHANNELS, eps=_BATCH_NORM_EPSILON)
        self.relu0 = nn.ReLU6()
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
        self.conv_head = nn.Conv2d(channels, self.embedding_size, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(self.embedding_size, eps=_BATCH_NORM_EPSILON)
        self.relu1 = nn.ReLU6()
        self.fc = nn.Linear(self.embedding_size, IMAGENET_CLASSES)

    def features(self, pixels: Tensor) -> Tensor:
        """Feature map [n, 1280, h / 32, w / 32] of pixels [n, 3, h, w] valued 0 to 255."""
        return self.later(self.earlier(pixels, 0), 0)

    def earlier(self, pixels: Tensor, blocks: int) -> Tensor:
        """What the stem and the first `blocks` blocks make of pixels."""
        scaled = scale_pixels(pixels, "symmetric")
        x: Tensor = self.relu0(self.bn0(self.conv_stem(scaled)))
        for block in self._blocks[:blocks]:
            x = block(x)
        return x

    def later(self, x: Tensor, blocks: int) -> Tensor:
        """The feature map, from what `earlier` made with the same number of blocks."""
        for block in self._blocks[blocks:]:
            x = block(x)
        features: Tensor = self.relu1(self.bn1(self.conv_head(x)))
        return features

    def early_layers(self, blocks: int) -> tuple[nn.Module, ...]:
        """The layers that `earlier` runs."""
        return self.conv_stem, self.bn0, *self._blocks[:blocks]

    def conv_norms(self) -> list[ConvNorm]:
        """Each convolution and what follows it."""
        inside = [
            layers
            for block in self.blocks
            if isinstance(block, InvertedResidual)
            for layers in block.conv_norms()
        ]
        first = ConvNorm(self.conv_stem, self.bn0, self.relu0)
        return [first, *inside, ConvNorm(self.conv_head, self.bn1, self.relu1)]

    @property
    def n_blocks(self) -> int:
        """How many blocks there are."""
        return len(self.blocks)

    @property
    def _blocks(self) -> list[nn.Module]:
        return list(self.blocks)

    def embed(self, features: Tensor) -> Tensor:
        """Embedding [n, 1280]: the mean of the feature map over its positions."""
        return features.mean(dim=(2, 3))

    def forward(self, pixels: Tensor) -> Tensor:
        """ImageNet logits [n, 1000] of pixels [n, 3, h, w] valued 0 to 255."""
        logits: Tensor = self.fc(self.embed(self.features(pixels)))
        return logits


def _round_channels(channels: float, divisor: int = 8) -> int:
    """To the nearest multiple of `divisor`, never losing more than a tenth."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded
