import os
import sqlite3
import stat
import threading
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from i2pa.models.cache import VectorStore
from i2pa.models.score_cache import FileState, KeptScore, ScoreCache, Variant
from i2pa.models.score_file import delete_scores

VARIANT = Variant("a" * 64, "squash224@1", "onnxruntime-cpu-float32", "Pillow 1")


def kept(number):
    vector = np.random.default_rng(number).normal(size=16).astype(np.float16)
    return KeptScore(number / 7, None, vector, None)


def digest(number):
    return number.to_bytes(32, "big")


def test_what_is_written_is_read_by_the_next_one(tmp_path):
    taken = datetime(2024, 5, 1, 12, 30, 0, 250_000)
    vector = np.arange(4, dtype=np.float16)
    state = FileState(os.fsdecode(b"/pictures/\xff\n.jpg"), 10, 20, 25, 30)
    with ScoreCache(tmp_path) as cache:
        cache.write(VARIANT, {digest(1): KeptScore(0.1, 2.5, vector, taken)}, {state: digest(1)})
    with ScoreCache(tmp_path) as cache:
        found = cache.read(VARIANT, [digest(1), digest(2)])
        assert cache.digests([state]) == {state: digest(1)}
        for field in ("size", "mtime_ns", "ctime_ns", "inode"):
            changed = replace(state, **{field: getattr(state, field) + 1})
            assert cache.digests([changed]) == {}, field
    assert list(found) == [digest(1)]
    one = found[digest(1)]
    assert (one.score, one.spread, one.taken) == (0.1, 2.5, taken)
    assert (one.embedding == vector).all()


def test_models_transforms_engines_and_versions_are_kept_apart(tmp_path):
    others = [replace(VARIANT, **{field: "another"}) for field in vars(VARIANT)]
    with ScoreCache(tmp_path) as cache:
        cache.write(VARIANT, {digest(1): kept(1)}, {})
        assert [cache.read(other, [digest(1)]) for other in others] == [{}] * len(others)
        assert len(cache.read(VARIANT, [digest(1)])) == 1


def test_many_are_looked_up_at_once(tmp_path):
    with ScoreCache(tmp_path) as cache:
        cache.write(VARIANT, {digest(n): kept(n) for n in range(1300)}, {})
        found = cache.read(VARIANT, [digest(n) for n in range(1200, 2500)])
    assert {key: one.score for key, one in found.items()} == {
        digest(n): n / 7 for n in range(1200, 1300)
    }


def test_the_cache_may_be_moved(tmp_path, monkeypatch):
    monkeypatch.setenv("I2PA_CACHE", str(tmp_path / "one"))
    with ScoreCache() as cache:
        cache.write(VARIANT, {digest(1): kept(1)}, {})
    (tmp_path / "one").rename(tmp_path / "two")
    monkeypatch.setenv("I2PA_CACHE", str(tmp_path / "two"))
    with ScoreCache() as cache:
        assert len(cache.read(VARIANT, [digest(1)])) == 1


def warned_once(tmp_path, use=lambda cache: None):
    said = []
    with ScoreCache(tmp_path, warn=said.append) as cache:
        use(cache)
        for _ in range(3):
            cache.write(VARIANT, {digest(1): kept(1)}, {})
            assert cache.read(VARIANT, [digest(1)]) == {}
            assert cache.digests([FileState("x", 1, 2, 3, 4)]) == {}
    (line,) = said
    assert str(cache.path) in line
    assert "delete it, or set I2PA_CACHE" in line


def test_a_folder_that_cannot_be_made_costs_one_warning(tmp_path):
    (tmp_path / "file").write_text("in the way")
    warned_once(tmp_path / "file" / "cache")


def test_without_a_listener_it_is_a_warning(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.warns(RuntimeWarning, match="going on without the cache"):
        ScoreCache(tmp_path / "file")


def test_another_process_that_never_lets_go_costs_one_warning(tmp_path, monkeypatch):
    monkeypatch.setattr("i2pa.models.score_cache._WAIT_SECONDS", 0.05)
    with ScoreCache(tmp_path) as cache:
        cache.write(VARIANT, {}, {FileState("x", 1, 2, 3, 4): digest(1)})
    other = sqlite3.connect(cache.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    said = []
    with ScoreCache(tmp_path, warn=said.append) as cache:
        for _ in range(2):
            cache.write(VARIANT, {digest(1): kept(1)}, {})
    other.close()
    assert len(said) == 1
    assert "locked" in said[0]


def test_deleting_it_under_a_running_program_does_no_harm(tmp_path):
    said = []
    with ScoreCache(tmp_path, warn=said.append) as cache:
        cache.write(VARIANT, {digest(1): kept(1)}, {})
        for path in tmp_path.iterdir():
            path.unlink()
        cache.write(VARIANT, {digest(2): kept(2)}, {})
        cache.read(VARIANT, [digest(1)])
    with ScoreCache(tmp_path, warn=said.append) as cache:
        cache.write(VARIANT, {digest(3): kept(3)}, {})
        assert len(cache.read(VARIANT, [digest(3)])) == 1


def test_it_is_bounded_and_drops_what_was_kept_longest(tmp_path):
    with ScoreCache(tmp_path, limit_bytes=400_000) as cache:
        for start in range(0, 8000, 100):
            scores = {digest(n): kept(n) for n in range(start, start + 100)}
            files = {FileState(f"/{n}", n, n, n, n): digest(n) for n in range(start, start + 100)}
            cache.write(VARIANT, scores, files)
        assert digest(7999) in cache.read(VARIANT, [digest(7999)])
        assert cache.read(VARIANT, [digest(0)]) == {}
    assert cache.path.stat().st_size < 1_000_000


@pytest.mark.skipif(os.name == "nt", reason="modes mean little there")
def test_only_its_owner_may_read_which_pictures_there_are(tmp_path):
    place = tmp_path / "new" / "cache"
    before = os.umask(0)
    try:
        with ScoreCache(place) as cache:
            cache.write(VARIANT, {digest(1): kept(1)}, {})
            store = VectorStore(place / "embeddings" / "kind", 3, np.float32)
            store.append(["a"], np.ones((1, 3)))
            paths = [place.parent, *place.parent.rglob("*")]
            modes = {path: stat.S_IMODE(path.stat().st_mode) for path in paths}
    finally:
        os.umask(before)
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}
    assert sum(path.is_file() for path in modes) >= 3


def test_threads_share_it(tmp_path):
    with ScoreCache(tmp_path) as cache:

        def fill(part):
            for n in range(part, 200, 4):
                cache.write(VARIANT, {digest(n): kept(n)}, {})
                assert digest(n) in cache.read(VARIANT, [digest(n)])

        threads = [threading.Thread(target=fill, args=(part,)) for part in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(cache.read(VARIANT, [digest(n) for n in range(200)])) == 200


def test_the_state_of_a_file(tmp_path, monkeypatch):
    path = tmp_path / "a.jpg"
    assert FileState.of(path) is None
    path.write_bytes(b"abc")
    monkeypatch.chdir(tmp_path)
    state = FileState.of(path)
    assert FileState.of(Path("a.jpg")) == state
    assert not state.settled()
    os.utime(path, (1, 1))
    assert FileState.of(path).settled()
    os.utime(path, (4_000_000_000, 4_000_000_000))
    assert not FileState.of(path).settled()


@pytest.mark.skipif(os.name == "nt", reason="no time of a file's own change there")
def test_a_file_written_over_with_its_time_put_back_is_another(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"abc")
    os.utime(path, (1, 1))
    before = FileState.of(path)
    time.sleep(0.02)
    path.write_bytes(b"xyz")
    os.utime(path, (1, 1))
    after = FileState.of(path)
    assert (after.size, after.mtime_ns, after.inode) == (
        before.size,
        before.mtime_ns,
        before.inode,
    )
    assert after != before


def test_its_size_is_told_and_it_can_be_deleted(tmp_path):
    with ScoreCache(tmp_path) as cache:
        cache.write(
            VARIANT, {digest(n): kept(n) for n in range(3)}, {FileState("x", 1, 2, 3, 4): b""}
        )
        size = cache.size()
    assert (size.scores, size.files) == (3, 1)
    assert size.bytes > 4096
    delete_scores(tmp_path)
    delete_scores(tmp_path)
    assert list(tmp_path.iterdir()) == []
    with ScoreCache(tmp_path) as cache:
        assert cache.size().scores == 0
