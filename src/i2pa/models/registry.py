"""Finds a saved model by name or path and checks that its bytes are the ones published."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from i2pa.errors import ModelError, UserInputError, require
from i2pa.models.catalogue import LITE2, PUBLISHED, PublishedModel, published

DEFAULT = LITE2.name
MODEL_FILE = "model.onnx"
CHECKPOINT_FILE = "checkpoint.pt"
"""What a training that was stopped leaves in its run folder."""

_EMBEDDED = Path(__file__).parent / "data"


@dataclass(frozen=True)
class ModelFile:
    """The bytes of one saved model, with the path they came from and their SHA-256."""

    path: Path
    data: bytes
    sha256: str


def find_model(name_or_path: str | Path = DEFAULT) -> ModelFile:
    """Read a model: published by name (`i2pa-lite2`, `i2pa-lite2@1`), a file, or a run folder.

    A bare name means its newest version. Where a `.sha256` file lies beside the model the bytes
    must match it. Raises UserInputError if there is no such model, or if it is published but not
    on this machine yet; ModelError if its bytes were altered.
    """
    path = model_path(name_or_path)
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    pinned = digest_file(path)
    if pinned.is_file() and pinned.read_bytes().lower().split()[:1] != [digest.encode()]:
        raise ModelError(
            f"the file's SHA-256 is {digest}, not the one in {pinned.name}",
            where=str(path),
            remedy="it was altered or cut short: install, get or export it again",
        )
    return ModelFile(path, data, digest)


def model_path(name_or_path: str | Path) -> Path:
    """The file of a model (see `find_model`), unread. Raises UserInputError if there is none."""
    is_name = isinstance(name_or_path, (str, os.PathLike))
    require(is_name, "name_or_path", name_or_path, "a model's name or the path of its file or run")
    model = published(str(name_or_path))
    path = Path(name_or_path)
    if model and (model.source is None or place_of(model).is_file() or not path.exists()):
        path = place_of(model)
        if not path.is_file():
            raise UserInputError(
                f"the model {model.tag} is not on this machine",
                remedy=f"run: i2pa models get {model.name}",
            )
        return path
    if path.is_dir():
        if (path / CHECKPOINT_FILE).is_file() and not (path / MODEL_FILE).is_file():
            raise UserInputError(
                "holds a run that was stopped, and no model yet",
                where=str(path),
                remedy="finish it: the same i2pa train with --resume",
            )
        path = path / MODEL_FILE
    if not path.is_file():
        names = ", ".join(model.tag for model in PUBLISHED)
        raise UserInputError(
            f"no model {str(name_or_path)!r}",
            remedy=f"give a .onnx file, a run folder, or one of: {names}",
        )
    return path


def place_of(model: PublishedModel) -> Path:
    """Where the file of a published model lies, or will once it has been got."""
    folder = _EMBEDDED if model.source is None else models_folder()
    return folder / model.file_name


def models_folder() -> Path:
    """Where models are kept that were got: `I2PA_CACHE` where set, else the platform's data."""
    import platformdirs

    folder = os.environ.get("I2PA_CACHE") or platformdirs.user_data_dir("i2pa", appauthor=False)
    return Path(folder) / "models"


def digest_file(path: Path) -> Path:
    """Where the SHA-256 of the model at `path` is kept."""
    return path.with_name(path.name + ".sha256")
