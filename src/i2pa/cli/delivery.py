"""What a ranking may be turned into beside a table: a page, copies, stars.

Options, checks and messages; the work is in `scoring`. Everything said here goes to stderr, so that
`--json` stays one object on stdout.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from i2pa.cli import output
from i2pa.errors import DataError, UserInputError
from i2pa.images.open import LIMITS, Limits
from i2pa.scoring.copies import check_apart, copy_files, leftovers, plan_copies
from i2pa.scoring.gallery import write_gallery
from i2pa.scoring.names import common_folder, short_names
from i2pa.scoring.results import RankedPicture, Ranking
from i2pa.scoring.stars import Rated, SidecarName, StarsBy, rate
from i2pa.words import many

HtmlOption = Annotated[
    Path | None,
    typer.Option("--html", metavar="FILE", help="Write a page to look through, print and send."),
]
CopyToOption = Annotated[
    Path | None,
    typer.Option("--copy-to", metavar="DIR", help="Copy the pictures shown, named by rank."),
]
XmpFlag = Annotated[
    bool, typer.Option("--xmp", help="Write stars into sidecars (.xmp) beside all pictures.")
]
StarsOption = Annotated[
    StarsBy | None,
    typer.Option("--stars", help="With --xmp: by fifths of these pictures (rank), or by level."),
]
SidecarOption = Annotated[
    SidecarName | None,
    typer.Option("--sidecar", help="With --xmp: name new ones a.xmp or a.jpg.xmp (darktable)."),
]
OverwriteFlag = Annotated[
    bool, typer.Option("--overwrite-ratings", help="With --xmp: replace ratings that are there.")
]
DryRunFlag = Annotated[
    bool, typer.Option("--dry-run", help="Say what --html, --copy-to and --xmp would write.")
]


@dataclass(frozen=True)
class Delivery:
    """What the options of one command ask for."""

    html: Path | None = None
    copy_to: Path | None = None
    xmp: bool = False
    stars: StarsBy | None = None
    sidecar: SidecarName | None = None
    overwrite_ratings: bool = False
    dry_run: bool = False


def check(delivery: Delivery, places: Sequence[str | Path], patterns: Sequence[Path] = ()) -> None:
    """Refuse, before anything is scored, what cannot be delivered.

    `places` are the folders and files to be ranked, `patterns` what named them, if any did. Raises
    UserInputError.
    """
    for given, option in (
        (delivery.stars, "--stars"),
        (delivery.sidecar, "--sidecar"),
        (delivery.overwrite_ratings, "--overwrite-ratings"),
    ):
        if given and not delivery.xmp:
            raise UserInputError(f"{option} goes with --xmp", remedy="add --xmp")
    if delivery.dry_run and not (delivery.html or delivery.copy_to or delivery.xmp):
        raise UserInputError(
            "--dry-run has nothing to tell", remedy="add --html FILE, --copy-to DIR or --xmp"
        )
    if delivery.html is not None:
        if delivery.html.suffix.lower() not in (".html", ".htm"):
            raise UserInputError(
                "is no name for a page", where=str(delivery.html), remedy="name it .html"
            )
        if delivery.html.is_dir():
            raise UserInputError(
                "is a folder", where=str(delivery.html), remedy="name a file to write"
            )
        _check_writable(delivery.html.absolute().parent)
    if delivery.copy_to is not None:
        check_apart(delivery.copy_to, (*places, *patterns), {Path(place).name for place in places})
        _check_writable(delivery.copy_to.absolute())


def deliver(
    ranking: Ranking,
    delivery: Delivery,
    *,
    places: Sequence[str | Path],
    shown: Ranking | None = None,
    limits: Limits = LIMITS,
) -> None:
    """Write what was asked for.

    The page and the copies take the pictures of `shown` (the best N; all if None); stars go to
    every picture of `ranking`, since a fifth of the best N would be no fifth. Raises DataError
    where nothing at all of one of them could be done, once the others are.
    """
    shown = ranking if shown is None else shown
    jobs: list[Callable[[], bool]] = []
    if delivery.xmp:
        jobs.append(lambda: _rate(ranking.items, delivery))
    if delivery.copy_to is not None:
        folder = delivery.copy_to
        jobs.append(lambda: _copy(shown.items, folder, delivery.dry_run))
    if delivery.html is not None:
        page = delivery.html
        jobs.append(lambda: _write_page(shown, page, places, limits, delivery.dry_run))
    done = [job() for job in jobs if ranking.items]
    if not all(done):
        raise DataError("not everything asked for could be delivered")


def _write_page(
    shown: Ranking, page: Path, places: Sequence[str | Path], limits: Limits, dry_run: bool
) -> bool:
    if dry_run:
        output.warn(f"would write {page}: {many(len(shown.items), 'picture')}")
        return True
    names = short_names([item.path for item in shown.items], places)
    with output.progress("page", "pictures") as progress:
        made = write_gallery(
            shown, page, names=names, title=_title(places), limits=limits, progress=progress
        )
    output.warn_of(made.failures)
    # A list of favourites leads to the pictures only from there.
    start = "" if _one_folder(places) else f"; its names start from {common_folder(places)}"
    output.warn(
        f"wrote {page}: {many(made.pictures, 'picture')}, {made.bytes / 1e6:,.1f} MB{start}"
    )
    return made.pictures > 0


def _copy(items: Sequence[RankedPicture], folder: Path, dry_run: bool) -> bool:
    plan = plan_copies(items, folder)
    with output.progress("copying", "files") as progress:
        made = copy_files(plan, dry_run=dry_run, progress=progress)
    if dry_run:
        for copy in made.copied:
            output.warn(f"would copy {copy.source} to {copy.target}")
    output.warn_of(made.failures)
    there = f"; {len(made.same):,} were there already" if made.same else ""
    output.warn(
        f"{'would copy' if dry_run else 'copied'} {many(len(made.copied), 'file')} to "
        f"{folder}{there}"
    )
    if others := leftovers(plan, folder):
        output.warn(f"{folder} holds {many(others, 'numbered file')} of another run as well")
    return bool(made.copied or made.same)


def _rate(items: Sequence[RankedPicture], delivery: Delivery) -> bool:
    by = delivery.stars or StarsBy.RANK
    with output.progress("stars", "pictures") as progress:
        made = rate(
            items,
            by=by,
            name=delivery.sidecar or SidecarName.LIGHTROOM,
            overwrite=delivery.overwrite_ratings,
            dry_run=delivery.dry_run,
            progress=progress,
        )
    if delivery.dry_run:
        for one in made.rated:
            output.warn(_would(one))
    output.warn_of(made.failures)
    counts = {what: sum(one.outcome == what for one in made.rated) for what in _DONE}
    told = ", ".join(f"{n:,} {_DONE[what]}" for what, n in counts.items() if n)
    if made.failures:
        told = f"{told or 'none written'}; {len(made.failures):,} failed"
    output.warn(f"sidecars{' (dry run)' if delivery.dry_run else ''}: {told or 'nothing to do'}")
    if counts["kept"] and not delivery.overwrite_ratings:
        output.warn("--overwrite-ratings replaces ratings that are there, except rejections")
    return bool(made.rated)


_DONE = {
    "created": "created",
    "changed": "changed",
    "same": "with the same stars already",
    "kept": "left alone with a rating of their own",
}


def _would(one: Rated) -> str:
    was = "" if one.was is None else f" (now {one.was:g})"
    verb = {"created": "would create", "changed": "would change"}.get(one.outcome, "would leave")
    return f"{verb} {one.path}: {many(one.stars, 'star')}{was}"


def _check_writable(folder: Path) -> None:
    """Refuse a folder that can neither be written to nor made."""
    nearest = next(at for at in (folder, *folder.parents) if at.exists())
    if not nearest.is_dir():
        raise UserInputError("is no folder", where=str(nearest), remedy="name another place")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise UserInputError(
            "cannot be written to", where=str(nearest), remedy="name another place"
        )


def _title(places: Sequence[str | Path]) -> str:
    """The name of the one folder that was ranked, if it was one."""
    return (Path(places[0]).resolve().name if _one_folder(places) else "") or "Pictures"


def _one_folder(places: Sequence[str | Path]) -> bool:
    return len(places) == 1 and Path(places[0]).is_dir()
