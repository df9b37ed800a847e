"""A loaded model: scores, ranks and compares pictures, and streams any number of them."""

from __future__ import annotations

import math
import weakref
from collections.abc import Generator, Iterable, Iterator
from dataclasses import replace
from numbers import Real
from pathlib import Path

import numpy as np

from i2pa.cores import usable_cores
from i2pa.errors import ImageError, ModelError, UserInputError, require
from i2pa.images.decoder import Decoder
from i2pa.images.failure import Failure
from i2pa.images.limits import LIMITS, Limits
from i2pa.metrics.reference import level, percentile
from i2pa.models.catalogue import known_likeness
from i2pa.models.engine import AUTO, Engine, check_threads, load_engine
from i2pa.models.metadata import Likeness, ModelMetadata
from i2pa.models.preprocessing import transform_of
from i2pa.models.registry import DEFAULT, find_model
from i2pa.models.score_cache import ScoreCache, Variant
from i2pa.models.versions import versions
from i2pa.scoring.best import best_places
from i2pa.scoring.bursts import MEASURED
from i2pa.scoring.chances import Chances
from i2pa.scoring.compare import check_comparable, compare_measured
from i2pa.scoring.given import Given, check_several
from i2pa.scoring.pipeline import Measured, Pipeline
from i2pa.scoring.ranking import RankOptions, rank_measured
from i2pa.scoring.results import (
    Comparison,
    ModelUsed,
    Progress,
    Ranking,
    ScoredPicture,
    Scores,
    StandIn,
)


def load_model(
    name_or_path: str | Path = DEFAULT,
    *,
    engine: str = AUTO,
    precision: str = "float32",
    threads: int | None = None,
    limits: Limits = LIMITS,
) -> Scorer:
    """A scorer for a published model (by name), an exported .onnx file or a run folder.

    `engine` is auto, onnxruntime, openvino, torch or cuda, and `precision` float32 or bfloat16:
    see `load_engine`. `threads` bounds how many pictures are worked on at once; None means as
    many as keep every core busy. `limits` are those of a picture:
    `Limits(decode_bytes=2_000_000_000)` lets larger WebP, AVIF and HEIC in. Raises UserInputError
    for an engine that cannot be had and for threads below 1, and ModelError if the model is
    altered or not one of ours.
    """
    check_threads(threads)
    are_limits = isinstance(limits, Limits)
    require(are_limits, "limits", limits, "a Limits, such as i2pa.Limits(pixels=20_000_000)")
    file = find_model(name_or_path)
    runner = load_engine(
        file.data, engine=engine, precision=precision, threads=threads, where=str(file.path)
    )
    metadata = ModelMetadata.from_strings(runner.metadata, where=str(file.path))
    where = str(file.path)
    return Scorer(runner, metadata, file.sha256, threads=threads, limits=limits, where=where)


class Scorer:
    """A loaded model, ready to score any number of pictures; load it once.

    Threads may share it. A picture is a path, the bytes of a file (or a bytearray, memoryview or
    binary file), an opened PIL image, or a uint8 array: [h, w, 3] RGB, [h, w, 4] RGBA or [h, w]
    grey. With a `cache` nothing that it knows is computed again, and all that is computed from
    files and bytes is kept in it.
    """

    def __init__(
        self,
        engine: Engine,
        metadata: ModelMetadata,
        sha256: str,
        *,
        threads: int | None = None,
        limits: Limits = LIMITS,
        where: str = "",
    ) -> None:
        """Use `load_model`. Raises ModelError where the model (at `where`) cannot be used here."""
        if metadata.link == "thurstone" and "spread" not in engine.outputs:
            what = "the model's link is thurstone, but it has no output spread"
            raise ModelError(what, where=where)
        self.metadata = metadata
        used = versions(engine.name)
        self.model = ModelUsed(
            metadata.name, metadata.version, sha256, metadata.transform, engine.name, used
        )
        self.limits = limits
        self._engine = engine
        self._transform = transform_of(engine, metadata.transform, where)
        self._decoder = self._new_decoder()
        self._variant = Variant(sha256, metadata.transform, engine.name, used.key)
        self._chances = Chances.of(metadata)
        self._quantiles = np.asarray(metadata.reference.quantiles)
        self._threads = threads or usable_cores() * engine.callers_a_core

    @property
    def likeness(self) -> Likeness | None:
        """What was measured to group pictures by; None where `rank` takes what others' was."""
        return known_likeness(self.metadata)

    def probability(
        self,
        score_a: float,
        score_b: float,
        *,
        spread_a: float | None = None,
        spread_b: float | None = None,
    ) -> float:
        """P(A beats B) of two scores that this model gave, as `compare` says of their pictures.

        A model with the link thurstone takes their spreads as well (see `measure`). Raises
        UserInputError without them, and for what is no finite number.
        """
        spreads = (spread_a, spread_b)
        if self.metadata.link == "thurstone" and None in spreads:
            raise UserInputError(
                f"scores of {self.model.tag} are compared by their spreads as well",
                remedy="give spread_a and spread_b, which Scorer.measure tells",
            )
        for number in (score_a, score_b, *(spread or 0.0 for spread in spreads)):
            _check_score(number)
        return self._chances.beats(score_a, score_b, spread_a or 0.0, spread_b or 0.0)

    def percentile(self, score: float) -> float:
        """Where a score that this model gave stands in its reference set, from 0.1 to 99.9.

        Raises UserInputError for what is no finite number.
        """
        _check_score(score)
        return float(percentile(score, self._quantiles)[0])

    def score_one(self, picture: Given, *, cache: ScoreCache | None = None) -> ScoredPicture:
        """Score one picture. Raises ImageError where it cannot be read."""
        return self._place(self._pipeline(cache).one(picture))

    def score(
        self,
        pictures: Iterable[Given],
        *,
        progress: Progress | None = None,
        cache: ScoreCache | None = None,
    ) -> Scores:
        """Score many pictures, in the order given.

        An unreadable picture becomes a failure and the rest go on. `progress` is called with
        (pictures done, pictures given). Raises UserInputError for a single picture.
        """
        items: list[ScoredPicture] = []
        failures: list[Failure] = []
        stand_ins: list[StandIn] = []
        for result in self._measure_each(pictures, progress, cache):
            if isinstance(result, Failure):
                failures.append(result)
                continue
            items.append(self._place(result))
            if result.stand_in:
                stand_ins.append(result.stand_in)
        reference = self.metadata.reference.name
        return Scores(self.model, reference, tuple(items), tuple(failures), tuple(stand_ins))

    def rank(
        self,
        pictures: Iterable[Given],
        *,
        best: int | None = None,
        diverse: bool = False,
        whole_groups: bool = False,
        likeness: Likeness | None = None,
        progress: Progress | None = None,
        cache: ScoreCache | None = None,
    ) -> Ranking:
        """Score pictures and order them best first, with bursts grouped and ties told.

        Of the options see `RankOptions`. The ranking depends neither on names nor on the order
        given. Raises UserInputError for a single picture, and as `RankOptions` does.
        """
        options = RankOptions(best, diverse, whole_groups, likeness)
        return self.rank_all(pictures, options, progress=progress, cache=cache)[1]

    def rank_all(
        self,
        pictures: Iterable[Given],
        options: RankOptions,
        *,
        progress: Progress | None = None,
        cache: ScoreCache | None = None,
    ) -> tuple[Ranking, Ranking]:
        """As `rank`: the ranking of all pictures, and the one that `rank` gives."""
        measured, failures = self._measure_all(pictures, progress, cache)
        likeness = options.likeness or self.likeness or MEASURED
        ranked = rank_measured(measured, self._chances, self._quantiles, likeness)
        every = Ranking(
            self.model,
            self.metadata.reference.name,
            len(measured),
            ranked.items,
            failures,
            _stand_ins(measured),
        )
        if options.best is None:
            return every, every
        chosen = best_places(ranked, options, self._chances)
        return every, replace(every, items=tuple(ranked.items[place] for place in chosen))

    def compare(self, *pictures: Given, cache: ScoreCache | None = None) -> Comparison:
        """The calibrated probability that each picture gets more likes than each other.

        An unreadable picture becomes a failure where two others are left. Raises ImageError where
        they are not, UserInputError for fewer than two or more than 100.
        """
        check_comparable(len(pictures))
        pipeline = self._pipeline(cache)
        measured: list[Measured] = []
        errors: list[ImageError] = []
        for place, picture in enumerate(pictures):
            try:
                measured.append(pipeline.one(picture, place))
            except ImageError as error:
                errors.append(error)
        if len(measured) < 2:
            raise _of_all(errors)
        compared = compare_measured(
            measured, self._chances, self._quantiles, self.model, self.metadata.reference.name
        )
        return replace(compared, failures=tuple(Failure.of(e.where, e) for e in errors))

    def stream(
        self, pictures: Iterable[Given], *, cache: ScoreCache | None = None
    ) -> Generator[ScoredPicture | Failure, None, None]:
        """Results one by one in the order given, however many pictures, in bounded memory."""
        for result in self.measure(pictures, cache=cache):
            yield result if isinstance(result, Failure) else self._place(result)

    def measure(
        self, pictures: Iterable[Given], *, cache: ScoreCache | None = None
    ) -> Iterator[Measured | Failure]:
        """As `stream`, with what the model tells beside the score: embedding, spread, time."""
        check_several(pictures)
        try:
            yield from self._pipeline(cache).run(pictures)
        except KeyboardInterrupt:
            # The pipeline closed its decoder, so as not to wait for it.
            self._decoder = self._new_decoder()
            raise

    def _measure_all(
        self,
        pictures: Iterable[Given],
        progress: Progress | None,
        cache: ScoreCache | None,
    ) -> tuple[list[Measured], tuple[Failure, ...]]:
        measured: list[Measured] = []
        failures: list[Failure] = []
        for result in self._measure_each(pictures, progress, cache):
            if isinstance(result, Failure):
                failures.append(result)
            else:
                measured.append(result)
        return measured, tuple(failures)

    def _measure_each(
        self,
        pictures: Iterable[Given],
        progress: Progress | None,
        cache: ScoreCache | None,
    ) -> Iterator[Measured | Failure]:
        check_several(pictures)
        good = progress is None or callable(progress)
        require(good, "progress", progress, "a function of (done, of how many), or None")
        pictures = list(pictures)
        for done, result in enumerate(self.measure(pictures, cache=cache), start=1):
            yield result
            if progress:
                progress(done, len(pictures))

    def _new_decoder(self) -> Decoder:
        """One for as long as the scorer lives; what it holds goes with the scorer."""
        decoder = Decoder(self._transform, limits=self.limits)
        weakref.finalize(self, decoder.close)
        return decoder

    def _pipeline(self, cache: ScoreCache | None) -> Pipeline:
        good = cache is None or isinstance(cache, ScoreCache)
        require(good, "cache", cache, "an i2pa.ScoreCache, or None")
        return Pipeline(
            self._engine, self._decoder, self._variant, threads=self._threads, cache=cache
        )

    def _place(self, one: Measured) -> ScoredPicture:
        at = self.percentile(one.score)
        return ScoredPicture(one.name, one.score, at, level(at))


def _stand_ins(measured: Iterable[Measured]) -> tuple[StandIn, ...]:
    return tuple(one.stand_in for one in measured if one.stand_in)


def _of_all(errors: list[ImageError]) -> ImageError:
    """The first error, which says how many more there are."""
    first, others = errors[0], len(errors) - 1
    more = f" ({others:,} more cannot be read either)" if others else ""
    what = f"{first.what}{more}"
    return ImageError(what, kind=first.kind, where=first.where, remedy=first.remedy)


def _check_score(number: float) -> None:
    good = isinstance(number, Real) and math.isfinite(number)
    require(good, "a score or spread", number, "a finite number")
