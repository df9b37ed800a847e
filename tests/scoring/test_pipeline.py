import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import i2pa
from i2pa.errors import ModelError, UserInputError
from i2pa.images.find import Found
from i2pa.models import versions as pipeline_versions
from i2pa.models.score_cache import FileState, ScoreCache
from i2pa.scoring import Failure, load_model, pipeline
from i2pa.scoring.pipeline import Measured
from tiny_models import noise, tiny_model

TESTS = Path(__file__).parents[1]


@pytest.fixture
def model(tmp_path):
    return tiny_model(tmp_path / "tiny.onnx")


@pytest.fixture
def album(tmp_path):
    return noise(tmp_path / "album", 41)


def numbers(scores):
    return {item.path: item.score for item in scores.items}


@pytest.fixture
def decoded(monkeypatch):
    """Names of the pictures that are decoded."""
    names = []
    plain = pipeline.Decoder.decode_bytes

    def counted(self, data, where):
        names.append(where)
        return plain(self, data, where)

    monkeypatch.setattr(pipeline.Decoder, "decode_bytes", counted)
    return names


@pytest.fixture
def opened(monkeypatch):
    """Paths of the files that are read."""
    paths = []
    plain = pipeline.read_bytes
    monkeypatch.setattr(
        pipeline, "read_bytes", lambda path, limits: paths.append(path) or plain(path)
    )
    return paths


def test_scores_depend_on_no_batch_order_or_thread(model, album):
    scorer = load_model(model)
    alone = {str(path): scorer.score_one(path).score for path in album}
    for batch in (1, 2, 7, 64):
        for threads in (1, 3):
            again = load_model(model, threads=threads)
            again._engine.batch = batch
            assert numbers(again.score(album)) == pytest.approx(alone, abs=1e-5)
            assert list(numbers(again.score(album[::-1]))) == [str(p) for p in album[::-1]]


def test_each_thread_gets_its_share_of_a_few_pictures(model, album, monkeypatch):
    sizes = []
    work = pipeline.Pipeline._work

    def seen(self, piece):
        sizes.append(len(piece))
        return work(self, piece)

    monkeypatch.setattr(pipeline.Pipeline, "_work", seen)
    for batch, threads, expected in ((8, 2, 2), (1, 2, 1), (8, 1, 4), (8, 40, 1)):
        scorer = load_model(model, threads=threads)
        scorer._engine.batch = batch
        del sizes[:]
        assert len(scorer.score(album[:4]).items) == 4
        assert sizes == [expected] * (4 // expected)


def test_a_warm_cache_gives_the_same_and_opens_no_file(model, album, opened):
    cold = load_model(model).rank(album)
    with ScoreCache() as cache:
        first = load_model(model).rank(album, cache=cache)
    del opened[:]
    with ScoreCache() as cache:
        second = load_model(model).rank(album[::-1], cache=cache)
    assert first == cold
    assert second.items == first.items
    assert opened == []


def test_the_same_bytes_elsewhere_are_read_but_not_decoded(model, album, decoded, tmp_path):
    with ScoreCache() as cache:
        load_model(model).score(album[:5], cache=cache)
        elsewhere = tmp_path / "renamed.png"
        elsewhere.write_bytes(album[0].read_bytes())
        by_bytes = album[1].read_bytes()
        del decoded[:]
        again = load_model(model).score([elsewhere, by_bytes, album[2]], cache=cache)
    assert decoded == []
    assert len(again.items) == 3


def test_another_model_does_not_get_its_scores(model, album, tmp_path, decoded):
    with ScoreCache() as cache:
        load_model(model).score(album[:3], cache=cache)
        del decoded[:]
        other = tiny_model(tmp_path / "other.onnx", spread=True, link="thurstone")
        load_model(other).score(album[:3], cache=cache)
    assert len(decoded) == 3


def test_each_engine_gives_out_its_own_scores_alone(model, album, decoded):
    pytest.importorskip("openvino")
    for engine in ("openvino", "onnxruntime", "openvino", "auto"):
        with ScoreCache() as cache:
            scores = load_model(model, engine=engine).score(album[:3], cache=cache)
        assert scores.model.engine.startswith(engine.replace("auto", "onnxruntime"))
    assert len(decoded) == 2 * 3


def test_another_version_of_a_library_computes_anew(model, album, decoded, monkeypatch):
    def scored():
        del decoded[:]
        with ScoreCache() as cache:
            return load_model(model).score(album[:3], cache=cache).model.versions

    first = scored()
    assert (len(decoded), first.key.startswith(f"i2pa {i2pa.__version__}, engine onnxr")) == (
        3,
        True,
    )
    plain = pipeline_versions.version
    monkeypatch.setattr(
        pipeline_versions, "version", lambda name: "99" if name == "pillow" else plain(name)
    )
    assert (scored(), len(decoded)) == (replace(first, pillow="99"), 3)
    monkeypatch.undo()
    assert (scored(), len(decoded)) == (first, 0)


@pytest.mark.skipif(os.name == "nt", reason="no time of a file's own change there")
def test_a_file_changed_with_its_time_put_back_is_read_again(model, album):
    changed = album[0]
    with ScoreCache() as cache:
        before = load_model(model).score_one(changed, cache=cache)
    written_over(changed, album[-1])
    expected = load_model(model).score([changed])
    assert expected.items[0].score != before.score
    with ScoreCache() as cache:
        assert load_model(model).score([changed], cache=cache) == expected


def written_over(path, other):
    """The same name, size, time of change and inode, but the other's bytes."""
    size = path.stat().st_size
    data = bytearray(other.read_bytes())
    data = data[:size] if len(data) > size else data + bytes(size - len(data))
    with path.open("r+b") as file:
        file.write(data)
    os.utime(path, (1_600_000_000, 1_600_000_000))


def test_verify_finds_a_file_changed_behind_every_clock(model, album, monkeypatch):
    brightest, changed = album[-1], album[0]
    plain = FileState.of
    monkeypatch.setattr(FileState, "of", lambda path: replace(plain(path), ctime_ns=0))
    with ScoreCache() as cache:
        before = load_model(model).score_one(changed, cache=cache)
    written_over(changed, brightest)
    expected = load_model(model).score([changed])
    with ScoreCache() as cache:
        scorer = load_model(model)
        assert scorer.score([changed], cache=cache).items[0].score == before.score
    with ScoreCache(verify=True) as cache:
        verified = load_model(model).score([changed], cache=cache)
    assert verified == expected
    with ScoreCache() as cache:
        later = load_model(model).score([changed], cache=cache)
    assert later == expected


def test_a_file_changed_a_moment_ago_is_not_trusted_by_its_time(model, album, opened):
    os.utime(album[0])
    for _ in range(2):
        with ScoreCache() as cache:
            load_model(model).score(album[:2], cache=cache)
    assert Counter(opened) == {album[0]: 2, album[1]: 1}


def test_a_file_that_changes_while_it_is_read_is_not_trusted(model, album, monkeypatch):
    plain = pipeline.read_bytes

    def meddled(path, limits):
        data = plain(path, limits)
        os.utime(path, (1_500_000_000, 1_500_000_000))
        return data

    monkeypatch.setattr(pipeline, "read_bytes", meddled)
    with ScoreCache() as cache:
        load_model(model).score(album[:1], cache=cache)
        assert cache.digests([FileState.of(album[0])]) == {}


def test_failures_keep_their_place_and_are_tried_again(model, album, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(album[0].read_bytes()[:200])
    os.utime(broken, (1_600_000_000, 1_600_000_000))
    given = [album[0], broken, album[1]]
    for _ in range(2):
        with ScoreCache() as cache:
            results = list(load_model(model).stream(given, cache=cache))
        assert [isinstance(result, Failure) for result in results] == [False, True, False]
    broken.write_bytes(album[0].read_bytes())
    with ScoreCache() as cache:
        assert load_model(model).score(given, cache=cache).failures == ()


def test_no_number_from_the_model_is_a_failure_of_that_picture(model, album):
    scorer = load_model(model)
    plain = scorer._engine.run

    def poisoned(pixels, outputs):
        arrays = plain(pixels, outputs)
        arrays["score"][pixels.mean(axis=(1, 2, 3)) < 64] = np.nan
        return arrays

    scorer._engine.run = poisoned
    with ScoreCache() as cache:
        scores = scorer.score([album[0], album[-1]], cache=cache)
        assert [failure.reason for failure in scores.failures] == [
            "the model gives it no finite score"
        ]
        assert len(cache.digests([FileState.of(path) for path in (album[0], album[-1])])) == 1


def test_twins_and_times_taken_travel_along(model, tmp_path):
    found = Found(tmp_path / "a.jpg", (tmp_path / "a.dng",))
    exif = Image.Exif()
    exif.get_ifd(0x8769).update({0x9003: "2024:05:01 12:30:00", 0x9291: "25"})
    Image.new("RGB", (64, 64), "red").save(found.path, exif=exif)
    for _ in range(2):
        with ScoreCache() as cache:
            (item,) = load_model(model).rank([found], cache=cache).items
        assert item.twins == (str(tmp_path / "a.dng"),)
        assert item.taken.isoformat() == "2024-05-01T12:30:00.250000"


def test_large_files_are_worked_on_one_at_a_time(model, album, monkeypatch):
    monkeypatch.setattr(pipeline, "LARGE_FILE", 10)
    plain, alone, entered = pipeline.Decoder.decode_bytes, threading.Lock(), []

    def watched(self, data, where):
        entered.append(alone.acquire(blocking=False))
        time.sleep(0.001)
        decoded = plain(self, data, where)
        alone.release()
        return decoded

    monkeypatch.setattr(pipeline.Decoder, "decode_bytes", watched)
    load_model(model, threads=4).score(album)
    assert entered == [True] * len(album)


def test_streams_may_run_at_once_on_one_scorer_and_cache(model, album):
    expected = numbers(load_model(model).score(album))
    scorer = load_model(model)
    results = {}
    with ScoreCache() as cache:
        workers = [
            threading.Thread(
                target=lambda n=n: results.update({n: scorer.score(album, cache=cache)})
            )
            for n in range(4)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert [numbers(results[n]) == pytest.approx(expected, abs=1e-5) for n in range(4)] == [
        True
    ] * 4


def test_a_thurstone_model_compares_by_its_spread(album, tmp_path):
    scorer = load_model(tiny_model(tmp_path / "t.onnx", spread=True, link="thurstone"))
    sure = np.full((64, 64, 3), (255, 100, 100), np.uint8)
    less_sure = np.full((64, 64, 3), (0, 150, 150), np.uint8)
    comparison = scorer.compare(sure, less_sure)
    # Scores (455 - 300) / 3 / 25.5, spreads exp(-1) and 1, by hand.
    z = (155 / 3 / 25.5) / np.hypot(np.exp(-1), 1)
    from statistics import NormalDist

    assert comparison.probability == pytest.approx(NormalDist().cdf(z), abs=1e-4)
    with ScoreCache() as cache:
        cold = scorer.compare(*album[:4], cache=cache)
        warm = scorer.compare(*album[:4], cache=cache)
    assert cold == warm
    for i in range(4):
        for j in range(4):
            assert cold.matrix[i][j] + cold.matrix[j][i] == 1.0
    assert [(duel.first, duel.second) for duel in cold.verdicts] == [
        (0, 1),
        (0, 2),
        (0, 3),
        (1, 2),
        (1, 3),
        (2, 3),
    ]
    with pytest.raises(UserInputError, match="matrix"):
        _ = cold.probability


def test_a_thurstone_model_without_spread_is_refused(tmp_path):
    with pytest.raises(ModelError, match="no output spread"):
        load_model(tiny_model(tmp_path / "t.onnx", link="thurstone"))


def test_compare_takes_two_to_a_hundred(model, album):
    scorer = load_model(model)
    with pytest.raises(UserInputError, match="two pictures or more"):
        scorer.compare(album[0])
    with pytest.raises(UserInputError, match="rank them"):
        scorer.compare(*[album[0]] * 101)
    without_names = scorer.compare(album[0].read_bytes(), album[1].read_bytes())
    assert [item.path for item in without_names.items] == ["#0", "#1"]


def test_the_default_scores_alike_whatever_its_batches(examples):
    pictures = sorted(examples.glob("*.[jp][pn]g"))
    scorer = load_model()
    expected = [item.score for item in scorer.score(pictures).items]
    scorer._engine.batch = 5
    assert [i.score for i in scorer.score(pictures).items] == pytest.approx(expected, abs=1e-3)
    reversed_scores = [i.score for i in scorer.score(pictures[::-1]).items]
    assert reversed_scores[::-1] == pytest.approx(expected, abs=1e-3)


REPORTING = """
import sys
from pathlib import Path
from i2pa.models.score_cache import ScoreCache
from i2pa.scoring import load_model

model, folder = map(Path, sys.argv[1:])
with ScoreCache() as cache:
    for item in load_model(model).stream(sorted(folder.iterdir()), cache=cache):
        print(item.path, flush=True)
"""


def known(paths):
    with ScoreCache() as cache:
        return {state.path for state in cache.digests([FileState.of(path) for path in paths])}


def test_a_killed_run_has_kept_all_that_it_reported(model, tmp_path):
    album = noise(tmp_path / "many", 400)
    command = [sys.executable, "-c", REPORTING, model, album[0].parent]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        reported = [process.stdout.readline().strip() for _ in range(60)]
        process.send_signal(signal.SIGKILL)
        reported += process.stdout.read().split()
    assert len(reported) < len(album)
    kept = known(album)
    # A line cut in two by the kill names no picture.
    assert {name for name in reported if Path(name).is_file()} <= kept
    again = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    assert again.stdout.split() == [str(path) for path in album]
    assert known(album) == {str(path) for path in album}


def test_two_processes_share_one_cache(model, album):
    command = [sys.executable, "-W", "error", "-c", REPORTING, model, album[0].parent]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outs = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert outs[0] == outs[1] == ("\n".join(map(str, album)) + "\n", "")
    assert known(album) == {str(path) for path in album}


def test_measured_pictures_carry_unit_vectors_that_survive_the_cache(model, album):
    scorer = load_model(model)
    with ScoreCache() as cache:
        first, second = (list(scorer._pipeline(cache).run(album[:3])) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert isinstance(one, Measured)
        assert np.linalg.norm(one.embedding.astype(float)) == pytest.approx(1, abs=1e-2)
        assert (one.embedding == other.embedding).all()
