"""A taste on a Thurstone model: its pictures share one spread, and the new model is logistic."""

import math

import numpy as np
import pytest
from tiny_model import WIDTH, tiny_model

from i2pa.metrics.calibration import probability
from i2pa.metrics.thurstone import normal_probability
from i2pa.models.engine import load_engine
from i2pa.models.head import spreads_of
from i2pa.models.registry import find_model
from i2pa.personal import personalize, write_taste
from i2pa.personal.learning import LOGITS_OF_A_DEVIATION, load_base, scale_of
from i2pa.scoring import load_model

ALONG = np.random.default_rng(4).normal(size=WIDTH)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("base") / "t.onnx", spread_of=(ALONG, 0.5))


def test_spreads_of_embeddings_are_those_of_the_whole_model(base):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 260, 260, 3), dtype=np.uint8)
    data = find_model(base).data
    arrays = load_engine(data).run(pixels, ("embedding", "spread"))
    found = spreads_of(data, arrays["embedding"].astype(np.float64))
    assert found == pytest.approx(arrays["spread"], rel=1e-5)


def test_a_score_difference_counts_for_as_much_as_it_did():
    z = np.linspace(-8, 8, 2001)
    logistic = probability(z * LOGITS_OF_A_DEVIATION, 1.0)
    assert np.abs(normal_probability(z, 1.0) - logistic).max() < 0.01


def test_the_shared_spread_is_the_median(base):
    loaded = load_base(base)
    embeddings = np.random.default_rng(2).normal(size=(31, WIDTH))
    median = np.median(spreads_of(loaded.data, embeddings))
    assert scale_of(loaded, embeddings) == pytest.approx(2.0 * math.sqrt(2) * median / 1.702)


def test_the_taste_is_found_and_the_new_model_scores(base, album, tmp_path):
    taste = personalize(album.keep, album.reject, model=base)
    assert taste.verdict == "adds"
    assert taste.metadata.link == "logistic"
    write_taste(taste, tmp_path / "mine")
    scorer = load_model(tmp_path / "mine")
    assert scorer._engine.outputs == ("score", "embedding", "features")
    kept, rejected = (sorted(side.iterdir())[0] for side in (album.keep, album.reject))
    assert 0 < scorer.compare(kept, rejected).probability < 1
    logistic = personalize(album.keep, album.reject, model=album.model)
    assert taste.gain.gain.value == pytest.approx(logistic.gain.gain.value, abs=0.02)
