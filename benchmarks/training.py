"""Training beside a loop written the obvious way, in pairs a second; and embedding beside it.

    python benchmarks/training.py [--pictures 96] [--rounds 3]      (needs the extra [train])

The plain loop is what people write first: every epoch each picture of a pair is decoded in full by
PIL and resized, one after the other; float32; two forward passes a batch, one for each side. Both
sides train all weights of the same EfficientNet-Lite2 by the same loss and optimiser, batch norm's
statistics at rest, on the same JPEGs, in turn; the ratio of each round counts, since machines
drift. i2pa keeps the small pixels of a picture that it has decoded once, so a first epoch is told
from a training of several. Pictures are 1080 pixels wide, as social networks give them back, or
have 12 megapixels, as phones make them; each in one pair, as the paper builds them, or in all pairs
of users with eight pictures, where i2pa passes each picture once an epoch. Each in float32 and, on
i2pa's side, in bfloat16, whose scores differ a little; how much is printed. Then an epoch with the
first 11 of 21 blocks frozen: that is another training, so it is no part of the comparison, and its
second epoch, when what the frozen blocks give is known. Then embedding all pictures, as `train`
does it, beside one by one; and a probe fitted to the optimum on cached embeddings beside a single
epoch of the plain loop with the network frozen.
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

from generated_pictures import phone_pictures, social_pictures
from i2pa.images.transforms import RESIZE_FILTER, transform_named
from i2pa.models.backbones import load_backbone
from i2pa.models.ranker import Ranker, freeze_blocks
from i2pa.training import FINETUNE
from i2pa.training.batches import LabelledPairs
from i2pa.training.embeddings import Vectors
from i2pa.training.features import image_features
from i2pa.training.feed import EarlyFeed, Feed, PictureFeed
from i2pa.training.loop import fit
from i2pa.training.nuisance import UNKNOWN_TIME
from i2pa.training.pairset import PairSet
from i2pa.training.pairwise import PairNetwork
from i2pa.training.probe import fit_head
from i2pa.training.processes import Processes
from i2pa.training.recipes import NetworkRecipe

BATCH = 16
SIZE = 260
OF_A_USER = 8
FROZEN = 11
EPOCHS = 5
RECIPE = replace(FINETUNE, batch=BATCH, epochs=1, per_user=False)
ALL_PAIRS = replace(RECIPE, all_pairs=True, batch=2 * BATCH)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    threads = torch.get_num_threads()
    print(f"{date.today()}, {platform.machine()}, {threads} threads, torch {torch.__version__}")
    with tempfile.TemporaryDirectory() as place:
        os.environ["I2PA_CACHE"] = f"{place}/cache"
        paths = social_pictures(Path(place), options.pictures)
        photos = phone_pictures(Path(place), options.pictures)
        n = len(paths) // OF_A_USER * OF_A_USER
        once = np.arange(n).reshape(-1, 2)
        pairs = all_pairs(n)
        several = replace(RECIPE, epochs=EPOCHS)
        compare("1080 px, first epoch", paths, once, RECIPE, options.rounds)
        compare(f"1080 px, {EPOCHS} epochs", paths, once, several, options.rounds)
        compare("12 MP, first epoch", photos, once, RECIPE, options.rounds)
        compare(f"12 MP, {EPOCHS} epochs", photos, once, several, options.rounds)
        of_users = f"1080 px, all pairs of users with {OF_A_USER} pictures, first epoch"
        compare(of_users, paths, pairs, ALL_PAIRS, options.rounds)
        report_difference(paths, once)
        late = replace(ALL_PAIRS, frozen_blocks=FROZEN)
        one, two = (seconds(ours, paths, pairs, replace(late, epochs=n)) for n in (1, 2))
        print(
            f"another training, the last {21 - FROZEN} blocks: first epoch "
            f"{len(pairs) / one:.1f} pairs/s, second {len(pairs) / (two - one):.1f}",
            flush=True,
        )
        rounds = [
            (seconds(one_by_one, paths), seconds(embedded, paths, Path(place) / f"cache{i}"))
            for i in range(options.rounds)
        ]
        report("embedding, nothing cached", rounds, len(paths), "pictures")
        embeddings = embedded(paths, Path(place) / "cache0")
        rounds = [
            (seconds(frozen_epoch, paths, once), seconds(fitted, embeddings, once))
            for _ in range(options.rounds)
        ]
        report("a frozen network: an epoch, against a whole probe", rounds, len(once), "pairs")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GB")


def all_pairs(n: int) -> np.ndarray:
    inside = [(i, j) for i in range(OF_A_USER) for j in range(i + 1, OF_A_USER)]
    return np.concatenate([np.array(inside) + start for start in range(0, n, OF_A_USER)])


def network() -> Ranker:
    torch.manual_seed(0)
    return Ranker(load_backbone("efficientnet-lite2"))


def decoded(paths: Sequence[Path]) -> Tensor:
    pictures = [
        Image.open(path).convert("RGB").resize((SIZE, SIZE), RESIZE_FILTER) for path in paths
    ]
    return torch.from_numpy(np.stack([np.asarray(picture) for picture in pictures]))


def plain(paths: Sequence[Path], pairs: np.ndarray, epochs: int) -> None:
    ranker = network().eval()
    optimizer = torch.optim.Adam(ranker.parameters(), 1e-5, weight_decay=1e-4)
    for _ in range(epochs):
        for start in range(0, len(pairs), BATCH):
            winner, loser = pairs[start : start + BATCH].T
            winner_score = ranker(decoded([paths[i] for i in winner]))[0]
            loser_score = ranker(decoded([paths[i] for i in loser]))[0]
            loss = torch.nn.functional.softplus(loser_score - winner_score).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def ours(paths: Sequence[Path], pairs: np.ndarray, recipe: NetworkRecipe) -> Ranker:
    n = len(pairs)
    unknown, ones = np.full(n, UNKNOWN_TIME), np.ones(n)
    listed = LabelledPairs(
        pairs[:, 0], pairs[:, 1], pairs[:, 0] // OF_A_USER, unknown, unknown, 0.97 * ones, ones
    )
    none = LabelledPairs(*(column[:0] for column in vars(listed).values()))
    feed: Feed = PictureFeed(paths, transform_named(recipe.transform))
    ranker, blocks = network(), recipe.frozen_blocks
    if blocks:
        freeze_blocks(ranker, blocks)
        feed = EarlyFeed(feed, network().eval(), blocks)
    with tempfile.TemporaryDirectory() as folder:
        fit(
            PairNetwork(ranker, nuisance=False, frozen=blocks),
            listed,
            none,
            feed,
            recipe,
            Path(folder),
            processes=Processes(torch.device("cpu")),
        )
    return ranker


def compare(
    what: str, paths: Sequence[Path], pairs: np.ndarray, recipe: NetworkRecipe, rounds: int
) -> None:
    """Print pairs a second of fine-tuning, the plain loop's and both of i2pa's precisions."""
    fast = replace(recipe, precision="bfloat16")
    taken = [
        (
            seconds(plain, paths, pairs, recipe.epochs),
            seconds(ours, paths, pairs, recipe),
            seconds(ours, paths, pairs, fast),
        )
        for _ in range(rounds)
    ]
    for at, precision in enumerate(("float32", "bfloat16"), start=1):
        chosen = [(one[0], one[at]) for one in taken]
        report(f"fine-tuning, {what}, {precision}", chosen, len(pairs) * recipe.epochs, "pairs")


def report_difference(paths: Sequence[Path], pairs: np.ndarray) -> None:
    """Print how far bfloat16's training leads from float32's, in scores of the same pictures."""
    pixels = decoded(paths)
    rankers = (
        network(),
        ours(paths, pairs, RECIPE),
        ours(paths, pairs, replace(RECIPE, precision="bfloat16")),
    )
    with torch.inference_mode():
        before, one, other = (ranker.eval()(pixels)[0].numpy() for ranker in rankers)
    print(
        f"an epoch in bfloat16 leads to scores {np.abs(one - other).mean():.4f} in the mean from "
        f"float32's, which it moved by {np.abs(one - before).mean():.4f}",
        flush=True,
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


def embedded(paths: Sequence[Path], cache: Path) -> Vectors:
    os.environ["I2PA_CACHE"] = str(cache)
    names = [path.name for path in paths]
    transform = transform_named(RECIPE.transform)
    return image_features(names, [paths[0].parent], RECIPE.backbone, transform).embeddings


def fitted(embeddings: Vectors, pairs: np.ndarray) -> None:
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
