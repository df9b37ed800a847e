"""Interpretable statistics of a picture's pixels: the plain baselines that a model must beat."""

from __future__ import annotations

import numpy as np

from i2pa.images.transforms import Pixels

PROPERTY_NAMES = ("brightness", "colourfulness")


def brightness(pixels: Pixels) -> float:
    """Mean Rec. 601 luma of uint8 RGB [h, w, 3], from 0 (black) to 255 (white)."""
    return float((pixels.reshape(-1, 3).mean(axis=0) * (0.299, 0.587, 0.114)).sum())


def colourfulness(pixels: Pixels) -> float:
    """Colourfulness of uint8 RGB [h, w, 3], 0 (grey) to about 110 (Hasler, Süsstrunk 2003, M3)."""
    red, green, blue = np.moveaxis(pixels.astype(np.float32), -1, 0)
    red_green = red - green
    yellow_blue = (red + green) / 2 - blue
    spread = np.hypot(red_green.std(), yellow_blue.std())
    offset = np.hypot(red_green.mean(), yellow_blue.mean())
    return float(spread + 0.3 * offset)


def properties(pixels: Pixels) -> tuple[float, float]:
    """The statistics named in PROPERTY_NAMES, in that order."""
    return brightness(pixels), colourfulness(pixels)
