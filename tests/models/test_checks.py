"""What another engine does to the order of pictures: counted, kept, and found again."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from i2pa.errors import DataError, ModelError
from i2pa.metrics.agreement import agreement
from i2pa.models.checks import check_engine, checks_file, keep_check, kept_checks
from i2pa.models.engine import load_engine
from i2pa.models.registry import find_model, models_folder
from i2pa.scoring import load_model
from tiny_models import noise, tiny_model

few_scores = st.lists(
    st.tuples(st.integers(-5, 5), st.integers(-5, 5), st.integers(0, 3)), max_size=12
)


@given(few_scores)
def test_flips_are_counted_as_by_hand(rows):
    first = np.array([row[0] for row in rows], float)
    second = np.array([row[1] for row in rows], float)
    pairs = flips = decided = decided_flips = 0
    for i in range(len(rows)):
        for j in range(i):
            gap, other = first[i] - first[j], second[i] - second[j]
            if gap == 0:
                continue
            flip = 0.5 if other == 0 else float(gap * other < 0)
            pairs, flips = pairs + 1, flips + flip
            if abs(gap) > 2:
                decided, decided_flips = decided + 1, decided_flips + flip
    found = agreement(first, second, margin=2)
    assert (found.pairs, found.flips) == (pairs, flips)
    assert (found.decided, found.decided_flips) == (decided, decided_flips)


@given(few_scores, st.data())
def test_a_margin_of_spreads_is_that_of_each_pair(rows, data):
    first = np.array([row[0] for row in rows], float)
    second = np.array([row[1] for row in rows], float)
    few = st.lists(st.floats(0.1, 3), min_size=len(rows), max_size=len(rows))
    spreads = np.array(data.draw(few))
    found = agreement(first, second, 0.5, spreads)
    pairs = [(i, j) for i in range(len(rows)) for j in range(i) if first[i] != first[j]]
    decided = [
        (i, j)
        for i, j in pairs
        if abs(first[i] - first[j]) > 0.5 * np.hypot(spreads[i], spreads[j])
    ]
    assert (found.pairs, found.decided) == (len(pairs), len(decided))


def test_decided_pairs_of_a_thurstone_model_are_those_that_scoring_calls(tmp_path):
    path = tiny_model(tmp_path / "t.onnx", spread=True, link="thurstone")
    pictures = noise(tmp_path / "album", 20)
    file = find_model(path)
    engine = load_engine(file.data)
    check, _ = check_engine(file, engine, engine, pictures)
    verdicts = load_model(path).compare(*pictures).verdicts
    called = sum(duel.verdict != "too close to call" for duel in verdicts)
    assert 0 < called < len(verdicts)
    assert check.decided_pairs == called


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=30), st.floats(0.5, 3))
def test_the_same_order_has_no_flip_and_the_opposite_is_all_flips(scores, scale):
    first = np.round(np.array(scores), 3)
    assert agreement(first, first * scale).flips == 0
    turned = agreement(first, -first)
    assert turned.flips == turned.pairs
    assert turned.flip_rate == (1.0 if turned.pairs else 0.0)


class Shifted:
    """An engine that adds to every score what a picture's first pixel says."""

    name = "onnxruntime-test-float32"
    precision = "float32"
    batch = 1
    callers_a_core = 1
    outputs = ("score",)

    def __init__(self, engine, share):
        self._engine, self.metadata, self._share = engine, engine.metadata, share

    def run(self, pixels, outputs=("score",)):
        score = self._engine.run(pixels)["score"]
        return {"score": score + self._share * pixels[:, 0, 0, 0].astype(np.float32)}


@pytest.fixture(scope="module")
def default():
    file = find_model()
    return file, load_engine(file.data, threads=1)


@pytest.fixture
def pictures(examples):
    return [examples / f"{name}.png" for name in ("coffee", "clock", "chelsea", "camera")]


def test_a_check_counts_what_the_engine_turned_round(default, pictures, tmp_path):
    file, engine = default
    (tmp_path / "broken.png").write_text("no picture")
    same, unreadable = check_engine(file, engine, engine, [*pictures, tmp_path / "broken.png"])
    assert (same.pictures, same.pairs, same.flip_rate, same.largest_difference) == (4, 6, 0, 0)
    assert same.keeps_order
    assert [(u.path, u.reason) for u in unreadable] == [
        (str(tmp_path / "broken.png"), "not a picture that can be read")
    ]
    other, _ = check_engine(file, Shifted(engine, 100.0), engine, pictures)
    assert other.flip_rate > 0.01
    assert not other.keeps_order
    assert other.pictures_per_second > 0
    with pytest.raises(DataError, match="takes two, and here 1 readable picture came; give more"):
        check_engine(file, engine, engine, pictures[:1])
    stranger = Shifted(engine, 0)
    stranger.metadata = {**engine.metadata, "i2pa.name": "other"}
    with pytest.raises(ModelError, match="different models"):
        check_engine(file, stranger, engine, pictures)


def test_checks_lie_beside_the_model_one_an_engine(default, pictures, tmp_path):
    file, engine = default
    check, _ = check_engine(file, engine, engine, pictures)
    mine = replace(file, path=tmp_path / "run" / "model.onnx")
    assert kept_checks(mine.path, mine.sha256) == ()
    keep_check(mine, check)
    keep_check(mine, replace(check, date="2000-01-01"))
    keep_check(mine, replace(check, engine="other-cpu-float32"))
    kept = kept_checks(mine.path, mine.sha256)
    assert [(k.engine, k.date) for k in kept] == [
        (check.engine, "2000-01-01"),
        ("other-cpu-float32", check.date),
    ]
    assert checks_file(mine.path).parent == mine.path.parent
    # Another model under the same name has not been checked.
    assert kept_checks(mine.path, "0" * 64) == ()
    written = json.loads(checks_file(mine.path).read_text())
    assert written["schema"] == "i2pa.checks/1"
    checks_file(mine.path).write_text("{")
    assert kept_checks(mine.path, mine.sha256) == ()


def test_nothing_is_written_into_the_package(default):
    file, _ = default
    assert checks_file(file.path).parent == models_folder()
