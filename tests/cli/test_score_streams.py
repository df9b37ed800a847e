"""`score` as a stream: what a stop, a closed pipe or many rows do to it."""

import gc
import io
import os
import subprocess
import sys
import tracemalloc

import pytest
from command_runner import one_line, run

from i2pa.cli import scoring
from i2pa.cli.writers import Heading, writer
from i2pa.images.rows import Row
from i2pa.scoring.results import ScoredPicture
from i2pa.scoring.rows import score_rows
from ranked_set import MODEL


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet", "json"])
def test_a_stop_leaves_the_old_file_and_no_half_one(score, album, monkeypatch, form):
    def stopped(scorer, rows, *, cache=None):
        yield from score_rows(scorer, list(rows)[:2], cache=cache)
        raise KeyboardInterrupt

    out = album / f"out.{form}"
    out.write_text("old")
    monkeypatch.setattr(scoring, "score_rows", stopped)
    before = sorted(album.iterdir())
    code, printed, err = score("a.png", "b.png", "c.png", "-o", out)
    assert (code, printed) == (130, "")
    assert "the same command goes on from there" in one_line(err)
    assert out.read_text() == "old"
    assert sorted(album.iterdir()) == before


class Watched(io.StringIO):
    """A stdout that knows what has left it."""

    def __init__(self):
        super().__init__()
        self.left = ""

    def flush(self):
        self.left = self.getvalue()


@pytest.mark.parametrize(("form", "header"), [("csv", 1), ("jsonl", 0)])
def test_each_line_leaves_as_soon_as_it_is_known(monkeypatch, form, header):
    monkeypatch.setattr(sys, "stdout", Watched())
    with writer(form, None, Heading(MODEL, "r")) as write:
        for number in range(1, 4):
            write(Row("a.png", None), ScoredPicture("a.png", 0.5, 50.0, "fair"))
            assert sys.stdout.left.count("\n") == number + header


@pytest.mark.skipif(sys.platform == "win32", reason="pipes end differently there")
@pytest.mark.parametrize("form", ["--csv", "--jsonl", "--json"])
def test_a_closed_pipe_ends_quietly(album, tiny, form):
    command = [sys.executable, "-m", "i2pa", "score", *["a.png"] * 50, form, "--model", str(tiny)]
    reader, end = os.pipe()
    os.close(reader)
    done = subprocess.run(command, stdout=end, stderr=subprocess.PIPE, timeout=120)
    os.close(end)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(sys.platform == "win32", reason="no such shell there")
@pytest.mark.parametrize("command", ["score", "rank", "compare"])
def test_a_closed_stdin_is_one_line(album, command):
    shell = f'"{sys.executable}" -m i2pa {command} - <&-'
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (2, "")
    assert "-: no list can be read from standard input (it is closed)" in one_line(done.stderr)


def test_memory_does_not_grow_with_the_number_of_rows(score, album):
    """Of two runs over what the cache knows, one of which has many times the rows."""
    peaks = []
    for number in (500, 8_000):
        (album / "t.csv").write_text("image,id\n" + "a.png,1\n" * number)
        score("t.csv", "--carry", "id", "-o", "out.csv")
        gc.collect()
        tracemalloc.start()
        score("t.csv", "--carry", "id", "-o", "out.csv")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # A row of Python objects takes some 100 bytes, an embedding 300 with this model.
    assert peaks[1] - peaks[0] < 7_500 * 10


def test_without_pyarrow_the_line_names_only_that(score, album, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (album / "t.parquet").touch()
    for arguments in (("a.png", "-o", "o.parquet"), ("t.parquet",)):
        code, _, err = score(*arguments)
        assert code == 2
        assert "needs pyarrow, which is not installed; run: pip install pyarrow" in one_line(err)


@pytest.mark.parametrize("command", ["score", "rank", "compare"])
def test_a_picture_on_stdin_is_one_line(capsys, album, command, monkeypatch):
    picture = (album / "a.png").read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(picture)))
    code, out, err = run(capsys, command, "-")
    assert (code, out) == (2, "")
    assert "-: standard input is a picture, not a list of paths; give" in one_line(err)
