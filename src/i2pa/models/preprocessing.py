"""The transform that a loaded model names, held against what the model takes."""

from __future__ import annotations

from i2pa.errors import ModelError
from i2pa.images.transforms import Transform, transform_named
from i2pa.models.engine import Engine


def transform_of(engine: Engine, tag: str, where: str = "") -> Transform:
    """The transform called `tag`, for the model at `where` that `engine` runs.

    Raises ModelError where there is no such transform, or the model takes pixels of another size.
    """
    transform = transform_named(tag, where)
    if any(side not in (None, transform.size) for side in engine.size):
        sides = " × ".join("n" if side is None else str(side) for side in engine.size)
        raise ModelError(
            f"the model takes {sides} pixels, where its transform {tag} gives "
            f"{transform.size} × {transform.size}",
            where=where,
            remedy="name the transform that it was trained with, in i2pa.transform",
        )
    return transform
