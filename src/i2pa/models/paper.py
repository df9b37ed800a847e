"""The paper's own model: its authors' released weights, made into a model file of ours.

The weights are not part of this package: they are brought from their authors' repository, or
given as a file, and refused unless their SHA-256 is the published one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import NormalDist

from i2pa.errors import ModelError, UserInputError, needs_extra
from i2pa.models.catalogue import PAPER_RESNET50, PublishedModel, WeightsSource
from i2pa.models.download import Limits, Progress, download
from i2pa.models.metadata import QUANTILES, ModelMetadata, Reference
from i2pa.models.registry import ModelFile, find_model, models_folder, place_of

# Fig. 5 of the paper: the scores of the 100,000 pictures of its 50,000 test pairs.
_OFFICIAL_SCORES = NormalDist(2.96, 1.55)
_OFFICIAL_PICTURES = 100_000

# The loss that trained it took sigmoid(f(A) - f(B)) for the probability that A beats B. There are
# no pairs here to fit anything better on.
_TEMPERATURE = 1.0


def get_paper_resnet50(
    weights: Path | None = None,
    *,
    source: WeightsSource | None = None,
    again: bool = False,
    limits: Limits = Limits(),  # noqa: B008 (frozen)
    progress: Progress | None = None,
) -> ModelFile:
    """Put `paper-resnet50` into the models' folder, so that it can be asked for by name.

    The weights come from the file `weights` where given, else from the network; `source` is where
    they are published, and `progress` is called with (bytes, bytes in all) while they come. What
    is there already stays, unless `again`. Raises MissingExtraError before anything is brought,
    UserInputError for a file that cannot be read, and ModelError for weights that are not the
    published ones.
    """
    published = source or PAPER_RESNET50.source
    assert published is not None
    place = place_of(PAPER_RESNET50)
    if place.is_file() and not again:
        return find_model(place)
    with needs_extra(f"i2pa models get {PAPER_RESNET50.name}", "train"):
        # The exporter imports it only at work, when 94 MB have come already.
        import onnxscript  # noqa: F401

        from i2pa.models.export import export_onnx
        from i2pa.models.ranker import load_ranker
        from i2pa.models.weights_file import file_digest
    from i2pa.images.transforms import transform_named

    with _alone_in(models_folder()):
        path = weights or models_folder() / Path(published.url).name
        if weights is None:
            try:
                download(published.url, path, published.sha256, limits=limits, progress=progress)
            except ModelError as error:
                raise ModelError(
                    error.what, where=error.where, remedy=_or_from_file(error.remedy)
                ) from error
        elif (found := file_digest(path)) != published.sha256:
            raise ModelError(
                f"SHA-256 {found} is not the expected {published.sha256}",
                where=str(path),
                remedy=f"give the file that {published.repository} publishes",
            )
        ranker = load_ranker("resnet50", path, pixel_scaling="unit")
        metadata = paper_metadata(PAPER_RESNET50, published)
        file = export_onnx(ranker, metadata, transform_named(metadata.transform).size, place)
        if weights is None:
            path.unlink()
    return file


def paper_metadata(model: PublishedModel, source: WeightsSource) -> ModelMetadata:
    """What the model file says of itself."""
    mean, deviation = _OFFICIAL_SCORES.mean, _OFFICIAL_SCORES.stdev
    return ModelMetadata(
        name=model.name,
        version=model.version,
        transform=model.transform,
        reference=Reference(
            f"normal approximation N({mean}, {deviation}²) of the official scores of the "
            "100,000 pictures in the paper's test pairs",
            _OFFICIAL_PICTURES,
            normal_quantiles(_OFFICIAL_SCORES),
        ),
        link="logistic",
        temperature=_TEMPERATURE,
        training="the paper's: 2.4 million popularity-discriminable pairs of Instagram posts; "
        f"weights of {source.repository}, SHA-256 {source.sha256}; temperature of the loss, not "
        "calibrated on other pairs",
        licenses=f"{model.license}, (c) the authors of {source.repository}",
    )


def normal_quantiles(scores: NormalDist) -> tuple[float, ...]:
    """Evenly spaced quantiles; the two ends, infinite by right, stand half a step inwards."""
    last = QUANTILES - 1
    half = 0.5 / last
    return tuple(
        scores.inv_cdf(min(max(place / last, half), 1 - half)) for place in range(QUANTILES)
    )


def _or_from_file(remedy: str) -> str:
    other = f"bring that file by hand: i2pa models get {PAPER_RESNET50.name} --from FILE"
    return f"{remedy}; or {other}" if remedy else other


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Two processes would write into one part of one download."""
    from filelock import FileLock, Timeout

    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / "get.lock")
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UserInputError(
            "another i2pa models get is at work here", where=str(folder), remedy="wait for it"
        ) from error
    except OSError as error:
        raise UserInputError(
            f"cannot be written ({error.strerror or error})",
            where=str(folder),
            remedy="set I2PA_CACHE to a writable folder",
        ) from error
    try:
        yield
    finally:
        lock.release()
