"""The docs' way from a file to a score without i2pa, over every odd picture that tests make."""

import io
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from i2pa import load_model
from images.test_golden_pixels import pictures as golden
from odd_pictures import (
    encoded,
    noise,
    quarters,
    rgb_profile,
    swapped_primaries_profile,
    tiff_taken,
    turned,
    wide_profile,
)

ROOT = Path(__file__).parents[1]
DOCS = (ROOT / "docs" / "platform-engineer.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def recipe():
    (code, printed) = re.search(
        r"```python\n(import io\nimport os\n.*?def pixels.*?)```\n\n```\n(.*?)```", DOCS, re.S
    ).groups()
    before = Path.cwd()
    said = []
    os.chdir(ROOT)
    try:
        names = {"print": lambda *parts: said.append(" ".join(map(str, parts)))}
        exec(code, names)
    finally:
        os.chdir(before)
    return names, said, printed.splitlines()


@pytest.fixture(scope="module")
def scorer():
    return load_model()


def waves(width, height):
    """Large, smooth and fine at once, as photographs are."""
    y, x = np.mgrid[:height, :width]
    planes = [128 + 90 * np.sin(x / 37) + 30 * np.cos(y / 3), 255 * x / width, 255 * y / height]
    return Image.fromarray(np.clip(np.stack(planes, -1), 0, 255).astype(np.uint8))


def odd_pictures():
    photo, tall = waves(2200, 1500), waves(700, 2900)
    made = dict(golden())
    for quality in (30, 75, 95):
        made[f"jpeg {quality}"] = encoded(photo, "JPEG", quality=quality)
    for size in ((1080, 1350), (2048, 1365), (521, 519), (260, 260), (64, 48), (3000, 300)):
        made[f"jpeg {size}"] = encoded(waves(*size), "JPEG", quality=85)
    made["progressive"] = encoded(photo, "JPEG", progressive=True)
    made["grey jpeg"] = encoded(photo.convert("L"), "JPEG")
    made["cmyk jpeg"] = encoded(photo.convert("CMYK"), "JPEG")
    for number in range(1, 9):
        stored, exif = turned(waves(1300, 900), number)
        made[f"jpeg turned {number}"] = encoded(stored, "JPEG", exif=exif)
        made[f"webp turned {number}"] = encoded(stored, "WEBP", exif=exif)
        made[f"tiff turned {number}"] = encoded(stored, "TIFF", exif=exif)
    grey = np.asarray(tall.convert("L"))
    made["16 bits"] = encoded(Image.fromarray(grey.astype(np.uint16) * 257), "PNG")
    made["32 bits"] = encoded(Image.fromarray(grey.astype(np.int32) * 200), "TIFF")
    made["8 of 32 bits"] = encoded(Image.fromarray(grey.astype(np.int32)), "TIFF")
    made["fractions of 255"] = encoded(Image.fromarray(grey.astype(np.float32)), "TIFF")
    for name, profile in (
        ("swapped", swapped_primaries_profile()),
        ("wide", wide_profile()),
        ("srgb", rgb_profile((0.4, 0.2, 0), (0.4, 0.7, 0.1), (0.1, 0.1, 0.7), b"sRGB of ours")),
        ("broken", b"no profile at all"),
    ):
        for mode in ("RGB", "L", "CMYK"):
            made[f"{name} {mode}"] = encoded(photo.convert(mode), "JPEG", icc_profile=profile)
        alpha = photo.resize((640, 480))
        alpha.putalpha(alpha.getchannel(1))
        made[f"{name} alpha"] = encoded(alpha, "PNG", icc_profile=profile)
    for kind in ("WEBP", "AVIF"):
        made[kind] = encoded(photo, kind, quality=70)
        made[f"{kind} alpha"] = encoded(alpha, kind, quality=70)
    made["grey alpha"] = encoded(alpha.convert("LA"), "PNG")
    made["colour made clear"] = encoded(quarters(300, 200), "PNG", transparency=(255, 0, 0))
    made["one bit"] = encoded(photo.convert("1"), "PNG")
    made["gif"] = encoded(photo.convert("P"), "GIF", transparency=3)
    frames = [noise(300, 200, seed).convert("P") for seed in range(3)]
    made["frames"] = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    made["bmp"] = encoded(noise(301, 199), "BMP")
    made["strip"] = encoded(noise(2400, 30), "PNG")
    made["one pixel"] = encoded(noise(1, 1), "PNG")
    made["tiff with a time"] = tiff_taken(noise(400, 300), "2024:05:06 07:08:09\0", "5\0")
    return made


def test_it_prints_what_the_docs_show(recipe):
    _, said, printed = recipe
    assert said == printed


def test_it_keeps_onnxruntime_from_reporting(recipe):
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
    assert DOCS.index('setdefault("ORT_DISABLE_TELEMETRY"') < DOCS.index("import onnxruntime\n")


@pytest.mark.slow
def test_it_scores_odd_pictures_as_i2pa_does(recipe, scorer, examples):
    names, _, _ = recipe
    made = odd_pictures() | {path.name: path.read_bytes() for path in examples.glob("*.*g")}
    assert len(made) > 80
    scores = scorer.score(made.values())
    assert scores.failures == ()
    wrong = {}
    for (name, data), item in zip(made.items(), scores.items, strict=True):
        (score,) = names["session"].run(["score"], {"pixels": names["pixels"](io.BytesIO(data))})[0]
        if abs(score - item.score) > 1e-3:
            wrong[name] = (float(score), item.score)
    assert wrong == {}
