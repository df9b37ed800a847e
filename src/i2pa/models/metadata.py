"""What a saved model says of itself: the strings in its ONNX metadata, as one typed record."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from numbers import Real
from statistics import NormalDist
from typing import Literal, cast, get_args

from i2pa.errors import ModelError
from i2pa.metrics.calibration import TIE_BAND

FORMAT = "i2pa.model/1"
QUANTILES = 1001

Link = Literal["logistic", "thurstone"]

TIE_LIMIT: dict[Link, float] = {
    "logistic": math.log(TIE_BAND[1] / (1 - TIE_BAND[1])),
    "thurstone": NormalDist().inv_cdf(TIE_BAND[1]),
}
"""The scaled score difference up to which a pair is too close to call: where P leaves TIE_BAND.

Scaled by tau for the logistic link, by tau √(s_A² + s_B²) for Thurstone's.
"""


@dataclass(frozen=True)
class Reference:
    """The named set of scores that percentiles refer to, as 1,001 rising quantiles."""

    name: str
    n: int
    quantiles: tuple[float, ...]


@dataclass(frozen=True)
class Likeness:
    """The cosines, in (0, 1], from which the embeddings say that two pictures show the same.

    `same_picture` of any two, `same_moment` of two that were taken within ten seconds. A property
    of what makes the embeddings: the defaults were measured for EfficientNet-Lite2's
    (benchmarks/groups.py).
    """

    same_picture: float = 0.85
    same_moment: float = 0.70

    @property
    def in_range(self) -> bool:
        """Whether both are cosines above 0."""
        cosines = (self.same_picture, self.same_moment)
        return all(isinstance(cosine, Real) and 0 < cosine <= 1 for cosine in cosines)


@dataclass(frozen=True)
class ModelMetadata:
    """Name, preprocessing and scale of one saved model.

    `temperature` (> 0) divides a score difference before the `link` turns it into a probability.
    `training` tells in one line what the model learnt from; `licenses` what applies to its weights.
    `likeness` was measured for its embeddings; None where nothing was.
    """

    name: str
    version: int
    transform: str
    reference: Reference
    link: Link
    temperature: float
    training: str
    licenses: str
    likeness: Likeness | None = None

    @property
    def tag(self) -> str:
        """Name and version as users write it: `i2pa-lite2@1`."""
        return f"{self.name}@{self.version}"

    def to_strings(self) -> dict[str, str]:
        """The record as ONNX metadata: string keys and values only."""
        reference = {
            "name": self.reference.name,
            "n": self.reference.n,
            "quantiles": self.reference.quantiles,
        }
        strings = {
            "i2pa.format": FORMAT,
            "i2pa.name": self.name,
            "i2pa.version": str(self.version),
            "i2pa.transform": self.transform,
            "i2pa.reference": json.dumps(reference),
            "i2pa.link": self.link,
            "i2pa.temperature": repr(self.temperature),
            "i2pa.training": self.training,
            "i2pa.licenses": self.licenses,
        }
        if self.likeness is not None:
            strings["i2pa.likeness"] = json.dumps(asdict(self.likeness))
        return strings

    @classmethod
    def from_strings(cls, strings: Mapping[str, str], where: str) -> ModelMetadata:
        """Read what `to_strings` wrote. Raises ModelError naming the first field that is off."""
        if strings.get("i2pa.format") != FORMAT:
            raise ModelError(
                f"not a model in the format {FORMAT}",
                where=where,
                remedy="write one with i2pa train or i2pa export",
            )
        try:
            reference = json.loads(strings["i2pa.reference"])
            likeness = json.loads(strings.get("i2pa.likeness", "null"))
            metadata = cls(
                name=strings["i2pa.name"],
                version=int(strings["i2pa.version"]),
                transform=strings["i2pa.transform"],
                reference=Reference(
                    name=str(reference["name"]),
                    n=int(reference["n"]),
                    quantiles=tuple(float(q) for q in reference["quantiles"]),
                ),
                link=cast(Link, strings["i2pa.link"]),
                temperature=float(strings["i2pa.temperature"]),
                training=strings["i2pa.training"],
                licenses=strings["i2pa.licenses"],
                likeness=None
                if likeness is None
                else Likeness(float(likeness["same_picture"]), float(likeness["same_moment"])),
            )
        except (KeyError, ValueError, TypeError) as error:
            raise ModelError(f"damaged model metadata ({error})", where=where) from error
        metadata._check(where)
        return metadata

    def _check(self, where: str) -> None:
        quantiles = self.reference.quantiles
        faults = {
            "i2pa.link": self.link not in get_args(Link),
            "i2pa.temperature": not (self.temperature > 0 and math.isfinite(self.temperature)),
            "i2pa.likeness": self.likeness is not None and not self.likeness.in_range,
            "i2pa.reference": len(quantiles) != QUANTILES or list(quantiles) != sorted(quantiles),
        }
        for field, faulty in faults.items():
            if faulty:
                raise ModelError(f"{field} is out of range", where=where)
