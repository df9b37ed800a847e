"""How well bursts and near-duplicates are told from different pictures, on pictures of yours.

Run: python benchmarks/groups.py FOLDER [--accounts posts.csv] [--every 3] [--model i2pa-lite2]

Each picture's cosine to edits of itself (one in every so many pictures is edited), and those of
all pairs of different pictures, at several thresholds, the two in use among them. `--accounts`
names a table with the columns `image` (as found in FOLDER or beside it) and `user_id`, to tell
pairs of one account from others. Then the groups of i2pa beside those of single links.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from i2pa.images.find import pictures_in
from i2pa.models.metadata import Likeness
from i2pa.models.registry import DEFAULT
from i2pa.models.score_cache import ScoreCache
from i2pa.scoring import Failure, Scorer, load_model
from i2pa.scoring.bursts import MEASURED, leaders

THRESHOLDS = (0.9, MEASURED.same_picture, 0.8, 0.75, MEASURED.same_moment)


def cropped(image: Image.Image, share: float, across: float, down: float) -> Image.Image:
    width, height = int(image.width * share), int(image.height * share)
    left, top = int((image.width - width) * across), int((image.height - height) * down)
    return image.crop((left, top, left + width, top + height))


def as_jpeg(image: Image.Image) -> Image.Image:
    from io import BytesIO

    file = BytesIO()
    image.save(file, "JPEG", quality=60)
    return Image.open(file)


EDITS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG of quality 60": as_jpeg,
    "half the size": lambda image: image.resize((image.width // 2, image.height // 2)),
    "95 % crop": lambda image: cropped(image, 0.95, 0.5, 0.5),
    "90 % crop in a corner": lambda image: cropped(image, 0.9, 0, 1),
    "shifted by 6 %": lambda image: cropped(image, 0.94, 1, 0),
    "brighter by 25 %": lambda image: ImageEnhance.Brightness(image).enhance(1.25),
    "darker by 25 %": lambda image: ImageEnhance.Brightness(image).enhance(0.75),
    "more colour": lambda image: ImageEnhance.Color(image).enhance(1.5),
    "more contrast": lambda image: ImageEnhance.Contrast(image).enhance(1.3),
    "turned by 3 degrees": lambda image: cropped(
        image.rotate(3, Image.Resampling.BICUBIC), 0.9, 0.5, 0.5
    ),
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "grey": lambda image: image.convert("L").convert("RGB"),
    "80 % crop": lambda image: cropped(image, 0.8, 0.5, 0.5),
}
LARGE_EDITS = ("grey", "80 % crop")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--accounts", type=Path)
    parser.add_argument("--every", type=int, default=3)
    parser.add_argument("--model", default=DEFAULT)
    options = parser.parse_args()
    scorer = load_model(options.model)
    paths = pictures_in([options.folder])
    vectors = embeddings(scorer, paths)
    edited(scorer, paths[:: options.every], vectors[:: options.every])
    different(vectors, accounts(options.accounts, paths))
    grouped(vectors, scorer.likeness or MEASURED)


def embeddings(scorer: Scorer, pictures: list) -> np.ndarray:
    """Vectors [n, d] of unit length."""
    with ScoreCache() as cache:
        results = list(scorer.measure(pictures, cache=cache))
    broken = [result.path for result in results if isinstance(result, Failure)]
    if broken:
        raise SystemExit(f"cannot be read: {', '.join(broken)}")
    return np.stack([result.embedding for result in results]).astype(np.float32)


def edited(scorer: Scorer, paths: list[Path], originals: np.ndarray) -> None:
    small: list[np.ndarray] = []
    for name, edit in EDITS.items():
        images = [np.asarray(edit(Image.open(path).convert("RGB"))) for path in paths]
        cosines = (embeddings(scorer, [np.ascontiguousarray(i) for i in images]) * originals).sum(1)
        missed(name, cosines)
        if name not in LARGE_EDITS:
            small.append(cosines)
    missed("all of the above but the large edits", np.concatenate(small))


def missed(name: str, cosines: np.ndarray) -> None:
    shares = ", ".join(f"{(cosines < t).sum()} below {t}" for t in THRESHOLDS[:3])
    print(f"{name}, {len(cosines)}: least {cosines.min():.3f}; {shares}")


def accounts(table: Path | None, paths: list[Path]) -> np.ndarray:
    if table is None:
        return np.arange(len(paths))
    with table.open(newline="") as file:
        owner = {Path(row["image"]).name: row["user_id"] for row in csv.DictReader(file)}
    return np.array([owner.get(path.name, f"of {path}") for path in paths])


def different(vectors: np.ndarray, owners: np.ndarray) -> None:
    i, j = np.triu_indices(len(vectors), 1)
    cosines, same = (vectors @ vectors.T)[i, j], owners[i] == owners[j]
    for what, of in (("one account", cosines[same]), ("others", cosines[~same])):
        shares = ", ".join(f"{(of >= t).sum():,} from {t}" for t in THRESHOLDS)
        print(f"different pictures of {what}, {len(of):,} pairs: {shares}")


def grouped(vectors: np.ndarray, likeness: Likeness) -> None:
    like = vectors @ vectors.T
    ours = leaders(vectors, np.full(len(vectors), np.nan), likeness)
    single = np.arange(len(vectors))
    for i, j in zip(*np.nonzero(np.triu(like >= likeness.same_picture, 1)), strict=True):
        single[single == single[j]] = single[i]
    for name, labels in (("i2pa", ours), ("single links", single)):
        parts = [np.flatnonzero(labels == label) for label in np.unique(labels)]
        parts = [part for part in parts if len(part) > 1]
        least = min((like[np.ix_(part, part)].min() for part in parts), default=1.0)
        largest = max(map(len, parts), default=1)
        print(
            f"groups of {name} at {likeness.same_picture}: {len(parts)}, the largest of {largest}, "
            f"least cosine inside {least:.3f}"
        )


if __name__ == "__main__":
    main()
