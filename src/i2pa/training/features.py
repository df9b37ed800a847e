"""Frozen-backbone embeddings and plain properties of pictures, computed once and cached on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.utils import convert_conv2d_weight_memory_format

from i2pa.cores import usable_cores
from i2pa.errors import DataError, ImageError, UserInputError
from i2pa.images.decoder import Decoder
from i2pa.images.open import read_bytes
from i2pa.images.properties import PROPERTY_NAMES, properties
from i2pa.images.transforms import Pixels, Transform
from i2pa.models.backbones import (
    Backbone,
    BackboneWeights,
    backbone_spec,
    backbone_weights,
    load_weights,
)
from i2pa.models.cache import VectorStore, embeddings_folder

_BATCH = 32
_AT_ONCE = 4

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Unreadable:
    """A picture that a pair list names and nobody can read."""

    image: str
    reason: str


@dataclass(frozen=True)
class Features:
    """What is known of each readable picture, row by row.

    `embeddings` float64 [n, d], `properties` float64 [n, 2] in the order of PROPERTY_NAMES,
    `row` from image reference to row, `paths` [n] the files.
    """

    row: dict[str, int]
    paths: tuple[Path, ...]
    embeddings: npt.NDArray[np.float64]
    properties: npt.NDArray[np.float64]
    unreadable: tuple[Unreadable, ...]


@dataclass(frozen=True)
class _File:
    image: str
    path: Path
    sha256: str


def image_features(
    images: Sequence[str],
    folders: Sequence[Path],
    backbone: str | BackboneWeights,
    transform: Transform,
    progress: Progress | None = None,
) -> Features:
    """Features of the pictures `images`, each relative to the first of `folders` that holds it.

    `backbone` is one with a package of weights, by name, or any with the weights it carries.
    Only pictures whose content the cache lacks are decoded; what is computed is kept batch by
    batch, so a stopped run goes on where it was. `progress` gets (done, total). Raises
    UserInputError for a folder that does not exist and DataError where no picture can be read.
    """
    for folder in folders:
        if not folder.is_dir():
            raise UserInputError("no such folder of pictures", where=str(folder))
    files, unreadable = _find(images, folders)
    weights = backbone_weights(backbone) if isinstance(backbone, str) else backbone
    place = embeddings_folder()
    width = backbone_spec(weights.name).embedding_size
    embeddings = VectorStore(place / f"{weights.key}-{transform.tag}", width, np.float16)
    statistics = VectorStore(place / f"properties-{transform.tag}", len(PROPERTY_NAMES), np.float64)
    digests = list({file.sha256 for file in files})
    known = embeddings.rows(digests).keys() & statistics.rows(digests).keys()
    missing = list({file.sha256: file for file in files if file.sha256 not in known}.values())
    if missing:
        network = load_weights(weights)
        convert_conv2d_weight_memory_format(network, torch.channels_last)
        unreadable += _compute(missing, network, transform, embeddings, statistics, progress)
    found = embeddings.rows(digests)
    files = [file for file in files if file.sha256 in found]
    if not files:
        raise DataError(
            "none of the pictures in the pairs can be read",
            where=", ".join(map(str, folders)),
            remedy="check --images: picture paths in the pairs are relative to it",
        )
    kept = statistics.rows(digests)
    return Features(
        row={file.image: row for row, file in enumerate(files)},
        paths=tuple(file.path for file in files),
        embeddings=embeddings.read([found[f.sha256] for f in files]).astype(np.float64),
        properties=statistics.read([kept[f.sha256] for f in files]).astype(np.float64),
        unreadable=tuple(unreadable),
    )


def _find(images: Sequence[str], folders: Sequence[Path]) -> tuple[list[_File], list[Unreadable]]:
    files: list[_File] = []
    unreadable: list[Unreadable] = []
    for image in dict.fromkeys(images):
        path = next((f / image for f in folders if (f / image).is_file()), None)
        if path is None:
            unreadable.append(Unreadable(image, "no such file"))
            continue
        try:
            files.append(_File(image, path, hashlib.sha256(read_bytes(path)).hexdigest()))
        except ImageError as error:
            unreadable.append(Unreadable(image, error.what))
    return files, unreadable


def _compute(
    files: Sequence[_File],
    network: Backbone,
    transform: Transform,
    embeddings: VectorStore,
    statistics: VectorStore,
    progress: Progress | None,
) -> list[Unreadable]:
    def decode(file: _File) -> Pixels | Unreadable:
        try:
            return decoder.decode(file.path).pixels
        except ImageError as error:
            return Unreadable(file.image, error.what)

    unreadable: list[Unreadable] = []
    batches = [files[start : start + _BATCH] for start in range(0, len(files), _BATCH)]
    with Decoder(transform) as decoder, ThreadPoolExecutor(usable_cores()) as pool:
        ahead = [pool.submit(decode, file) for file in batches[0]]
        for done, batch in enumerate(batches):
            decoded = [future.result() for future in ahead]
            if done + 1 < len(batches):
                ahead = [pool.submit(decode, file) for file in batches[done + 1]]
            unreadable += [result for result in decoded if isinstance(result, Unreadable)]
            good = [
                (file.sha256, result)
                for file, result in zip(batch, decoded, strict=True)
                if not isinstance(result, Unreadable)
            ]
            if good:
                digests = [digest for digest, _ in good]
                pixels = np.stack([result for _, result in good])
                statistics.append(digests, np.array([properties(p) for p in pixels]))
                embeddings.append(digests, _embed(network, pixels))
            if progress:
                progress(min((done + 1) * _BATCH, len(files)), len(files))
    return unreadable


def _embed(network: Backbone, pixels: Pixels) -> npt.NDArray[np.floating]:
    with torch.inference_mode():
        # Permuted pixels are channels-last already, and few at a time stay in a core's cache.
        planes = torch.from_numpy(pixels).permute(0, 3, 1, 2)
        parts = [
            network.embed(network.features(part.float()))
            for part in torch.tensor_split(planes, -(-len(planes) // _AT_ONCE))
        ]
        embedding: npt.NDArray[np.floating] = torch.cat(parts).numpy()
    return embedding
