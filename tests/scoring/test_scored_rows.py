"""One result for each row, in order; and what is not kept of pictures that are only scored."""

import gc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from i2pa.images.failure import Failure
from i2pa.images.rows import Row
from i2pa.scoring import ScoreCache, ScoredPicture, load_model
from i2pa.scoring.pipeline import Measured
from i2pa.scoring.rows import score_rows
from tiny_models import noise, tiny_model


@pytest.fixture(scope="module")
def scorer(tmp_path_factory):
    return load_model(tiny_model(tmp_path_factory.mktemp("model") / "tiny.onnx"), threads=1)


@pytest.fixture(scope="module")
def album(tmp_path_factory):
    return noise(tmp_path_factory.mktemp("album"), 3)


@settings(deadline=None, max_examples=40)
@given(kinds=st.lists(st.sampled_from([0, 1, 2, "missing", "no_path"]), max_size=40))
def test_rows_and_results_stay_together(scorer, album, kinds):
    rows = []
    for number, kind in enumerate(kinds):
        path = None if kind == "no_path" else album[kind] if kind in (0, 1, 2) else Path("gone")
        rows.append(Row(f"row {number}", path, (number,), "no path here" if path is None else ""))
    expected = [scorer.score_one(path).score for path in album]
    results = list(score_rows(scorer, iter(rows)))
    assert [row for row, _ in results] == rows
    for (row, result), kind in zip(results, kinds, strict=True):
        assert result.path == row.given
        if isinstance(result, Failure):
            assert result.kind == kind
            assert result.reason == (row.fault or "cannot be read (No such file or directory)")
        else:
            assert result.score == pytest.approx(expected[kind], abs=1e-6)


def test_rows_are_asked_for_as_they_are_needed(scorer, album):
    asked = 0

    def endless():
        nonlocal asked
        while True:
            asked += 1
            yield Row("x", album[asked % 3])

    results = score_rows(scorer, endless())
    assert isinstance(next(results)[1], ScoredPicture)
    results.close()
    assert asked < 100


def test_scores_keep_no_embedding(scorer, album):
    most = 0

    def look(done, total):
        nonlocal most
        if done % 50 == 0:
            most = max(most, sum(type(one) is Measured for one in gc.get_objects()))

    with ScoreCache() as cache:
        scorer.score(album, cache=cache)
        scores = scorer.score(album * 200, progress=look, cache=cache)
    assert len(scores.items) == 600
    assert 0 < most < 300
