"""A ranking as one HTML page to look through, print, choose from and send to a client.

The page holds everything: small pictures without metadata, style and script; it fetches nothing
and shows everything without its script. Its look and its script are in `page/`. Names and pictures
are hostile input here too.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
from collections import Counter, deque
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, closing
from dataclasses import dataclass
from html import escape
from importlib import resources
from pathlib import Path
from typing import TextIO

from PIL import Image

from i2pa.cores import usable_cores
from i2pa.errors import ImageError
from i2pa.files import whole_file
from i2pa.images.decoder import Decoder
from i2pa.images.failure import Failure
from i2pa.images.open import LIMITS, Limits
from i2pa.images.thumbnail import Thumbnail
from i2pa.metrics.reference import LEVELS
from i2pa.scoring.names import readable
from i2pa.scoring.results import Progress, RankedPicture, Ranking

SIDES = ((60, 1024), (250, 640))
"""Up to how many pictures a page shows them how large (long side, pixels)."""
SMALLEST_SIDE = 320

_QUALITY = 80


@dataclass(frozen=True)
class Gallery:
    """A page written: how many pictures it shows, its size, and pictures it could not show."""

    pictures: int
    bytes: int
    failures: tuple[Failure, ...]


@dataclass(frozen=True)
class _Entry:
    """A picture on the page: what it is alike with, and how many more are."""

    item: RankedPicture
    name: str
    best_rank: int | None = None
    alike: int = 0
    group: int = 0


def write_gallery(
    ranking: Ranking,
    path: str | os.PathLike[str],
    *,
    names: Mapping[str, str],
    title: str,
    side: int | None = None,
    limits: Limits = LIMITS,
    progress: Progress | None = None,
) -> Gallery:
    """Write the page, whole or not at all; a picture that cannot be read leaves a gap with a note.

    Pictures are decoded as for scoring: what is heavy in a process of its own, for a limited time.
    `names` calls each path on the page (see `short_names`). `side` is the long side of the small
    pictures; None takes what suits their number (`SIDES`). Raises UserInputError where the page
    cannot be written.
    """
    entries = _entries(ranking.items, names)
    side = side or side_for(len(entries))
    failures: list[Failure] = []
    with whole_file(path) as aside:
        with aside.open("w", encoding="utf-8", newline="\n") as out, ExitStack() as made:
            out.write(_head(title, ranking, entries))
            decoder = made.enter_context(Decoder(Thumbnail(side), limits=limits))
            shots = _small_pictures([entry.item.path for entry in entries], decoder)
            made.enter_context(closing(shots))
            for number, (entry, shot) in enumerate(zip(entries, shots, strict=True), start=1):
                if isinstance(shot, Failure):
                    failures.append(shot)
                _write_card(out, entry, shot)
                if progress:
                    progress(number, len(entries))
            out.write(_foot(ranking))
        size = aside.stat().st_size
    return Gallery(len(entries) - len(failures), size, tuple(failures))


def side_for(pictures: int) -> int:
    """The long side of the small pictures on a page of so many: the fewer, the larger."""
    return next((side for most, side in SIDES if pictures <= most), SMALLEST_SIDE)


def line_of(name: str) -> str:
    """A name as one line of a list: itself, or a JSON string where a line cannot hold it safely.

    That is so for names that are not `readable` as they are (line breaks, bytes that are no text),
    that begin with a quotation mark, or begin or end with a space.
    """
    plain = readable(name) == name == name.strip() and not name.startswith('"')
    return name if plain else json.dumps(name)


@dataclass(frozen=True)
class Shot:
    """A small picture of a page."""

    jpeg: bytes
    width: int
    height: int


def small_picture(path: str | Path, decoder: Decoder) -> Shot:
    """A JPEG of what a decoder of thumbnails makes of a picture: upright, sRGB, no metadata.

    Raises ImageError where the picture cannot be read.
    """
    image = Image.fromarray(decoder.decode(path).pixels)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=_QUALITY, optimize=True, progressive=True)
    return Shot(out.getvalue(), *image.size)


def _small_pictures(
    paths: Sequence[str], decoder: Decoder
) -> Generator[Shot | Failure, None, None]:
    """In the order given, made in threads; only a few are held at a time."""
    threads = usable_cores()
    waiting: deque[tuple[str, Future[Shot]]] = deque()

    def next_one() -> Shot | Failure:
        path, made = waiting.popleft()
        try:
            return made.result()
        except ImageError as error:
            return Failure.of(path, error)

    with decoder.threads(threads) as pool:
        for path in paths:
            waiting.append((path, pool.submit(small_picture, path, decoder)))
            if len(waiting) > 2 * threads:
                yield next_one()
        while waiting:
            yield next_one()


def _entries(items: Sequence[RankedPicture], names: Mapping[str, str]) -> list[_Entry]:
    """In rank order, except that pictures of a group follow the best of it."""
    groups: dict[int, list[RankedPicture]] = {}
    for item in items:
        if item.group is not None:
            groups.setdefault(item.group, []).append(item)
    entries: list[_Entry] = []
    opened: set[int] = set()
    for item in items:
        if item.group is None or len(groups[item.group]) == 1:
            entries.append(_Entry(item, names[item.path]))
        elif item.group not in opened:
            opened.add(item.group)
            best, *rest = groups[item.group]
            number = len(opened)
            entries.append(_Entry(best, names[best.path], None, len(rest), number))
            entries += [_Entry(i, names[i.path], best.rank, 0, number) for i in rest]
    return entries


def _write_card(out: TextIO, entry: _Entry, shot: Shot | Failure) -> None:
    item = entry.item
    name = escape(readable(entry.name))
    classes = "card sibling" if entry.best_rank is not None else "card"
    group = f' data-group="{entry.group}"' if entry.group else ""
    out.write(
        f'<li class="{classes}" data-level="{escape(item.level)}"{group} '
        f'data-line="{escape(line_of(entry.name))}">'
    )
    if isinstance(shot, Failure):
        out.write(
            f'<button type="button" class="shot gap" tabindex="-1" aria-label="Rank {item.rank}: '
            f'{name}, cannot be shown">cannot be shown: {escape(readable(shot.reason))}</button>'
        )
    else:
        out.write(
            '<button type="button" class="shot" tabindex="-1"><img decoding="async" '
            f'width="{shot.width}" height="{shot.height}" '
            f'alt="Rank {item.rank}, {escape(item.level)}: {name}" src="data:image/jpeg;base64,'
        )
        out.write(base64.b64encode(shot.jpeg).decode("ascii"))
        out.write('"></button>')
    out.write(
        f'<div class="words"><span class="rank">{item.rank}</span>'
        f'<bdi class="name" title="{name}">{name}</bdi>'
        '<label class="favourite"><input type="checkbox" tabindex="-1" '
        f'aria-label="Favourite: {name}"><span aria-hidden="true"></span></label>'
        f'<span class="place"><span class="percentile">percentile {item.percentile:.1f}</span>'
        f' · <span class="level">{escape(item.level)}</span></span>'
    )
    if tie := _tie(item):
        out.write(f'<span class="tie">{tie}</span>')
    if entry.best_rank is not None:
        out.write(f'<span class="alike">alike: see rank {entry.best_rank}</span>')
    if entry.alike:
        out.write(
            '<button type="button" class="unfold" tabindex="-1" aria-expanded="false" '
            f'aria-label="{entry.alike} pictures like {name}">{entry.alike} more like this</button>'
        )
    out.write("</div></li>\n")


def _tie(item: RankedPicture) -> str:
    if item.tied_with is None:
        return ""
    first, last = item.tied_with
    if first == last:
        return "" if first == item.rank else f"too close to call with rank {first}"
    return f'too close to call with <span class="whole">ranks {first}–{last}</span>'


def _head(title: str, ranking: Ranking, entries: Sequence[_Entry]) -> str:
    style, script = _part("gallery.css"), _part("gallery.js")
    names = "\n".join(f"{entry.item.rank} {line_of(entry.name)}" for entry in entries)
    # Favourites are remembered for this page, not for every page of the same file name.
    key = hashlib.sha256(f"{ranking.model.sha256}\n{names}".encode(errors="replace")).hexdigest()
    counts = Counter(entry.item.level for entry in entries)
    levels = "".join(
        f'<button type="button" aria-pressed="false" data-level="{level}">{level} '
        f"<small>{counts[level]:,}</small></button>"
        for level in reversed(LEVELS)
        if counts[level]
    )
    shown = escape(readable(title))
    return _HEAD.format(
        title=shown,
        policy="default-src 'none'; img-src data:; "
        f"style-src '{_source_hash(style)}'; script-src '{_source_hash(script)}'",
        style=style,
        script=script,
        key=key[:16],
        count=f"{len(entries):,}",
        pictures="picture" if len(entries) == 1 else "pictures",
        levels=levels,
    )


def _foot(ranking: Ranking) -> str:
    return _FOOT.format(
        model=escape(readable(ranking.model.tag)), reference=escape(readable(ranking.reference))
    )


def _part(name: str) -> str:
    return (resources.files("i2pa.scoring") / "page" / name).read_text(encoding="utf-8")


def _source_hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"


_HEAD = """<!doctype html>
<html lang="en" data-key="{key}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title>
<style>{style}</style>
<script>{script}</script>
</head>
<body>
<header>
<h1>{title}</h1>
<p class="count"><span id="count">{count} {pictures}</span>, best first</p>
<form class="bar scripted" aria-label="Find and choose">
<input type="search" id="search" placeholder="Search names" aria-label="Search names">
<span class="levels" role="group" aria-label="Show levels">{levels}</span>
<span class="chosen" role="group" aria-label="Favourites">
<button type="button" id="only" aria-pressed="false">Favourites <small id="n">0</small></button>
<button type="button" id="copy" disabled>Copy names</button>
<button type="button" id="save" disabled>Save list</button>
</span>
<span id="said" role="status"></span>
</form>
</header>
<main>
<ol class="sheet" aria-label="Pictures, best first">
"""

_FOOT = """</ol>
</main>
<footer>
<p class="scripted keys"><kbd>arrows</kbd> move · <kbd>Enter</kbd> enlarge · <kbd>F</kbd> favourite
· <kbd>U</kbd> unfold · <kbd>Esc</kbd> close</p>
<p>A percentile says how many of a hundred reference pictures score lower: 75 means that three of
four do. Reference: {reference}. “Too close to call” means that the order of these pictures is as
good as a guess. A computer made this ranking from the pictures alone; yours may differ.</p>
<p>Ranked by i2pa with the model {model}.</p>
</footer>
<dialog id="zoom" aria-label="Enlarged picture">
<figure><img id="large" alt=""><figcaption id="caption"></figcaption></figure>
<p class="tools"><button type="button" id="previous">Previous</button>
<button type="button" id="mark" aria-pressed="false">Favourite</button>
<button type="button" id="next">Next</button>
<button type="button" id="close">Close</button></p>
</dialog>
<dialog id="list" aria-label="Names of your favourites">
<p>Your browser does not let this page copy. Copy the names from here:</p>
<textarea id="names" readonly rows="12" cols="50" aria-label="Names"></textarea>
<p class="tools"><button type="button" id="done">Close</button></p>
</dialog>
</body>
</html>
"""
