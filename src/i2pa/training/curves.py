"""The course of a training as one picture: epochs of a network, or the ℓ2 values of a probe."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from i2pa.training.recipes import NetworkRecipe, trains_pairs
from i2pa.training.trained import TrainedModel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CURVES_FILE = "curves.png"
_CHOSEN = {"color": "0.5", "linestyle": ":", "zorder": 0}


def draw_curves(model: TrainedModel) -> bytes:
    """A PNG: loss, accuracy and learning rate by epoch, or log loss and accuracy by ℓ2.

    The epoch or ℓ2 that was kept is marked by a dotted line.
    """
    # A figure of its own, drawn by Agg for want of another: pyplot and displays stay out.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.4), dpi=120, layout="constrained")
    if model.epochs:
        _by_epoch(figure, model)
    else:
        _by_l2(figure, model)
    figure.suptitle(f"{model.metadata.tag}: {model.chosen}", fontsize=10)
    png = io.BytesIO()
    # Without the drawing library's version, equal runs give equal bytes.
    figure.savefig(png, format="png", metadata={"Software": None})
    return png.getvalue()


def _by_epoch(figure: Figure, model: TrainedModel) -> None:
    rows = model.epochs
    epochs = [row.epoch for row in rows]
    kind = ""
    if isinstance(model.recipe, NetworkRecipe):
        kind = f" ({model.recipe.loss if trains_pairs(model.recipe) else 'least squares'})"
    panels: dict[str, dict[str, list[float]]] = {
        "loss": {
            f"train{kind}": [row.train_loss for row in rows],
            "validation (hard)": [row.val_loss for row in rows],
        },
        "pairwise accuracy": {
            "train (pooled)": [row.train_accuracy for row in rows],
            "validation (mean of users)": [row.val_accuracy for row in rows],
        },
        "learning rate of the head": {"": [row.rate for row in rows]},
    }
    for axes, (title, lines) in zip(figure.subplots(1, 3), panels.items(), strict=True):
        _lines(axes, title, epochs, lines)
        axes.set_xlabel("epoch")
        axes.ticklabel_format(axis="y", scilimits=(-3, 3))
        if len(epochs) == 1:
            # An axis of one point would be divided into hundredths of an epoch.
            axes.set_xticks(epochs)
        else:
            axes.xaxis.get_major_locator().set_params(integer=True)
        if model.best_epoch is not None:
            axes.axvline(model.best_epoch, **_CHOSEN)


def _by_l2(figure: Figure, model: TrainedModel) -> None:
    l2 = [row.l2 for row in model.grid]
    panels = {
        "log loss out of fold, nats": [row.log_loss for row in model.grid],
        "accuracy out of fold, mean of users": [row.accuracy for row in model.grid],
    }
    for axes, (title, values) in zip(figure.subplots(1, 2), panels.items(), strict=True):
        _lines(axes, title, l2, {"": values})
        axes.set_xlabel("ℓ2")
        # --l2 0 has no place on a log scale.
        if min(l2) > 0:
            axes.set_xscale("log")
        if model.l2 is not None:
            axes.axvline(model.l2, **_CHOSEN)


def _lines(
    axes: Axes, title: str, x: Sequence[float], lines: Mapping[str, Sequence[float]]
) -> None:
    for label, values in lines.items():
        axes.plot(x, values, marker="o", markersize=3, label=label)
    axes.set_title(title, fontsize=10)
    if len(lines) > 1:
        axes.legend(frameon=False, fontsize=8)
