"""Train the embedded default model, i2pa-lite2, from posts and graded pictures.

Run: python scripts/train_default.py DATA -o run [--install]        (needs the extra [train])

DATA holds `paper_fig6/levels.csv` (the 100 pictures of the paper's Fig. 6 with the level that the
authors' model gave them), `instagram_public_figures/posts.csv` and `instagram_previews/posts.csv`
(posts with likes), and `youtube_thumbnails/posts.csv` (videos with views), each with its folder of
pictures.

The baseline learns from the graded pictures alone and is judged on the posts, none of which it saw.
Other mixes are judged by leaving out one user at a time. A mix replaces the baseline only where its
gain in mean-of-users accuracy, on pairs up to 30 days apart, exceeds one standard error.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from i2pa.errors import DataError, I2paError
from i2pa.images.transforms import transform_named
from i2pa.metrics.accuracy import pairwise_correct
from i2pa.metrics.baselines import later_wins
from i2pa.metrics.intervals import standard_error
from i2pa.models.export import save_model
from i2pa.pairs import PAPER, SAME_USER_WIDE, build_pairs, pairs_from_levels, within_days
from i2pa.posts import read_posts
from i2pa.training import PROBE, train, write_run
from i2pa.training.card import evaluation_table
from i2pa.training.features import Features, image_features
from i2pa.training.pairset import PairSet, images_of, joined, pair_set
from i2pa.training.probe import fit_head

NAME, VERSION = "i2pa-lite2", 1
EMBEDDED = Path(__file__).parents[1] / "src" / "i2pa" / "models" / "data"
WINDOWS = (10, 30, 90)
DECIDING = 30
FOLDERS = {
    "graded": "paper_fig6",
    "posts": "instagram_public_figures",
    "previews": "instagram_previews",
    "thumbnails": "youtube_thumbnails",
}


@dataclass(frozen=True)
class Mix:
    """What a candidate learns from: each source's share of the loss, and its ℓ2."""

    shares: Mapping[str, float]
    l2: float

    def __str__(self) -> str:
        return ", ".join(f"{name} {share:.0%}" for name, share in self.shares.items())


GRADED = {"graded": 1.0}
CANDIDATES = (
    *(Mix(GRADED, l2) for l2 in (0.03, 0.1, 0.3, 1, 3, 10)),
    *(
        Mix({"graded": 1 - share, other: share}, l2)
        for other in ("posts", "previews", "thumbnails")
        for share in (0.1, 0.3, 0.5)
        for l2 in (0.3, 1, 3)
    ),
    *(Mix({"posts": 1.0}, l2) for l2 in (0.3, 1, 3)),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True, help="run folder")
    parser.add_argument("--install", action="store_true", help="make it the embedded default")
    options = parser.parse_args()
    folders = {name: options.data / folder for name, folder in FOLDERS.items()}
    files = {
        name: folder / ("levels.csv" if name == "graded" else "posts.csv")
        for name, folder in folders.items()
    }

    graded = pairs_from_levels(files["graded"], name="paper-fig6")
    posts = read_posts(files["posts"], platform="instagram").posts
    previews = read_posts(files["previews"], platform="instagram").posts
    thumbnails = read_posts(files["thumbnails"], platform="youtube").posts
    print("pairs under the paper's rules:")
    print(f"  posts: {paper_pairs(posts):,} of {posts.num_rows:,} posts")
    print(f"  previews: {paper_pairs(previews):,} of {previews.num_rows:,} posts")
    wide = {
        window(days): build_pairs(posts, within_days(SAME_USER_WIDE, days)).pairs
        for days in WINDOWS
    }
    ordinary = build_pairs(posts, replace(SAME_USER_WIDE, confidence=None)).pairs
    sources = {
        "graded": graded,
        "posts": wide[window(DECIDING)],
        "previews": build_pairs(previews, SAME_USER_WIDE).pairs,
        "thumbnails": build_pairs(thumbnails, replace(SAME_USER_WIDE, measure="views")).pairs,
    }

    features = image_features(
        [i for table in (*sources.values(), *wide.values(), ordinary) for i in images_of(table)],
        list(folders.values()),
        PROBE.backbone,
        transform_named(PROBE.transform),
        say_progress,
    )
    baseline = train(
        graded,
        list(folders.values()),
        validate_on=wide,
        calibrate_on=ordinary,
        name=NAME,
        version=VERSION,
        reference_users="public figures",
        # A tenth of the pairs measured on lacks a picture.
        allow_unreadable=True,
    )
    print("\n".join(evaluation_table(baseline.evaluations)))
    print(f"ℓ2 {baseline.l2:g}, calibration {baseline.calibration}")
    scores = baseline.head.score(features.embeddings)
    for name, table in wide.items():
        report_time_balance(name, *pair_set(table, features.row), scores)
    report_candidates(
        features,
        Mix(GRADED, baseline.l2),
        {name: pair_set(table, features.row)[0] for name, table in sources.items()},
        {name: pair_set(table, features.row)[0] for name, table in wide.items()},
    )

    inputs = {f"{n}.csv": hashlib.sha256(f.read_bytes()).hexdigest() for n, f in files.items()}
    file = write_run(baseline, options.output, inputs, overwrite=True)
    print(f"wrote {file.path}, sha256 {file.sha256}")
    if options.install:
        target = EMBEDDED / f"{NAME}-v{VERSION}.onnx"
        save_model(file.data, target)
        print(f"installed {target}")


def say_progress(done: int, total: int) -> None:
    if done % 320 == 0 or done == total:
        print(f"  embedded {done:,} of {total:,} pictures", flush=True)


def paper_pairs(posts: pa.Table) -> int:
    try:
        return build_pairs(posts, PAPER).pairs.num_rows
    except DataError:
        return 0


def report_time_balance(
    name: str, pairs: PairSet, table: pa.Table, scores: npt.NDArray[np.float64]
) -> None:
    """Print the accuracy where the later post won, where the earlier won, and their mean."""
    later = later_wins(table["winner_time"].to_numpy(), table["loser_time"].to_numpy()) > 0
    right = pairwise_correct(pairs.delta(scores))
    sides = right[later].mean(), right[~later].mean()
    print(
        f"{name}: later post won {later.sum()} pairs, model right in {sides[0]:.3f}; earlier won "
        f"{(~later).sum()}, right in {sides[1]:.3f}; time-balanced {np.mean(sides):.3f}"
    )


def report_candidates(
    features: Features, baseline: Mix, sources: dict[str, PairSet], wide: dict[str, PairSet]
) -> None:
    """Print each candidate's mean-of-users accuracy and its gain over the baseline ± 1 s.e."""
    standard = user_accuracies(features, baseline, sources, wide)
    print(f"| learnt from | ℓ2 | {' | '.join(wide)} |\n|---|---|{'---|' * len(wide)}")
    for mix in CANDIDATES:
        found = user_accuracies(features, mix, sources, wide)
        cells = []
        for name in wide:
            gain = found[name] - standard[name]
            error = standard_error(gain)
            mark = " **replaces**" if name == window(DECIDING) and gain.mean() > error else ""
            cells.append(f"{found[name].mean():.3f} ({gain.mean():+.3f} ± {error:.3f}){mark}")
        print(f"| {mix} | {mix.l2:g} | {' | '.join(cells)} |", flush=True)


def user_accuracies(
    features: Features, mix: Mix, sources: dict[str, PairSet], tested: dict[str, PairSet]
) -> dict[str, npt.NDArray[np.float64]]:
    """Accuracy of each user under a head that never saw that user, by list of tested pairs."""
    result: dict[str, list[float]] = {name: [] for name in tested}
    everyone = np.unique(np.concatenate([pairs.user for pairs in tested.values()]))
    scores = None
    for user in everyone:
        # Without posts in the mix the head is the same for every user.
        if scores is None or "posts" in mix.shares:
            parts = []
            for name, share in mix.shares.items():
                others = sources[name].at(np.flatnonzero(sources[name].user != user)).evenly()
                parts.append(replace(others, weight=others.weight * share))
            head = fit_head(features.embeddings, joined(parts), mix.l2)
            scores = head.score(features.embeddings)
        for name, pairs in tested.items():
            own = pairs.at(np.flatnonzero(pairs.user == user))
            if len(own):
                result[name].append(float(pairwise_correct(own.delta(scores)).mean()))
    return {name: np.array(values) for name, values in result.items()}


def window(days: int) -> str:
    return f"within {days} days"


if __name__ == "__main__":
    try:
        main()
    except I2paError as error:
        sys.exit(f"train_default: {error}")
