"""The scoring network: one backbone shared by both pictures of a pair, and a linear score head.

Trained on pairs through the difference of two scores (paper, section 3: O_AB = f(A) - f(B)), it
scores any single picture in one forward pass.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from i2pa.errors import ModelError, UserInputError
from i2pa.models.backbones import Backbone, backbone_spec, backbone_weights, load_parts
from i2pa.models.classic import ClassicNet
from i2pa.models.efficientnet import EfficientNetLite
from i2pa.models.initialise import he_initialise
from i2pa.models.pixels import PixelScaling
from i2pa.models.resnet import ResNet

SPREAD_FLOOR = 0.05
"""The least spread of a picture, a twentieth of a typical one: no pair is infinitely sure."""


def spread_of(raw: Tensor) -> Tensor:
    """s = softplus(raw) + SPREAD_FLOOR, above 0: a picture's spread from a network's raw output.

    Any shape; as the standard deviation of the picture's score.
    """
    return functional.softplus(raw) + SPREAD_FLOOR


def spread_head(width: int) -> nn.Linear:
    """A head for the raw spread, from embeddings [n, width]; to begin with every spread is 1."""
    head = nn.Linear(width, 1)
    nn.init.zeros_(head.weight)
    nn.init.constant_(head.bias, math.log(math.expm1(1 - SPREAD_FLOOR)))
    return head


class Ranker(nn.Module):
    """f: pixels to score, with the embedding and feature map it was computed from.

    Where it has a second head, `spread`, it also says how uncertain the score is (Thurstone).
    """

    def __init__(self, backbone: Backbone, *, spread: bool = False) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(backbone.embedding_size, 1)
        he_initialise(self.head)
        self.spread = spread_head(backbone.embedding_size) if spread else None

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """uint8 RGB [n, h, w, 3] to score [n], embedding [n, d], features [n, c, h', w'].

        With a second head a fourth: the score's spread [n], above 0. Where the embedding is the
        mean of the feature map (ResNet, EfficientNet-Lite), the head's weights also give each
        position's exact share of the score.
        """
        return self._of(self.backbone.features(_planes(pixels)))

    def earlier(self, pixels: Tensor, blocks: int) -> Tensor:
        """What the backbone's stem and first `blocks` blocks make of pixels."""
        return _blocky(self.backbone).earlier(_planes(pixels), blocks)

    def later(self, x: Tensor, blocks: int) -> tuple[Tensor, ...]:
        """As `forward`, from what `earlier` made with the same number of blocks."""
        return self._of(_blocky(self.backbone).later(x, blocks))

    def _of(self, features: Tensor) -> tuple[Tensor, ...]:
        embedding = self.backbone.embed(features)
        given = in_float32(self.head, embedding).squeeze(1), embedding, features
        if self.spread is None:
            return given
        return *given, spread_of(in_float32(self.spread, embedding).squeeze(1))


def in_float32(head: nn.Linear, embedding: Tensor) -> Tensor:
    """What a head says, in float32 whatever the precision of the layers before it.

    Scores lie a few hundredths apart, where bfloat16 has steps of .03 at 4.
    """
    device = embedding.device.type
    # No context where none is needed: it would be part of an exported program.
    if not torch.is_autocast_enabled(device):
        return head(embedding)  # type: ignore[no-any-return]
    with torch.autocast(device, enabled=False):
        return head(embedding.float())  # type: ignore[no-any-return]


def freeze_blocks(ranker: Ranker, blocks: int) -> None:
    """Let the backbone's stem and first `blocks` blocks take no part in training.

    Raises UserInputError where the backbone has not so many.
    """
    for layer in _blocky(ranker.backbone, blocks).early_layers(blocks):
        layer.requires_grad_(False)


def check_blocks(name: str, blocks: int) -> None:
    """Raise UserInputError where the backbone called `name` has not so many blocks."""
    spec = backbone_spec(name)
    with torch.device("meta"):
        _blocky(spec.build(spec.scaling(None)), blocks)


def _blocky(backbone: Backbone, blocks: int = 0) -> EfficientNetLite | ResNet:
    """The backbone, if it is made of blocks, and of as many."""
    most = 0 if isinstance(backbone, ClassicNet) else backbone.n_blocks
    if isinstance(backbone, ClassicNet) or blocks > most:
        raise UserInputError(
            f"--frozen-blocks {blocks}, but this backbone has {most} blocks",
            remedy="give fewer, or leave it out" if most else "leave it out",
        )
    return backbone


def _planes(pixels: Tensor) -> Tensor:
    return pixels.permute(0, 3, 1, 2).float()


def load_ranker(name: str, weights: Path, *, pixel_scaling: PixelScaling | None = None) -> Ranker:
    """A whole ranker from a file of the backbone `name` whose last layer gives one number.

    The authors' released `model-resnet50.pth` is such a file, for `resnet50` on `unit` pixels.
    Raises ModelError where the last layer is missing or gives more numbers, and as
    `load_backbone` does.
    """
    backbone, last = load_parts(backbone_weights(name, weights, pixel_scaling=pixel_scaling))
    outputs = len(last["bias"]) if last else 0
    if outputs != 1:
        raise ModelError(
            f"the last layer {backbone_spec(name).last_layer} gives {outputs} numbers, not a score",
            where=str(weights),
            remedy="train a head on this backbone with i2pa train",
        )
    ranker = Ranker(backbone)
    ranker.head.load_state_dict(last)
    return ranker.eval()
