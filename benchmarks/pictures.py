"""Peak memory and time of decoding pictures as large as they may be, one fresh process each.

    python benchmarks/pictures.py             every picture below (encoding them takes minutes)
    python benchmarks/pictures.py "PNG, 80"   those whose name begins so

Printed for each: the peak of the process that asks, above what it held before (Python, numpy,
Pillow; no model), the whole peak of the process for heavy pictures where one ran (0: none did), and
the time with that one's start. The two peaks together bound what decoding adds to a program. At
the end all of them are decoded twice over by eight threads, and the peak of both processes at one
moment is printed, with the default model loaded.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from i2pa import load_model
from i2pa.images.decoder import Decoder
from i2pa.images.transforms import transform_named

SQUASH = transform_named("squash260@1")
MEGA = 1e6


def waves(width: int, height: int) -> Image.Image:
    """A smooth picture, made row by row: compresses well, decodes like any other."""
    image = Image.new("RGB", (width, height))
    x = np.arange(width, dtype=np.float32)
    for top in range(0, height, 256):
        y = np.arange(top, min(top + 256, height), dtype=np.float32)[:, None]
        planes = [127 + 100 * np.sin(x / s) * np.cos(y / (s + 70)) for s in (301, 523, 711)]
        image.paste(Image.fromarray(np.stack(planes, -1).astype(np.uint8)), (0, top))
    return image


def png(path: Path) -> None:
    waves(10_000, 8_000).save(path, "PNG", compress_level=1)


def turned_png_with_alpha_and_profile(path: Path) -> None:
    from PIL import ImageCms

    image = waves(10_000, 8_000)
    image.putalpha(200)
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    # Any name but sRGB's, or it would be left out as needless.
    profile = profile.replace("sRGB".encode("utf-16-be"), "oRGB".encode("utf-16-be"))
    image.save(path, "PNG", compress_level=1, exif=exif, icc_profile=profile)


def baseline_jpeg(path: Path) -> None:
    waves(15_800, 15_800).save(path, "JPEG", quality=85)


def progressive_jpeg(path: Path) -> None:
    waves(10_000, 8_000).save(path, "JPEG", quality=85, progressive=True)


def heic(path: Path) -> None:
    import pillow_heif

    pillow_heif.register_heif_opener()
    waves(8_064, 6_048).save(path, "HEIF", quality=60)


def webp(path: Path) -> None:
    waves(6_000, 4_000).save(path, "WEBP", quality=80, method=0)


def avif(path: Path) -> None:
    waves(6_000, 4_000).save(path, "AVIF", quality=60, speed=10)


def tiff(path: Path) -> None:
    waves(10_000, 8_000).save(path, "TIFF", compression="tiff_deflate")


PICTURES: dict[str, Callable[[Path], None]] = {
    "PNG, 80 megapixels": png,
    "PNG, 80 megapixels, turned, alpha, profile": turned_png_with_alpha_and_profile,
    "JPEG, baseline, 250 megapixels": baseline_jpeg,
    "JPEG, progressive, 80 megapixels": progressive_jpeg,
    "HEIC, 48 megapixels": heic,
    "WebP, 24 megapixels": webp,
    "AVIF, 24 megapixels": avif,
    "TIFF, deflate, 80 megapixels": tiff,
}


def peak(who: int) -> float:
    return resource.getrusage(who).ru_maxrss * 1024 / MEGA


def measure(path: Path) -> None:
    """In a process of its own: decode `path` once and print what it took."""
    before = peak(resource.RUSAGE_SELF)
    begun = time.perf_counter()
    with Decoder(SQUASH) as decoder:
        decoder.decode(path)
        seconds = time.perf_counter() - begun
    added = peak(resource.RUSAGE_SELF) - before
    worker = peak(resource.RUSAGE_CHILDREN)
    print(json.dumps({"added": added, "worker": worker, "s": seconds}))


def measure_together(folder: Path) -> None:
    """In a process of its own: decode all pictures in `folder` twice, eight at a time."""
    scorer = load_model()
    scorer.score_one(Image.new("RGB", (500, 500)))
    before, most, done = peak(resource.RUSAGE_SELF), 0.0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(0.005):
            most = max(most, sum(map(resident, [os.getpid(), *children()])))

    watcher = threading.Thread(target=watch)
    watcher.start()
    with Decoder(SQUASH) as decoder, ThreadPoolExecutor(8) as pool:
        list(pool.map(decoder.decode, sorted(folder.iterdir()) * 2))
    done.set()
    watcher.join()
    print(json.dumps({"before": before, "most": most}))


def children() -> list[int]:
    tasks = Path("/proc/self/task").iterdir()
    lines = [Path(task, "children").read_text() for task in tasks]
    return [int(pid) for line in lines for pid in line.split()]


def resident(process: int) -> float:
    """Megabytes; of Linux alone."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * resource.getpagesize() / MEGA


def in_new_process(flag: str, place: Path) -> dict[str, float]:
    command = [sys.executable, __file__, flag, place]
    took: dict[str, float] = json.loads(
        subprocess.run(command, capture_output=True, check=True).stdout
    )
    return took


def main() -> None:
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    with tempfile.TemporaryDirectory() as name_of_folder:
        folder = Path(name_of_folder)
        for name, make in PICTURES.items():
            if not name.startswith(wanted):
                continue
            path = folder / make.__name__
            # Encoding takes memory that must not count.
            code = "import sys; from pathlib import Path; import pictures as p; "
            code += f"p.Image.MAX_IMAGE_PIXELS = None; p.{make.__name__}(Path(sys.argv[1]))"
            here = Path(__file__).parent
            subprocess.run([sys.executable, "-c", code, path], check=True, cwd=here)
            took = in_new_process("--measure", path)
            print(
                f"{name}: asking process +{took['added']:.0f} MB, process for heavy pictures "
                f"{took['worker']:.0f} MB, {took['s']:.1f} s with its start "
                f"({path.stat().st_size / MEGA:.1f} MB file)",
                flush=True,
            )
        took = in_new_process("--together", folder)
        print(
            f"all together, twice, 8 threads: both processes {took['most']:.0f} MB at most; "
            f"with the model loaded and nothing decoded {took['before']:.0f} MB"
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(Path(sys.argv[2]))
    elif sys.argv[1:2] == ["--together"]:
        measure_together(Path(sys.argv[2]))
    else:
        main()
