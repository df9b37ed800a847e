"""What a taste is learnt from, whatever it came from: embedded pictures, and pairs of them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from i2pa.errors import DataError
from i2pa.images.decoder import Decoder
from i2pa.images.failure import Failure
from i2pa.images.transforms import transform_named
from i2pa.models.head import LinearHead, read_head, spreads_of
from i2pa.models.metadata import ModelMetadata
from i2pa.models.onnx_engine import OnnxEngine
from i2pa.models.registry import find_model
from i2pa.personal.choices import Candidate, Choices, Floats, Within, keeps_and_rejects
from i2pa.personal.keeps import Given, kept_and_rejected
from i2pa.personal.pictures import Read, Reading, check_readable, embed, read_pictures

if TYPE_CHECKING:
    from i2pa.personal.likes import OwnPosts


LOGITS_OF_A_DEVIATION = 1.702
"""sigmoid(1.702 z) is within .01 of Φ(z) everywhere (Haley 1952)."""


@dataclass(frozen=True)
class BaseModel:
    """The model underneath: its tag, SHA-256 and transform."""

    tag: str
    sha256: str
    transform: str


@dataclass(frozen=True)
class Loaded:
    """The base model, ready to run, and its head."""

    data: bytes
    where: str
    engine: OnnxEngine
    head: LinearHead
    metadata: ModelMetadata
    base: BaseModel


@dataclass(frozen=True)
class Learning:
    """Choices among pictures with `embeddings` [n, d]; the rest says in words what they are."""

    choices: Choices
    embeddings: Floats
    source: str
    learnt_from: str
    own_pictures: str
    pairing: str
    inputs: dict[str, str]
    notes: tuple[str, ...]
    failures: tuple[Failure, ...]


def load_base(model: str | Path) -> Loaded:
    """A model by name or path. Raises ModelError where its score is no linear head."""
    file = find_model(model)
    where = str(file.path)
    engine = OnnxEngine(file.data, where=where)
    metadata = ModelMetadata.from_strings(engine.metadata, where=where)
    base = BaseModel(metadata.tag, file.sha256, metadata.transform)
    return Loaded(file.data, where, engine, read_head(file.data, where), metadata, base)


def scale_of(loaded: Loaded, embeddings: Floats) -> float:
    """What takes a score difference of the base model to logits.

    A Thurstone model's pictures share one spread here, the median of these: a head of one number a
    picture has no room for spreads of their own.
    """
    temperature = loaded.metadata.temperature
    if loaded.metadata.link == "logistic":
        return temperature
    spread = float(np.median(spreads_of(loaded.data, embeddings)))
    return temperature * math.sqrt(2) * spread / LOGITS_OF_A_DEVIATION


def _embedded(
    loaded: Loaded, paths: Iterable[Path], reading: Reading
) -> tuple[list[Read], dict[str, Floats], list[Failure]]:
    """The readable pictures, embeddings by content, and what cannot be read; not too much of it."""
    paths = list(paths)
    transform = transform_named(loaded.base.transform)
    name, width = f"{loaded.base.sha256}-{transform.tag}", len(loaded.head.weights)
    with Decoder(transform) as decoder:
        read, failures = read_pictures(paths, decoder)
        vectors, undecodable = embed(read, loaded.engine, name, width, decoder, reading)
    failures += undecodable
    reading.left_out(failures)
    check_readable(len(paths), failures, allow=reading.allow_unreadable)
    return [picture for picture in read if picture.sha256 in vectors], vectors, failures


def from_keeps(
    loaded: Loaded,
    keeps: Sequence[Path],
    rejects: Sequence[Path],
    images: Path | None,
    within: Within,
    seed: int,
    reading: Reading,
) -> Learning:
    """Kept and rejected pictures, each content once. See `taste.personalize`."""
    given = {picture.path: picture for picture in kept_and_rejected(keeps, rejects, images)}
    read, vectors, failures = _embedded(loaded, given, reading)
    of_digest: dict[str, Read] = {}
    for picture in sorted(read, key=lambda picture: given[picture.path].kept, reverse=True):
        of_digest.setdefault(picture.sha256, picture)
    used = [of_digest[digest] for digest in sorted(of_digest)]
    twice = len(read) - len(used)
    candidates = [
        Candidate(
            given[picture.path].kept,
            picture.taken,
            str(picture.path.absolute().parent),
            given[picture.path].subfolder,
        )
        for picture in used
    ]
    n_kept = sum(candidate.kept for candidate in candidates)
    said = f"{n_kept:,} kept and {len(used) - n_kept:,} rejected pictures"
    if not 0 < n_kept < len(used):
        raise DataError(
            f"not enough data: {said}",
            remedy=_why_one_side(given, read, n_kept),
        )
    embeddings = np.stack([vectors[picture.sha256] for picture in used])
    choices, pairing = keeps_and_rejects(candidates, embeddings, within, seed)
    hashes = {
        side: _hash(p.sha256 for p, c in zip(used, candidates, strict=True) if c.kept is is_kept)
        for side, is_kept in (("keep", True), ("reject", False))
    }
    notes: tuple[str, ...] = ()
    if twice:
        given_twice = "1 picture was" if twice == 1 else f"{twice:,} pictures were"
        notes += (f"{given_twice} given twice; what is on both sides counts as kept",)
    alone = len(used) - len(np.union1d(choices.winner, choices.loser))
    if alone:
        in_none = "1 picture is" if alone == 1 else f"{alone:,} pictures are"
        notes += (f"{in_none} in no pair: {pairing}",)
    return Learning(
        choices=choices,
        embeddings=embeddings,
        source="keeps and rejects",
        learnt_from=said,
        own_pictures=f"{len(used):,} of your own pictures ({n_kept:,} kept)",
        pairing=pairing,
        inputs=hashes,
        notes=notes,
        failures=tuple(failures),
    )


def _why_one_side(given: Mapping[Path, Given], read: Sequence[Read], n_kept: int) -> str:
    """Why no picture is left of one side."""
    if not n_kept:
        return "none of the kept pictures can be read"
    rejected = [path for path, picture in given.items() if not picture.kept]
    if rejected and not any(picture.path in set(rejected) for picture in read):
        return "none of the rejected pictures can be read"
    return "all rejected pictures are among the kept, and what is on both sides counts as kept"


def from_likes(
    loaded: Loaded,
    own: OwnPosts,
    images: Path,
    seed: int,
    reading: Reading,
) -> Learning:
    """Pictures of own posts, paired by likes. See `taste.personalize`."""
    from i2pa.personal.likes import choices_of_likes

    paths = {image: images / image for image in own.time}
    read, vectors, failures = _embedded(loaded, paths.values(), reading)
    digest = {picture.path: picture.sha256 for picture in read}
    images_used = [image for image, path in paths.items() if path in digest]
    embeddings = np.stack([vectors[digest[paths[image]]] for image in images_used])
    row = {image: number for number, image in enumerate(images_used)}
    choices = choices_of_likes(own, row, embeddings, seed)
    said = f"{len(row):,} pictures of your own posts"
    return Learning(
        choices=choices,
        embeddings=embeddings,
        source=own.rules.measure,
        learnt_from=said,
        own_pictures=said,
        pairing=f"posts at most {own.days} days apart, by {own.rules.measure}",
        inputs={
            "rules": own.rules.sha256(),
            "posts": own.posts_hash,
            "pictures": _hash(digest.values()),
        },
        notes=own.notes,
        failures=tuple(failures),
    )


def _hash(digests: Iterable[str]) -> str:
    """One SHA-256 for a set of pictures, whatever their names and order."""
    return hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()
