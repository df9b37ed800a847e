from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from tiny_model import make_pictures, redness, tiny_model


@dataclass(frozen=True)
class Album:
    """Pictures sorted into kept and rejected by a taste for red above, and a base model."""

    folder: Path
    keep: Path
    reject: Path
    model: Path


@pytest.fixture(scope="session")
def album(tmp_path_factory):
    folder = tmp_path_factory.mktemp("album")
    made = make_pictures(folder / "all", 60)
    middle = np.median([redness(colours) for colours in made.values()])
    for side in ("keep", "reject"):
        (folder / side).mkdir()
    for path, colours in made.items():
        side = "keep" if redness(colours) > middle else "reject"
        (folder / side / path.name).write_bytes(path.read_bytes())
    return Album(folder, folder / "keep", folder / "reject", tiny_model(folder / "tiny.onnx"))
