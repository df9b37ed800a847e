"""The run folder of a personal model: what scores, and what there is to know of it.

`model.onnx` is what `rank` and `compare` load; `run.json`, written last, is for machines and
`card.md` for people. None of them names a picture that was used.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import numpy as np

from i2pa.errors import UserInputError
from i2pa.files import make_run_folder, whole_file
from i2pa.models.registry import MODEL_FILE, ModelFile, digest_file
from i2pa.models.saving import save_model
from i2pa.personal.card import taste_card
from i2pa.personal.taste import PersonalTaste

RUN_FILE = "run.json"
CARD_FILE = "card.md"

FORMAT = "i2pa.personal-run/1"


def check_taste_folder(folder: Path, *, overwrite: bool = False) -> None:
    """See before the work whether a personal model can be written to `folder`; nothing is made yet.

    Raises UserInputError where it cannot be, where the folder holds anything but a personal
    model's files, or where it holds those and `overwrite` is not set.
    """
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise UserInputError(
            "cannot be made a run folder", where=str(folder), remedy="name another"
        )
    present = {path.name for path in folder.iterdir()} if folder.exists() else set()
    ours = {MODEL_FILE, digest_file(folder / MODEL_FILE).name, RUN_FILE, CARD_FILE}
    if present - ours or (RUN_FILE in present and not _is_personal(folder / RUN_FILE)):
        raise UserInputError(
            "holds other files than a personal model's",
            where=str(folder),
            remedy="name a new folder",
        )
    if present and not overwrite:
        raise UserInputError(
            "holds a personal model", where=str(folder), remedy="add --overwrite or name another"
        )


def _is_personal(file: Path) -> bool:
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(record, dict) and record.get("format") == FORMAT


def write_taste(taste: PersonalTaste, folder: Path) -> ModelFile:
    """Write a personal model to `folder`, each file whole, in place of an earlier one's.

    `run.json` comes last, so a folder without it is unfinished.
    """
    make_run_folder(folder)
    for name in (RUN_FILE, CARD_FILE):
        (folder / name).unlink(missing_ok=True)
    file = save_model(taste.model, folder / MODEL_FILE)
    texts = {
        CARD_FILE: taste_card(taste, file.sha256),
        RUN_FILE: json.dumps(_record(taste), indent=2),
    }
    for name, text in texts.items():
        with whole_file(folder / name) as aside:
            aside.write_text(text, encoding="utf-8", errors="backslashreplace")
    return file


def taste_record(taste: PersonalTaste) -> dict[str, Any]:
    """All that is known of a taste but the model itself, as JSON has it."""
    fields = (
        *("verdict", "says", "source", "learnt_from", "pairing", "pairs", "groups", "gain"),
        *("spread", "tried", "base_weight", "scale", "base", "inputs", "seed", "notes", "failures"),
    )
    whole = dataclasses.asdict(dataclasses.replace(taste, model=b""))
    return {name: whole[name] for name in fields}


def _record(taste: PersonalTaste) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "i2pa": installed("i2pa"),
        "python": platform.python_version(),
        "onnxruntime": installed("onnxruntime"),
        "numpy": np.__version__,
        **taste_record(taste),
        "metadata": taste.metadata.to_strings(),
    }
