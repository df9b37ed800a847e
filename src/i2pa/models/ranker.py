"""The scoring network: one backbone shared by both pictures of a pair, and a linear score head.

Trained on pairs through the difference of two scores (paper, section 3: O_AB = f(A) - f(B)), it
scores any single picture in one forward pass.
"""

from __future__ import annotations

from torch import Tensor, nn

from i2pa.models.backbones import EMBEDDING_SIZE, EfficientNetLite


class Ranker(nn.Module):
    """f: pixels to score, with the embedding and feature map it was computed from."""

    def __init__(self, backbone: EfficientNetLite) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(EMBEDDING_SIZE, 1)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """uint8 RGB [n, h, w, 3] to score [n], embedding [n, 1280], features [n, 1280, h', w'].

        The embedding is the mean of the feature map, so the head's weights also give each
        position's exact share of the score.
        """
        features = self.backbone.features(pixels.permute(0, 3, 1, 2).float())
        embedding = features.mean(dim=(2, 3))
        return self.head(embedding).squeeze(1), embedding, features
