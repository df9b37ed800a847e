"""Print how far a score depends on which derivative of a picture is scored: its size, its format.

Run: python scripts/derivatives.py [MODEL]

Trusts the example photographs as they are, makes smaller, larger and recompressed copies in memory,
and compares: the table of docs/model-card.md. HEIC takes the extra `formats`.
"""

from __future__ import annotations

import io
import platform
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from i2pa.metrics.agreement import agreement
from i2pa.models.metadata import TIE_LIMIT
from i2pa.models.registry import DEFAULT
from i2pa.scoring import Scorer, load_model

EXAMPLES = Path(__file__).parents[1] / "examples" / "pictures"
SIDES = (64, 128, 260, 512, 1024, 2048)
Derive = Callable[[Image.Image], bytes]


def main(model: str = DEFAULT) -> None:
    scorer = load_model(model)
    pictures = [Image.open(path).convert("RGB") for path in sorted(EXAMPLES.glob("*.*g"))]
    plain = scores(scorer, pictures, as_png)
    margin = scorer.metadata.temperature * TIE_LIMIT[scorer.metadata.link]
    found = {name: scores(scorer, pictures, derive) for name, derive in derivatives().items()}
    first = agreement(plain, plain, margin)
    print(
        f"{scorer.model.tag}, {datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, "
        f"{scorer.model.versions.key}\n{len(pictures)} pictures, long sides "
        f"{min(max(p.size) for p in pictures)} to {max(max(p.size) for p in pictures)}; "
        f"{first.pairs} pairs, {first.decided} of them not too close to call; "
        f"standard deviation of the scores {plain.std():.2f}\n\n"
        "| derivative | mean change | mean size of it | most | pairs turned round | of decided "
        "|\n|---|---|---|---|---|---|"
    )
    for name, changed in found.items():
        change, order = changed - plain, agreement(plain, changed, margin)
        print(
            f"| {name} | {change.mean():+.2f} | {np.abs(change).mean():.2f} | "
            f"{np.abs(change).max():.2f} | {order.flip_rate:.0%} | {order.decided_flip_rate:.0%} |"
        )


def derivatives() -> dict[str, Derive]:
    """By name: what makes the file of a derivative from the picture."""
    made: dict[str, Derive] = {}
    for side in SIDES:
        made[f"long side {side}, PNG"] = lambda image, side=side: as_png(resized(image, side))
    for side in (260, 1024):
        made[f"long side {side}, JPEG 85"] = lambda image, side=side: saved(
            resized(image, side), "JPEG", quality=85
        )
    for kind, quality in (("JPEG", 90), ("JPEG", 75), ("JPEG", 50), ("WEBP", 80), ("AVIF", 65)):
        made[f"own size, {kind} {quality}"] = lambda image, kind=kind, quality=quality: saved(
            image, kind, quality=quality
        )
    if find_spec("pillow_heif"):
        made["own size, HEIC 65"] = heic
    return made


def scores(scorer: Scorer, pictures: list[Image.Image], derive: Derive) -> np.ndarray:
    return np.array([item.score for item in scorer.score(map(derive, pictures)).items])


def resized(image: Image.Image, side: int) -> Image.Image:
    scale = side / max(image.size)
    width, height = (max(1, round(scale * length)) for length in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def as_png(image: Image.Image) -> bytes:
    return saved(image, "PNG", compress_level=1)


def heic(image: Image.Image) -> bytes:
    import pillow_heif

    buffer = io.BytesIO()
    pillow_heif.from_pillow(image).save(buffer, quality=65)
    return buffer.getvalue()


def saved(image: Image.Image, kind: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


if __name__ == "__main__":
    main(*sys.argv[1:])
