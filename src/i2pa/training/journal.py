"""What a network's training writes as it goes: metrics.csv, and events for TensorBoard.

Both hold every epoch so far after each epoch, so a run that is stopped has them.
"""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from i2pa.files import whole_file
from i2pa.training.loop import Epoch

METRICS_FILE = "metrics.csv"
EVENTS_FOLDER = "tensorboard"


@contextmanager
def journal(folder: Path) -> Iterator[Callable[[Sequence[Epoch]], None]]:
    """Gives a function to call after each epoch with all epochs so far; `folder` is the run's.

    Events are written where the package tensorboard is installed, in place of those of an
    earlier start.
    """
    writer: Any = None

    def write(history: Sequence[Epoch]) -> None:
        nonlocal writer
        with whole_file(folder / METRICS_FILE) as aside:
            aside.write_text(as_csv([dataclasses.asdict(epoch) for epoch in history]))
        new = history[-1:]
        if writer is None:
            writer, new = _event_writer(folder), history
        if writer is not None:
            for epoch in new:
                _add(writer, epoch)
            writer.flush()

    try:
        yield write
    finally:
        if writer is not None:
            writer.close()


def as_csv(rows: Sequence[Mapping[str, float]]) -> str:
    """Rows of the same columns as CSV with a header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def remove_events(folder: Path) -> None:
    """Remove the events in the run folder `folder`, and nothing else."""
    place = folder / EVENTS_FOLDER
    for file in place.glob("events.out.tfevents.*"):
        file.unlink()
    if place.is_dir() and not any(place.iterdir()):
        place.rmdir()


def _event_writer(folder: Path) -> Any:
    remove_events(folder)
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(folder / EVENTS_FOLDER)


def _add(writer: Any, epoch: Epoch) -> None:
    for tag, value in (
        ("loss/train", epoch.train_loss),
        ("loss/val", epoch.val_loss),
        ("accuracy/train", epoch.train_accuracy),
        ("accuracy/val", epoch.val_accuracy),
        ("rate", epoch.rate),
        ("pairs_per_second", epoch.pairs_per_second),
    ):
        writer.add_scalar(tag, value, epoch.epoch)
