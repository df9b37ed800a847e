from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from i2pa.errors import DataError, UserInputError
from i2pa.scoring import copies
from i2pa.scoring.copies import check_apart, copy_files, leftovers, plan_copies
from ranked_set import picture, ranked


@pytest.fixture
def album(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "album"
    (folder / "day 2").mkdir(parents=True)
    files = [folder / "b.jpg", folder / "a.jpg", folder / "day 2" / "été\n日本.png"]
    for number, file in enumerate(files):
        file.write_bytes(bytes([number]) * (copies._CHUNK + number))
        os.utime(file, ns=(1_500_000_000_123_456_789,) * 2)
    return files


def state(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    return {
        str(file.relative_to(folder)): (
            file.read_bytes(),
            file.stat().st_mtime_ns,
            file.stat().st_mode,
        )
        for file in folder.rglob("*")
        if file.is_file()
    }


def test_copies_are_equal_and_originals_are_untouched(album: list[Path], tmp_path: Path) -> None:
    before = state(tmp_path / "album")
    best = tmp_path / "best"
    seen: list[tuple[int, int]] = []
    made = copy_files(
        plan_copies(ranked(*album).items, best), progress=lambda *done: seen.append(done)
    )
    assert (len(made.copied), made.same, made.failures) == (3, (), ())
    assert sorted(file.name for file in best.iterdir()) == [
        "001_b.jpg",
        "002_a.jpg",
        "003_été\n日本.png",
    ]
    for original, copy in zip(album, sorted(best.iterdir()), strict=True):
        assert copy.read_bytes() == original.read_bytes()
        assert copy.stat().st_mtime_ns == original.stat().st_mtime_ns
    assert state(tmp_path / "album") == before
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_a_second_run_copies_nothing_and_goes_on_where_files_lack(
    album: list[Path], tmp_path: Path
) -> None:
    plan = plan_copies(ranked(*album).items, tmp_path / "best")
    copy_files(plan)
    plan[1].target.unlink()
    again = copy_files(plan)
    assert [copy.target.name for copy in again.copied] == ["002_a.jpg"]
    assert len(again.same) == 2


def test_nothing_is_written_over(album: list[Path], tmp_path: Path) -> None:
    best = tmp_path / "best"
    best.mkdir()
    (best / "002_a.jpg").write_bytes(b"mine")
    (best / "003_été\n日本.png").symlink_to("nowhere")
    with pytest.raises(DataError, match=r"002_a.jpg: exists with other content \(and 1 more\)"):
        copy_files(plan_copies(ranked(*album).items, best))
    assert sorted(file.name for file in best.iterdir()) == ["002_a.jpg", "003_été\n日本.png"]
    assert (best / "002_a.jpg").read_bytes() == b"mine"


def test_twins_share_the_number_and_names_never_clash() -> None:
    items = [
        picture("x/IMG.JPG", 1, twins=(Path("x/img.CR3"),)),
        picture("y/img.jpg", 1),
        picture("z/e\u0301.jpg", 3),
        picture("z/\u00e9.jpg", 3),
        picture("w/last", 1234),
    ]
    assert [copy.target.name for copy in plan_copies(items, Path("best"))] == [
        "0001_IMG.JPG",
        "0001_img.CR3",
        "0001_img_2.jpg",
        "0003_e\u0301.jpg",
        "0003_\u00e9_2.jpg",
        "1234_last",
    ]
    assert plan_copies([], Path("best")) == []


def test_a_folder_that_would_be_ranked_is_refused(album: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "album"
    (tmp_path / "link").symlink_to(folder)
    for bad in (folder, folder / "best", tmp_path / "link" / "best", folder / ".." / "album" / "x"):
        with pytest.raises(UserInputError, match="lies in the ranked folder"):
            check_apart(bad, [folder])
    with pytest.raises(UserInputError, match="is no folder"):
        check_apart(album[0], [])
    for good in (tmp_path / "best", tmp_path / "album-best", tmp_path):
        check_apart(good, [folder, album[0]])


def test_a_folder_where_a_pattern_looks_is_refused(
    album: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "album"
    names = [path.name for path in album]
    for pattern, bad in (
        (folder / "**" / "*", folder / "best"),
        (folder / "**", folder / "best" / "of"),
        (folder / "*", folder),
        (tmp_path / "alb*" / "*", folder),
        # The folder itself would be found, and all in it be ranked.
        (folder / "*", folder / "best"),
        (folder / "*", folder / "best" / "of"),
        (folder / "../album/**/*", folder / "best"),
    ):
        with pytest.raises(UserInputError, match=r"lies where .* looks, so its copies"):
            check_apart(bad, [pattern], names)
    for pattern, good in (
        (folder / "**" / "*", tmp_path / "best"),
        (folder / "*.jpg", folder / "best"),
        (folder / "IMG_*", folder),
        (folder / "**" / "IMG_*", folder / "best"),
        (folder / "**", folder / ".best"),
    ):
        check_apart(good, [pattern], ["IMG_1.jpg", "IMG_2.jpg"])
    monkeypatch.chdir(folder)
    with pytest.raises(UserInputError, match="lies where"):
        check_apart(Path("best"), ["**/*"], names)


def test_an_original_that_is_gone_costs_only_itself(album: list[Path], tmp_path: Path) -> None:
    album[0].unlink()
    os.mkfifo(album[0])
    made = copy_files(plan_copies(ranked(*album, tmp_path / "none").items, tmp_path / "best"))
    assert len(made.copied) == 2
    assert [failure.reason for failure in made.failures] == ["there is no such file any more"] * 2
    assert len(list((tmp_path / "best").iterdir())) == 2


def test_a_name_too_long_costs_only_itself(album: list[Path], tmp_path: Path) -> None:
    long = album[0].with_name("x" * 250 + ".jpg")
    album[0].rename(long)
    made = copy_files(plan_copies(ranked(long, *album[1:]).items, tmp_path / "best"))
    assert (len(made.copied), len(made.failures)) == (2, 1)


def test_a_full_disk_leaves_no_half_file(
    album: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(number: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    plan = plan_copies(ranked(*album).items, tmp_path / "best")
    copy_files(plan[:1])
    monkeypatch.setattr(copies.os, "fsync", full)
    with pytest.raises(DataError, match=r"No space left.*0 of 2 files copied; make room and run"):
        copy_files(plan)
    assert [file.name for file in (tmp_path / "best").iterdir()] == ["001_b.jpg"]


def test_a_dry_run_copies_nothing(album: list[Path], tmp_path: Path) -> None:
    made = copy_files(plan_copies(ranked(*album).items, tmp_path / "best"), dry_run=True)
    assert len(made.copied) == 3
    assert not (tmp_path / "best").exists()


def test_files_of_other_runs_are_counted(album: list[Path], tmp_path: Path) -> None:
    best = tmp_path / "best"
    plan = plan_copies(ranked(*album).items, best)
    assert leftovers(plan, best) == 0
    copy_files(plan_copies(ranked(*reversed(album)).items, best))
    (best / "notes.txt").write_text("")
    assert leftovers(plan, best) == 2
