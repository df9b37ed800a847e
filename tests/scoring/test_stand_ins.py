"""Where the JPEG of a picture is damaged, its RAW is scored in its place, and that is said."""

import pytest

from i2pa.images.find import Found
from i2pa.scoring import ScoreCache, load_model
from i2pa.scoring.results import StandIn
from odd_pictures import dng, encoded, quarters
from tiny_models import tiny_model


@pytest.fixture
def scorer(tmp_path):
    return load_model(tiny_model(tmp_path / "tiny.onnx"))


@pytest.fixture
def pair(tmp_path):
    """A damaged JPEG and its good RAW."""
    jpg, raw = tmp_path / "a.jpg", tmp_path / "a.dng"
    jpg.write_bytes(encoded(quarters(300, 200), "JPEG")[:400])
    raw.write_bytes(dng(quarters(600, 400), taken="2024:05:06 07:08:09"))
    return jpg, raw


def test_the_raw_is_scored_instead_and_stands_for_the_picture(scorer, pair):
    jpg, raw = pair
    (alone,) = scorer.rank([raw]).items
    with ScoreCache() as cache:
        for _ in range(2):
            ranking = scorer.rank([Found(jpg, (raw,))], cache=cache)
            assert ranking.failures == ()
            (item,) = ranking.items
            assert (item.path, item.twins) == (str(raw), (str(jpg),))
            assert item.score == pytest.approx(alone.score)
            assert item.taken == alone.taken is not None
            (said,) = ranking.stand_ins
            assert (said.path, said.instead_of) == (str(raw), str(jpg))
            assert said.reason.startswith("damaged or incomplete picture")


def test_the_first_good_raw_of_several_is_taken(scorer, pair, tmp_path):
    jpg, raw = pair
    broken = tmp_path / "a.nef"
    broken.write_bytes(b"nothing")
    (item,) = scorer.rank([Found(jpg, (broken, raw))]).items
    assert (item.path, item.twins) == (str(raw), (str(jpg), str(broken)))


def test_a_good_jpeg_stays_and_where_all_are_broken_it_is_the_failure(scorer, pair, tmp_path):
    jpg, raw = pair
    good = tmp_path / "b.jpg"
    good.write_bytes(encoded(quarters(300, 200), "JPEG"))
    ranking = scorer.rank([Found(good, (raw,))])
    assert (ranking.items[0].path, ranking.stand_ins) == (str(good), ())
    raw.write_bytes(b"nothing either")
    ranking = scorer.rank([Found(jpg, (raw,)), good])
    assert [failure.path for failure in ranking.failures] == [str(jpg)]
    assert ranking.stand_ins == ()
    assert scorer.score([Found(jpg, (raw,))]).stand_ins == ()


def test_scores_tell_it_too(scorer, pair):
    jpg, raw = pair
    scores = scorer.score([Found(jpg, (raw,))])
    assert [item.path for item in scores.items] == [str(raw)]
    assert scores.stand_ins == (StandIn(str(raw), str(jpg), scores.stand_ins[0].reason),)
