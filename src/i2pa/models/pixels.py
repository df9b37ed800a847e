"""How pixels valued 0 to 255 are scaled for a network: the first step of its graph."""

from __future__ import annotations

from typing import Literal, TypeAlias

from torch import Tensor

PixelScaling: TypeAlias = Literal["unit", "imagenet", "symmetric"]

# Means and standard deviations of ImageNet's red, green and blue, as torchvision trains with.
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)


def scale_pixels(planes: Tensor, scaling: PixelScaling) -> Tensor:
    """Scaled copy of float planes [n, 3, h, w] valued 0 to 255.

    `unit` is [0, 1], which the authors' released model was trained on; `imagenet` is `unit` less
    ImageNet's mean over its deviation, which torchvision's weights were trained on; `symmetric`
    is [-1, 1], which EfficientNet-Lite's were.
    """
    if scaling == "symmetric":
        return (planes - 127.5) / 127.5
    unit = planes / 255
    if scaling == "unit":
        return unit
    mean, std = (
        unit.new_tensor(values).view(3, 1, 1) for values in (_IMAGENET_MEAN, _IMAGENET_STD)
    )
    return (unit - mean) / std
