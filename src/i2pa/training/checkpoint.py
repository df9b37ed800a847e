"""What a stopped run needs to go on: written whole after every epoch, read without running code."""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from i2pa.errors import FailureKind, ModelError
from i2pa.files import whole_file
from i2pa.models.registry import CHECKPOINT_FILE

# What torch makes of a file that is cut short, or never was one of its own.
_DAMAGED = (
    *(OSError, RuntimeError, TypeError, ValueError, LookupError, AttributeError, EOFError),
    pickle.UnpicklingError,
)
_ANEW = "give the same options, or add --overwrite in place of --resume to begin anew"


@dataclass(frozen=True)
class Checkpoint:
    """The state after `epoch` epochs: network, optimiser, scaler, best weights, metrics so far.

    `plan` names what is trained on what; a run goes on only from a checkpoint of its own plan.
    """

    plan: str
    epoch: int
    network: dict[str, Tensor]
    optimizer: dict[str, Any]
    scaler: dict[str, Any]
    best_epoch: int
    best: dict[str, Tensor]
    history: list[dict[str, float]]
    left_out: dict[int, tuple[FailureKind, str]]


def save_checkpoint(checkpoint: Checkpoint, folder: Path) -> None:
    """Write it over the last one; whoever is killed meanwhile leaves the last one there."""
    data = io.BytesIO()
    torch.save(vars(checkpoint), data)
    with whole_file(folder / CHECKPOINT_FILE) as aside:
        aside.write_bytes(data.getbuffer())


def last_epoch(folder: Path) -> int:
    """After which epoch the checkpoint in `folder` is; 0 where there is none that can be read."""
    try:
        found = torch.load(
            folder / CHECKPOINT_FILE, map_location="cpu", weights_only=True, mmap=True
        )
        return int(found["epoch"])
    except _DAMAGED:
        return 0


def load_checkpoint(folder: Path, plan: str) -> Checkpoint | None:
    """The checkpoint in `folder`, if there is one; tensors on the CPU.

    Raises ModelError where it is damaged, or of another plan, as after a change of i2pa's recipes.
    """
    path = folder / CHECKPOINT_FILE
    if not path.is_file():
        return None
    try:
        found = Checkpoint(**torch.load(path, map_location="cpu", weights_only=True))
    except _DAMAGED as error:
        raise ModelError(
            "damaged, or of another version of i2pa", where=str(path), remedy=_ANEW
        ) from error
    if found.plan != plan:
        raise ModelError(
            "of another recipe, other pairs or pictures, or another version of i2pa",
            where=str(path),
            remedy=_ANEW,
        )
    return found
