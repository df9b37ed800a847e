"""Finds a saved model by name or path and checks that its bytes are the ones published."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from i2pa.errors import ModelError, UserInputError

DEFAULT = "i2pa-lite2"
MODEL_FILE = "model.onnx"

_EMBEDDED = Path(__file__).parent / "data"


@dataclass(frozen=True)
class ModelFile:
    """The bytes of one saved model, with the path they came from and their SHA-256."""

    path: Path
    data: bytes
    sha256: str


def find_model(name_or_path: str | Path = DEFAULT) -> ModelFile:
    """Read a model: embedded by name (`i2pa-lite2`, `i2pa-lite2@1`), a file, or a run folder.

    A bare name means its newest version. Where a `.sha256` file lies beside the model the bytes
    must match it. Raises UserInputError if there is no such model, ModelError if its bytes were
    altered.
    """
    path = embedded_models().get(str(name_or_path)) or Path(name_or_path)
    if path.is_dir():
        path = path / MODEL_FILE
    if not path.is_file():
        raise UserInputError(
            f"no model {str(name_or_path)!r}",
            remedy=f"give a .onnx file, a run folder, or one of: {', '.join(embedded_models())}",
        )
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    pinned = digest_file(path)
    if pinned.is_file() and pinned.read_text().split()[:1] != [digest]:
        raise ModelError(
            f"the file's SHA-256 is {digest}, not the one in {pinned.name}",
            where=str(path),
            remedy="it was altered or cut short: install or export it again",
        )
    return ModelFile(path, data, digest)


def embedded_models() -> dict[str, Path]:
    """Every name under which a model inside the package can be asked for."""
    versions = sorted(
        (name, int(version), path)
        for path in _EMBEDDED.glob("*.onnx")
        for name, version in [path.stem.rsplit("-v", 1)]
    )
    named: dict[str, Path] = {}
    for name, version, path in versions:
        named[f"{name}@{version}"] = path
        named[name] = path
    return named


def digest_file(path: Path) -> Path:
    """Where the SHA-256 of the model at `path` is kept."""
    return path.with_name(path.name + ".sha256")
