"""What a stopped run needs to go on: written whole after every epoch, read without running code."""

from __future__ import annotations

import io
import pickle
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from i2pa.errors import FailureKind, ModelError
from i2pa.files import whole_file
from i2pa.models.registry import CHECKPOINT_FILE
from i2pa.words import many

# What torch makes of a file that is cut short, or never was one of its own.
_DAMAGED = (
    *(OSError, RuntimeError, TypeError, ValueError, LookupError, AttributeError, EOFError),
    pickle.UnpicklingError,
)
_ANEW = "give the same options, or add --overwrite in place of --resume to begin anew"
_NAMED = 3


@dataclass(frozen=True)
class Subject:
    """What the numbers that are trained on do not tell: the weights' key, and names of pictures.

    `gone` are pictures that the pairs name and that cannot be read now.
    """

    weights: str = ""
    pictures: Sequence[str] = ()
    gone: Collection[str] = ()


@dataclass(frozen=True)
class Checkpoint:
    """The state after `epoch` epochs: network, optimiser, scaler, best weights, metrics so far.

    `plan` names what is trained on what; a run goes on only from a checkpoint of its own plan.
    `pictures` are the names of those trained on.
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
    pictures: list[str]


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


def last_written(folder: Path) -> int | None:
    """When the checkpoint in `folder` was written, in nanoseconds; None where there is none."""
    path = folder / CHECKPOINT_FILE
    return path.stat().st_mtime_ns if path.is_file() else None


def load_checkpoint(folder: Path, plan: str, gone: Collection[str] = ()) -> Checkpoint | None:
    """The checkpoint in `folder`, if there is one; tensors on the CPU.

    Raises ModelError where it is damaged, or of another plan, as after a change of i2pa's recipes
    or where it was trained on pictures that are now `gone`.
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
        if lost := [name for name in found.pictures if name in gone]:
            more = f" and {many(len(lost) - _NAMED, 'more picture')}" if lost[_NAMED:] else ""
            raise ModelError(
                f"trained on pictures that can no longer be read: {', '.join(lost[:_NAMED])}{more}",
                where=str(path),
                remedy="put them back, or add --overwrite in place of --resume to begin anew",
            )
        raise ModelError(
            "of another recipe, other pairs or pictures, or another version of i2pa",
            where=str(path),
            remedy=_ANEW,
        )
    return found
