"""Named, versioned preprocessing: from a picture to the exact pixels a model sees.

A transform's name and version fix the whole chain (the reading rules of `open`, the decoding
scale, geometry, size and resize filter), because any change moves scores. A model stores the name
in its file. Normalisation is part of the model's graph, so pixels stay uint8 until there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from i2pa.errors import ModelError, UserInputError
from i2pa.images.limits import LIMITS, Limits
from i2pa.images.open import Loaded, as_image_error, loaded_image, name_of, opened
from i2pa.images.regular import open_file
from i2pa.images.upright import upright_resized, upright_size

# Antialiased by Pillow; bicubic and Lanczos cost twice the time and rank no better.
RESIZE_FILTER = Image.Resampling.BILINEAR
_LONGEST_SHAPE = 50

Pixels: TypeAlias = npt.NDArray[np.uint8]
Picture: TypeAlias = str | Path | bytes | Image.Image | Pixels


@dataclass(frozen=True)
class Transform:
    """Geometry and decoding rule of one preprocessing.

    `size` is the side of the square the model sees. With `short_side` None the picture is squashed
    to it, aspect ratio lost; otherwise its short side is resized to `short_side` and the centre
    is cropped. `decode_side` lets JPEGs decode at a reduced scale that keeps both sides at least
    that long; None decodes in full.
    """

    name: str
    version: int
    size: int
    short_side: int | None = None
    decode_side: int | None = None

    @property
    def tag(self) -> str:
        """Name and version as stored in a model: `squash260@1`."""
        return f"{self.name}@{self.version}"

    def pixels(self, picture: Picture, limits: Limits = LIMITS) -> Pixels:
        """The model's input for one picture: uint8 RGB, shape [size, size, 3].

        Paths and bytes take the whole chain. Opened PIL images and uint8 arrays ([h, w] grey,
        [h, w, 3] RGB or [h, w, 4] RGBA) enter after decoding, so a large JPEG may differ from
        its path's score by the scaled decoding (p95 .03 at a score spread of .68). Raises
        ImageError for an unreadable picture, UserInputError for an array of another shape or
        dtype.
        """
        return self.crop(self.resized(picture, limits))

    def resized(self, picture: Picture, limits: Limits = LIMITS) -> Pixels:
        """The picture before its crop: uint8 RGB [h, w, 3], both sides at least `size`."""
        if isinstance(picture, str | Path):
            with open_file(Path(picture), limits) as file:
                return self._of_file(file, str(picture), limits)
        if isinstance(picture, bytes):
            return self._of_file(picture, "<bytes>", limits)
        with as_image_error(name_of(picture)):
            return self.fit(loaded_of(picture))

    def of(self, loaded: Loaded) -> Pixels:
        """What `pixels` gives, of a picture that is loaded already."""
        return self.crop(self.fit(loaded))

    def may_be(self, height: int, width: int) -> bool:
        """Whether `of` can give pixels of this size."""
        return height == width == self.size

    def fit(self, loaded: Loaded) -> Pixels:
        """What `resized` gives, of a picture that is loaded already."""
        image, turn = loaded.image, loaded.turn
        if self.short_side is None:
            return np.array(upright_resized(image, turn, (self.size, self.size), RESIZE_FILTER))
        image = _without_far_ends(image)
        shown = upright_size(image.size, turn)
        scale = self.short_side / min(shown)
        width, height = (max(self.size, round(side * scale)) for side in shown)
        return np.array(upright_resized(image, turn, (width, height), RESIZE_FILTER))

    def crop(self, resized: Pixels, place: tuple[float, float] | None = None) -> Pixels:
        """The square that the model sees, [size, size, 3].

        At the centre, or at `place`: where in the room there is, down and across, from 0 to 1.
        """
        room = [side - self.size for side in resized.shape[:2]]
        top, left = (free // 2 for free in room)
        if place is not None:
            top, left = (int((free + 1) * at) for free, at in zip(room, place, strict=True))
        return np.ascontiguousarray(resized[top : top + self.size, left : left + self.size])

    def _of_file(self, source: bytes | BinaryIO, where: str, limits: Limits) -> Pixels:
        with opened(source, at_least=self.decode_side, where=where, limits=limits) as picture:
            return self.fit(picture.load())


# squash224: what the authors' released weights need, decoded in full as their test.py does.
# crop224: what the paper says (short side 256, crop 224), its crop at the centre.
_TRANSFORMS = {
    transform.tag: transform
    for transform in (
        Transform("squash260", 1, size=260, decode_side=520),
        Transform("squash224", 1, size=224),
        Transform("crop224", 1, size=224, short_side=256, decode_side=512),
    )
}


def transform_named(tag: str, where: str = "") -> Transform:
    """The transform called `tag`, such as `squash260@1`, which the model at `where` names.

    Raises ModelError if there is none.
    """
    try:
        return _TRANSFORMS[tag]
    except KeyError:
        raise ModelError(
            f"unknown transform {tag!r}",
            where=where,
            remedy=f"this version knows {', '.join(_TRANSFORMS)}",
        ) from None


def _without_far_ends(image: Image.Image) -> Image.Image:
    """The middle of a strip so long that, its short side enlarged, it would fill the memory."""
    longest = _LONGEST_SHAPE * min(image.size)
    if max(image.size) <= longest:
        return image
    width, height = (min(side, longest) for side in image.size)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def loaded_of(picture: Image.Image | Pixels) -> Loaded:
    """An opened PIL image or a uint8 array as `open.opened` would give it, in full.

    Raises ImageError for an image that cannot be loaded, UserInputError for an array of a wrong
    shape or dtype.
    """
    if isinstance(picture, Image.Image):
        return loaded_image(picture)
    return Loaded(_from_array(picture), None, None)


def _from_array(array: Pixels) -> Image.Image:
    if not isinstance(array, np.ndarray) or array.dtype != np.uint8:
        kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        raise UserInputError(
            f"cannot score a picture given as {kind}",
            remedy="give a path, bytes, a PIL image or a uint8 array with values 0 to 255",
        )
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise UserInputError(
            f"cannot score an array of shape {array.shape}",
            remedy="give [height, width, 3] RGB, [height, width, 4] RGBA or [height, width] grey",
        )
    if 0 in array.shape:
        raise UserInputError(f"cannot score an empty array of shape {array.shape}")
    return Image.fromarray(array)
