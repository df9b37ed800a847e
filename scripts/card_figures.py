"""Print the figures of docs/model-card.md that need no data but the package and its examples.

Run: python scripts/card_figures.py [MODEL]

The scores of the example photographs; how often two reference pictures are too close to call; and
what simple edits of the examples, and pictures without a motif, do to a score.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from i2pa.metrics.calibration import TIE_BAND, probability
from i2pa.models.registry import DEFAULT
from i2pa.scoring import Scorer, load_model

EXAMPLES = Path(__file__).parents[1] / "examples" / "pictures"
EDITS = {
    "mirrored": ImageOps.mirror,
    "blurred (radius 3)": lambda image: image.filter(ImageFilter.GaussianBlur(3)),
    "a quarter as bright": lambda image: ImageEnhance.Brightness(image).enhance(0.25),
    "without colour": lambda image: ImageEnhance.Color(image).enhance(0),
    "half the contrast": lambda image: ImageEnhance.Contrast(image).enhance(0.5),
    "centre half": lambda image: ImageOps.fit(image, (image.width // 2, image.height // 2)),
    "lines of text on it": lambda image: written_on(image.copy(), every=40),
}


def main(model: str = DEFAULT) -> None:
    scorer = load_model(model)
    pictures = {p.name: Image.open(p).convert("RGB") for p in sorted(EXAMPLES.glob("*.*g"))}
    print(f"{scorer.model.tag}\n\n| picture | score | percentile | level |\n|---|---|---|---|")
    for item in scorer.score(sorted(EXAMPLES.glob("*.*g"))).items:
        name = Path(item.path).name
        print(f"| {name} | {item.score:+.2f} | {item.percentile:.1f} | {item.level} |")

    reference = np.asarray(scorer.metadata.reference.quantiles)
    chances = probability(reference[:, None] - reference[None, :], scorer.metadata.temperature)
    close = (chances >= TIE_BAND[0]) & (chances <= TIE_BAND[1])
    tie = scorer.metadata.temperature * np.log(TIE_BAND[1] / TIE_BAND[0])
    print(
        f"\nreference: {scorer.metadata.reference.name}; scores {reference[0]:+.2f} to "
        f"{reference[-1]:+.2f}, median {np.median(reference):+.2f}, sd {reference.std():.2f}\n"
        f"temperature {scorer.metadata.temperature:.2f}: too close to call below a difference of "
        f"{tie:.2f}, which {close.mean():.0%} of the pairs of the reference are; largest "
        f"probability among them {chances.max():.2f}"
    )
    report_edits(scorer, pictures)


def report_edits(scorer: Scorer, pictures: dict[str, Image.Image]) -> None:
    plain = scores(scorer, list(pictures.values()))
    print("\n| edit of the nine examples | mean change | least | most |\n|---|---|---|---|")
    for name, edit in EDITS.items():
        change = scores(scorer, [edit(image) for image in pictures.values()]) - plain
        print(f"| {name} | {change.mean():+.2f} | {change.min():+.2f} | {change.max():+.2f} |")
    noise = np.random.default_rng(0).integers(0, 256, (720, 720, 3), dtype=np.uint8)
    empty = {
        "a page of text": written_on(Image.new("RGB", (720, 720), "white"), every=16),
        "white": Image.new("RGB", (720, 720), "white"),
        "black": Image.new("RGB", (720, 720), "black"),
        "grey": Image.new("RGB", (720, 720), "grey"),
        "noise": Image.fromarray(noise),
    }
    print("\n| picture without a motif | score | percentile |\n|---|---|---|")
    for name, item in zip(empty, scorer.score(empty.values()).items, strict=True):
        print(f"| {name} | {item.score:+.2f} | {item.percentile:.1f} |")


def scores(scorer: Scorer, pictures: list[Image.Image]) -> np.ndarray:
    return np.array([item.score for item in scorer.score(pictures).items])


def written_on(image: Image.Image, every: int) -> Image.Image:
    pen = ImageDraw.Draw(image)
    for top in range(8, image.height, every):
        pen.text((8, top), "the quick brown fox jumps over the lazy dog " * 4, fill="black")
    return image


if __name__ == "__main__":
    main(*sys.argv[1:])
