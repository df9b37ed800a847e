"""Memory that runs out while a network is trained: told in a line, with what helps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from i2pa.errors import ModelError
from i2pa.models.registry import CHECKPOINT_FILE
from i2pa.training.recipes import NetworkRecipe

# On a processor, and in some of CUDA's libraries, torch says it in a RuntimeError of no own kind.
_SAID = (
    "not enough memory",
    "can't allocate memory",
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)


@contextmanager
def told_of_memory(recipe: NetworkRecipe, folder: Path) -> Iterator[None]:
    """Raise ModelError where memory runs out within; `folder` is the run's."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not _is_of_memory(error):
            raise
        # Another batch is another run, so what there is of this one cannot be gone on with.
        anew = "begin anew (--overwrite)" if (folder / CHECKPOINT_FILE).is_file() else "train"
        more = min(2 * recipe.accumulate, recipe.batch)
        passes = f"--accumulate {more} or more, or " if more > recipe.accumulate else ""
        raise ModelError(
            f"memory ran out (--batch {recipe.batch}, --accumulate {recipe.accumulate})",
            remedy=f"{anew} with {passes}a smaller --batch",
        ) from error


def _is_of_memory(error: Exception) -> bool:
    kinds = (MemoryError, torch.OutOfMemoryError)
    return isinstance(error, kinds) or any(said in str(error) for said in _SAID)
