"""What a page of many pictures costs: seconds, peak memory, size of the file.

Run: python benchmarks/gallery.py [--pictures 800] [--long-side 4032] [--png]

The pictures are crops of the examples, scaled up with noise as a sensor has it, 12 megapixels
unless said otherwise. A few files are made and linked under many names: each is decoded anew.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from i2pa.models.versions import versions
from i2pa.scoring.gallery import side_for, write_gallery
from i2pa.scoring.results import ModelUsed, RankedPicture, Ranking

EXAMPLES = Path(__file__).parents[1] / "examples" / "pictures"
DIFFERENT = 20
NO_MODEL = ModelUsed("none", 1, "", "none", "none", versions("none"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=800)
    parser.add_argument("--long-side", type=int, default=4032)
    parser.add_argument("--png", action="store_true", help="PNG in place of JPEG")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        suffix = "png" if options.png else "jpg"
        # In a process of its own, so that its memory is not counted.
        with ProcessPoolExecutor(1) as other:
            paths = other.submit(
                make_pictures, Path(folder), options.pictures, options.long_side, suffix
            ).result()
        names = {str(path): path.name for path in paths}
        items = (
            RankedPicture(str(path), 0.0, 50.0, "fair", n) for n, path in enumerate(paths, start=1)
        )
        ranking = Ranking(NO_MODEL, "nothing", len(paths), tuple(items), ())
        before = peak_mb()
        start = time.perf_counter()
        made = write_gallery(ranking, Path(folder, "page.html"), names=names, title="benchmark")
        seconds = time.perf_counter() - start
    assert not made.failures
    print(
        f"{made.pictures} {suffix} of {options.long_side} pixels, shown at "
        f"{side_for(made.pictures)}: {seconds:.1f} s on {os.cpu_count()} cores "
        f"({made.pictures / seconds:.1f} a second), page {made.bytes / 1e6:.1f} MB, "
        f"peak memory {peak_mb():.0f} MB ({before:.0f} before)"
    )


def make_pictures(folder: Path, count: int, long_side: int, suffix: str) -> list[Path]:
    sources = sorted(p for p in EXAMPLES.iterdir() if p.suffix in (".png", ".jpg"))
    rng = np.random.default_rng(0)
    paths = []
    for number in range(count):
        path = folder / f"{number:04}.{suffix}"
        if number < DIFFERENT:
            with Image.open(sources[number % len(sources)]) as image:
                size = (long_side, long_side * 3 // 4)
                scaled = image.convert("RGB").resize(size, Image.Resampling.BICUBIC)
            noise = rng.integers(-6, 7, (size[1], size[0], 1), dtype=np.int16)
            noisy = np.clip(np.asarray(scaled, dtype=np.int16) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(path, quality=88, compress_level=1)
        else:
            path.hardlink_to(paths[number % DIFFERENT])
        paths.append(path)
    return paths


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
