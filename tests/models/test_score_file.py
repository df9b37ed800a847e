"""What becomes of a cache that is damaged, cannot be written, or is too large."""

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import numpy as np
import pytest

from i2pa.errors import UserInputError
from i2pa.models.score_cache import FileState, KeptScore, ScoreCache, Variant
from i2pa.models.score_file import LIMIT_VARIABLE, allowed_bytes, delete_scores, scores_file

VARIANT = Variant("a" * 64, "squash224@1", "onnxruntime-cpu-float32", "Pillow 1")
STATE = FileState("/a.jpg", 1, 2, 3, 4)
ONE, TWO = b"1" * 32, b"2" * 32


def kept(score=0.5):
    return KeptScore(score, None, np.zeros(16, np.float16), None)


def fill(folder, n=1):
    with ScoreCache(folder) as cache:
        cache.write(VARIANT, {i.to_bytes(32, "big"): kept() for i in range(n)}, {})
        cache.write(VARIANT, {ONE: kept()}, {STATE: ONE})
    return cache.path


@pytest.mark.parametrize("content", [b"not a database at all, but long enough" * 40, b"SQLite"])
def test_a_damaged_file_is_set_aside_and_a_new_one_begun(tmp_path, content):
    path = scores_file(tmp_path)
    path.write_bytes(content)
    said = []
    with ScoreCache(tmp_path, warn=said.append) as cache:
        cache.write(VARIANT, {ONE: kept()}, {})
        assert ONE in cache.read(VARIANT, [ONE])
    (line,) = said
    assert line.startswith("the cache was damaged: set aside as ")
    aside = path.with_name(path.name + ".damaged")
    assert str(aside) in line
    assert aside.read_bytes() == content
    with ScoreCache(tmp_path, warn=said.append) as cache:
        assert ONE in cache.read(VARIANT, [ONE])
    assert len(said) == 1


def test_pages_damaged_later_are_found_out_when_they_are_read(tmp_path):
    path = fill(tmp_path, 2000)
    data = bytearray(path.read_bytes())
    data[16384:] = b"\x07" * (len(data) - 16384)
    path.write_bytes(data)
    said = []
    with ScoreCache(tmp_path, warn=said.append) as cache:
        assert cache.read(VARIANT, [ONE]) == {}
        cache.write(VARIANT, {ONE: kept(0.25)}, {})
        assert cache.read(VARIANT, [ONE])[ONE].score == 0.25
    assert len(said) == 1
    with ScoreCache(tmp_path, warn=said.append) as cache:
        assert cache.read(VARIANT, [ONE])[ONE].score == 0.25
    assert len(said) == 1


@pytest.mark.parametrize(
    "change", ["embedding = x'010203'", "embedding = NULL", "score = 'much'", "taken = 'noon'"]
)
def test_values_that_are_none_are_damage_too(tmp_path, change):
    path = fill(tmp_path)
    with sqlite3.connect(path) as connection:
        connection.execute(f"UPDATE scores SET {change}")
    connection.close()
    said = []
    with ScoreCache(tmp_path, warn=said.append) as cache:
        assert cache.read(VARIANT, [ONE]) == {}
        assert cache.size().scores == 0
    assert "set aside" in said[0]


def test_a_file_that_is_damaged_again_and_again_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr("i2pa.models.score_cache.ScoreCache._bound", broken)
    scores_file(tmp_path).write_bytes(b"no database" * 1000)
    said = []
    with ScoreCache(tmp_path, warn=said.append) as cache:
        cache.write(VARIANT, {ONE: kept()}, {})
        assert cache.read(VARIANT, [ONE]) == {}
    assert len(said) == 2
    assert "going on without" in said[1]


def broken(cache):
    error = sqlite3.DatabaseError("malformed")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    raise error


def test_what_another_process_has_mended_is_not_set_aside(tmp_path):
    path = scores_file(tmp_path)
    cache = ScoreCache(tmp_path)
    cache.write(VARIANT, {ONE: kept()}, {})
    # The other process: the file that this one has open is away, and a new one is there.
    path.replace(tmp_path / "elsewhere")
    for end in ("-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)
    fill(tmp_path)
    with cache._going_on_without():
        broken(cache)
    assert ONE in cache.read(VARIANT, [ONE])
    assert not path.with_name(path.name + ".damaged").exists()
    cache.close()


READ_IT = textwrap.dedent(
    """
    import os, sys
    sys.path[:0] = sys.argv[2].split(os.pathsep)
    from test_score_file import ONE, STATE, TWO, VARIANT, ScoreCache, kept
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    with ScoreCache(sys.argv[1], warn=print) as cache:
        print(list(cache.read(VARIANT, [ONE, TWO])) == [ONE])
        print(cache.digests([STATE]) == {STATE: ONE})
        cache.write(VARIANT, {TWO: kept()}, {})
        print(cache.read(VARIANT, [TWO]), cache.size().scores)
    """
)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="modes mean little here")
@pytest.mark.parametrize("forbidden", ["folder", "file", "both"])
def test_what_cannot_be_written_is_read(forbidden):
    # Whoever is not root must be able to get there.
    folder = Path(tempfile.mkdtemp())
    try:
        path = fill(folder)
        path.chmod(0o444 if forbidden != "folder" else 0o666)
        folder.chmod(0o555 if forbidden != "file" else 0o777)
        run = subprocess.run(
            [sys.executable, "-c", READ_IT, str(folder), os.pathsep.join(sys.path)],
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)
    assert run.stderr == ""
    only, *found = run.stdout.splitlines()
    assert only.startswith("the cache can only be read")
    assert found == ["True", "True", "{} 2"]


def test_the_limit_comes_from_the_environment(tmp_path, monkeypatch):
    assert allowed_bytes() == 2_000_000_000
    monkeypatch.setenv(LIMIT_VARIABLE, "50")
    assert allowed_bytes() == 50_000_000
    assert ScoreCache(tmp_path)._limit_bytes == 50_000_000
    assert ScoreCache(tmp_path, limit_bytes=7)._limit_bytes == 7
    for nonsense in ("0", "-1", "2GB", "1.5", "²"):
        monkeypatch.setenv(LIMIT_VARIABLE, nonsense)
        with pytest.raises(UserInputError, match=LIMIT_VARIABLE):
            ScoreCache(tmp_path)
    monkeypatch.setenv(LIMIT_VARIABLE, "")
    assert allowed_bytes() == 2_000_000_000


def test_deleting_takes_what_was_set_aside_and_what_other_versions_kept(tmp_path):
    fill(tmp_path)
    for name in ("scores-1.sqlite", "scores-1.sqlite-wal", "scores-2.sqlite.damaged"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "mine.txt").write_text("stays")
    delete_scores(str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
