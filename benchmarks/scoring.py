"""From file on disk to score: i2pa against what people write first. Needs the extra [train].

Run: python benchmarks/scoring.py [--social 200] [--phone 40] [--many 10000] [--rounds 5]
     [--only ResNet-50] [--precision bfloat16]

Two peers, on the same pictures, weights and transform:
- a process a picture, as the authors' test.py: start Python, import torch, load the weights, PIL
  full decode, resize, one forward;
- its loop with the model loaded once: PIL full decode, resize, eager torch, batch 1.
Sides take turns, round by round, and the ratio of each round is what counts, since machines drift.

Beside the loop also the network alone, on pixels at hand, which no way of decoding can pass.

Models are the embedded default and a ResNet-50 of random weights (the shape of the paper's), both
as `squash224@1`, which decodes JPEGs in full as the authors do, and as `crop224@1`, which decodes
them at a reduced scale. Engines that are not installed are left out. Then the cold start of one
process, peak memory and seconds of a run over many pictures without a cache, a second run over
many with a warm one, and the rank correlation of scaled against full decoding.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import torch
from PIL import Image
from scipy.stats import spearmanr

from generated_pictures import phone_pictures, small_pictures, social_pictures
from i2pa.cores import usable_cores
from i2pa.images.transforms import RESIZE_FILTER, Transform, transform_named
from i2pa.models.backbones import load_backbone
from i2pa.models.engine import load_engine
from i2pa.models.export import export_onnx
from i2pa.models.metadata import QUANTILES, ModelMetadata, Reference
from i2pa.models.ranker import Ranker
from i2pa.models.registry import find_model
from i2pa.scoring import Scorer, load_model

Engines = list[tuple[str, str]]
ENGINES = (("onnxruntime", "float32"), ("openvino", "float32"), ("openvino", "bfloat16"))

# The authors' test.py, in our package's words: all that it does for one picture.
TEST_PY = """
import sys
import torch
from PIL import Image
from i2pa.images.transforms import RESIZE_FILTER
from i2pa.models.backbones import load_backbone
from i2pa.models.ranker import Ranker
weights, backbone, side, picture = sys.argv[1:]
ranker = torch.load(weights, weights_only=False).eval()
image = Image.open(picture).convert("RGB").resize((int(side), int(side)), RESIZE_FILTER)
pixels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
with torch.no_grad():
    print(ranker(pixels.view(1, int(side), int(side), 3))[0])
"""

# The peak that getrusage tells of a process counts its parent's before exec, hence VmHWM.
MANY = """
import json, re, resource, sys, time
from pathlib import Path
from i2pa.scoring import load_model
start = time.perf_counter()
ranking = load_model().rank(sorted(Path(sys.argv[1]).iterdir()))
took = time.perf_counter() - start
own = int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024
children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
print(json.dumps([len(ranking.items), len(ranking.failures), took, own, children]))
"""


@dataclass(frozen=True)
class Subject:
    """One network: in torch for the peers, as a model of i2pa for us."""

    name: str
    ranker: Ranker
    model: str | Path
    transform: Transform


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--social", type=int, default=200, help="pictures of 1080 pixels")
    parser.add_argument("--phone", type=int, default=40, help="pictures of 12 megapixels")
    parser.add_argument("--many", type=int, default=10_000, help="pictures of the long runs")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--only", help="networks whose name holds this, and nothing but their speed"
    )
    parser.add_argument("--precision", help="engines of this precision alone")
    options = parser.parse_args()
    print(
        f"{date.today()}, {platform.machine()}, {len(os.sched_getaffinity(0))} cores, "
        f"{torch.get_num_threads()} threads of torch, Python {platform.python_version()}, "
        f"torch {torch.__version__}, Pillow {Image.__version__}"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        social = social_pictures(folder, options.social)
        phone = phone_pictures(folder, options.phone)
        engines = [e for e in installed() if options.precision in (None, e[1])]
        for subject in subjects(folder):
            if options.only and options.only not in subject.name:
                continue
            for kind, paths in (("1080 px", social), ("12 MP", phone)):
                against_the_loop(subject, kind, paths, engines, options.rounds)
            if subject.transform.short_side is None:
                some = social[:5]
                against_a_process_a_picture(subject, some, folder, engines, options.rounds)
        if options.only:
            return
        scaled_against_full(social + phone)
        cold_start(social[0], options.rounds)
        long_run(social + phone, options.many)
        second_run(options.many)


def subjects(folder: Path) -> list[Subject]:
    default = find_model()
    squash260 = transform_named(load_model().metadata.transform)
    found = [Subject("i2pa-lite2", default_in_torch(default.data), default.path, squash260)]
    resnet = Ranker(load_backbone("resnet50", "random"))
    for tag in ("squash224@1", "crop224@1"):
        transform = transform_named(tag)
        # Scores of random weights are large; export checks rounding against their spread.
        quantiles = tuple(np.linspace(-30, 30, QUANTILES))
        metadata = ModelMetadata(
            name="random-resnet50",
            version=1,
            transform=tag,
            reference=Reference("none", 1, quantiles),
            link="logistic",
            temperature=1.0,
            training="random weights",
            licenses="none",
        )
        path = folder / f"resnet50-{transform.name}" / "model.onnx"
        export_onnx(resnet, metadata, transform.size, path)
        found.append(Subject("ResNet-50", resnet.eval(), path, transform))
    return found


def default_in_torch(data: bytes) -> Ranker:
    """The default model in torch: its backbone, and the head read from its ONNX file."""
    ranker = Ranker(load_backbone("efficientnet-lite2"))
    initializers = {
        tensor.name: onnx.numpy_helper.to_array(tensor)
        for tensor in onnx.load_from_string(data).graph.initializer
    }
    head = {part: torch.tensor(initializers[f"head.{part}"]) for part in ("weight", "bias")}
    ranker.head.load_state_dict(head)
    return ranker.eval()


def against_the_loop(
    subject: Subject, kind: str, paths: list[Path], engines: Engines, rounds: int
) -> None:
    decoding = "scaled" if subject.transform.decode_side else "full"
    what = f"{subject.name}, {subject.transform.tag} ({decoding} decoding), {len(paths)} x {kind}"
    for engine, precision in engines:
        scorer = loaded(subject.model, engine, precision)
        expected = loop(subject, paths[:3])
        worst = np.abs(expected - scores(scorer, paths[:3])).max() / max(1, np.std(expected))
        alone = network_alone(subject, paths, engine, precision)
        times = [
            (
                seconds(lambda: loop(subject, paths)),
                seconds(lambda s=scorer: s.rank(paths)),
                seconds(alone),
            )
            for _ in range(rounds)
        ]
        n = len(paths)
        title = f"{what}: {engine} {precision}"
        report(f"{title} against the loop", [(one, ours) for one, ours, _ in times], n, n)
        report(f"{title}, its network alone", [(one, free) for one, _, free in times], n, n)
        print(f"    scores differ by at most {worst:.3g}")


def network_alone(
    subject: Subject, paths: list[Path], engine: str, precision: str
) -> Callable[[], object]:
    """What no decoding, however fast, could make faster: the network on pixels at hand."""
    network = load_engine(find_model(str(subject.model)).data, engine=engine, precision=precision)
    pixels = np.stack([opened(path, subject.transform) for path in paths])
    batches = [pixels[at : at + network.batch] for at in range(0, len(pixels), network.batch)]
    pool = ThreadPoolExecutor(usable_cores())
    return lambda: list(pool.map(network.run, batches))


def against_a_process_a_picture(
    subject: Subject, paths: list[Path], folder: Path, engines: Engines, rounds: int
) -> None:
    weights = folder / f"{subject.name}.pth"
    torch.save(subject.ranker, weights)
    command = [sys.executable, "-c", TEST_PY, weights, subject.name, str(subject.transform.size)]

    def one_by_one() -> None:
        for path in paths:
            subprocess.run([*command, path], check=True, stdout=subprocess.DEVNULL)

    many = paths * 10
    for engine, precision in engines:
        scorer = loaded(subject.model, engine, precision)
        times = [
            (seconds(one_by_one), seconds(lambda s=scorer: s.rank(many))) for _ in range(rounds)
        ]
        title = f"{subject.name}, {subject.transform.tag}, 1080 px: {engine} {precision}"
        report(f"{title} against a process a picture", times, len(paths), len(many))


def scaled_against_full(paths: list[Path]) -> None:
    scorer = load_model()
    transform = transform_named(scorer.metadata.transform)
    full = dataclasses.replace(transform, decode_side=None)
    in_full = [scorer.score_one(full.pixels(path)).score for path in paths]
    correlation = spearmanr(scores(scorer, paths), in_full).statistic
    print(f"scaled against full decoding: Spearman {correlation:.4f}, n = {len(paths)}")


def cold_start(path: Path, rounds: int) -> None:
    command = [sys.executable, "-m", "i2pa", "score", str(path), "--json", "--no-cache"]
    times = [
        seconds(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))
        for _ in range(rounds)
    ]
    middle, least, most = statistics.median(times), min(times), max(times)
    print(f"first score of a new process: median {middle:.2f} s ({least:.2f} to {most:.2f})")


def long_run(sources: list[Path], n: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        for number in range(n):
            Path(name, f"{number:06d}.jpg").hardlink_to(sources[number % len(sources)])
        run = subprocess.run(
            [sys.executable, "-c", MANY, name], check=True, stdout=subprocess.PIPE, text=True
        )
    items, failures, took, own, children = json.loads(run.stdout)
    print(
        f"{items:,} pictures ({failures} failures) ranked without a cache in {took:.0f} s: "
        f"peak memory {own:.0f} MB, of a process that it started {children:.0f} MB"
    )


def second_run(n: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        for path in small_pictures(Path(name), n):
            os.utime(path, (1_600_000_000, 1_600_000_000))
        with tempfile.TemporaryDirectory() as cache:
            command = [sys.executable, "-m", "i2pa", "rank", name, "--csv"]
            environment = os.environ | {"I2PA_CACHE": cache}

            def run() -> bytes:
                done = subprocess.run(
                    command,
                    check=True,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env=environment,
                )
                return done.stdout

            outputs: list[bytes] = []
            first, second = (seconds(lambda: outputs.append(run())) for _ in range(2))
            size = sum(path.stat().st_size for path in Path(cache).iterdir())
    same = "the same" if outputs[0] == outputs[1] else "ANOTHER"
    print(
        f"{n:,} small pictures: first run {first:.1f} s, second {second:.1f} s with {same} output; "
        f"cache {size / 1e6:.0f} MB"
    )


def installed() -> Engines:
    return [
        (engine, precision)
        for engine, precision in ENGINES
        if engine == "onnxruntime" or (find_spec(engine) and can(engine, precision))
    ]


def can(engine: str, precision: str) -> bool:
    """Whether this processor has the precision."""
    try:
        loaded(find_model().path, engine, precision)
    except Exception as error:
        print(f"{engine} {precision} is left out: {error}")
        return False
    return True


def loaded(model: str | Path, engine: str, precision: str) -> Scorer:
    return load_model(model, engine=engine, precision=precision)


def loop(subject: Subject, paths: list[Path]) -> np.ndarray:
    """What people write: full decode, the transform's geometry, eager torch, batch 1."""
    with torch.inference_mode():
        return np.array(
            [
                float(subject.ranker(torch.from_numpy(opened(path, subject.transform))[None])[0])
                for path in paths
            ]
        )


def opened(path: Path, transform: Transform) -> np.ndarray:
    image = Image.open(path).convert("RGB")
    if transform.short_side is None:
        return np.array(image.resize((transform.size, transform.size), RESIZE_FILTER))
    scale = transform.short_side / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), RESIZE_FILTER)
    left, top = ((side - transform.size) // 2 for side in image.size)
    return np.array(image.crop((left, top, left + transform.size, top + transform.size)))


def scores(scorer: Scorer, paths: list[Path]) -> np.ndarray:
    return np.array([item.score for item in scorer.score(paths).items])


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def report(what: str, rounds: list[tuple[float, float]], plain_n: int, our_n: int) -> None:
    ratios = [(plain / plain_n) / (ours / our_n) for plain, ours in rounds]
    plain, ours = (statistics.median(side) for side in zip(*rounds, strict=True))
    print(
        f"{what}: {plain_n / plain:.1f}/s against {our_n / ours:.1f}/s, "
        f"ratio median {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
        flush=True,
    )


if __name__ == "__main__":
    main()
