"""Peak memory and time of `i2pa score` over many rows that the cache knows, by form of output.

    python benchmarks/rows.py 30000 300000    so many rows of a table, twice: does memory grow?

A thousand small pictures are scored once; then tables name them over and over, with an id that is
carried along, and each run is a fresh process. What is left is what a row costs beside its picture.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

PICTURES = 1000
FORMS = ("--csv", "--jsonl", "-o o.csv", "-o o.jsonl", "-o o.parquet", "-o o.json")


def make_pictures(folder: Path) -> list[str]:
    folder.mkdir()
    rng = np.random.default_rng(0)
    names = []
    for number in range(PICTURES):
        pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        path = folder / f"{number:04d}.png"
        Image.fromarray(pixels).save(path)
        # The cache trusts only what was changed some seconds ago.
        os.utime(path, (1_600_000_000, 1_600_000_000))
        names.append(f"{folder.name}/{path.name}")
    return names


def run(folder: Path, *arguments: str) -> tuple[float, float]:
    """Seconds, and the peak of the process in MB."""
    command = [sys.executable, "-m", "i2pa", "score", *arguments, "--carry", "id", "--quiet"]
    start = time.monotonic()
    with (folder / "printed").open("wb") as printed:
        process = subprocess.Popen(command, cwd=folder, stdout=printed)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    return time.monotonic() - start, usage.ru_maxrss / 1000


def main() -> None:
    sizes = [int(size) for size in sys.argv[1:]] or [30_000]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        os.environ["I2PA_CACHE"] = str(folder / "cache")
        names = make_pictures(folder / "p")
        for size in (PICTURES, *sizes):
            with (folder / f"{size}.csv").open("w", newline="") as file:
                rows = csv.writer(file)
                rows.writerow(("id", "image"))
                rows.writerows((number, names[number % PICTURES]) for number in range(size))
        run(folder, f"{PICTURES}.csv", "--csv")
        for form in FORMS:
            for size in sizes:
                seconds, peak = run(folder, f"{size}.csv", *form.split())
                print(f"{form}, {size:,} rows: peak {peak:.0f} MB, {size / seconds:,.0f} rows/s")


if __name__ == "__main__":
    main()
