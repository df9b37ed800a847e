"""What another engine or precision does to a model's order of pictures, measured and kept.

The measure is taken on pictures that the user gives, against onnxruntime in float32, and kept in
a file beside the model, so that whoever lists the model reads it.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from i2pa.errors import DataError, ImageError, ModelError, UserInputError
from i2pa.files import whole_file
from i2pa.images.decoder import Decoder
from i2pa.images.failure import Failure
from i2pa.images.transforms import Picture
from i2pa.metrics.agreement import agreement
from i2pa.models.engine import SPREAD, Engine, Pixels
from i2pa.models.metadata import TIE_LIMIT, ModelMetadata
from i2pa.models.preprocessing import transform_of
from i2pa.models.registry import ModelFile, models_folder
from i2pa.models.versions import library
from i2pa.words import many

AT_MOST = 0.01
"""The share of pairs turned round up to which an engine keeps a model's order."""

_BLOCK = 32

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class EngineCheck:
    """One engine against onnxruntime in float32, on the same decoded pixels.

    `flip_rate` is the share of all pairs of the pictures that it turns round, `decided_flip_rate`
    the share among pairs that are not too close to call. Pictures a second are of the network
    alone, with one caller.
    """

    model_sha256: str
    engine: str
    reference_engine: str
    pictures: int
    pairs: int
    flip_rate: float
    decided_pairs: int
    decided_flip_rate: float
    largest_difference: float
    spread: float
    pictures_per_second: float
    reference_pictures_per_second: float
    processor: str
    library: str
    date: str

    @property
    def keeps_order(self) -> bool:
        """Whether no more than `AT_MOST` of the pairs are turned round."""
        return self.flip_rate <= AT_MOST


def check_engine(
    file: ModelFile,
    engine: Engine,
    reference: Engine,
    pictures: Sequence[Picture],
    *,
    progress: Progress | None = None,
) -> tuple[EngineCheck, tuple[Failure, ...]]:
    """Score `pictures` with both engines and compare the orders.

    Broken pictures are left out and told of. Raises DataError where fewer than two are left, and
    ModelError where the two engines do not run the same model.
    """
    metadata = ModelMetadata.from_strings(reference.metadata, where=str(file.path))
    if dict(engine.metadata) != dict(reference.metadata):
        raise ModelError("the two engines run different models", where=str(file.path))
    transform = transform_of(reference, metadata.transform, str(file.path))
    ours: list[float] = []
    theirs: list[float] = []
    spreads: list[float] = []
    seconds = [0.0, 0.0]
    failures: list[Failure] = []

    def measure(block: list[Pixels]) -> None:
        pixels = np.stack(block)
        for at, (runner, scores) in enumerate(((reference, ours), (engine, theirs))):
            start = time.perf_counter()
            scores += runner.run(pixels)["score"].tolist()
            seconds[at] += time.perf_counter() - start
        if metadata.link == "thurstone":
            spreads.extend(reference.run(pixels, (SPREAD,))[SPREAD].tolist())

    block: list[Pixels] = []
    with Decoder(transform) as decoder:
        for done, picture in enumerate(pictures, start=1):
            try:
                block.append(decoder.decode(picture).pixels)
            except ImageError as error:
                failures.append(Failure.of(picture, error))
            if len(block) == _BLOCK or (done == len(pictures) and block):
                measure(block)
                block = []
            if progress:
                progress(done, len(pictures))
    if len(ours) < 2:
        raise DataError(
            f"a pair takes two, and here {many(len(ours), 'readable picture')} came",
            remedy="give more pictures",
        )
    margin = metadata.temperature * TIE_LIMIT[metadata.link]
    found = agreement(
        np.array(ours), np.array(theirs), margin, np.array(spreads) if spreads else None
    )
    check = EngineCheck(
        model_sha256=file.sha256,
        engine=engine.name,
        reference_engine=reference.name,
        pictures=len(ours),
        pairs=found.pairs,
        flip_rate=found.flip_rate,
        decided_pairs=found.decided,
        decided_flip_rate=found.decided_flip_rate,
        largest_difference=found.largest_difference,
        spread=found.spread,
        pictures_per_second=len(ours) / seconds[1],
        reference_pictures_per_second=len(ours) / seconds[0],
        processor=processor_name(),
        library=library(engine.name),
        date=datetime.now(UTC).date().isoformat(),
    )
    return check, tuple(failures)


def keep_check(file: ModelFile, check: EngineCheck) -> Path:
    """Write `check` beside the model, in the place of an earlier one of that engine and processor.

    Returns the file. Raises UserInputError or DataError where it cannot be written.
    """
    others = (
        kept
        for kept in kept_checks(file.path, file.sha256)
        if (kept.engine, kept.processor) != (check.engine, check.processor)
    )
    path = checks_file(file.path)
    try:
        with whole_file(path) as aside:
            aside.write_text(_as_text((*others, check)), encoding="utf-8")
    except (UserInputError, DataError) as error:
        # Where it lies cannot be chosen by itself.
        if path.parent == models_folder():
            remedy = "make room, or set I2PA_CACHE to a writable folder"
        else:
            remedy = "make room, or make the model's folder writable"
        raise type(error)(error.what, where=error.where, remedy=remedy) from error
    return path


def kept_checks(path: Path, sha256: str) -> tuple[EngineCheck, ...]:
    """The checks beside the model at `path` that are of its bytes; a damaged file holds none."""
    try:
        rows = json.loads(checks_file(path).read_text(encoding="utf-8"))["checks"]
        checks = tuple(EngineCheck(**row) for row in rows)
    except (OSError, ValueError, KeyError, TypeError):
        return ()
    return tuple(check for check in checks if check.model_sha256 == sha256)


def checks_file(path: Path) -> Path:
    """Where the checks of the model at `path` are kept.

    Beside it; those of a model inside the package, where nothing is to be written, in the models'
    folder.
    """
    folder = path.parent
    if folder.resolve() == (Path(__file__).parent / "data").resolve():
        folder = models_folder()
    return folder / f"{path.name}.checks.json"


def processor_name() -> str:
    """The processor in words, as far as the system tells."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _as_text(checks: Iterable[EngineCheck]) -> str:
    return json.dumps(
        {"schema": "i2pa.checks/1", "checks": [asdict(check) for check in checks]}, indent=2
    )
