"""JPEGs for benchmarks, made from the example photographs: social posts and phone photos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

EXAMPLES = Path(__file__).parents[1] / "examples" / "pictures"
SOCIAL_SIDE = 1080
PHONE = (4032, 3024)


def social_pictures(folder: Path, n: int) -> list[Path]:
    """Random crops of the examples, 1080 pixels wide, with sensor-like noise, quality 85."""
    rng = np.random.default_rng(0)
    paths = []
    for number, crop in enumerate(_crops(rng, n)):
        height = round(SOCIAL_SIDE * rng.choice([0.5625, 0.8, 1.0, 1.25]))
        path = folder / f"social-{number:05d}.jpg"
        _noisy(crop.resize((SOCIAL_SIDE, height)), rng).save(path, quality=85)
        paths.append(path)
    return paths


def phone_pictures(folder: Path, n: int) -> list[Path]:
    """The same at 12 megapixels, quality 85 to 90."""
    rng = np.random.default_rng(1)
    paths = []
    for number, crop in enumerate(_crops(rng, n)):
        path = folder / f"phone-{number:05d}.jpg"
        large = _noisy(crop.resize(PHONE, Image.Resampling.BICUBIC), rng)
        large.save(path, quality=int(rng.integers(85, 91)))
        paths.append(path)
    return paths


def small_pictures(folder: Path, n: int) -> list[Path]:
    """Little pictures, no two alike."""
    rng = np.random.default_rng(2)
    paths = []
    for number in range(n):
        path = folder / f"small-{number:05d}.jpg"
        cells = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(cells).resize((96, 96), Image.Resampling.BICUBIC).save(path, quality=85)
        paths.append(path)
    return paths


def _crops(rng: np.random.Generator, n: int):
    sources = [Image.open(path).convert("RGB") for path in sorted(EXAMPLES.glob("*.[jp][pn]g"))]
    for number in range(n):
        source = sources[number % len(sources)]
        width, height = (int(side * rng.uniform(0.6, 1)) for side in source.size)
        left, top = rng.integers(source.width - width + 1), rng.integers(source.height - height + 1)
        yield source.crop((left, top, left + width, top + height))


def _noisy(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    noise = rng.normal(0, 4, (image.height, image.width, 3)).astype(np.float32)
    return Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8))
