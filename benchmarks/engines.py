"""The network alone on every installed engine and precision, against eager torch one by one.

Run: python benchmarks/engines.py [--model i2pa-lite2] [--seconds 3] [--rounds 5] [--images DIR]
     (needs the extras [train] and [fast])

Every side gets the same decoded pixels, called as it likes: from as many threads, with as many
pictures at a time, as the engine says. The plain side is what people write first: the same
weights in eager torch, one picture a call. Sides take turns, round by round, and a round's ratio is
what counts. Pictures per second of processor time tell more than those of the clock where other
programs share the machine. Differences and pairs turned round are against onnxruntime in
float32, on the pixels of `--images` (the examples unless given).
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import onnx
import torch

from i2pa.cores import usable_cores
from i2pa.errors import ImageError, UserInputError
from i2pa.images.find import pictures_in
from i2pa.images.transforms import transform_named
from i2pa.metrics.agreement import agreement
from i2pa.models.checks import processor_name
from i2pa.models.engine import PRECISIONS, Engine, installed_engines, load_engine
from i2pa.models.metadata import ModelMetadata
from i2pa.models.onnx_to_torch import OnnxGraph
from i2pa.models.registry import find_model

EXAMPLES = Path(__file__).parents[1] / "examples" / "pictures"
AT_LEAST = 64

Run = Callable[[np.ndarray], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="i2pa-lite2")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=Path, default=EXAMPLES)
    options = parser.parse_args()

    file = find_model(options.model)
    engines = every_engine(file.data)
    metadata = ModelMetadata.from_strings(engines[0].metadata, str(file.path))
    pixels = decoded(options.images, metadata.transform)
    print(
        f"{date.today()}, {processor_name()}, {usable_cores()} cores, load {os.getloadavg()[0]:.1f}"
        f"\nPython {platform.python_version()}, torch {torch.__version__}; "
        f"{metadata.tag}, {metadata.transform}, {len(pixels)} pictures"
    )
    many = np.stack(list(islice(cycle(pixels), max(AT_LEAST, len(pixels)))))
    plain = eager(file.data)
    sides: dict[str, tuple[Run, int, int]] = {"eager torch, batch 1": (plain, 1, 1)}
    sides |= {engine.name: (engine.run, engine.batch, callers_of(engine)) for engine in engines}
    rates: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for run, batch, _ in sides.values():
        run(many[:batch])
    for _ in range(options.rounds):
        for name, (run, batch, callers) in sides.items():
            rates[name].append(rate(run, many, batch, callers, options.seconds))

    wanted = engines[0].run(pixels)["score"]
    base = rates["eager torch, batch 1"]
    by_name = {engine.name: engine for engine in engines}
    for name, (_, batch, callers) in sides.items():
        wall, processor = (statistics.median(side) for side in zip(*rates[name], strict=True))
        ratios = [now[0] / then[0] for now, then in zip(rates[name], base, strict=True)]
        line = (
            f"{name} ({callers} x batch {batch}): {wall:.1f}/s, {processor:.1f} per processor "
            f"second, ratio {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
        )
        if name in by_name:
            found = agreement(wanted, by_name[name].run(pixels)["score"])
            line += (
                f"; scores differ by at most {found.largest_difference:.2g} (spread "
                f"{found.spread:.2f}), {found.flip_rate:.2%} of {found.pairs:,} pairs turned round"
            )
        print(line)


def callers_of(engine: Engine) -> int:
    """A call of torch uses all cores by itself; one of the others uses one."""
    return 1 if engine.name.startswith("torch") else usable_cores()


def every_engine(model: bytes) -> list[Engine]:
    """Each installed engine in each precision it has, onnxruntime in float32 first."""
    engines = []
    for name in installed_engines():
        for precision in PRECISIONS:
            try:
                engines.append(load_engine(model, engine=name, precision=precision))
            except UserInputError as error:
                print(f"left out: {name} {precision} ({error})")
    return engines


def decoded(folder: Path, transform: str) -> np.ndarray:
    pixels = []
    for path in pictures_in([folder]):
        try:
            pixels.append(transform_named(transform).pixels(path))
        except ImageError as error:
            print(f"left out: {error}")
    return np.stack(pixels)


def eager(model: bytes) -> Run:
    """The file's own graph and weights as a torch module."""
    graph = OnnxGraph(onnx.load_from_string(model), "<model>").eval()

    def run(pixels: np.ndarray) -> float:
        with torch.inference_mode():
            return float(graph(torch.from_numpy(pixels))["score"][0])

    return run


def rate(
    run: Run, pixels: np.ndarray, batch: int, callers: int, seconds: float
) -> tuple[float, float]:
    """Pictures a second, by the clock and by processor time."""
    start, used = time.perf_counter(), time.process_time()

    def call(caller: int) -> int:
        done = 0
        while time.perf_counter() - start < seconds:
            at = (caller * 7 + done) % (len(pixels) - batch + 1)
            run(pixels[at : at + batch])
            done += batch
        return done

    with ThreadPoolExecutor(callers) as pool:
        done = sum(pool.map(call, range(callers)))
    return done / (time.perf_counter() - start), done / (time.process_time() - used)


if __name__ == "__main__":
    main()
