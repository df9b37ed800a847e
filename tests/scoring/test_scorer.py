import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from i2pa.errors import ImageError, UserInputError
from i2pa.scoring import Failure, ScoreCache, load_model


@pytest.fixture(scope="module")
def scorer():
    return load_model()


@pytest.fixture(scope="module")
def pictures(examples):
    return sorted(examples.glob("*.[jp][pn]g"))


@pytest.fixture(scope="module")
def scores(scorer, pictures):
    return scorer.score(pictures)


def test_every_example_is_scored_in_the_order_given(scores, pictures):
    assert [item.path for item in scores.items] == [str(path) for path in pictures]
    assert scores.failures == ()
    for item in scores.items:
        assert 0.1 <= item.percentile <= 99.9
        assert item.level in ("poor", "bad", "fair", "good", "excellent")


def test_rank_is_the_same_scores_best_first(scorer, pictures, scores):
    ranking = scorer.rank(reversed(pictures))
    assert {item.path: item.score for item in ranking.items} == pytest.approx(
        {item.path: item.score for item in scores.items}, abs=1e-3
    )
    ordered = [item.score for item in ranking.items]
    assert ordered == sorted(ordered, reverse=True)
    assert [item.rank for item in ranking.items] == list(range(1, len(pictures) + 1))


def test_the_ranking_does_not_depend_on_file_names(scorer, pictures, tmp_path):
    copies = {}
    for number, path in enumerate(pictures):
        copy = tmp_path / f"{(7 * number) % 10}{path.suffix}"
        copy.write_bytes(path.read_bytes())
        copies[str(copy)] = str(path)
    renamed = [copies[item.path] for item in scorer.rank(copies).items]
    assert renamed == [item.path for item in scorer.rank(pictures).items]


def test_equal_pictures_share_a_rank(scorer, pictures):
    ranking = scorer.rank([pictures[0], pictures[1], pictures[0]])
    ranks = sorted(item.rank for item in ranking.items)
    assert ranks in ([1, 1, 3], [1, 2, 2])


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_change_no_score(pictures, scores, threads):
    again = load_model(threads=threads).score(pictures)
    assert [item.score for item in again.items] == pytest.approx(
        [item.score for item in scores.items], abs=1e-4
    )


def test_paths_bytes_images_and_arrays_score_alike(scorer, examples):
    path = examples / "chelsea.png"
    with Image.open(path) as image:
        variants = [path, str(path), path.read_bytes(), image, np.asarray(image)]
        scored = scorer.score(variants)
    assert [item.score for item in scored.items] == pytest.approx([scored.items[0].score] * 5)
    assert [item.path for item in scored.items][2:] == ["#2", str(path), "#4"]
    assert scorer.score_one(path).score == pytest.approx(scored.items[0].score, abs=1e-4)


def test_a_batch_goes_on_past_broken_pictures(scorer, pictures, tmp_path):
    text = tmp_path / "text.jpg"
    text.write_text("I am no picture")
    short = tmp_path / "short.jpg"
    short.write_bytes((pictures[5]).read_bytes()[:2000])
    missing = tmp_path / "missing.png"
    given = [text, pictures[0], short, missing, pictures[1]]
    done = []
    result = scorer.score(given, progress=lambda n, total: done.append((n, total)))
    assert [item.path for item in result.items] == [str(pictures[0]), str(pictures[1])]
    assert [failure.path for failure in result.failures] == [str(text), str(short), str(missing)]
    assert "not a picture" in result.failures[0].reason
    assert done == [(n, 5) for n in range(1, 6)]


def test_one_broken_picture_alone_raises(scorer, tmp_path):
    with pytest.raises(ImageError, match=r"nothing\.jpg"):
        scorer.score_one(tmp_path / "nothing.jpg")
    with pytest.raises(UserInputError, match="score_one"):
        scorer.score("a.jpg")


@pytest.mark.parametrize("cached", [False, True])
def test_streaming_takes_any_number_of_pictures_lazily(scorer, cached):
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield np.full((8, 8, 3), len(taken) % 256, np.uint8)

    with ScoreCache() as cache:
        stream = scorer.stream(endless(), cache=cache if cached else None)
        first = [next(stream) for _ in range(5)]
        stream.close()
    assert not any(isinstance(item, Failure) for item in first)
    assert len(taken) <= 32 * (2 * scorer._threads + 2)


def test_compare_is_antisymmetric_and_calls_ties(scorer, examples):
    good, bad = examples / "grace_hopper.jpg", examples / "hubble_deep_field.jpg"
    there, back = scorer.compare(good, bad), scorer.compare(bad, good)
    assert there.probability + back.probability == pytest.approx(1)
    assert there.probability > 0.5
    same = scorer.compare(good, good)
    assert (same.probability, same.verdict) == (0.5, "too close to call")
    verdict = "first" if there.probability > 0.6 else "too close to call"
    assert there.verdict == verdict


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 255), min_size=1, max_size=9))
def test_a_picture_scores_the_same_whatever_its_neighbours(scorer, greys):
    arrays = [np.full((16, 16, 3), grey, np.uint8) for grey in greys]
    together = [item.score for item in scorer.score(arrays).items]
    alone = [scorer.score_one(array).score for array in arrays]
    assert together == pytest.approx(alone, abs=1e-3)


def test_the_default_repeats_its_published_scores(scorer, examples, published_scores):
    assert len(published_scores) == 9
    for name, published in published_scores.items():
        # Published to two digits, repeated to 1e-3.
        assert scorer.score_one(examples / name).score == pytest.approx(published, abs=0.006)
