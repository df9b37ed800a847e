"""What `rank` says of groups, of memory, and of RAW files that stand in for their JPEG."""

import json
from typing import NamedTuple

import command_runner
import numpy as np
import pytest
from PIL import Image

from i2pa.scoring import pipeline
from odd_pictures import dng, encoded, noise, quarters
from tiny_models import tiny_model


class Result(NamedTuple):
    exit_code: int
    stdout: str
    stderr: str


@pytest.fixture
def run(capsys):
    return lambda *arguments: Result(*command_runner.run(capsys, *arguments))


@pytest.fixture
def tiny(tmp_path):
    return tiny_model(tmp_path / "tiny.onnx")


@pytest.fixture
def album(tmp_path):
    """Two pictures of a cosine of about .8, and one unlike them."""
    folder = tmp_path / "album"
    folder.mkdir()
    rng = np.random.default_rng(0)
    base, other, far = (rng.integers(0, 256, (7, 7, 3)) for _ in range(3))
    for name, cells in (("a", base), ("b", 0.62 * base + 0.38 * other), ("c", far)):
        image = Image.fromarray(cells.astype(np.uint8)).resize((448, 448), Image.Resampling.NEAREST)
        image.save(folder / f"{name}.png")
    return folder


def groups(result):
    return [item["group"] for item in json.loads(result.stdout)["items"]]


def test_a_model_without_cosines_of_its_own_says_which_are_used(run, tiny, album):
    result = run("rank", album, "--model", tiny, "--json", "--no-cache")
    assert result.exit_code == 0
    assert (
        "tiny@1 has no cosines of its own to group pictures by: 0.85, and 0.7 in a burst, were "
        "measured for i2pa-lite2@1; --alike and --alike-burst set others"
    ) in result.stderr
    assert "cosines" not in run("rank", album, "--json", "--no-cache").stderr


def test_the_cosines_may_be_given(run, tiny, album):
    loose = run("rank", album, "--model", tiny, "--json", "--no-cache", "--alike", 0.5)
    strict = run("rank", album, "--model", tiny, "--json", "--no-cache", "--alike", 1)
    assert sorted(map(str, groups(loose))) == ["1", "1", "None"]
    assert groups(strict) == [None, None, None]
    assert "cosines" not in loose.stderr
    for bad in ("0", "1.5", "nan"):
        for option in ("--alike", "--alike-burst"):
            result = run("rank", album, "--model", tiny, option, bad)
            assert result.exit_code == 2
            assert "no cosines to group by; give them above 0, up to 1" in result.stderr


def test_a_raw_that_stands_in_is_said_in_one_line(run, tiny, tmp_path):
    folder = tmp_path / "pair"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(encoded(quarters(300, 200), "JPEG")[:400])
    (folder / "a.dng").write_bytes(dng(quarters(600, 400)))
    page = tmp_path / "page.html"
    result = run("rank", folder, "--model", tiny, "--json", "--no-cache", "--html", page)
    assert result.exit_code == 0
    said = json.loads(result.stdout)
    assert said["failures"] == []
    assert said["stand_ins"][0]["instead_of"] == str(folder / "a.jpg")
    line = next(line for line in result.stderr.splitlines() if "a.jpg" in line)
    assert line.startswith(f"i2pa: {folder / 'a.jpg'}: damaged or incomplete picture (")
    assert line.endswith(f"; {folder / 'a.dng'} was scored in its place")
    assert page.read_text().count("data:image/jpeg") == 1


def test_what_takes_too_much_memory_names_the_option_that_lets_it_in(run, tiny, tmp_path):
    path = tmp_path / "large.webp"
    Image.new("RGB", (5200, 5000)).save(path, "WEBP", method=0, quality=1)
    result = run("score", path, "--model", tiny, "--no-cache")
    assert result.exit_code == 1
    assert "take 416 MB to decode, over the limit of 400 MB" in result.stderr
    assert "--decode-memory 500" in result.stderr
    for command in (("score", path), ("rank", path, "--html", tmp_path / "page.html")):
        result = run(*command, "--model", tiny, "--no-cache", "--decode-memory", 500)
        assert result.exit_code == 0, result.stderr
        assert "MB to decode" not in result.stderr
    assert (tmp_path / "page.html").read_text().count("data:image/jpeg") == 1


def test_less_memory_is_a_limit_as_well(run, tiny, tmp_path):
    path = tmp_path / "small.png"
    noise(1000, 1000).save(path)
    result = run("score", path, "--model", tiny, "--no-cache", "--decode-memory", 1)
    assert "take 4 MB to decode, over the limit of 1 MB" in result.stderr
    for bad in ("0", "4001"):
        assert run("score", path, "--decode-memory", bad).exit_code == 2


def test_copies_where_the_pattern_looks_are_refused_before_any_work(run, tiny, album):
    asked = ("rank", album / "**" / "*", "--model", tiny, "--copy-to", album / "best")
    result = run(*asked)
    assert result.exit_code == 2
    assert result.stderr.startswith(
        f"i2pa: {album / 'best'}: lies where {album / '**' / '*'} looks"
    )
    assert not (album / "best").exists()


def test_threads_bound_the_work_and_are_no_less_than_one(run, album, tiny, monkeypatch):
    asked = []
    plain = pipeline.ThreadPoolExecutor

    def counted(threads, **options):
        asked.append(threads)
        return plain(threads, **options)

    monkeypatch.setattr(pipeline, "ThreadPoolExecutor", counted)
    one = sorted(album.iterdir())[0]
    for command in (("rank", album), ("score", one)):
        assert run(*command, "--model", tiny, "--no-cache", "--threads", 3).exit_code == 0
    assert asked == [3, 3]
    assert run("compare", one, one, "--model", tiny, "--threads", 3).exit_code == 0
    for bad in (0, -1, "two", 1025):
        assert run("rank", album, "--threads", bad).exit_code == 2


def test_the_limit_of_the_cache_is_told_where_it_is_no_size(run, album, tiny, monkeypatch):
    monkeypatch.setenv("I2PA_CACHE_MB", "2GB")
    result = run("rank", album, "--model", tiny)
    assert result.exit_code == 2
    assert "I2PA_CACHE_MB: holds '2GB', not a size" in result.stderr
