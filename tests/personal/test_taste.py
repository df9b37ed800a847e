"""personalize(), from files to a model that scores."""

import json
import shutil
import subprocess
import sys
from datetime import datetime, timedelta

import numpy as np
import pytest
from PIL import Image
from scipy.stats import spearmanr
from tiny_model import make_pictures, redness, tiny_model

from i2pa.errors import DataError, ModelError, UserInputError
from i2pa.models.registry import digest_file
from i2pa.personal import Reading, check_taste_folder, personalize, write_taste
from i2pa.scoring import load_model


@pytest.fixture(scope="module")
def taste(album, tmp_path_factory):
    return personalize(album.keep, album.reject, model=album.model)


def test_the_taste_is_found_and_shown_on_pictures_never_seen(taste, tmp_path):
    assert taste.verdict == "adds"
    assert taste.gain.gain.low > 0
    assert taste.learnt_from == "30 kept and 30 rejected pictures"
    write_taste(taste, tmp_path / "mine")
    new = make_pictures(tmp_path / "new", 60, seed=9)
    scores = load_model(tmp_path / "mine").score(new)
    wanted = [redness(colours) for colours in new.values()]
    assert spearmanr([item.score for item in scores.items], wanted).statistic > 0.5
    assert scores.reference == "60 of your own pictures (30 kept), out-of-fold"
    percentiles = [item.percentile for item in scores.items]
    assert 25 < np.mean(percentiles) < 75
    assert np.std(percentiles) > 15


def test_probabilities_are_as_sure_as_they_are_right(taste, tmp_path):
    write_taste(taste, tmp_path / "mine")
    scorer = load_model(tmp_path / "mine")
    new = make_pictures(tmp_path / "new", 80, seed=5)
    middle = np.median([redness(c) for c in new.values()])
    kept = [p for p, c in new.items() if redness(c) > middle]
    rejected = [p for p, c in new.items() if redness(c) <= middle]
    chances = [scorer.compare(a, b).probability for a, b in zip(kept, rejected, strict=True)]
    right = np.mean([chance > 0.5 for chance in chances])
    sure = np.mean([max(chance, 1 - chance) for chance in chances])
    assert abs(right - sure) < 0.2


def test_the_same_pictures_give_the_same_model_whatever_their_names_and_order(
    album, taste, tmp_path
):
    for side, folder in (("keep", album.keep), ("reject", album.reject)):
        (tmp_path / side).mkdir()
        for number, path in enumerate(sorted(folder.iterdir(), reverse=True)):
            shutil.copy(path, tmp_path / side / f"{number}.png")
    again = personalize(tmp_path / "keep", tmp_path / "reject", model=album.model)
    assert again.model == taste.model
    assert again.gain == taste.gain
    assert again.inputs == taste.inputs


def test_a_list_of_favourites_and_the_album_they_are_from(album, taste, tmp_path):
    favourites = tmp_path / "favourites.txt"
    names = [f"all/{path.name}" for path in sorted(album.keep.iterdir())]
    favourites.write_text("\n".join([*names, ""]), encoding="utf-8-sig")
    listed = personalize(favourites, album.folder / "all", images=album.folder, model=album.model)
    assert listed.learnt_from == "30 kept and 30 rejected pictures"
    assert listed.inputs == taste.inputs
    said = f"30 of the 30 files it names .* looked for below {tmp_path}, .*--images DIR names the"
    with pytest.raises(DataError, match=said):
        personalize(favourites, album.folder / "all", model=album.model)
    favourites.write_text("\n".join([*names, "all/gone.png"]))
    told = []
    personalize(
        favourites,
        album.folder / "all",
        images=album.folder,
        model=album.model,
        reading=Reading(left_out=told.extend),
    )
    assert [failure.path for failure in told] == [str(album.folder / "all" / "gone.png")]


def test_an_unusable_cache_costs_one_warning(album, taste, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("I2PA_CACHE", str(tmp_path / "file" / "cache"))
    told = []
    without = personalize(
        album.keep, album.reject, model=album.model, reading=Reading(warn=told.append)
    )
    assert without.model == taste.model
    assert len(told) == 1
    assert "going on without the cache" in told[0]
    told.clear()
    reading = Reading(use_cache=False, warn=told.append)
    assert personalize(album.keep, album.reject, model=album.model, reading=reading) == without
    assert told == []


def test_what_is_computed_is_kept(album, taste):
    told = []
    reading = Reading(progress=lambda *n: told.append(n))
    personalize(album.keep, album.reject, model=album.model, reading=reading)
    personalize(album.keep, album.reject, model=album.model, reading=reading)
    assert told in ([], [(32, 60), (60, 60)])


def test_broken_pictures_are_listed_and_too_many_stop(album, tmp_path):
    reject = tmp_path / "reject"
    shutil.copytree(album.reject, reject)
    (reject / "cut.png").write_bytes(next(album.reject.iterdir()).read_bytes()[:60])
    (reject / "empty.jpg").touch()
    taste = personalize(album.keep, reject, model=album.model)
    assert sorted(failure.path for failure in taste.failures) == [
        str(reject / "cut.png"),
        str(reject / "empty.jpg"),
    ]
    for number in range(3):
        (reject / f"text{number}.jpg").write_text("no picture")
    with pytest.raises(DataError, match="5 of 65 pictures cannot be read, over 5%"):
        personalize(album.keep, reject, model=album.model)
    told = []
    reading = Reading(allow_unreadable=True, left_out=told.extend)
    taste = personalize(album.keep, reject, model=album.model, reading=reading)
    assert len(taste.failures) == 5
    assert list(taste.failures) == told


def test_sides_that_share_everything_leave_nothing_rejected(album):
    with pytest.raises(DataError, match=r"30 kept and 0 rejected .* on both sides counts as kept"):
        personalize(album.keep, album.keep, model=album.model)


@pytest.mark.parametrize("broken", ["kept", "rejected"])
def test_a_side_that_cannot_be_read_is_told_as_such(album, tmp_path, broken):
    (tmp_path / "no.jpg").write_text("no picture")
    good = next(album.reject.iterdir())
    sides = (tmp_path / "no.jpg", good) if broken == "kept" else (good, tmp_path / "no.jpg")
    with pytest.raises(DataError, match=f"not enough data.*none of the {broken} pictures can be"):
        personalize(*sides, model=album.model, reading=Reading(allow_unreadable=True))


def test_a_handful_of_pictures_cannot_be_judged(album, tmp_path):
    for side, folder in (("keep", album.keep), ("reject", album.reject)):
        (tmp_path / side).mkdir()
        path = min(folder.iterdir())
        shutil.copy(path, tmp_path / side / path.name)
    with pytest.raises(DataError, match="1 keeps and 1 rejects; at least 15 of each"):
        personalize(tmp_path / "keep", tmp_path / "reject", model=album.model)


def test_wrong_calls_are_told_what_is_missing(album, tmp_path):
    for arguments, says in (
        ({}, "kept and rejected pictures, or from likes"),
        ({"keep": album.keep}, "both kept and rejected"),
        ({"keep": album.keep, "likes": tmp_path}, "or from likes"),
        ({"likes": tmp_path / "posts.parquet"}, "no such file of posts"),
        ({"likes": next(album.keep.iterdir())}, "pictures of the posts are missing"),
        ({"keep": album.keep, "reject": tmp_path / "no"}, "no such file or folder"),
        ({"likes": tmp_path, "images": tmp_path / "no"}, "no such folder of pictures"),
    ):
        with pytest.raises(UserInputError, match=says):
            personalize(**arguments, model=album.model)


def test_a_model_with_another_head_is_refused(album, tmp_path):
    other = tiny_model(tmp_path / "other.onnx", head="MatMul")
    with pytest.raises(ModelError, match=r"other\.onnx.*no head to replace"):
        personalize(album.keep, album.reject, model=other)


def test_a_taste_can_be_learnt_on_a_taste(album, taste, tmp_path):
    write_taste(taste, tmp_path / "mine")
    more = personalize(album.keep, album.reject, model=tmp_path / "mine", name="more")
    assert more.base.tag == "my-taste@1"
    assert more.metadata.tag == "more@1"


def test_the_run_folder_says_what_was_measured_and_names_no_picture(album, taste, tmp_path):
    folder = tmp_path / "mine"
    file = write_taste(taste, folder)
    assert {path.name for path in folder.iterdir()} == {
        "model.onnx",
        "model.onnx.sha256",
        "run.json",
        "card.md",
    }
    assert digest_file(file.path).read_text().split()[0] == file.sha256
    record = json.loads((folder / "run.json").read_text())
    assert record["format"] == "i2pa.personal-run/1"
    assert record["gain"]["gain"]["value"] == taste.gain.gain.value
    assert record["base"]["tag"] == "tiny@1"
    assert "model" not in record
    card = (folder / "card.md").read_text()
    assert card.startswith("# my-taste@1\n\n**Your taste adds ")
    name = min(album.keep.iterdir()).name
    assert name not in card + json.dumps(record)


def test_only_a_personal_models_folder_is_written_over(taste, tmp_path):
    folder = tmp_path / "mine"
    check_taste_folder(folder)
    write_taste(taste, folder)
    with pytest.raises(UserInputError, match="--overwrite"):
        check_taste_folder(folder)
    check_taste_folder(folder, overwrite=True)
    (folder / "run.json").write_text('{"recipe": {}}')
    with pytest.raises(UserInputError, match="other files"):
        check_taste_folder(folder, overwrite=True)
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(UserInputError, match="other files"):
        check_taste_folder(tmp_path, overwrite=True)
    with pytest.raises(UserInputError, match="cannot be made"):
        check_taste_folder(tmp_path / "holiday.jpg")


def posts_csv(path, pictures, *, users=("me",), days=1.0, age=60):
    """One post a picture, liked the more the redder."""
    start = datetime(2024, 1, 1)
    rows = ["post_id,user_id,uploaded_at,downloaded_at,likes,media_type,image_count,image"]
    for number, (picture, colours) in enumerate(pictures.items()):
        at = start + timedelta(days=days * number)
        likes = round(200 * np.exp((redness(colours) - 127.5) / 30))
        read = start + timedelta(days=days * len(pictures) + age)
        user = users[number % len(users)]
        rows.append(f"p{number},{user},{at}Z,{read}Z,{likes},image,1,{picture.name}")
    path.write_text("\n".join(rows))
    return path


def test_likes_of_own_posts_are_a_taste_too(album, tmp_path):
    pictures = make_pictures(tmp_path / "pictures", 60, seed=3)
    posts = posts_csv(tmp_path / "posts.csv", pictures)
    taste = personalize(likes=posts, images=tmp_path / "pictures", model=album.model)
    assert taste.source == "likes"
    assert taste.verdict == "adds"
    assert taste.gain.pairs < taste.pairs
    assert taste.metadata.reference.name == "60 pictures of your own posts, out-of-fold"
    assert taste.pairing == "posts at most 30 days apart, by likes"
    closer = personalize(likes=posts, images=tmp_path / "pictures", model=album.model, days=5)
    assert closer.pairs < taste.pairs


def test_a_taste_is_one_persons(album, tmp_path):
    pictures = make_pictures(tmp_path / "pictures", 12, seed=3)
    posts = posts_csv(tmp_path / "posts.csv", pictures, users=("me", "you"))
    arguments = {"likes": posts, "images": tmp_path / "pictures", "model": album.model}
    with pytest.raises(UserInputError, match=r"posts of 2 users.*--user"):
        personalize(**arguments)
    with pytest.raises(UserInputError, match="no post of the user 'her'"):
        personalize(**arguments, user="her")
    few = personalize(**arguments, user="you")
    assert few.verdict == "not enough data"
    assert "6 posts with a picture that pair; at least 40 needed" in few.says


def test_young_posts_do_not_pair_unless_asked(album, tmp_path):
    pictures = make_pictures(tmp_path / "pictures", 20, seed=3)
    posts = posts_csv(tmp_path / "posts.csv", pictures, age=1)
    arguments = {"likes": posts, "images": tmp_path / "pictures", "model": album.model}
    with pytest.raises(DataError):
        personalize(**arguments)
    assert personalize(**arguments, min_age_days=0).pairs == 190


def test_keeps_and_rejects_need_neither_torch_nor_the_data_packages(album):
    script = (
        "import sys; from i2pa import personalize; "
        f"personalize({str(album.keep)!r}, {str(album.reject)!r}, model={str(album.model)!r}); "
        "print(*(m for m in ('torch', 'duckdb', 'pyarrow', 'scipy') if m in sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""


@pytest.mark.slow
def test_a_taste_for_dark_pictures_on_the_default_model(shared_data, tmp_path):
    """Brightness is no output of the network, and the default model prefers the brighter."""
    folder = shared_data / "instagram_public_figures" / "images"
    light = {}
    for path in sorted(folder.glob("*.jpg")):
        with Image.open(path) as image:
            light[path] = np.asarray(image.convert("L").resize((32, 32)), float).mean()
    middle = np.median(list(light.values()))
    for side, dark in (("keep", True), ("reject", False)):
        paths = [str(path) for path, value in light.items() if (value < middle) == dark]
        (tmp_path / f"{side}.txt").write_text("\n".join(paths[:80]))
    taste = personalize(tmp_path / "keep.txt", tmp_path / "reject.txt", within="all")
    assert taste.verdict == "adds", taste.says
    assert taste.base.tag.startswith("i2pa-lite2@")
