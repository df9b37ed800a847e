"""Compare every recipe and loss on real posts, by users left out in turn.

Run: python scripts/compare_recipes.py DATA -o table.md [--work FOLDER] [--only WORD]
[--without WORD] (needs the extra [train])

DATA is as for scripts/train_default.py. Judged are the pairs of `instagram_public_figures` up to 90
days apart; a user's pairs are judged by a model that never saw the user. The first row is the
embedded default; `--without bfloat16` is for processors that do not calculate in it. Each fold's
results are kept in the work folder, so a stopped run goes on; rows that are not done yet are left
out of the table, which is written anew after every row.
"""

from __future__ import annotations

import argparse
import platform
import re
import sys
import time
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import pyarrow as pa
import torch

from i2pa.errors import I2paError
from i2pa.files import whole_file
from i2pa.models.registry import CHECKPOINT_FILE
from i2pa.pairs import SAME_USER_WIDE, build_pairs, pairs_from_levels, within_days
from i2pa.posts import read_posts
from i2pa.training import ABSOLUTE, FINETUNE, PROBE, NetworkRecipe, Recipe
from i2pa.training.absolute import POST_COLUMNS
from i2pa.training.compare import OutOfFold, chance_of_best, chosen_within, gain
from i2pa.training.crossval import cross_validate

FOLDS = 4
DAYS = 90
FOLDERS = {
    "graded": "paper_fig6",
    "posts": "instagram_public_figures",
    "previews": "instagram_previews",
    "thumbnails": "youtube_thumbnails",
}


@dataclass(frozen=True)
class Row:
    """A recipe and what it learns from: `posts` are those of the other folds' users.

    `starts` names what the head of a network is fitted to before; `shares` the row whose training
    it goes on from.
    """

    name: str
    recipe: Recipe | NetworkRecipe
    learns: tuple[str, ...]
    starts: str | None = None
    shares: str | None = None

    @property
    def teachers(self) -> str:
        """What it learns from, in words."""
        first = f"{self.starts} (head), then " if self.starts else ""
        return first + " + ".join(self.learns)

    @property
    def slug(self) -> str:
        return re.sub(r"[^a-z0-9]+", "-", f"{self.name} {' '.join(self.learns)}".lower()).strip("-")


REFERENCE = Row("probe, hard, ℓ2 .3 (i2pa-lite2@1)", replace(PROBE, l2=0.3), ("graded",))
# 11 of 21 blocks: from there on the map is 17 x 17 or smaller.
SHORT = replace(FINETUNE, all_pairs=True, batch=16, epochs=5, patience=2)
LATE = replace(SHORT, frozen_blocks=11)
LOSSES = ("hard", "soft", "thurstone", "fidelity")


def rows() -> list[Row]:
    probes = [
        Row(f"probe, {loss}", replace(PROBE, loss=loss), learns)
        for learns in (("graded",), ("posts",), ("graded", "posts"))
        for loss in LOSSES
        # Graded pairs have no probabilities, so there the two are one.
        if (loss, learns) != ("soft", ("graded",))
    ]
    timed = [
        Row("probe, hard, clock beside", replace(PROBE, nuisance=True), learns)
        for learns in (("posts",), ("graded", "posts"))
    ]
    small = [
        Row("probe, hard", PROBE, learns)
        for other in ("previews", "thumbnails")
        for learns in ((other,), ("graded", other))
    ]
    tuned = []
    for body, base in (("finetune from block 12", LATE), ("finetune", SHORT)):
        for loss in LOSSES:
            name, recipe = f"{body}, {loss}", replace(base, loss=loss)
            tuned += [
                Row(name, recipe, ("posts",), "graded"),
                Row(f"{name}, WiSE .5", replace(recipe, wise=0.5), ("posts",), "graded", name),
            ]
    tuned += [
        Row(f"finetune from block 12, soft, {words}", replace(LATE, **change), ("posts",), "graded")
        for words, change in (
            ("pairs alike", {"per_user": False}),
            ("clock beside", {"nuisance": True}),
            ("bfloat16", {"precision": "bfloat16"}),
        )
    ]
    likes = replace(
        ABSOLUTE,
        backbone=PROBE.backbone,
        transform=PROBE.transform,
        random_crop=False,
        freeze_norm=True,
        batch=8,
        epochs=5,
        patience=2,
    )
    return [
        REFERENCE,
        *(*probes, *timed, *small, *tuned),
        Row("absolute (log likes)", likes, ("posts",)),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True, help="the table, .md")
    parser.add_argument("--work", type=Path, default=Path("compare-recipes"), help="kept results")
    parser.add_argument("--only", default="", help="rows whose name holds this, beside the first")
    parser.add_argument("--without", help="no row whose name holds this")
    options = parser.parse_args()
    folders = {name: options.data / folder for name, folder in FOLDERS.items()}
    posts = read_posts(folders["posts"] / "posts.csv", platform="instagram").posts
    tested = build_pairs(posts, within_days(SAME_USER_WIDE, DAYS)).pairs
    sources = {
        "graded": pairs_from_levels(folders["graded"] / "levels.csv", name="paper-fig6"),
        "previews": build_pairs(
            read_posts(folders["previews"] / "posts.csv", platform="instagram").posts,
            SAME_USER_WIDE,
        ).pairs,
        "thumbnails": build_pairs(
            read_posts(folders["thumbnails"] / "posts.csv", platform="youtube").posts,
            replace(SAME_USER_WIDE, measure="views"),
        ).pairs,
    }
    found: dict[Row, OutOfFold] = {}
    for row in rows():
        asked = options.only in row.name and not (options.without and options.without in row.name)
        if row is not REFERENCE and not asked:
            continue
        began = time.perf_counter()
        also = [sources[name] for name in row.learns if name != "posts"]
        found[row] = cross_validate(
            tested,
            list(folders.values()),
            row.recipe,
            folds=FOLDS,
            also=pa.concat_tables(also) if also else None,
            own="posts" in row.learns,
            start=sources[row.starts] if row.starts else None,
            posts=posts.select(POST_COLUMNS) if row.recipe.name == "absolute" else None,
            kept=options.work / (row.slug if row.shares is None else slug_of(row.shares)),
            # Some posts name no picture, most of them previews.
            allow_unreadable=True,
        )
        if row.shares is not None:
            for checkpoint in (options.work / slug_of(row.shares)).glob(f"*/{CHECKPOINT_FILE}"):
                checkpoint.unlink()
        print(
            f"{row.name}, {row.learns}: {found[row].accuracy}, {time.perf_counter() - began:.0f} s",
            flush=True,
        )
        with whole_file(options.output) as aside:
            aside.write_text("\n".join(table(found)) + "\n", encoding="utf-8")


def slug_of(name: str) -> str:
    return next(row.slug for row in rows() if row.name == name)


def table(found: dict[Row, OutOfFold]) -> list[str]:
    """The rows as Markdown, and what is left of the best of them when it is chosen honestly."""
    reference = found[REFERENCE]
    accuracy = reference.accuracy
    lines = [
        f"{date.today()}, {platform.machine()}, torch {torch.__version__}; {accuracy.pairs} pairs "
        f"of {accuracy.users} users, {FOLDS} folds.",
        "",
        "| recipe | learns from | pooled | mean of users | log loss | gain in mean of users |",
        "|---|---|---|---|---|---|",
    ]
    others = [row for row in found if row is not REFERENCE]
    for row, result in found.items():
        moved = "" if row is REFERENCE else str(gain(result, reference))
        if moved and gain(result, reference).is_clear:
            moved = f"**{moved}**"
        lines.append(line(row.name, row.teachers, result, moved))
    if not others:
        return lines
    picked, choice = chosen_within(list(found.values()))
    lines.append(line("chosen within each fold", "", picked, str(gain(picked, reference))))
    names = [f"{row.name} ({row.teachers})" for row in found]
    return [
        *lines,
        "",
        f"Chosen by the folds: {'; '.join(names[row] for row in choice)}.",
        "",
        f"Were no row better than the first, the best of {len(others)} would gain as many standard "
        f"errors in {chance_of_best([found[row] for row in others], reference):.0%} of cases.",
    ]


def line(name: str, learns: str, result: OutOfFold, moved: str) -> str:
    accuracy = result.accuracy
    return (
        f"| {name} | {learns} | {accuracy.pooled} | {accuracy.mean_of_users} "
        f"| {result.log_loss:.3f} | {moved} |"
    )


if __name__ == "__main__":
    try:
        main()
    except I2paError as error:
        sys.exit(f"compare_recipes: {error}")
