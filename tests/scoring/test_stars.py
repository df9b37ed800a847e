from __future__ import annotations

import errno
import io
import itertools
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from i2pa import files
from i2pa.scoring import stars
from i2pa.scoring.stars import LARGEST, Rated, SidecarName, StarsBy, rate, stars_of
from i2pa.scoring.xmp import new_sidecar, rating_of
from ranked_set import picture, ranked


@pytest.fixture
def album(tmp_path: Path) -> list[Path]:
    files = [tmp_path / f"p{number}.jpg" for number in range(5)]
    for file in files:
        Image.new("RGB", (8, 8)).save(file)
    return files


def outcomes(rated: tuple[Rated, ...]) -> dict[str, tuple[int, str, float | None]]:
    return {Path(one.path).name: (one.stars, one.outcome, one.was) for one in rated}


def test_fifths_of_the_set_and_levels_of_the_reference() -> None:
    ten = ranked(*map(Path, "abcdefghij")).items
    assert stars_of(ten) == [5, 5, 4, 4, 3, 3, 2, 2, 1, 1]
    percentiles = [99, 80, 50, 10, 1]
    pictures = [picture("x", rank, p) for rank, p in enumerate(percentiles, start=1)]
    assert stars_of(pictures, StarsBy.LEVELS) == [5, 4, 3, 2, 1]
    assert [stars_of(ranked(*map(Path, "abcdefghij"[:n])).items) for n in (1, 2, 3)] == [
        [3],
        [4, 2],
        [5, 3, 1],
    ]


@given(st.lists(st.integers(1, 50), min_size=1))
def test_stars_follow_ranks(ranks: list[int]) -> None:
    pictures = [picture(str(at), rank) for at, rank in enumerate(ranks)]
    stars = stars_of(pictures)
    assert all(1 <= star <= 5 for star in stars)
    pairs = sorted(zip(ranks, stars, strict=True))
    assert all(b[1] == a[1] if a[0] == b[0] else b[1] <= a[1] for a, b in itertools.pairwise(pairs))
    if len(set(ranks)) == len(ranks) and len(ranks) % 5 == 0:
        assert [stars.count(star) for star in range(1, 6)] == [len(ranks) // 5] * 5


def test_new_sidecars_stand_beside_untouched_pictures(album: list[Path]) -> None:
    before = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in album}
    made = rate(ranked(*album).items)
    assert made.failures == ()
    assert outcomes(made.rated) == {f"p{n}.xmp": (5 - n, "created", None) for n in range(5)}
    assert [rating_of(file.with_suffix(".xmp").read_bytes()) for file in album] == [5, 4, 3, 2, 1]
    assert before == {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in album}
    again = rate(ranked(*album).items)
    assert {one.outcome for one in again.rated} == {"same"}


def test_both_names_are_honoured(album: list[Path]) -> None:
    folder = album[0].parent
    for name in ("p0.xmp", "p0.jpg.xmp", "p1.jpg.XMP", "p2_01.jpg.xmp"):
        (folder / name).write_bytes(new_sidecar(0))
    made = outcomes(rate(ranked(*album).items).rated)
    assert made == {
        "p0.xmp": (5, "changed", None),
        "p0.jpg.xmp": (5, "changed", None),
        "p1.jpg.XMP": (4, "changed", None),
        "p2.xmp": (3, "created", None),
        "p3.xmp": (2, "created", None),
        "p4.xmp": (1, "created", None),
    }
    assert rating_of((folder / "p2_01.jpg.xmp").read_bytes()) is None


def test_names_as_darktable_has_them(album: list[Path]) -> None:
    made = rate(ranked(*album).items, name=SidecarName.DARKTABLE)
    assert sorted(outcomes(made.rated)) == [f"p{n}.jpg.xmp" for n in range(5)]


def test_ratings_given_by_hand_stay(album: list[Path]) -> None:
    for file, rating in zip(album, (2, -1, 0, 3, 4), strict=True):
        file.with_suffix(".xmp").write_bytes(new_sidecar(rating))
    made = outcomes(rate(ranked(*album).items).rated)
    assert made == {
        "p0.xmp": (5, "kept", 2.0),
        "p1.xmp": (4, "kept", -1.0),
        "p2.xmp": (3, "changed", None),
        "p3.xmp": (2, "kept", 3.0),
        "p4.xmp": (1, "kept", 4.0),
    }
    rate(ranked(*album).items, overwrite=True)
    ratings = [rating_of(file.with_suffix(".xmp").read_bytes()) for file in album]
    assert ratings == [5, -1, 3, 2, 1]


def test_a_rating_inside_the_picture_stays_too(tmp_path: Path) -> None:
    by_camera, by_program, rejected = (tmp_path / f"{n}.jpg" for n in ("exif", "xmp", "rejected"))
    image = Image.new("RGB", (8, 8))
    exif = Image.Exif()
    exif[0x4746] = 4
    image.save(by_camera, exif=exif)
    image.save(by_program, xmp=new_sidecar(1))
    image.save(rejected, xmp=new_sidecar(-1))
    items = ranked(by_camera, by_program, rejected).items
    made = rate(items)
    assert [(one.outcome, one.was) for one in made.rated] == [
        ("kept", 4.0),
        ("kept", 1.0),
        ("kept", -1.0),
    ]
    assert sorted(file.suffix for file in tmp_path.iterdir()) == [".jpg"] * 3
    made = rate(items, overwrite=True)
    assert [one.outcome for one in made.rated] == ["created", "created", "kept"]


def test_a_raw_and_its_jpeg_share_a_sidecar(tmp_path: Path) -> None:
    jpeg, raw = tmp_path / "IMG_1.JPG", tmp_path / "img_1.CR3"
    jpeg.write_bytes(b"")
    raw.write_bytes(b"")
    item = picture(str(jpeg), 1, twins=(raw,))
    assert list(outcomes(rate([item]).rated)) == ["img_1.xmp"]
    (tmp_path / "img_1.xmp").rename(tmp_path / "img_1.CR3.xmp")
    assert list(outcomes(rate([item]).rated)) == ["img_1.CR3.xmp"]
    (tmp_path / "img_1.CR3.xmp").unlink()
    made = rate([item], name=SidecarName.DARKTABLE)
    assert sorted(outcomes(made.rated)) == ["IMG_1.JPG.xmp", "img_1.CR3.xmp"]


def test_pictures_of_one_stem_do_not_share_a_rating(tmp_path: Path) -> None:
    jpeg, png = tmp_path / "a.jpg", tmp_path / "a.png"
    for file in (jpeg, png):
        Image.new("RGB", (8, 8)).save(file)
    made = outcomes(rate(ranked(jpeg, png).items).rated)
    assert made == {"a.xmp": (4, "created", None), "a.png.xmp": (2, "created", None)}


@pytest.mark.parametrize("there", [False, True], ids=["new", "there already"])
def test_beside_a_raw_file_the_short_name_is_the_raw_files(tmp_path: Path, there: bool) -> None:
    """Programs read `a.xmp` as the RAW file's, so no other picture's stars go there."""
    tiff, raw, heic, pair = (tmp_path / name for name in ("a.tif", "A.CR2", "b.heic", "b.JPG"))
    twin = tmp_path / "b.CR2"
    for file in (tiff, raw, heic, pair, twin):
        file.write_bytes(b"")
    if there:
        (tmp_path / "A.xmp").write_bytes(new_sidecar(3))
        (tmp_path / "b.xmp").write_bytes(new_sidecar(3))
    items = [
        picture(str(tiff), 1),
        picture(str(heic), 2),
        picture(str(raw), 3),
        picture(str(pair), 4, twins=(twin,)),
    ]
    made = outcomes(rate(items, overwrite=True).rated)
    stars = {name: stars for name, (stars, _, _) in made.items()}
    assert list(stars) == ["a.tif.xmp", "b.heic.xmp", "A.xmp", "b.xmp"]
    assert stars["a.tif.xmp"] > stars["b.heic.xmp"] > stars["A.xmp"] > stars["b.xmp"]
    assert rating_of((tmp_path / "b.xmp").read_bytes()) == stars["b.xmp"]


def test_a_dry_run_tells_all_and_writes_nothing(album: list[Path]) -> None:
    album[0].with_suffix(".xmp").write_bytes(new_sidecar(0))
    before = sorted(album[0].parent.iterdir())
    made = rate(ranked(*album).items, dry_run=True)
    assert [one.outcome for one in made.rated] == ["changed"] + ["created"] * 4
    assert sorted(album[0].parent.iterdir()) == before
    assert rating_of(album[0].with_suffix(".xmp").read_bytes()) is None


def test_a_broken_sidecar_is_left_alone_and_listed(album: list[Path]) -> None:
    broken = album[1].with_suffix(".xmp")
    broken.write_text("<x:xmpmeta>")
    album[2].with_suffix(".xmp").mkdir()
    with album[3].with_suffix(".xmp").open("wb") as large:
        large.truncate(LARGEST + 1)
    made = rate(ranked(*album).items)
    assert [one.outcome for one in made.rated] == ["created", "created"]
    reasons = {Path(failure.path).name: failure.reason for failure in made.failures}
    assert "no well-formed XMP" in reasons["p1.xmp"]
    assert reasons["p2.xmp"] == "is no regular file"
    assert "larger than 64 MB" in reasons["p3.xmp"]
    assert broken.read_text() == "<x:xmpmeta>"


def test_a_sidecar_keeps_its_permissions(album: list[Path]) -> None:
    sidecar = album[0].with_suffix(".xmp")
    sidecar.write_bytes(new_sidecar(0))
    sidecar.chmod(0o600)
    rate(ranked(*album).items)
    assert sidecar.stat().st_mode & 0o777 == 0o600
    assert rating_of(sidecar.read_bytes()) == 5


def test_a_picture_that_is_no_picture_has_no_rating_within(tmp_path: Path) -> None:
    odd = tmp_path / "odd.jpg"
    packet = io.BytesIO()
    Image.new("RGB", (8, 8)).save(packet, "JPEG", xmp=b"<not xmp")
    odd.write_bytes(packet.getvalue())
    made = rate(ranked(odd, tmp_path / "gone.jpg").items)
    assert [one.outcome for one in made.rated] == ["created", "created"]


def test_a_name_too_long_costs_only_its_own_sidecar(album: list[Path]) -> None:
    long = album[0].with_name("é" * 125 + "x.jpg")
    assert len(os.fsencode(long.name)) == 255
    album[0].rename(long)
    made = rate(ranked(long, *album[1:]).items, name=SidecarName.DARKTABLE)
    assert len(made.rated) == 4
    (failure,) = made.failures
    assert "File name too long" in failure.reason
    assert failure.remedy == "shorten the picture's name"
    # The other manner of naming has room enough, though not for a longer name on the way.
    made = rate(ranked(long).items)
    assert [one.outcome for one in made.rated] == ["created"]
    assert not [file for file in long.parent.iterdir() if file.name.startswith(".")]


def test_a_locked_sidecar_is_left_alone(album: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    locked = album[0].with_suffix(".xmp")
    locked.write_bytes(new_sidecar(0))
    before = locked.stat()
    free = os.access
    monkeypatch.setattr(stars.os, "access", lambda path, mode: path != locked and free(path, mode))
    for dry_run in (True, False):
        made = rate(ranked(*album).items, dry_run=dry_run)
        assert len(made.rated) == 4
        assert [(f.path, f.reason) for f in made.failures] == [(str(locked), "is write-protected")]
    assert locked.stat() == before


def test_what_cannot_be_written_is_listed_without_a_senseless_remedy(
    album: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files.tempfile, "mkstemp", refuse)
    for number, remedy in ((errno.EACCES, ""), (errno.ENOSPC, "make room and run the same")):
        made = rate(ranked(*album).items)
        assert made.rated == ()
        assert {failure.remedy[:26] for failure in made.failures} == {remedy}
        assert os.strerror(number) in made.failures[0].reason
