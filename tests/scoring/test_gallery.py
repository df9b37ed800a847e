from __future__ import annotations

import dataclasses
import io
import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from i2pa.errors import ImageError, UserInputError
from i2pa.images.decoder import Decoder
from i2pa.images.open import Limits
from i2pa.images.thumbnail import Thumbnail
from i2pa.images.worker_process import WorkerProcess
from i2pa.scoring import gallery
from i2pa.scoring.gallery import Shot, line_of, side_for, small_picture, write_gallery
from i2pa.scoring.names import common_folder, readable, short_names
from i2pa.scoring.results import Ranking
from i2pa.scoring.xmp import new_sidecar
from odd_pictures import dng, encoded, quarters, shows_quarters
from ranked_set import picture, ranked, ranking_of

ALL_HEAVY = Limits(light_pixels=1)
FAULTY = """
import time
from i2pa.images import worker
from i2pa.images.thumbnail import Thumbnail
whole = Thumbnail.of
def of(self, loaded):
    if loaded.image.width == 77:
        time.sleep(600)
    if loaded.image.width == 78:
        bytearray(2_000_000_000)
    return whole(self, loaded)
Thumbnail.of = of
worker.main()
"""

HOSTILE = [
    "\"><script>alert('x')</script>&amp.png",
    "new\nline.png",
    "rtl\u202egnp.png",
    "été 日本.png",
    "{braces} %s.png",
]


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def write(pictures: Ranking, folder: Path) -> tuple[Page, str]:
    page = folder / "page.html"
    names = short_names([item.path for item in pictures.items], [folder])
    write_gallery(pictures, page, names=names, title="A <b>title</b>")
    text = page.read_text(encoding="utf-8")
    return Page(text), text


def shot_of(path: Path, side: int = 320) -> Shot:
    with Decoder(Thumbnail(side)) as decoder:
        return small_picture(path, decoder)


def plain(path: Path, size: tuple[int, int] = (40, 30)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, "teal").save(path, "PNG")
    return path


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    files = [plain(tmp_path / name.replace("/", "∕")) for name in HOSTILE]
    files.append(plain(Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff.png"))))
    page, text = write(ranked(*files), tmp_path)
    assert len(page.all("script")) == 1
    assert len(page.all("h1")) == 1
    assert not page.all("b")
    assert "A <b>title</b>" in page.text
    assert "\u202e" not in text
    lines = [card["data-line"] for card in page.all("li")]
    kept = [json.loads(line) if line[:1] == '"' else line for line in lines if line]
    assert kept == [file.name for file in files]
    assert not any(len(line.splitlines()) > 1 for line in lines if line)


def test_the_page_fetches_nothing_and_tells_no_path(tmp_path: Path) -> None:
    files = [plain(tmp_path / "secret place" / "sub" / f"{n}.png") for n in range(3)]
    names = short_names(map(str, files), [tmp_path / "secret place"])
    write_gallery(ranked(*files), tmp_path / "p.html", names=names, title="t")
    text = (tmp_path / "p.html").read_text()
    page = Page(text)
    assert "secret place" not in text
    assert str(tmp_path) not in text
    assert not re.search(r"https?:|url\(|@import|//[a-z]", re.sub(r"base64,[^\"]*", "", text))
    sources = [image["src"] for image in page.all("img") if "src" in image]
    assert len(sources) == 3
    assert all(source and source.startswith("data:image/jpeg;base64,") for source in sources)
    (policy,) = (m["content"] for m in page.all("meta") if "http-equiv" in m)
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "sub/0.png" in text


def test_small_pictures_are_upright_srgb_and_bare(tmp_path: Path) -> None:
    picture = tmp_path / "p.jpg"
    image = Image.new("RGB", (1600, 800), (200, 30, 30))
    image.paste((30, 30, 200), (0, 0, 800, 800))
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8825)[2] = (48.0, 51.0, 24.0)
    exif[0x010E] = "private words"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image.save(
        picture, exif=exif, icc_profile=profile, comment=b"private words", xmp=new_sidecar(3)
    )
    shot = shot_of(picture)
    assert (shot.width, shot.height) == (160, 320)
    assert b"private" not in shot.jpeg
    small = Image.open(io.BytesIO(shot.jpeg))
    assert small.size == (160, 320)
    assert dict(small.getexif()) == {}
    assert set(small.info) <= {
        "jfif",
        "jfif_version",
        "jfif_unit",
        "jfif_density",
        "progressive",
        "progression",
    }
    red, _, blue = small.convert("RGB").getpixel((80, 20))
    assert blue > red + 100
    with pytest.raises(ImageError, match=re.escape(str(tmp_path / "none.jpg"))):
        shot_of(tmp_path / "none.jpg")


def test_groups_follow_their_best_and_ties_are_named(tmp_path: Path) -> None:
    paths = [str(plain(tmp_path / f"{n}.png")) for n in range(1, 7)]
    items = [picture(path, rank, 90 - rank) for rank, path in enumerate(paths, start=1)]
    change = dataclasses.replace
    items[1] = change(items[1], group=7, tied_with=(1, 4))
    items[4] = change(items[4], group=7, tied_with=(5, 5))
    items[5] = change(items[5], group=8, tied_with=(4, 4))
    page, text = write(ranking_of(tuple(items)), tmp_path)
    cards = page.all("li")
    assert [card["data-line"] for card in cards] == [f"{n}.png" for n in (1, 2, 5, 3, 4, 6)]
    assert [card["class"] for card in cards].count("card sibling") == 1
    assert ">1 more like this<" in text
    assert ">alike: see rank 2<" in text
    assert text.count("too close to call with") == 2
    assert ">ranks 1–4<" in text
    assert "too close to call with rank 4<" in text
    assert "i2pa-lite2@1" in text
    assert "182 pictures of 13 public figures" in text


def test_a_picture_that_is_gone_leaves_a_gap_with_a_note(tmp_path: Path) -> None:
    files = [plain(tmp_path / "a.png"), tmp_path / "gone.png"]
    made = write_gallery(
        ranked(*files), tmp_path / "p.html", names={str(f): f.name for f in files}, title="t"
    )
    assert (made.pictures, made.bytes) == (1, (tmp_path / "p.html").stat().st_size)
    assert [Path(failure.path).name for failure in made.failures] == ["gone.png"]
    text = (tmp_path / "p.html").read_text()
    assert "cannot be shown: cannot be read" in text
    assert str(tmp_path) not in text


def test_the_page_appears_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [plain(tmp_path / "a.png"), plain(tmp_path / "b.png")]
    names = {str(file): file.name for file in files}

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_gallery(ranked(*files), tmp_path / "p.html", names=names, title="t", progress=stop)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.png", "b.png"]
    with pytest.raises(UserInputError, match="is a folder"):
        write_gallery(ranked(*files), tmp_path, names=names, title="t")


def test_the_same_ranking_gives_the_same_page(tmp_path: Path) -> None:
    files = [plain(tmp_path / f"{n}.png", (n + 20, 30)) for n in range(20)]
    assert write(ranked(*files), tmp_path)[1] == write(ranked(*files), tmp_path)[1]


def test_fewer_pictures_are_larger() -> None:
    assert [side_for(n) for n in (9, 60, 61, 250, 251, 800)] == [1024, 1024, 640, 640, 320, 320]


def test_large_pictures_without_a_smaller_scale_are_shown_too(tmp_path: Path) -> None:
    plain(tmp_path / "large.png", (6000, 4000))
    assert shot_of(tmp_path / "large.png").width == 320


def test_what_hangs_or_dies_in_its_decoder_leaves_a_gap_and_the_page_appears(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faulty(thumbnail: Thumbnail, limits: Limits) -> Decoder:
        decoder = Decoder(thumbnail, limits=ALL_HEAVY)
        decoder._worker = WorkerProcess(thumbnail, ALL_HEAVY, 1.0, code=FAULTY)
        return decoder

    monkeypatch.setattr(gallery, "Decoder", faulty)
    sizes = {"a": (40, 30), "hangs": (77, 30), "b": (50, 40), "eats": (78, 30), "c": (60, 40)}
    files = [plain(tmp_path / f"{name}.png", size) for name, size in sizes.items()]
    made = write_gallery(
        ranked(*files), tmp_path / "p.html", names={str(f): f.name for f in files}, title="t"
    )
    assert made.pictures == 3
    reasons = {Path(failure.path).stem: failure.reason for failure in made.failures}
    assert reasons == {
        "hangs": "took longer than 1 s to decode",
        "eats": "needs more memory to decode than there is",
    }
    text = (tmp_path / "p.html").read_text()
    assert text.count("cannot be shown: ") == 2
    assert text.count("data:image/jpeg") == 3


@pytest.mark.parametrize("kind", ["HEIF", "AVIF", "DNG"])
def test_pictures_of_every_kind_are_shown(tmp_path: Path, kind: str) -> None:
    image = quarters(600, 400)
    data = dng(image) if kind == "DNG" else encoded(image, kind, quality=90)
    (tmp_path / "picture").write_bytes(data)
    shot = shot_of(tmp_path / "picture", 300)
    assert (shot.width, shot.height) == (300, 200)
    assert shows_quarters(Image.open(io.BytesIO(shot.jpeg)).convert("RGB"))


@given(st.text(min_size=1))
def test_a_name_is_one_line_and_comes_back(name: str) -> None:
    line = line_of(name)
    assert "\n" not in line
    assert (json.loads(line) if line[0] == '"' else line) == name
    line.encode()


@given(st.text())
def test_readable_names_steer_nothing(name: str) -> None:
    shown = readable(name)
    shown.encode()
    assert len(shown) == len(name)
    assert not set(shown) & set("\x1b\r\n\u202e\u2066\u2028")


def test_names_start_from_the_one_folder_that_was_ranked(tmp_path: Path) -> None:
    (tmp_path / "album" / "sub").mkdir(parents=True)
    album = tmp_path / "album"
    deep, flat = album / "sub" / "a.jpg", album / "a.jpg"
    names = short_names([str(deep), str(flat), f"{album}/../album/b.jpg"], [album])
    assert list(names.values()) == ["sub/a.jpg", "a.jpg", "b.jpg"]


def test_names_of_several_places_start_from_their_deepest_common_folder(tmp_path: Path) -> None:
    one, other = tmp_path / "x" / "album", tmp_path / "x" / "y" / "album"
    single = tmp_path / "x" / "c.jpg"
    for folder in (one, other):
        folder.mkdir(parents=True)
    paths = [one / "sub" / "a.jpg", other / "b.jpg", single]
    for places in ([one, other, single], [one, other], paths):
        names = short_names(map(str, paths), places)
        assert list(names.values()) == ["album/sub/a.jpg", "y/album/b.jpg", "c.jpg"]
        assert [common_folder(places) / name for name in names.values()] == paths
    assert list(short_names([str(single)], [single]).values()) == ["c.jpg"]
    nested = short_names([str(one / "a.jpg")], [tmp_path, one])
    assert list(nested.values()) == ["x/album/a.jpg"]
