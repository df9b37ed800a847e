"""Writes a model file and its SHA-256. Needs no torch, whoever made the bytes."""

from __future__ import annotations

import hashlib
from pathlib import Path

from i2pa.files import whole_file
from i2pa.models.registry import ModelFile, digest_file


def save_model(data: bytes, path: Path) -> ModelFile:
    """Write model bytes to `path` and their SHA-256 beside it, each whole or not at all."""
    digest = hashlib.sha256(data).hexdigest()
    # An old digest beside new bytes would refuse the model, so it goes first and comes last.
    digest_file(path).unlink(missing_ok=True)
    with whole_file(path) as aside:
        aside.write_bytes(data)
    with whole_file(digest_file(path)) as aside:
        aside.write_text(f"{digest}  {path.name}\n")
    return ModelFile(path, data, digest)
