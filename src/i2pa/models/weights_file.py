"""Reads the tensors of a weights file that somebody else made, without running any of its code."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from i2pa.errors import ModelError, UserInputError
from i2pa.files import file_sha256

SAFETENSORS = ".safetensors"

_WRAPPED = "state_dict"
_PARALLEL = "module."


def file_digest(path: Path) -> str:
    """SHA-256 of the file, in hexadecimal.

    Raises UserInputError where it cannot be read, or is no regular file: some devices never end.
    """
    try:
        if path.exists() and not path.is_file():
            raise UserInputError(
                "is a folder" if path.is_dir() else "is no regular file",
                where=str(path),
                remedy="give the file of the weights",
            )
        return file_sha256(path)
    except OSError as error:
        raise UserInputError(
            f"weights cannot be read ({error.strerror or error})", where=str(path)
        ) from error


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors by name, as stored, from a `.safetensors` file or one of torch's (`.pth`).

    A torch file is a pickle; it is read with `weights_only`, which builds tensors and plain
    containers and refuses everything else. It may hold the tensors under `state_dict`, and their
    names may begin with `module.`, as training on several cards leaves them. Raises ModelError
    for a file that is damaged, that holds other things, or that is not a state dict.
    """
    if path.suffix == SAFETENSORS:
        try:
            return load_file(path)
        except (SafetensorError, OSError, ValueError) as error:
            raise _unreadable(path) from error
    try:
        with warnings.catch_warnings():
            # What it warns of is refused in a line of ours.
            warnings.filterwarnings("ignore", "Detected pickle protocol")
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # Damaged pickles raise nearly anything, and a refusal advises to read the file unsafely.
        raise _unreadable(path) from error
    if isinstance(state, Mapping) and isinstance(state.get(_WRAPPED), Mapping):
        state = state[_WRAPPED]
    if not _is_state(state):
        raise ModelError(
            "holds something else than tensors by name",
            where=str(path),
            remedy="save the network's state_dict() alone",
        )
    if all(name.startswith(_PARALLEL) for name in state):
        return {name.removeprefix(_PARALLEL): value for name, value in state.items()}
    return dict(state)


def _is_state(content: object) -> bool:
    """Whether it is tensors by name, one at least."""
    return (
        isinstance(content, Mapping)
        and bool(content)
        and all(
            isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items()
        )
    )


def fitted(
    wanted: Mapping[str, Tensor], given: Mapping[str, Tensor], where: str
) -> dict[str, Tensor]:
    """The tensors of `given` under every name in `wanted`, each of the shape it has there.

    Raises ModelError naming the first that lacks, differs, holds NaN or an infinity or, last of
    all, is not wanted.
    """
    state: dict[str, Tensor] = {}
    for name, like in wanted.items():
        if name in given:
            state[name] = given[name]
        elif name.endswith(".num_batches_tracked"):
            # Files made before torch 0.4.1 have no such counter, and evaluation needs none.
            state[name] = torch.zeros_like(like, device="cpu")
        else:
            raise _misfit(f"there is no tensor {name}", where)
        if state[name].shape != like.shape:
            raise _misfit(
                f"{name} has the shape {list(state[name].shape)}, not {list(like.shape)}", where
            )
        if state[name].is_floating_point() != like.is_floating_point():
            raise _misfit(f"{name} holds {state[name].dtype}, not {like.dtype}", where)
        if like.is_floating_point() and (bad := int((~torch.isfinite(state[name])).sum())):
            raise ModelError(
                f"{bad:,} of {state[name].numel():,} numbers in the tensor {name} are not finite",
                where=where,
                remedy="give the weights of a training that did not diverge",
            )
    for name in given:
        if name not in wanted:
            raise _misfit(f"the tensor {name} has no place in this network", where)
    return state


def _misfit(what: str, where: str) -> ModelError:
    return ModelError(what, where=where, remedy="give a file of this network's weights")


def _unreadable(path: Path) -> ModelError:
    return ModelError(
        "cannot be read as weights: it is damaged or holds other things than tensors",
        where=str(path),
        remedy=f"give a state dict as .pth or {SAFETENSORS}",
    )
