"""From a person's choices to a model of their taste, and an honest word on what it adds.

Nothing is trained but the head: the network stays the base model's.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from i2pa.errors import DataError, ModelError, UserInputError, needs_extra
from i2pa.images.failure import Failure
from i2pa.images.transforms import transform_named
from i2pa.metrics.calibration import fit_temperature, log_loss
from i2pa.metrics.reference import weighted_quantiles
from i2pa.models.catalogue import known_likeness
from i2pa.models.head import LinearHead, with_head
from i2pa.models.metadata import QUANTILES, ModelMetadata, Reference
from i2pa.models.onnx_engine import OnnxEngine
from i2pa.models.registry import DEFAULT
from i2pa.personal.choices import Floats, Within
from i2pa.personal.fit import SPREADS, fit_taste, space_of
from i2pa.personal.gain import Gain, Verdict, gain_of, verdict_on
from i2pa.personal.learning import (
    BaseModel,
    Learning,
    Loaded,
    from_keeps,
    from_likes,
    load_base,
    scale_of,
)
from i2pa.personal.pictures import Progress, Reading
from i2pa.personal.validate import (
    SpreadTried,
    choose_spread,
    cross_validate,
    final_folds,
    measure,
    out_of_fold_scores,
)

if TYPE_CHECKING:
    from i2pa.pairs.rules import Measure

DAYS = 30
"""Posts that pair are at most so far apart, unless asked otherwise."""

MIN_AGE_DAYS = 30.0
"""Likes stop growing after about four weeks (paper, section 2.3)."""

# As models/export.py: onnxruntime against the same numbers computed another way.
_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Scale:
    """How sure the probabilities may be: the temperature, fitted on `pairs` out of fold.

    `log_loss` is at that temperature, in nats; a coin costs .693.
    """

    pairs: int
    temperature: float
    log_loss: float


@dataclass(frozen=True)
class PersonalTaste:
    """A person's taste as a model, and what is known of it.

    `says` is the verdict in one sentence. `source` is `keeps and rejects`, or what posts were
    measured by; `learnt_from` says of what pictures, `pairing` which of them were paired. `spread`
    is the prior's, `tried` what cross-validation saw of each; `base_weight` multiplies the base
    model's score in logits: below 1 it counts for less, below 0 it is reversed. `inputs` are
    hashes of what was given, by name. `model` are the bytes of the ONNX file.
    """

    verdict: Verdict
    says: str
    source: str
    learnt_from: str
    pairing: str
    pairs: int
    groups: int
    gain: Gain
    spread: float
    tried: tuple[SpreadTried, ...]
    base_weight: float
    scale: Scale
    base: BaseModel
    metadata: ModelMetadata
    inputs: dict[str, str]
    seed: int
    notes: tuple[str, ...]
    failures: tuple[Failure, ...]
    model: bytes


def personalize(
    keep: Path | str | Sequence[Path | str] = (),
    reject: Path | str | Sequence[Path | str] = (),
    *,
    likes: Path | str | None = None,
    images: Path | str | None = None,
    user: str | None = None,
    measured_by: Measure = "likes",
    days: int = DAYS,
    min_age_days: float = MIN_AGE_DAYS,
    downloaded_at: datetime | None = None,
    assume_settled: bool = False,
    within: Within = "auto",
    model: str | Path = DEFAULT,
    name: str = "my-taste",
    version: int = 1,
    seed: int = 0,
    reading: Reading | None = None,
    fit_progress: Progress | None = None,
) -> PersonalTaste:
    """A head for one person's taste on the base model `model`, and what it adds out of fold.

    From `keep` and `reject`, folders or lists of pictures (see `keeps.given_pictures`; `images` is
    what paths in a list are relative to), where a picture in both counts as kept; or from `likes`,
    own posts (a posts.parquet or an export) with their pictures in `images`: of
    `user` where there are several, by `measured_by` likes, views or score, at most
    `days` apart and `min_age_days` old when the counts were read. `within` says which kept and
    rejected pictures pair. `reading` says how pictures are read and who hears of it; `fit_progress`
    is told folds done and all.

    The verdict may well be that nothing is gained, or that there is too little to tell; the model
    is there all the same, and whoever calls decides. Raises UserInputError for wrong arguments,
    ModelError for a base model without a linear head, and DataError where over 5 % of the pictures
    cannot be read (unless `reading` allows it) or there is too little even to cross-validate.
    """
    keeps, rejects = _places(keep), _places(reject)
    if (likes is None) == (not keeps and not rejects):
        raise UserInputError(
            "a taste is learnt from kept and rejected pictures, or from likes",
            remedy="give --keep and --reject, or --likes",
        )
    if likes is None and not (keeps and rejects):
        raise UserInputError(
            "a taste needs both kept and rejected pictures", remedy="give --keep and --reject"
        )
    if likes is not None and not os.path.lexists(likes):
        raise UserInputError("no such file of posts", where=str(likes))
    if likes is not None and images is None:
        raise UserInputError(
            "the pictures of the posts are missing", remedy="give --images, their folder"
        )
    folder = None if images is None else Path(images)
    if folder is not None and not folder.is_dir():
        raise UserInputError("no such folder of pictures", where=str(folder))
    loaded = load_base(model)
    reading = reading or Reading()
    if likes is None or folder is None:
        learning = from_keeps(loaded, keeps, rejects, folder, within, seed, reading)
    else:
        with needs_extra("a taste from likes", "data"):
            from i2pa.personal.likes import load_own_posts, own_pairs
        own = own_pairs(
            load_own_posts(Path(likes), user),
            measured_by,
            days,
            min_age_days,
            downloaded_at=downloaded_at,
            assume_settled=assume_settled,
            seed=seed,
        )
        learning = from_likes(loaded, own, folder, seed, reading)
    # Its matrices are small: threads that wait for each other take longer than one alone.
    with threadpool_limits(1, "blas"):
        return _learn(loaded, learning, name, version, seed, fit_progress)


def _places(given: Path | str | Sequence[Path | str]) -> list[Path]:
    return [Path(given)] if isinstance(given, str | Path) else [Path(place) for place in given]


def _learn(
    loaded: Loaded,
    learning: Learning,
    name: str,
    version: int,
    seed: int,
    progress: Progress | None,
) -> PersonalTaste:
    choices = learning.choices
    scale = scale_of(loaded, learning.embeddings)
    space = space_of(learning.embeddings, loaded.head, scale)
    measured = measure(space, choices, seed, progress)
    gain = gain_of(choices, measured, seed)
    verdict, says = verdict_on(gain, choices, loaded.base.tag)
    if gain is None:
        raise DataError(says)
    folds = final_folds(choices, seed)
    held_out = cross_validate(space, choices, folds)
    tried = choose_spread(choices, held_out)
    spread = tried[0].spread
    taste = fit_taste(space, choices.winner, choices.loser, choices.p, spread)
    delta, p = held_out.delta[:, SPREADS.index(spread)], choices.p[held_out.pair]
    temperature = fit_temperature(delta, _not_too_sure(p, len(choices.group)), held_out.weight)
    loss = log_loss(delta, p, held_out.weight, temperature)
    scores = out_of_fold_scores(space, choices, folds[0], spread)
    scores = scores[~np.isnan(scores)]
    quantiles = weighted_quantiles(scores, np.ones(len(scores)), QUANTILES)
    metadata = replace(
        loaded.metadata,
        name=name,
        version=version,
        reference=Reference(
            f"{learning.own_pictures}, out-of-fold", len(scores), tuple(map(float, quantiles))
        ),
        link="logistic",
        temperature=temperature,
        training=f"personal head on {loaded.base.tag} ({loaded.base.sha256}), "
        f"{learning.learnt_from}, prior spread {spread:g}",
        # The embeddings stay the base model's.
        likeness=known_likeness(loaded.metadata),
    )
    return PersonalTaste(
        verdict=verdict,
        says=says,
        source=learning.source,
        learnt_from=learning.learnt_from,
        pairing=learning.pairing,
        pairs=len(choices.winner),
        groups=choices.groups,
        gain=gain,
        spread=spread,
        tried=tried,
        base_weight=taste.base_weight,
        scale=Scale(len(np.unique(held_out.pair)), temperature, loss),
        base=loaded.base,
        metadata=metadata,
        inputs=learning.inputs,
        seed=seed,
        notes=learning.notes,
        failures=learning.failures,
        model=_model(loaded, taste.head(space), metadata),
    )


def _not_too_sure(p: Floats, pictures: int) -> Floats:
    """Labels as if one picture more had been right and one wrong (Platt 1999): where the pairs are
    told apart without a fault, the probabilities still end short of 0 and 1."""
    return (p * pictures + 1) / (pictures + 2)


def _model(loaded: Loaded, head: LinearHead, metadata: ModelMetadata) -> bytes:
    """The base model with the head; checked to score as the head says on pixels of a fixed seed."""
    data = with_head(loaded.data, head, metadata, loaded.where)
    size = transform_named(metadata.transform).size
    pixels = np.random.default_rng(0).integers(0, 256, (2, size, size, 3), dtype=np.uint8)
    embedding = loaded.engine.run(pixels, ("embedding",))["embedding"]
    got = OnnxEngine(data).run(pixels)["score"]
    difference = float(np.abs(got - head.score(embedding.astype(np.float64))).max())
    if not difference <= _TOLERANCE * max(1.0, float(np.abs(got).max())):
        raise ModelError(
            f"the new head scores otherwise than it was fitted to, by {difference:.2g}"
        )
    return data
