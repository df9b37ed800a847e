"""Small pictures for people to look at, where `transforms` makes what models see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from i2pa.images.open import Loaded
from i2pa.images.transforms import Pixels
from i2pa.images.upright import upright_resized, upright_size


@dataclass(frozen=True)
class Thumbnail:
    """The whole picture, upright and in sRGB, its long side at most `side`; never enlarged."""

    side: int

    @property
    def decode_side(self) -> int:
        """See `Transform`."""
        return self.side

    def of(self, loaded: Loaded) -> Pixels:
        """uint8 RGB [h, w, 3] of a loaded picture."""
        width, height = upright_size(loaded.image.size, loaded.turn)
        scale = min(1.0, self.side / max(width, height))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        filter = Image.Resampling.LANCZOS
        return np.array(upright_resized(loaded.image, loaded.turn, size, filter))

    def may_be(self, height: int, width: int) -> bool:
        """Whether `of` can give pixels of this size."""
        return 0 < height <= self.side and 0 < width <= self.side
