"""The models that can be asked for by name: what is known of each, before any file is opened.

Figures are those that were measured when the model was published; tests hold them to the model
card and to the model files. Models of one's own are given by path and are not listed.
"""

from __future__ import annotations

from dataclasses import dataclass

from i2pa.models.metadata import Likeness, ModelMetadata


@dataclass(frozen=True)
class MeasuredAccuracy:
    """A pairwise accuracy with its 95 % interval: on which pairs, and how they were counted."""

    value: float
    low: float
    high: float
    pairs: int
    users: int | None
    on: str
    counted: str
    interval: str
    measured_by: str


@dataclass(frozen=True)
class WeightsSource:
    """Where the authors' weights are published, pinned by revision and SHA-256."""

    url: str
    sha256: str
    repository: str
    commit: str
    git_blob: str


@dataclass(frozen=True)
class PublishedModel:
    """One named model. `source` None: it comes inside the package.

    `likeness` was measured for its embeddings after its file was made; None: it was not.
    """

    name: str
    version: int
    origin: str
    license: str
    megabytes: float
    transform: str
    accuracy: MeasuredAccuracy
    source: WeightsSource | None = None
    likeness: Likeness | None = None

    @property
    def tag(self) -> str:
        """Name and version: `i2pa-lite2@1`."""
        return f"{self.name}@{self.version}"

    @property
    def file_name(self) -> str:
        """What its ONNX file is called, in the package or in the models' folder."""
        return f"{self.name}-v{self.version}.onnx"


LITE2 = PublishedModel(
    name="i2pa-lite2",
    version=1,
    origin="embedded: EfficientNet-Lite2 with a head learnt from 100 graded pictures of the paper",
    license="MIT; backbone weights Apache-2.0",
    megabytes=19.2,
    transform="squash260@1",
    accuracy=MeasuredAccuracy(
        value=0.761,
        low=0.607,
        high=0.897,
        pairs=349,
        users=10,
        on="posts of public figures up to 30 days apart, twice the likes, never trained on",
        counted="mean of users",
        interval="bootstrap over users",
        measured_by="i2pa",
    ),
    likeness=Likeness(same_picture=0.85, same_moment=0.70),
)

PAPER_RESNET50 = PublishedModel(
    name="paper-resnet50",
    version=1,
    origin="the authors' released ResNet-50 of the paper (Ding, Ma, Wang, ACM MM 2019)",
    license="MIT",
    megabytes=94.0,
    transform="squash224@1",
    accuracy=MeasuredAccuracy(
        value=0.7665,
        low=0.7628,
        high=0.7702,
        pairs=50_000,
        users=None,
        on="the paper's test pairs (Fig. 4), whose users it may have been trained on",
        counted="pooled",
        interval="binomial, from the number of pairs alone",
        measured_by="its authors; not repeated here",
    ),
    source=WeightsSource(
        url="https://raw.githubusercontent.com/dingkeyan93/Intrinsic-Image-Popularity/"
        "5522ccbe8f82e352f50f39aa02921b7732de6bf6/model/model-resnet50.pth",
        sha256="2b43c375ff8e75856aba1d4bbe713aa6b7f4d8fcce83c0f30e6558cb6d1d783f",
        repository="github.com/dingkeyan93/Intrinsic-Image-Popularity",
        commit="5522ccbe8f82e352f50f39aa02921b7732de6bf6",
        git_blob="03ed5781342bfbf47fe26009373b92fd6c7fdaf7",
    ),
)

PUBLISHED = (LITE2, PAPER_RESNET50)


def published(name: str) -> PublishedModel | None:
    """The published model of that name (its newest version) or tag, or None."""
    for model in sorted(PUBLISHED, key=lambda model: -model.version):
        if name in (model.name, model.tag):
            return model
    return None


def known_likeness(metadata: ModelMetadata) -> Likeness | None:
    """What was measured for a model's embeddings, by its file or else by this catalogue."""
    if metadata.likeness is not None:
        return metadata.likeness
    model = published(metadata.tag)
    return model.likeness if model else None
