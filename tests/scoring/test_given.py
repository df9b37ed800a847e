"""Every form in which a picture may be given, and what is no picture."""

import io
import subprocess
import sys
import tempfile
import textwrap

import pytest
from PIL import Image

from i2pa import Limits, ScoreCache
from i2pa.errors import ImageError, UserInputError
from i2pa.scoring import load_model
from odd_pictures import encoded, png_of_size
from tiny_models import noise, tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("model") / "tiny.onnx")


@pytest.fixture(scope="module")
def scorer(model):
    return load_model(model)


@pytest.fixture
def picture(tmp_path):
    return noise(tmp_path / "album", 1)[0]


class Slow(io.BytesIO):
    """Gives a few bytes at a time, as a socket may."""

    def read(self, size=-1):
        return super().read(min(size, 100))


def test_bytes_in_any_form_score_as_the_file_does(scorer, picture):
    data = picture.read_bytes()
    with tempfile.SpooledTemporaryFile() as spooled, picture.open("rb") as file:
        spooled.write(data)
        spooled.seek(0)
        given = [
            data,
            bytearray(data),
            memoryview(data),
            io.BytesIO(data),
            Slow(data),
            spooled,
            file,
        ]
        scores = scorer.score([str(picture), *given])
    assert scores.failures == ()
    assert len({item.score for item in scores.items}) == 1
    assert [item.path for item in scores.items] == [
        *(str(picture), "#1", "#2", "#3", "#4", "#5", "#6"),
        str(picture),
    ]


def test_what_came_as_bytes_is_kept_whatever_its_form(scorer, picture, monkeypatch):
    data = picture.read_bytes()
    with ScoreCache() as cache:
        scorer.score_one(bytearray(data), cache=cache)
        monkeypatch.setattr(scorer._decoder, "decode_bytes", None)
        again = scorer.score([data, io.BytesIO(data), memoryview(data), picture], cache=cache)
    assert again.failures == ()


def test_a_file_is_read_on_from_where_it_is(scorer, picture):
    file = io.BytesIO(b"before" + picture.read_bytes())
    file.seek(6)
    assert scorer.score_one(file).score == scorer.score_one(picture).score


def test_files_that_hold_no_picture_fail_alone(model, picture):
    closed = picture.open("rb")
    closed.close()
    given = [io.BytesIO(), picture, closed, io.BytesIO(bytes(20_001)), io.BytesIO(b"hello" * 9)]
    scores = load_model(model, limits=Limits(file_bytes=20_000)).score(given)
    assert [failure.kind for failure in scores.failures] == [
        *("damaged", "unreadable", "too_large", "not_a_picture")
    ]
    assert len(scores.items) == 1


def test_what_is_no_picture_is_told_to_the_caller(scorer, picture):
    with picture.open("rb") as file:
        for one in (b"", bytearray(), memoryview(b""), file, io.BytesIO(), str(picture)):
            with pytest.raises(UserInputError, match="score_one"):
                scorer.score(one)
    with pytest.raises(UserInputError, match="'rb'"):
        scorer.score_one(io.StringIO("text"))
    for nonsense in (5, None, object()):
        with pytest.raises(UserInputError, match="cannot score a picture given as"):
            scorer.score([picture, nonsense])


@pytest.mark.parametrize("threads", [0, -1, "2", 1.5, True])
def test_threads_are_checked_at_the_call(model, threads):
    with pytest.raises(UserInputError, match="threads is"):
        load_model(model, threads=threads)


@pytest.mark.parametrize("value", [0, -5, 1.5, "4", None, True])
def test_limits_are_checked_at_the_call(value):
    with pytest.raises(UserInputError, match="the limit decode_bytes is"):
        Limits(decode_bytes=value)


def test_every_limit_counts(model, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encoded(Image.new("RGB", (300, 200)), "PNG"))
    good = Limits(file_bytes=path.stat().st_size, pixels=60_000, side=300, decode_bytes=240_000)
    assert load_model(model, limits=good).score([path]).failures == ()
    for field, value in vars(good).items():
        if field in ("baseline_jpeg_pixels", "light_pixels"):
            continue
        tight = load_model(model, limits=Limits(**{field: value - 1}))
        (failure,) = tight.score([path]).failures
        assert failure.kind == "too_large", field


def test_stored_scores_become_chances_and_percentiles(scorer, tmp_path):
    album = noise(tmp_path / "album", 3)
    items = scorer.score(album).items
    compared = scorer.compare(*album)
    for i, one in enumerate(items):
        assert scorer.percentile(one.score) == one.percentile
        for j, other in enumerate(items):
            assert scorer.probability(one.score, other.score) == compared.matrix[i][j]
    for nonsense in (float("nan"), float("inf"), "1", None):
        with pytest.raises(UserInputError, match="must be a finite number"):
            scorer.percentile(nonsense)
        with pytest.raises(UserInputError, match="must be a finite number"):
            scorer.probability(0.0, nonsense)


def test_scores_of_a_thurstone_model_need_their_spreads(tmp_path):
    scorer = load_model(tiny_model(tmp_path / "t.onnx", spread=True, link="thurstone"))
    album = noise(tmp_path / "album", 2)
    one, other = scorer.measure(album)
    with pytest.raises(UserInputError, match="spread_a"):
        scorer.probability(one.score, other.score, spread_a=one.spread)
    chance = scorer.probability(one.score, other.score, spread_a=one.spread, spread_b=other.spread)
    assert chance == scorer.compare(*album).probability


def test_pillow_says_nothing_of_large_pictures_in_the_callers_name(model):
    code = textwrap.dedent(
        """
        import sys
        from i2pa import load_model
        scores = load_model(sys.argv[1]).score([sys.stdin.buffer])
        print(scores.failures[0].kind)
        """
    )
    run = subprocess.run(
        [sys.executable, "-W", "always", "-c", code, str(model)],
        input=png_of_size(10_000, 10_000),
        capture_output=True,
        check=True,
    )
    assert (run.stdout, run.stderr) == (b"too_large\n", b"")


def test_what_holds_nothing_is_damaged_and_an_empty_path_is_none(scorer, picture, tmp_path):
    (tmp_path / "empty.jpg").touch()
    given = [b"", bytearray(), io.BytesIO(), tmp_path / "empty.jpg", "", picture]
    scores = scorer.score(given)
    assert [one.kind for one in scores.failures] == [*["damaged"] * 4, "no_path"]
    assert scores.failures[4].reason == "an empty path names no picture"
    with pytest.raises(ImageError, match="an empty path names no picture"):
        scorer.score_one("")


def test_bytes_over_the_limit_are_refused_as_a_file_is(model, picture):
    small = load_model(model, limits=Limits(file_bytes=100))
    kinds = [one.kind for one in small.score([picture, picture.read_bytes()]).failures]
    assert kinds == ["too_large"] * 2
