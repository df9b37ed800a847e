"""What the options of a delivery do and say."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import typer
from PIL import Image

from i2pa import files
from i2pa.cli import delivery, output
from i2pa.cli.delivery import Delivery, check, deliver
from i2pa.errors import DataError, UserInputError
from i2pa.scoring.results import Ranking
from i2pa.scoring.stars import SidecarName, StarsBy
from i2pa.scoring.xmp import new_sidecar, rating_of
from ranked_set import ranked, ranking_of


@pytest.fixture
def album(tmp_path: Path) -> Path:
    folder = tmp_path / "album"
    folder.mkdir()
    for name in "abcde":
        Image.new("RGB", (60, 40)).save(folder / f"{name}.jpg")
    return folder


def ranking(album: Path) -> Ranking:
    return ranked(*sorted(album.glob("*.jpg")))


def test_all_three_at_once(album: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = Delivery(html=tmp_path / "new" / "g.html", copy_to=tmp_path / "best", xmp=True)
    check(asked, [album])
    everything = ranking(album)
    deliver(everything, asked, places=[album], shown=ranking_of(everything.items[:2]))
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "i2pa: sidecars: 5 created",
        f"i2pa: copied 2 files to {tmp_path / 'best'}",
        f"i2pa: wrote {tmp_path / 'new' / 'g.html'}: 2 pictures, 0.0 MB",
    ]
    assert len(list((tmp_path / "best").iterdir())) == 2
    page = (tmp_path / "new" / "g.html").read_text()
    assert "<h1>album</h1>" in page
    assert page.count("<li ") == 2
    assert rating_of((album / "a.xmp").read_bytes()) == 5


def test_a_dry_run_writes_nothing_and_says_what_it_would(
    album: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (album / "b.xmp").write_bytes(new_sidecar(1))
    before = sorted(tmp_path.rglob("*"))
    asked = Delivery(
        html=tmp_path / "g.html",
        copy_to=tmp_path / "best",
        xmp=True,
        dry_run=True,
        sidecar=SidecarName.DARKTABLE,
    )
    check(asked, [album])
    deliver(ranking(album), asked, places=[album])
    err = capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before
    assert f"would create {album / 'a.jpg.xmp'}: 5 stars" in err
    assert f"would leave {album / 'b.xmp'}: 4 stars (now 1)" in err
    assert f"would create {album / 'e.jpg.xmp'}: 1 star\n" in err
    assert f"would copy {album / 'a.jpg'} to {tmp_path / 'best' / '001_a.jpg'}" in err
    assert f"would copy 5 files to {tmp_path / 'best'}" in err
    assert f"would write {tmp_path / 'g.html'}: 5 pictures" in err


def test_kept_ratings_are_counted_and_the_way_out_is_named(
    album: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (album / "b.xmp").write_bytes(new_sidecar(1))
    deliver(ranking(album), Delivery(xmp=True, stars=StarsBy.LEVELS), places=[album])
    err = capsys.readouterr().err
    assert "4 created, 1 left alone with a rating of their own" in err
    assert "--overwrite-ratings replaces ratings" in err


def test_failures_are_listed_and_only_a_whole_one_is_an_error(
    album: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "MOST_LINES", 2)
    whole = ranking(album)
    (album / "a.xmp").write_text("broken")
    (album / "b.jpg").unlink()
    asked = Delivery(html=tmp_path / "g.html", copy_to=tmp_path / "best", xmp=True)
    deliver(whole, asked, places=[album])
    err = capsys.readouterr().err
    assert "a.xmp: is no well-formed XMP" in err
    assert err.count("b.jpg: ") == 2
    for name in "acde":
        (album / f"{name}.jpg").unlink()
    with pytest.raises(DataError, match="not everything"):
        deliver(whole, Delivery(copy_to=tmp_path / "other"), places=[album])
    err = capsys.readouterr().err
    assert "and 3 more" in err
    assert not (tmp_path / "other").exists()


def test_names_cannot_drive_the_terminal(album: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (album / "\x1b[31m\n.xmp").write_text("broken")
    deliver(ranked(album / "\x1b[31m\n.jpg", album / "a.jpg"), Delivery(xmp=True), places=[album])
    err = capsys.readouterr().err
    assert "\x1b" not in err
    assert len(err.splitlines()) == 2


def test_nothing_ranked_delivers_nothing(tmp_path: Path) -> None:
    deliver(ranking_of(()), Delivery(html=tmp_path / "g.html", xmp=True), places=[tmp_path])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"stars": StarsBy.RANK}, "--stars goes with --xmp"),
        ({"sidecar": SidecarName.DARKTABLE}, "--sidecar goes with --xmp"),
        ({"overwrite_ratings": True}, "--overwrite-ratings goes with --xmp"),
        ({"dry_run": True}, "--dry-run has nothing to tell"),
        ({"html": "photo.jpg"}, "name it .html"),
        ({"html": "folder.html"}, "is a folder"),
        ({"html": "file/g.html"}, "file: is no folder"),
        ({"copy_to": "album"}, "lies in the ranked folder"),
        ({"copy_to": "album/best"}, "lies in the ranked folder"),
        ({"copy_to": "file"}, "is no folder"),
        ({"copy_to": "file/best"}, "is no folder"),
    ],
)
def test_what_cannot_be_is_refused_before_the_work(
    album: Path, asked: dict[str, object], says: str
) -> None:
    folder = album.parent
    (folder / "folder.html").mkdir()
    (folder / "file").write_text("")
    placed = {
        name: folder / value if isinstance(value, str) and name in ("html", "copy_to") else value
        for name, value in asked.items()
    }
    before = sorted(folder.rglob("*"))
    with pytest.raises(UserInputError, match=says) as refused:
        check(Delivery(**placed), [album])
    assert "\n" not in str(refused.value)
    assert sorted(folder.rglob("*")) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_refused(album: Path) -> None:
    album.chmod(0o500)
    with pytest.raises(UserInputError, match="cannot be written to"):
        check(Delivery(html=album / "g.html"), [album])


def test_the_options_parse() -> None:
    app = typer.Typer()
    seen: list[Delivery] = []

    @app.command()
    def command(
        html: delivery.HtmlOption = None,
        copy_to: delivery.CopyToOption = None,
        xmp: delivery.XmpFlag = False,
        stars: delivery.StarsOption = None,
        sidecar: delivery.SidecarOption = None,
        overwrite_ratings: delivery.OverwriteFlag = False,
        dry_run: delivery.DryRunFlag = False,
    ) -> None:
        seen.append(Delivery(html, copy_to, xmp, stars, sidecar, overwrite_ratings, dry_run))

    line = "--html g.html --copy-to best --xmp --stars levels --sidecar darktable"
    app([*line.split(), "--overwrite-ratings", "--dry-run"], standalone_mode=False)
    app([], standalone_mode=False)
    assert seen == [
        Delivery(
            Path("g.html"), Path("best"), True, StarsBy.LEVELS, SidecarName.DARKTABLE, True, True
        ),
        Delivery(),
    ]


def test_when_no_sidecar_can_be_written_none_is_said_to_be_left(
    album: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(files.tempfile, "mkstemp", refuse)
    with pytest.raises(DataError, match="not everything"):
        deliver(ranking(album), Delivery(xmp=True), places=[album])
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"i2pa: {album / 'a.xmp'}: cannot be written (Permission denied)"
    assert lines[-1] == "i2pa: sidecars: none written; 5 failed"
