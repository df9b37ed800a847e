"""What `i2pa.personal` finds where a taste is known, where there is none, and on real likes.

    python benchmarks/personal.py curve PICTURES     made-up tastes: gain and verdict by number
    python benchmarks/personal.py null PICTURES      shuffled labels: how often a gain is claimed
    python benchmarks/personal.py likes POSTS PICTURES [MEASURE]   every account of 40 posts or more

PICTURES is a folder of 300 or so photographs; a made-up taste is a property of their pixels that
the embedding was never meant to hold. `--repeats N` repeats each draw with other pictures.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from i2pa.errors import DataError
from i2pa.images.find import pictures_in
from i2pa.personal import PersonalTaste, Reading, personalize

SIZES = (20, 50, 100)
NULL_SIZE = 40
LEAST_POSTS = 40


def properties(path: Path) -> dict[str, float]:
    """How dark, green and warm a picture is."""
    with Image.open(path) as image:
        red, green, blue = np.asarray(image.convert("RGB").resize((64, 64)), float).mean((0, 1))
    return {
        "dark": -(red + green + blue),
        "green": green - (red + blue) / 2,
        "warm": red - blue,
    }


def sides(liked: np.ndarray, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """n kept and n rejected pictures, drawn at random."""
    order = rng.permutation(len(liked))
    return order[liked[order]][:n], order[~liked[order]][:n]


def learnt(paths: list[Path], kept: np.ndarray, rejected: np.ndarray) -> PersonalTaste:
    with tempfile.TemporaryDirectory() as folder:
        lists = []
        for name, rows in (("keep", kept), ("reject", rejected)):
            lists.append(Path(folder, f"{name}.txt"))
            lists[-1].write_text("\n".join(str(paths[row].absolute()) for row in rows))
        return personalize(lists[0], lists[1], within="all")


def row(label: str, tastes: list[PersonalTaste], seconds: float) -> str:
    verdicts = Counter(taste.verdict for taste in tastes)
    means = [
        100 * np.mean([getattr(taste.gain, part).value for taste in tastes])
        for part in ("base", "taste", "gain")
    ]
    half = 50 * np.mean([taste.gain.gain.high - taste.gain.gain.low for taste in tastes])
    return (
        f"| {label} | {means[0]:.1f} | {means[1]:.1f} | {means[2]:+.1f} ± {half:.1f} | "
        f"{verdicts['adds']} / {verdicts['no gain']} / {verdicts['not enough data']} | "
        f"{seconds / len(tastes):.1f} |"
    )


def curve(paths: list[Path], repeats: int) -> Iterator[str]:
    known = [properties(path) for path in paths]
    for name in known[0]:
        values = np.array([row[name] for row in known])
        for n in SIZES:
            start, tastes = time.monotonic(), []
            for repeat in range(repeats):
                kept, rejected = sides(values > np.median(values), n, np.random.default_rng(repeat))
                tastes.append(learnt(paths, kept, rejected))
            yield row(f"{name}, {n} + {n}", tastes, time.monotonic() - start)


def null(paths: list[Path], repeats: int) -> Iterator[str]:
    start, tastes = time.monotonic(), []
    for repeat in range(repeats):
        rng = np.random.default_rng(repeat)
        liked = rng.random(len(paths)) < 0.5
        tastes.append(learnt(paths, *sides(liked, NULL_SIZE, rng)))
    yield row(f"no taste, {NULL_SIZE} + {NULL_SIZE}", tastes, time.monotonic() - start)


def likes(posts: Path, pictures: Path, measure: str, days: int, age: float) -> Iterator[str]:
    from i2pa.posts import read_posts

    table = read_posts(posts).posts.to_pylist()
    counts = Counter(post["user_id"] for post in table if post["image"])
    for user, n in counts.most_common():
        if n < LEAST_POSTS:
            return
        try:
            taste = personalize(
                likes=posts,
                images=pictures,
                user=user,
                measured_by=measure,
                days=days,
                min_age_days=age,
                reading=Reading(allow_unreadable=True),
            )
        except DataError as error:
            yield f"| {user}, {n} posts | {error} |"
            continue
        gain = taste.gain
        yield (
            f"| {user}, {n} posts | {gain.pairs:,} pairs | {gain.base} | {gain.taste} | "
            f"{gain.gain} | {taste.verdict} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("curve", "null", "likes"))
    parser.add_argument("places", nargs="+")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--min-age-days", type=float, default=30)
    given = parser.parse_args()
    if given.what == "likes":
        posts, pictures, *measure = given.places
        print(
            "| account | clear pairs | base | taste | gain | verdict |\n|---|---|---|---|---|---|"
        )
        lines = likes(
            Path(posts), Path(pictures), (measure or ["likes"])[0], given.days, given.min_age_days
        )
    else:
        print("| | base, % | taste, % | gain, points | adds / no gain / not enough | seconds |")
        print("|---|---|---|---|---|---|")
        paths = pictures_in(given.places)
        lines = (curve if given.what == "curve" else null)(paths, given.repeats)
    for line in lines:
        print(line, flush=True)


if __name__ == "__main__":
    main()
