"""Training beside a loop written the obvious way, in pairs a second; and embedding beside it.

    python benchmarks/training.py [--pictures 96] [--rounds 3]      (needs the extra [train])

The plain loop is what people write first: every epoch each picture of a pair is decoded in full by
PIL and resized, one after the other; float32; two forward passes a batch, one for each side. Both
sides train the same EfficientNet-Lite2 by the same loss and optimiser on the same 1080-pixel JPEGs,
in turn, one epoch each; the ratio of each round counts, since machines drift. Two lists of pairs:
each picture in one pair, as the paper builds them; and all pairs of users with eight pictures,
where i2pa passes each picture once a batch. Then embedding all pictures, as `train` does it, beside
one by one; and a probe fitted to the optimum on cached embeddings beside a single epoch of the
plain loop with the network frozen.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from i2pa.images.transforms import RESIZE_FILTER, transform_named
from i2pa.models.backbones import load_backbone
from i2pa.models.ranker import Ranker
from i2pa.training import FINETUNE
from i2pa.training.batches import LabelledPairs
from i2pa.training.features import image_features
from i2pa.training.feed import PictureFeed
from i2pa.training.loop import PairNetwork, fit
from i2pa.training.losses import loss_named
from i2pa.training.nuisance import UNKNOWN_TIME
from i2pa.training.pairset import PairSet
from i2pa.training.probe import fit_head
from i2pa.training.processes import Processes
from scoring import make_pictures

BATCH = 16
SIZE = 260
OF_A_USER = 8
RECIPE = replace(FINETUNE, batch=BATCH, epochs=1, per_user=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    threads = torch.get_num_threads()
    print(f"{date.today()}, {platform.machine()}, {threads} threads, torch {torch.__version__}")
    with tempfile.TemporaryDirectory() as place:
        os.environ["I2PA_CACHE"] = f"{place}/cache"
        paths = make_pictures(Path(place), options.pictures)
        n = len(paths) // OF_A_USER * OF_A_USER
        lists = {
            "each picture in one pair": np.arange(n).reshape(-1, 2),
            f"all pairs of users with {OF_A_USER} pictures": all_pairs(n),
        }
        for label, pairs in lists.items():
            rounds = [
                (seconds(plain_epoch, paths, pairs), seconds(ours, paths, pairs))
                for _ in range(options.rounds)
            ]
            report(f"fine-tuning, {label}", rounds, len(pairs), "pairs")
        rounds = [
            (seconds(one_by_one, paths), seconds(embedded, paths, Path(place) / f"cache{i}"))
            for i in range(options.rounds)
        ]
        report("embedding, nothing cached", rounds, len(paths), "pictures")
        pairs = lists["each picture in one pair"]
        embeddings = embedded(paths, Path(place) / "cache0")
        rounds = [
            (seconds(frozen_epoch, paths, pairs), seconds(fitted, embeddings, pairs))
            for _ in range(options.rounds)
        ]
        report("a frozen network: an epoch, against a whole probe", rounds, len(pairs), "pairs")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GB")


def all_pairs(n: int) -> np.ndarray:
    inside = [(i, j) for i in range(OF_A_USER) for j in range(i + 1, OF_A_USER)]
    return np.concatenate([np.array(inside) + start for start in range(0, n, OF_A_USER)])


def network() -> Ranker:
    return Ranker(load_backbone("efficientnet-lite2"))


def decoded(paths: Sequence[Path]) -> Tensor:
    pictures = [
        Image.open(path).convert("RGB").resize((SIZE, SIZE), RESIZE_FILTER) for path in paths
    ]
    return torch.from_numpy(np.stack([np.asarray(picture) for picture in pictures]))


def plain_epoch(paths: Sequence[Path], pairs: np.ndarray) -> None:
    ranker = network().train()
    optimizer = torch.optim.Adam(ranker.parameters(), 1e-5, weight_decay=1e-4)
    for start in range(0, len(pairs), BATCH):
        winner, loser = pairs[start : start + BATCH].T
        winner_score = ranker(decoded([paths[i] for i in winner]))[0]
        loser_score = ranker(decoded([paths[i] for i in loser]))[0]
        loss = torch.nn.functional.softplus(loser_score - winner_score).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def ours(paths: Sequence[Path], pairs: np.ndarray) -> None:
    n = len(pairs)
    unknown, ones = np.full(n, UNKNOWN_TIME), np.ones(n)
    listed = LabelledPairs(
        pairs[:, 0], pairs[:, 1], pairs[:, 0] // OF_A_USER, unknown, unknown, 0.97 * ones, ones
    )
    none = LabelledPairs(*(column[:0] for column in vars(listed).values()))
    with tempfile.TemporaryDirectory() as folder:
        fit(
            PairNetwork(network(), loss_named(RECIPE.loss), nuisance=False),
            listed,
            none,
            PictureFeed(paths, transform_named(RECIPE.transform)),
            RECIPE,
            Path(folder),
            processes=Processes(torch.device("cpu")),
        )


def frozen_epoch(paths: Sequence[Path], pairs: np.ndarray) -> None:
    ranker = network().eval()
    with torch.no_grad():
        for start in range(0, len(pairs), BATCH):
            for side in pairs[start : start + BATCH].T:
                ranker(decoded([paths[i] for i in side]))


def one_by_one(paths: Sequence[Path]) -> None:
    ranker = network().eval()
    with torch.no_grad():
        for path in paths:
            ranker(decoded([path]))


def embedded(paths: Sequence[Path], cache: Path) -> np.ndarray:
    os.environ["I2PA_CACHE"] = str(cache)
    names = [path.name for path in paths]
    transform = transform_named(RECIPE.transform)
    return image_features(names, [paths[0].parent], RECIPE.backbone, transform).embeddings


def fitted(embeddings: np.ndarray, pairs: np.ndarray) -> None:
    ones = np.ones(len(pairs))
    fit_head(embeddings, PairSet(pairs[:, 0], pairs[:, 1], ones.astype(str), ones, ones), 0.3)


def seconds(work: Callable[..., object], *given: object) -> float:
    start = time.perf_counter()
    work(*given)
    return time.perf_counter() - start


def report(what: str, rounds: list[tuple[float, float]], n: int, unit: str) -> None:
    plain, here = (statistics.median(side) for side in zip(*rounds, strict=True))
    ratios = sorted(plain / ours for plain, ours in rounds)
    print(
        f"{what}: plain {n / plain:.1f} {unit}/s, i2pa {n / here:,.1f}, ratio "
        f"{statistics.median(ratios):,.2f} ({ratios[0]:,.2f} to {ratios[-1]:,.2f})",
        flush=True,
    )


if __name__ == "__main__":
    main()
