"""`rank` against a plain loop with the same network, on 200 JPEGs of 1080 pixels.

Run: python benchmarks/scoring.py [--pictures 200] [--rounds 5]      (needs the extra [train])

The plain loop is what people write first: PIL full decode, resize, eager torch, batch 1. Both
sides use the same weights on the same files, in turn, round by round; the ratio of each round is
what counts, since machines drift. The ceiling is the ratio that `rank` would reach if decoding
cost nothing: the plain loop's time over that of our network alone, run as `rank` runs it on
pixels already decoded. The cold start is one whole process that scores one picture.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import numpy as np
import onnx
import torch
from PIL import Image

from i2pa.images.transforms import RESIZE_FILTER, transform_named
from i2pa.models.backbones import load_backbone
from i2pa.models.onnx_engine import OnnxEngine
from i2pa.models.ranker import Ranker
from i2pa.models.registry import find_model
from i2pa.scoring import load_model
from i2pa.scoring.scorer import BATCH

EXAMPLES = Path(__file__).parents[1] / "examples" / "pictures"
SIDE = 1080


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = make_pictures(Path(folder), options.pictures)
        ranker = same_network()
        scorer = load_model()
        size = transform_named(scorer.metadata.transform).size
        pixels = np.stack([resized(path, size) for path in paths])
        engine = OnnxEngine(find_model().data)
        worst = max(
            abs(item.score - score)
            for item, score in zip(
                scorer.score(paths[:20]).items, plain_loop(ranker, paths[:20], size), strict=True
            )
        )
        print(
            f"{date.today()}, {platform.machine()}, {torch.get_num_threads()} threads, "
            f"Python {platform.python_version()}, torch {torch.__version__}"
        )
        print(f"scores differ by at most {worst:.3f} (scaled against full decoding)")

        whole, ceiling, network = [], [], []
        for _ in range(options.rounds):
            plain = seconds(lambda: plain_loop(ranker, paths, size))
            ours = seconds(lambda: scorer.rank(paths))
            eager_network = seconds(lambda: eager(ranker, pixels))
            our_network = seconds(lambda: as_rank_does(engine, pixels))
            whole.append((plain, ours))
            ceiling.append((plain, our_network))
            network.append((eager_network, our_network))
        report(f"{len(paths)} JPEGs of {SIDE} px, file to score", whole, len(paths))
        report("the ceiling: decoding for nothing", ceiling, len(paths))
        report("network alone on both sides", network, len(paths))

        cold = [
            seconds(
                lambda: subprocess.run(
                    [sys.executable, "-m", "i2pa", "score", str(paths[0]), "--json"],
                    check=True,
                    stdout=subprocess.DEVNULL,
                )
            )
            for _ in range(options.rounds)
        ]
        print(
            f"first score from a cold start: median {statistics.median(cold):.2f} s "
            f"({min(cold):.2f} to {max(cold):.2f})"
        )


def make_pictures(folder: Path, n: int) -> list[Path]:
    """Random crops of the example photographs, 1080 pixels wide, with sensor-like noise."""
    rng = np.random.default_rng(0)
    sources = [Image.open(path).convert("RGB") for path in sorted(EXAMPLES.glob("*.*g"))]
    paths = []
    for index in range(n):
        source = sources[index % len(sources)]
        width, height = (int(side * rng.uniform(0.6, 1)) for side in source.size)
        left, top = rng.integers(source.width - width + 1), rng.integers(source.height - height + 1)
        crop = source.crop((left, top, left + width, top + height))
        crop = crop.resize((SIDE, round(SIDE * rng.choice([0.5625, 0.8, 1.0, 1.25]))))
        noisy = np.asarray(crop) + rng.normal(0, 4, (crop.height, crop.width, 3))
        path = folder / f"{index:04d}.jpg"
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path, quality=85)
        paths.append(path)
    return paths


def same_network() -> Ranker:
    """The default model in torch: its backbone, and the head read from its ONNX file."""
    ranker = Ranker(load_backbone("efficientnet-lite2"))
    initializers = {
        tensor.name: onnx.numpy_helper.to_array(tensor)
        for tensor in onnx.load_from_string(find_model().data).graph.initializer
    }
    ranker.head.load_state_dict(
        {
            "weight": torch.tensor(initializers["head.weight"]),
            "bias": torch.tensor(initializers["head.bias"]),
        }
    )
    return ranker.eval()


def resized(path: Path, size: int) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB").resize((size, size), RESIZE_FILTER))


def plain_loop(ranker: Ranker, paths: list[Path], size: int) -> list[float]:
    return [eager(ranker, resized(path, size)[None])[0] for path in paths]


def eager(ranker: Ranker, pixels: np.ndarray) -> list[float]:
    with torch.inference_mode():
        return [float(ranker(torch.from_numpy(one.copy())[None])[0]) for one in pixels]


def as_rank_does(engine: OnnxEngine, pixels: np.ndarray) -> None:
    """Small batches, as many at once as there are cores, one thread each."""
    batches = [pixels[start : start + BATCH] for start in range(0, len(pixels), BATCH)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(engine.run, batches))


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def report(what: str, rounds: list[tuple[float, float]], n: int) -> None:
    ratios = [plain / ours for plain, ours in rounds]
    plain, ours = (statistics.median(side) for side in zip(*rounds, strict=True))
    print(
        f"{what}: plain {n / plain:.1f}/s, i2pa {n / ours:.1f}/s, "
        f"ratio median {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    )


if __name__ == "__main__":
    main()
