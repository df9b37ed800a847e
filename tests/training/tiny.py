"""A tiny network and pairs for it; as a script, one process of a run on them.

Where there are several, each trains once more, with statistics that move, and keeps what it ends
with.

python tiny.py ALBUM FOLDER EPOCHS [--resume]
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from i2pa.images.transforms import Transform
from i2pa.models.ranker import in_float32, spread_head, spread_of
from i2pa.training.batches import LabelledPairs
from i2pa.training.feed import PictureFeed
from i2pa.training.loop import fit
from i2pa.training.losses import loss_named
from i2pa.training.nuisance import UNKNOWN_TIME
from i2pa.training.pairwise import PairNetwork
from i2pa.training.processes import Processes, processes
from i2pa.training.recipes import NetworkRecipe

TINY = Transform("tiny", 1, size=16, short_side=20)
RECIPE = NetworkRecipe(
    "tiny",
    backbone="none",
    transform="tiny@1",
    random_crop=True,
    batch=8,
    epochs=4,
    rate_body=3e-2,
    rate_head=3e-2,
    decay=0.9,
)
ALONE = Processes(torch.device("cpu"))
USERS, PICTURES = 8, 6


class TinyRanker(nn.Module):
    """Two layers and a head, with batch norm and dropout as real networks have."""

    def __init__(self, *, spread: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.1)
        )
        self.head = nn.Linear(8, 1)
        self.spread = spread_head(8) if spread else None

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        features = self.body(pixels.permute(0, 3, 1, 2).float() / 255)
        embedding = features.mean(dim=(2, 3))
        given = in_float32(self.head, embedding).squeeze(1), embedding, features
        if self.spread is None:
            return given
        return *given, spread_of(in_float32(self.spread, embedding).squeeze(1))


def network(loss: str = "hard", *, nuisance: bool = False) -> PairNetwork:
    torch.manual_seed(1)
    return PairNetwork(TinyRanker(spread=loss_named(loss).spread), nuisance=nuisance)


def pairs_of(users: range) -> LabelledPairs:
    rows = [
        (user * PICTURES + i, user * PICTURES + j, user)
        for user in users
        for i in range(PICTURES)
        for j in range(i + 1, PICTURES)
    ]
    winner, loser, user = np.array(rows, dtype=np.int64).T
    nobody_knows = np.full(len(rows), UNKNOWN_TIME)
    ones = np.ones(len(rows))
    return LabelledPairs(winner, loser, user, nobody_knows, nobody_knows, 0.97 * ones, ones)


TRAIN, VAL = pairs_of(range(6)), pairs_of(range(6, USERS))

FROZEN = replace(RECIPE, freeze_norm=True, random_crop=False)


def without_dropout() -> PairNetwork:
    trained = network()
    trained.ranker.body[3].p = 0.0
    return trained


def files_of(album: Path) -> list[Path]:
    return [album / f"{row}.png" for row in range(USERS * PICTURES)]


if __name__ == "__main__":
    album, folder, epochs = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    recipe = replace(FROZEN, epochs=epochs)
    with processes("cpu") as mine:
        trained = without_dropout()
        fit(
            trained,
            TRAIN,
            VAL,
            PictureFeed(files_of(album), TINY),
            recipe,
            folder,
            processes=mine,
            resume="--resume" in sys.argv,
        )
        if mine.is_first:
            torch.save(trained.state_dict(), folder / "weights.pt")
        if mine.n > 1:
            moving = network()
            feed, recipe = PictureFeed(files_of(album), TINY), replace(RECIPE, epochs=1)
            fitted = fit(moving, TRAIN, VAL, feed, recipe, folder, processes=mine)
            kept = {"weights": moving.state_dict(), "val_loss": fitted.history[0].val_loss}
            torch.save(kept, folder / f"moving-{mine.rank}.pt")
