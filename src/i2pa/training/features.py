"""Frozen-backbone embeddings and plain properties of pictures, computed once and cached on disk.

What no head is fitted to is not embedded: its pictures are only read, for their properties.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.utils import convert_conv2d_weight_memory_format

from i2pa.cores import usable_cores
from i2pa.errors import DataError, FailureKind, ImageError, ModelError
from i2pa.images.decoder import Decoder
from i2pa.images.failure import Failure
from i2pa.images.named import Folders, existing_folders, find_named
from i2pa.images.properties import PROPERTY_NAMES, properties
from i2pa.images.regular import read_bytes
from i2pa.images.transforms import Pixels, Transform
from i2pa.models.backbones import (
    RANDOM,
    Backbone,
    BackboneWeights,
    WeightsSource,
    backbone_spec,
    backbone_weights,
    load_weights,
)
from i2pa.models.cache import KeptVectors
from i2pa.training.embeddings import Embeddings, Vectors
from i2pa.training.recipes import NetworkRecipe, Recipe

FROM_RANDOM_WEIGHTS = "starts from random weights, not from weights that know pictures"

_BATCH = 32
_AT_ONCE = 4
_MOST = float(np.finfo(np.float16).max)

Progress = Callable[[int, int], None]
Warn = Callable[[str], None]


@dataclass(frozen=True)
class Features:
    """What is known of each readable picture, row by row.

    `embedded` [n, d], None where no embeddings were asked for, `properties` float64 [n, 2] in the
    order of PROPERTY_NAMES, `row` from image reference to row, `paths` [n] the files, `sha256` [n]
    theirs.
    """

    row: dict[str, int]
    paths: tuple[Path, ...]
    embedded: Vectors | None
    properties: npt.NDArray[np.float64]
    unreadable: tuple[Failure, ...]
    sha256: tuple[str, ...]

    @property
    def embeddings(self) -> Vectors:
        """`embedded`. Raises ValueError where there are none."""
        if self.embedded is None:
            raise ValueError("these pictures were read for their properties alone")
        return self.embedded

    def without(self, broken: Mapping[int, tuple[FailureKind, str]]) -> Features:
        """The same, but that the pictures in the rows `broken` cannot be read, and why; rows keep
        their numbers."""
        lost = [Failure(image, *broken[row]) for image, row in self.row.items() if row in broken]
        row = {image: row for image, row in self.row.items() if row not in broken}
        return replace(self, row=row, unreadable=(*self.unreadable, *lost))


@dataclass(frozen=True)
class _File:
    image: str
    path: Path
    sha256: str


def image_features(
    images: Sequence[str],
    folders: Folders,
    backbone: str | BackboneWeights | None,
    transform: Transform,
    progress: Progress | None = None,
    warn: Warn | None = None,
) -> Features:
    """Features of the pictures `images`, each relative to the first of `folders` that holds it.

    `backbone` is one with a package of weights, by name, or any with the weights it carries; None
    leaves embeddings out, and no network is loaded.
    Only pictures whose content the cache lacks are decoded; what is computed is kept batch by
    batch, so a stopped run goes on where it was. `progress` gets (done, total); `warn` one line
    where the cache cannot be used and the work goes on without it (default: a RuntimeWarning).
    Raises UserInputError for a folder that does not exist, DataError where no picture can be read,
    and ModelError where an embedding is not finite in float16.
    """
    places = existing_folders(folders)
    files, unreadable = _find(images, places)
    weights = backbone_weights(backbone) if isinstance(backbone, str) else backbone
    kept = _Kept.of(weights, transform, _first_only(warn or as_warning))
    digests = list({file.sha256 for file in files})
    statistics = kept.properties.read(digests)
    readable = {*statistics}
    if kept.embeddings:
        before = kept.embeddings.mapped(digests)
        readable &= before[1].keys()
    fresh: dict[str, npt.NDArray[np.floating]] = {}
    missing = list({file.sha256: file for file in files if file.sha256 not in readable}.values())
    if missing:
        network = None
        if weights is not None:
            network = load_weights(weights)
            convert_conv2d_weight_memory_format(network, torch.channels_last)
        for computed in _compute(missing, network, transform, kept, progress):
            fresh |= computed.embeddings
            statistics |= computed.properties
            readable |= computed.properties.keys()
            unreadable += computed.unreadable
    files = [file for file in files if file.sha256 in readable]
    if not files:
        raise DataError(
            "none of the pictures in the pairs can be read",
            where=", ".join(map(str, places)),
            remedy="check --images: picture paths in the pairs are relative to it",
        )
    embedded = None
    if kept.embeddings:
        laid_out = _laid_out([file.sha256 for file in files], kept.embeddings, before, fresh)
        embedded = laid_out.in_memory()
    return Features(
        row={file.image: row for row, file in enumerate(files)},
        paths=tuple(file.path for file in files),
        embedded=embedded,
        properties=np.array([statistics[file.sha256] for file in files], np.float64),
        unreadable=tuple(unreadable),
        sha256=tuple(file.sha256 for file in files),
    )


def carried_weights(
    recipe: Recipe | NetworkRecipe, weights: WeightsSource, warn: Warn | None
) -> BackboneWeights:
    """Which weights `weights` means for a recipe's backbone; `warn` is told where they are random.

    Raises as `backbone_weights`.
    """
    found = backbone_weights(
        recipe.backbone, weights, pixel_scaling=recipe.pixel_scaling, seed=recipe.seed
    )
    if found.origin == RANDOM:
        (warn or as_warning)(f"WARNING: this model {FROM_RANDOM_WEIGHTS}")
    return found


def _laid_out(
    digests: Sequence[str],
    kept: KeptVectors,
    before: tuple[npt.NDArray[np.floating], dict[str, int]],
    fresh: Mapping[str, npt.NDArray[np.floating]],
) -> Embeddings:
    """The embedding of each digest: in the cache's file or, where that has gone, in memory.

    `before` is what the cache held of them at first, `fresh` [d] each what was computed since.
    """
    mapped, rows = kept.mapped(digests) if fresh else before
    if all(digest in rows for digest in digests):
        return Embeddings(mapped, np.array([rows[digest] for digest in digests]))
    mapped, rows = before
    found = [fresh[digest] if digest in fresh else mapped[rows[digest]] for digest in digests]
    return Embeddings(np.array(found), np.arange(len(found)))


def as_warning(message: str) -> None:
    """What happens to a line of warning that nobody asked for."""
    warnings.warn(message, RuntimeWarning, stacklevel=2)


def _first_only(warn: Warn) -> Warn:
    """The first line goes to `warn`: of one cache that cannot be used it is enough to hear once."""
    said: list[str] = []

    def once(message: str) -> None:
        if not said:
            warn(message)
        said.append(message)

    return once


def _find(images: Sequence[str], folders: Sequence[Path]) -> tuple[list[_File], list[Failure]]:
    files: list[_File] = []
    unreadable: list[Failure] = []
    for image in dict.fromkeys(images):
        if (path := find_named(image, folders)) is None:
            unreadable.append(Failure(image, "missing", "no such file"))
            continue
        try:
            files.append(_File(image, path, hashlib.sha256(read_bytes(path)).hexdigest()))
        except ImageError as error:
            unreadable.append(Failure.of(image, error))
    return files, unreadable


@dataclass(frozen=True)
class _Kept:
    """Where embeddings, if any, and properties are kept, by SHA-256."""

    embeddings: KeptVectors | None
    properties: KeptVectors

    @classmethod
    def of(cls, weights: BackboneWeights | None, transform: Transform, warn: Warn) -> _Kept:
        embeddings = None
        if weights is not None:
            width = backbone_spec(weights.name).embedding_size
            name = f"{weights.key}-{transform.tag}"
            embeddings = KeptVectors(name, width, np.float16, warn)
        of_pixels = f"properties-{transform.tag}"
        return cls(embeddings, KeptVectors(of_pixels, len(PROPERTY_NAMES), np.float64, warn))


@dataclass(frozen=True)
class _Computed:
    """Of some pictures: embedding, if asked for, and properties by SHA-256, as kept; failures."""

    embeddings: dict[str, npt.NDArray[np.floating]]
    properties: dict[str, npt.NDArray[np.floating]]
    unreadable: list[Failure]


def _compute(
    files: Sequence[_File],
    network: Backbone | None,
    transform: Transform,
    kept: _Kept,
    progress: Progress | None,
) -> Iterator[_Computed]:
    """Batch by batch, each decoded while the one before is embedded, if there is a network."""

    def decode(file: _File) -> Pixels | Failure:
        try:
            return decoder.decode(file.path).pixels
        except ImageError as error:
            return Failure.of(file.image, error)

    batches = [files[start : start + _BATCH] for start in range(0, len(files), _BATCH)]
    with Decoder(transform) as decoder, ThreadPoolExecutor(usable_cores()) as pool:
        ahead = [pool.submit(decode, file) for file in batches[0]]
        for done, batch in enumerate(batches):
            decoded = [future.result() for future in ahead]
            if done + 1 < len(batches):
                ahead = [pool.submit(decode, file) for file in batches[done + 1]]
            unreadable = [result for result in decoded if isinstance(result, Failure)]
            good = [
                (file.sha256, result)
                for file, result in zip(batch, decoded, strict=True)
                if not isinstance(result, Failure)
            ]
            if good:
                digests = [digest for digest, _ in good]
                pixels = np.stack([result for _, result in good])
                embeddings = {}
                if kept.embeddings and network is not None:
                    embeddings = kept.embeddings.add(digests, _embed(network, pixels))
                statistics = np.array([properties(p) for p in pixels])
                yield _Computed(embeddings, kept.properties.add(digests, statistics), unreadable)
            else:
                yield _Computed({}, {}, unreadable)
            if progress:
                progress(min((done + 1) * _BATCH, len(files)), len(files))


def _embed(network: Backbone, pixels: Pixels) -> npt.NDArray[np.floating]:
    with torch.inference_mode():
        # Permuted pixels are channels-last already, and few at a time stay in a core's cache.
        planes = torch.from_numpy(pixels).permute(0, 3, 1, 2)
        parts = [
            network.embed(network.features(part.float()))
            for part in torch.tensor_split(planes, -(-len(planes) // _AT_ONCE))
        ]
        embedding: npt.NDArray[np.floating] = torch.cat(parts).numpy()
    peak = float(np.abs(embedding).max())
    if not peak <= _MOST:
        raise ModelError(
            f"these weights give pictures embeddings of up to {peak:,.0f}, and float16, in which "
            f"they are kept, ends at {_MOST:,.0f}",
            remedy="give trained weights, or another --pixel-scaling",
        )
    return embedding
