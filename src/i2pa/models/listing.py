"""What `i2pa models` tells of each published model: the catalogue, and what is on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from i2pa.files import file_sha256
from i2pa.models.catalogue import (
    PUBLISHED,
    MeasuredAccuracy,
    PublishedModel,
    known_likeness,
)
from i2pa.models.checks import EngineCheck, kept_checks
from i2pa.models.metadata import Likeness, ModelMetadata
from i2pa.models.registry import digest_file, find_model, place_of


@dataclass(frozen=True)
class ListedModel:
    """One published model. `sha256` is that of the file here, empty where there is none.

    `weights_sha256` is that of the authors' file it is made from, empty for an embedded model.
    `checks` are those of other engines that were made on this machine.
    """

    name: str
    version: int
    origin: str
    license: str
    megabytes: float
    transform: str
    accuracy: MeasuredAccuracy
    on_disk: bool
    path: str
    sha256: str
    weights_sha256: str
    checks: tuple[EngineCheck, ...]


@dataclass(frozen=True)
class ModelFacts:
    """All that a saved model says of itself, without the quantiles of its reference."""

    path: str
    sha256: str
    pinned: bool
    megabytes: float
    name: str
    version: int
    transform: str
    reference: str
    reference_pictures: int
    link: str
    temperature: float
    training: str
    licenses: str
    likeness: Likeness | None
    outputs: tuple[str, ...]
    checks: tuple[EngineCheck, ...]


def listed_models() -> tuple[ListedModel, ...]:
    """Every published model; only digests are read of files."""
    return tuple(_listed(model) for model in PUBLISHED)


def model_facts(name_or_path: str | Path) -> ModelFacts:
    """What is known of one model, by name or path. Raises as `find_model` does."""
    from i2pa.models.onnx_engine import OnnxEngine

    file = find_model(name_or_path)
    engine = OnnxEngine(file.data, where=str(file.path))
    metadata = ModelMetadata.from_strings(engine.metadata, where=str(file.path))
    return ModelFacts(
        path=str(file.path),
        sha256=file.sha256,
        pinned=digest_file(file.path).is_file(),
        megabytes=_megabytes(len(file.data)),
        name=metadata.name,
        version=metadata.version,
        transform=metadata.transform,
        reference=metadata.reference.name,
        reference_pictures=metadata.reference.n,
        link=metadata.link,
        temperature=metadata.temperature,
        training=metadata.training,
        licenses=metadata.licenses,
        likeness=known_likeness(metadata),
        outputs=engine.outputs,
        checks=kept_checks(file.path, file.sha256),
    )


def _listed(model: PublishedModel) -> ListedModel:
    path = place_of(model)
    here = path.is_file()
    digest = file_sha256(path) if here else ""
    return ListedModel(
        name=model.name,
        version=model.version,
        origin=model.origin,
        license=model.license,
        megabytes=_megabytes(path.stat().st_size) if here else model.megabytes,
        transform=model.transform,
        accuracy=model.accuracy,
        on_disk=here,
        path=str(path) if here else "",
        sha256=digest,
        weights_sha256=model.source.sha256 if model.source else "",
        checks=kept_checks(path, digest) if here else (),
    )


def _megabytes(size: int) -> float:
    return round(size / 1e6, 1)
