"""ResNet-50 and ResNet-101 (He et al. 2016), with the tensor names of torchvision's.

The stride lies in a block's 3 x 3 convolution (torchvision's variant, known as v1.5), not in its
first 1 x 1 as in the article.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from i2pa.models.conv_norm import ConvNorm
from i2pa.models.pixels import PixelScaling, scale_pixels

RESNET50_BLOCKS = (3, 4, 6, 3)
RESNET101_BLOCKS = (3, 4, 23, 3)

_STEM_CHANNELS = 64
_EXPANSION = 4


class Bottleneck(nn.Module):
    """Narrow, filter, widen; added to the input, which is projected where shapes differ."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        out = width * _EXPANSION
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu2 = nn.ReLU()
        self.conv3 = nn.Conv2d(width, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or channels != out:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels, out, 1, stride=stride, bias=False), nn.BatchNorm2d(out)
            )

    def conv_norms(self) -> list[ConvNorm]:
        """Each convolution and what follows it."""
        layers = [
            ConvNorm(self.conv1, self.bn1, self.relu1),
            ConvNorm(self.conv2, self.bn2, self.relu2),
            ConvNorm(self.conv3, self.bn3, None),
        ]
        if isinstance(self.downsample, nn.Sequential):
            conv, norm = self.downsample
            assert isinstance(conv, nn.Conv2d)
            assert isinstance(norm, nn.BatchNorm2d)
            layers.append(ConvNorm(conv, norm, None))
        return layers

    def forward(self, x: Tensor) -> Tensor:
        """[n, c, h, w] to [n, 4 width, ceil(h / stride), ceil(w / stride)]."""
        y = self.relu1(self.bn1(self.conv1(x)))
        y = self.relu2(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return functional.relu(y + self.downsample(x))


class ResNet(nn.Module):
    """Four stages of bottleneck blocks; `blocks` counts those of each.

    `classes` None leaves the last layer out, and `forward` then gives the embedding.
    """

    embedding_size = 2048

    def __init__(
        self,
        blocks: Sequence[int],
        classes: int | None = 1000,
        pixel_scaling: PixelScaling = "unit",
    ) -> None:
        super().__init__()
        self.pixel_scaling: PixelScaling = pixel_scaling
        self.conv1 = nn.Conv2d(3, _STEM_CHANNELS, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(_STEM_CHANNELS)
        self.relu1 = nn.ReLU()
        first, second, third, fourth = blocks
        self.layer1 = _stage(_STEM_CHANNELS, 64, first, stride=1)
        self.layer2 = _stage(256, 128, second, stride=2)
        self.layer3 = _stage(512, 256, third, stride=2)
        self.layer4 = _stage(1024, 512, fourth, stride=2)
        self.fc = nn.Identity() if classes is None else nn.Linear(self.embedding_size, classes)

    def features(self, planes: Tensor) -> Tensor:
        """Feature map [n, 2048, h / 32, w / 32] of float planes [n, 3, h, w] valued 0 to 255."""
        return self.later(self.earlier(planes, 0), 0)

    def earlier(self, planes: Tensor, blocks: int) -> Tensor:
        """What the stem and the first `blocks` blocks make of planes."""
        x = scale_pixels(planes, self.pixel_scaling)
        x = self.relu1(self.bn1(self.conv1(x)))
        x = functional.max_pool2d(x, 3, stride=2, padding=1)
        for block in self._blocks[:blocks]:
            x = block(x)
        return x

    def later(self, x: Tensor, blocks: int) -> Tensor:
        """The feature map, from what `earlier` made with the same number of blocks."""
        for block in self._blocks[blocks:]:
            x = block(x)
        return x

    def early_layers(self, blocks: int) -> tuple[nn.Module, ...]:
        """The layers that `earlier` runs."""
        return self.conv1, self.bn1, *self._blocks[:blocks]

    def conv_norms(self) -> list[ConvNorm]:
        """Each convolution and what follows it."""
        inside = [
            layers
            for block in self._blocks
            if isinstance(block, Bottleneck)
            for layers in block.conv_norms()
        ]
        return [ConvNorm(self.conv1, self.bn1, self.relu1), *inside]

    @property
    def n_blocks(self) -> int:
        """How many blocks there are in the four stages."""
        return len(self._blocks)

    @property
    def _blocks(self) -> list[nn.Module]:
        return [*self.layer1, *self.layer2, *self.layer3, *self.layer4]

    def embed(self, features: Tensor) -> Tensor:
        """Embedding [n, 2048]: the mean of the feature map over its positions."""
        return features.mean(dim=(2, 3))

    def forward(self, planes: Tensor) -> Tensor:
        """Outputs [n, classes] of float planes [n, 3, h, w] valued 0 to 255."""
        outputs: Tensor = self.fc(self.embed(self.features(planes)))
        return outputs


def _stage(channels: int, width: int, blocks: int, stride: int) -> nn.Sequential:
    rest = (Bottleneck(width * _EXPANSION, width, 1) for _ in range(blocks - 1))
    return nn.Sequential(Bottleneck(channels, width, stride), *rest)
