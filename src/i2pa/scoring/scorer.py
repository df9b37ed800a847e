"""Scores pictures with a saved model, on every core at once."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from i2pa.errors import ImageError, ModelError, UserInputError
from i2pa.images.transforms import Picture, Pixels, transform_named
from i2pa.metrics.calibration import TIE_BAND, probability
from i2pa.metrics.reference import level, percentile
from i2pa.models.engine import AUTO, Engine, load_engine
from i2pa.models.metadata import ModelMetadata
from i2pa.models.registry import DEFAULT, find_model
from i2pa.scoring.results import (
    Comparison,
    Failure,
    ModelUsed,
    RankedPicture,
    Ranking,
    ScoredPicture,
    Scores,
    Verdict,
)

# Pictures in parallel beat operators in parallel for a network this small, and small batches
# stay in a core's cache (benchmarks/scoring.py).
BATCH = 2

Progress = Callable[[int, int], None]

ONE_PICTURE = (str, Path, bytes, Image.Image, np.ndarray)


def load_model(
    name_or_path: str | Path = DEFAULT,
    *,
    engine: str = AUTO,
    precision: str = "float32",
    threads: int | None = None,
) -> Scorer:
    """A scorer for a published model (by name), an exported .onnx file or a run folder.

    `engine` is auto, onnxruntime, openvino, torch or cuda, and `precision` float32 or bfloat16:
    see `load_engine`. `threads` bounds how many pictures are worked on at once; None means one a
    core. Raises UserInputError for an engine that cannot be had, and ModelError if the model is
    altered or not one of ours.
    """
    file = find_model(name_or_path)
    runner = load_engine(
        file.data, engine=engine, precision=precision, threads=threads, where=str(file.path)
    )
    metadata = ModelMetadata.from_strings(runner.metadata, where=str(file.path))
    return Scorer(runner, metadata, file.sha256, threads=threads)


class Scorer:
    """A loaded model, ready to score any number of pictures; load it once."""

    def __init__(
        self,
        engine: Engine,
        metadata: ModelMetadata,
        sha256: str,
        *,
        threads: int | None = None,
    ) -> None:
        """Use `load_model`. Raises ModelError where the model's transform is unknown here."""
        if metadata.link != "logistic":
            raise ModelError(f"this version cannot use the link {metadata.link!r}")
        self.metadata = metadata
        self.model = ModelUsed(
            metadata.name, metadata.version, sha256, metadata.transform, engine.name
        )
        self._engine = engine
        self._transform = transform_named(metadata.transform)
        self._quantiles = np.asarray(metadata.reference.quantiles)
        self._threads = threads or os.cpu_count() or 1

    def score_one(self, picture: Picture) -> ScoredPicture:
        """Score one picture: a path, bytes of a file, an opened PIL image, or a uint8 array.

        Arrays are [h, w, 3] RGB, [h, w, 4] RGBA or [h, w] grey. Raises ImageError where the
        picture cannot be read.
        """
        pixels = self._transform.pixels(picture)
        return self._place(_name(picture, 0), self._run(pixels[np.newaxis])[0])

    def score(self, pictures: Iterable[Picture], *, progress: Progress | None = None) -> Scores:
        """Score many pictures (see `score_one` for what a picture is), in the order given.

        An unreadable picture becomes a failure and the rest go on. `progress` is called with
        (pictures done, pictures given). Raises UserInputError for a single picture.
        """
        if isinstance(pictures, ONE_PICTURE):
            raise UserInputError("score takes a list of pictures", remedy="use score_one")
        pictures = list(pictures)
        items: list[ScoredPicture] = []
        failures: list[Failure] = []
        for result in self.stream(pictures):
            if isinstance(result, Failure):
                failures.append(result)
            else:
                items.append(result)
            if progress:
                progress(len(items) + len(failures), len(pictures))
        return Scores(self.model, self.metadata.reference.name, tuple(items), tuple(failures))

    def rank(self, pictures: Iterable[Picture], *, progress: Progress | None = None) -> Ranking:
        """Score pictures and order them best first; equal scores keep the order given."""
        scores = self.score(pictures, progress=progress)
        ordered = sorted(scores.items, key=lambda item: -item.score)
        items: list[RankedPicture] = []
        for place, item in enumerate(ordered, start=1):
            tied = bool(items) and items[-1].score == item.score
            rank = items[-1].rank if tied else place
            items.append(RankedPicture(item.path, item.score, item.percentile, item.level, rank))
        return Ranking(scores.model, scores.reference, tuple(items), scores.failures)

    def compare(self, first: Picture, second: Picture) -> Comparison:
        """The calibrated probability that `first` gets more likes than `second`.

        Raises ImageError where one of them cannot be read.
        """
        one, other = self.score_one(first), self.score_one(second)
        chance = float(probability(one.score - other.score, self.metadata.temperature))
        verdict: Verdict = "first" if chance > TIE_BAND[1] else "second"
        if TIE_BAND[0] <= chance <= TIE_BAND[1]:
            verdict = "too close to call"
        return Comparison(self.model, one, other, chance, verdict)

    def stream(self, pictures: Iterable[Picture]) -> Iterator[ScoredPicture | Failure]:
        """Results one by one in the order given, however many pictures, in bounded memory.

        Each thread decodes a small batch and runs the network on it, so that one thread decodes
        while another computes.
        """
        named = ((_name(picture, index), picture) for index, picture in enumerate(pictures))
        pool = ThreadPoolExecutor(self._threads, thread_name_prefix="score")
        waiting: deque[Future[list[ScoredPicture | Failure]]] = deque()
        try:
            while batch := list(islice(named, BATCH)):
                waiting.append(pool.submit(self._score_batch, batch))
                if len(waiting) > 2 * self._threads:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _run(self, pixels: Pixels) -> list[float]:
        return [float(score) for score in self._engine.run(pixels)["score"]]

    def _place(self, name: str, score: float) -> ScoredPicture:
        at = float(percentile(score, self._quantiles)[0])
        return ScoredPicture(name, score, at, level(at))

    def _score_batch(self, batch: list[tuple[str, Picture]]) -> list[ScoredPicture | Failure]:
        decoded: list[Pixels | Failure] = []
        for name, picture in batch:
            try:
                decoded.append(self._transform.pixels(picture))
            except ImageError as error:
                decoded.append(Failure(name, error.what, error.remedy))
        pixels = [result for result in decoded if not isinstance(result, Failure)]
        scores = iter(self._run(np.stack(pixels)) if pixels else ())
        return [
            result if isinstance(result, Failure) else self._place(name, next(scores))
            for (name, _), result in zip(batch, decoded, strict=True)
        ]


def _name(picture: Picture, index: int) -> str:
    """What to call a picture in results: its path, or its place in the order given."""
    if isinstance(picture, str | Path):
        return str(picture)
    filename = getattr(picture, "filename", "")
    return str(filename) if filename else f"#{index}"
