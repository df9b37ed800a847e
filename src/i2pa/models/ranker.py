"""The scoring network: one backbone shared by both pictures of a pair, and a linear score head.

Trained on pairs through the difference of two scores (paper, section 3: O_AB = f(A) - f(B)), it
scores any single picture in one forward pass.
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from i2pa.errors import ModelError
from i2pa.models.backbones import Backbone, backbone_spec, backbone_weights, load_parts
from i2pa.models.initialise import he_initialise
from i2pa.models.pixels import PixelScaling


class Ranker(nn.Module):
    """f: pixels to score, with the embedding and feature map it was computed from."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(backbone.embedding_size, 1)
        he_initialise(self.head)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """uint8 RGB [n, h, w, 3] to score [n], embedding [n, d], features [n, c, h', w'].

        Where the embedding is the mean of the feature map (ResNet, EfficientNet-Lite), the head's
        weights also give each position's exact share of the score.
        """
        features = self.backbone.features(pixels.permute(0, 3, 1, 2).float())
        embedding = self.backbone.embed(features)
        return self.head(embedding).squeeze(1), embedding, features


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
