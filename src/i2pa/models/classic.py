"""AlexNet (Krizhevsky 2014, one tower) and VGG-16 (Simonyan & Zisserman 2015, configuration D).

Convolutions in a row, pooled to a fixed grid, then wide linear layers; tensor names are
torchvision's. The paper compares both with ResNet (Table 3).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from i2pa.models.pixels import PixelScaling, scale_pixels

_POOL = "pool"
# Channels out of each 3 x 3 convolution of VGG-16, and where its 2 x 2 pools lie.
_VGG16_LAYERS = (
    *(64, 64, _POOL),
    *(128, 128, _POOL),
    *(256, 256, 256, _POOL),
    *(512, 512, 512, _POOL),
    *(512, 512, 512, _POOL),
)


class PixelStack(nn.Sequential):
    """Layers in a row behind the scaling of pixels.

    torchvision calls these layers `features`, as every backbone here calls its map, so the
    scaling happens inside them.
    """

    def __init__(self, pixel_scaling: PixelScaling, layers: Sequence[nn.Module]) -> None:
        super().__init__(*layers)
        self.pixel_scaling: PixelScaling = pixel_scaling

    def forward(self, input: Tensor) -> Tensor:
        """Feature map [n, c, h', w'] of float planes [n, 3, h, w] valued 0 to 255."""
        x = scale_pixels(input, self.pixel_scaling)
        for layer in self:
            x = layer(x)
        return x


class ClassicNet(nn.Module):
    """`features(planes)`, then `embed`, then the last layer; built by `alexnet` and `vgg16`."""

    embedding_size = 4096

    def __init__(
        self, features: PixelStack, grid: int, hidden: Sequence[nn.Module], classes: int | None
    ) -> None:
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d(grid)
        last = nn.Identity() if classes is None else nn.Linear(self.embedding_size, classes)
        self.classifier = nn.Sequential(*hidden, last)

    def conv_norms(self) -> tuple[()]:
        """There is no batch norm in these."""
        return ()

    def embed(self, features: Tensor) -> Tensor:
        """Embedding [n, 4096] of the feature map: the input of the last layer."""
        embedding: Tensor = self.classifier[:-1](self.avgpool(features).flatten(1))
        return embedding

    def forward(self, planes: Tensor) -> Tensor:
        """Outputs [n, classes] of float planes [n, 3, h, w] valued 0 to 255."""
        outputs: Tensor = self.classifier[-1](self.embed(self.features(planes)))
        return outputs


def alexnet(classes: int | None = 1000, pixel_scaling: PixelScaling = "unit") -> ClassicNet:
    """AlexNet for pictures of at least 63 x 63 pixels; `classes` None leaves the last layer out."""
    layers = [
        nn.Conv2d(3, 64, 11, stride=4, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2),
        nn.Conv2d(64, 192, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2),
        nn.Conv2d(192, 384, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2),
    ]
    grid, wide = 6, ClassicNet.embedding_size
    hidden = [
        nn.Dropout(),
        nn.Linear(256 * grid * grid, wide),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(wide, wide),
        nn.ReLU(),
    ]
    return ClassicNet(PixelStack(pixel_scaling, layers), grid, hidden, classes)


def vgg16(classes: int | None = 1000, pixel_scaling: PixelScaling = "unit") -> ClassicNet:
    """VGG-16 for pictures of at least 32 x 32 pixels; `classes` None leaves the last layer out."""
    layers: list[nn.Module] = []
    channels = 3
    for out in _VGG16_LAYERS:
        if isinstance(out, int):
            layers += [nn.Conv2d(channels, out, 3, padding=1), nn.ReLU()]
            channels = out
        else:
            layers.append(nn.MaxPool2d(2))
    grid, wide = 7, ClassicNet.embedding_size
    hidden = [
        nn.Linear(channels * grid * grid, wide),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(wide, wide),
        nn.ReLU(),
        nn.Dropout(),
    ]
    return ClassicNet(PixelStack(pixel_scaling, layers), grid, hidden, classes)
