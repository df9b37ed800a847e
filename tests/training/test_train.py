import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from i2pa.cli import main
from i2pa.errors import DataError, UserInputError
from i2pa.images.transforms import transform_named
from i2pa.models.cache import cache_folder
from i2pa.models.onnx_engine import OnnxEngine
from i2pa.pairs import pairs_from_levels, split_pairs
from i2pa.pairs.schema import PAIRS, write_pairs
from i2pa.scoring import load_model
from i2pa.training import FINETUNE, PROBE, check_run_folder, export_run, train, write_run
from i2pa.training.features import image_features
from i2pa.training.train import _advise_on_precision

pytestmark = pytest.mark.slow

USERS, POSTS = 6, 6


def run(*arguments):
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return ended.value.code


@pytest.fixture(scope="module")
def album(tmp_path_factory, examples):
    """Six users' pictures: parts of photographs, and plain stripes, by turns."""
    folder = tmp_path_factory.mktemp("album")
    rng = np.random.default_rng(0)
    photographs = [Image.open(path).convert("RGB") for path in sorted(examples.glob("*.*g"))]
    for user in range(USERS):
        for post in range(POSTS):
            if post % 2:
                stripes = np.zeros((120, 160, 3), np.uint8)
                stripes[:: rng.integers(2, 9)] = rng.integers(0, 256, 3)
                picture = Image.fromarray(stripes)
            else:
                source = photographs[rng.integers(len(photographs))]
                left, top = (int(rng.integers(side // 3)) for side in source.size)
                picture = source.crop(
                    (left, top, left + source.width // 2, top + source.height // 2)
                )
            picture.save(folder / f"{user}-{post}.png")
    return folder


@pytest.fixture(scope="module")
def pairs():
    """Photographs beat stripes for every user."""
    rows = []
    for user in range(USERS):
        for winner in range(0, POSTS, 2):
            for loser in range(1, POSTS, 2):
                start = datetime(2020, 1, 1 + user, tzinfo=UTC)
                rows.append(
                    {
                        "platform": "test",
                        "user_id": f"u{user}",
                        "winner_id": f"{user}-{winner}",
                        "loser_id": f"{user}-{loser}",
                        "winner_image": f"{user}-{winner}.png",
                        "loser_image": f"{user}-{loser}.png",
                        "winner_time": start + timedelta(hours=winner),
                        "loser_time": start + timedelta(hours=loser),
                        "winner_s": 6.0,
                        "loser_s": 5.0,
                        "delta_s": 1.0,
                        "p": 0.99,
                        "weight": 1.0,
                        "split": None,
                    }
                )
    return pa.Table.from_pylist(rows, schema=PAIRS)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("embeddings")


@pytest.fixture(autouse=True)
def shared_cache(monkeypatch, cache, private_cache):
    monkeypatch.setenv("I2PA_CACHE", str(cache))


def of_users(pairs, *users):
    return pairs.filter(pa.array([user in users for user in pairs["user_id"].to_pylist()]))


def test_a_visible_difference_is_learnt_across_users(pairs, album):
    model = train(pairs, album)
    (evaluation,) = model.evaluations
    assert evaluation.model.mean_of_users.value > 0.95
    assert evaluation.model.users == USERS
    # Winners are posted at even hours, losers at odd ones: later wins in 3 of 9.
    assert evaluation.later_wins.pooled.value == pytest.approx(3 / 9)
    assert model.calibration.temperature > 0
    assert "out-of-fold" in model.metadata.reference.name
    assert model.metadata.reference.n == USERS * POSTS


def test_a_probe_by_thurstone_gives_spreads_that_its_file_repeats(pairs, album, tmp_path):
    model = train(pairs, album, replace(PROBE, loss="thurstone", l2=0.1, nuisance=True))
    assert model.evaluations[0].model.mean_of_users.value > 0.95
    assert model.metadata.link == "thurstone"
    file = write_run(model, str(tmp_path / "run"))
    names = sorted(path.name for path in album.glob("[01]-*.png"))
    transform = transform_named(PROBE.transform)
    pixels = np.stack([transform.pixels(album / name) for name in names])
    given = OnnxEngine(file.data).run(pixels, ("score", "spread"))
    embeddings = image_features(names, [album], PROBE.backbone, transform).embeddings
    assert given["score"] == pytest.approx(model.head.score(embeddings), abs=0.02)
    assert given["spread"] == pytest.approx(model.head.spreads(embeddings), abs=0.02)
    again = export_run(tmp_path / "run", tmp_path / "again.onnx", None, None)
    assert OnnxEngine(again.data).run(pixels, ("spread",))["spread"] == pytest.approx(
        given["spread"], abs=1e-5
    )


def test_split_validation_and_calibration_pairs_are_kept_apart(pairs, album):
    part = ["test" if user == "u0" else "train" for user in pairs["user_id"].to_pylist()]
    split = pairs.set_column(pairs.column_names.index("split"), "split", pa.array(part))
    model = train(
        split,
        album,
        validate_on={"others": of_users(pairs, "u0")},
        calibrate_on=of_users(pairs, "u0"),
    )
    names = [evaluation.pairs for evaluation in model.evaluations]
    assert names == ["cross-validation", "test", "others"]
    assert model.evaluations[1].model.users == 1
    assert model.metadata.reference.n == POSTS
    with pytest.raises(DataError, match="'same' shares 1 user with the pairs to learn from"):
        train(pairs, album, validate_on={"same": of_users(pairs, "u3")})


def test_pairs_without_pictures_are_left_out_and_counted(pairs, album):
    images = pairs["loser_image"].to_pylist()
    images[0], images[1] = None, "gone.png"
    broken = pairs.set_column(
        pairs.column_names.index("loser_image"), "loser_image", pa.array(images)
    )
    model = train(broken, album)
    assert model.pairs_without_picture == 2
    assert [(u.path, u.reason) for u in model.unreadable] == [("gone.png", "no such file")]


@pytest.mark.parametrize("recipe", [PROBE, FINETUNE])
def test_too_many_pairs_without_pictures_stop_every_recipe(pairs, album, recipe):
    images = pairs["loser_image"].to_pylist()
    images[:3] = ["gone.png"] * 3
    broken = pairs.set_column(
        pairs.column_names.index("loser_image"), "loser_image", pa.array(images)
    )
    with pytest.raises(DataError, match=r"3 of 54 pairs lack a picture .*--allow-unreadable"):
        train(broken, album, recipe)
    assert train(broken, album, allow_unreadable=True).pairs_without_picture == 3


def test_pairs_measured_on_without_pictures_are_counted_by_list(pairs, album, tmp_path):
    place = pairs.column_names.index("loser_image")
    others = of_users(pairs, "u0")
    images = others["loser_image"].to_pylist()
    broken = others.set_column(place, "loser_image", pa.array(["gone.png", *images[1:]]))
    learn = of_users(pairs, "u1", "u2", "u3")
    model = train(
        learn,
        album,
        validate_on={"whole": of_users(pairs, "u4"), "other": broken},
        calibrate_on=broken,
        allow_unreadable=True,
    )
    assert model.measured_without_picture == {"other": 1, "calibrate": 1}
    write_run(model, tmp_path / "run", {})
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["measured_without_picture"] == {"other": 1, "calibrate": 1}
    card = (tmp_path / "run" / "card.md").read_text()
    assert "as no picture could be read: 1 pair of other, 1 pair of calibrate." in card


def test_an_l2_that_was_given_is_called_fixed(pairs, album):
    assert train(pairs, album, replace(PROBE, l2=0.3)).chosen == "ℓ2 0.3 (fixed)"
    assert train(pairs, album).chosen.endswith("(least out-of-fold log loss)")


def test_weights_that_cannot_weigh_are_refused_in_every_part(pairs, album):
    def weighing(table, weights):
        place = table.column_names.index("weight")
        return table.set_column(place, "weight", pa.array(weights, pa.float64()))

    n = pairs.num_rows
    with pytest.raises(DataError, match=r"pairs: column weight: 1 of 54 values"):
        train(weighing(pairs, [float("nan"), *[1.0] * (n - 1)]), album)
    parts = split_pairs(pairs, fractions=(0.7, 0.15, 0.15)).pairs
    zero = [0.0 if part == "train" else 1.0 for part in parts["split"].to_pylist()]
    with pytest.raises(DataError, match=r"pairs, part 'train': column weight: all \d+ pairs"):
        train(weighing(parts, zero), album)


def test_pairs_without_a_probability_are_refused_wherever_they_are_used(pairs, album):
    place, n = pairs.column_names.index("p"), pairs.num_rows
    bad = pairs.set_column(place, "p", pa.array([None, *[0.99] * (n - 1)], pa.float64()))
    for name, given in {
        "pairs": {"pairs": bad},
        "validate_on['late']": {"pairs": pairs, "validate_on": {"late": bad}},
        "calibrate_on": {"pairs": pairs, "calibrate_on": bad},
    }.items():
        with pytest.raises(DataError) as refused:
            train(images=album, **given)
        assert str(refused.value).startswith(f"{name}: column p: 1 of {n} values are empty")


def test_float16_without_cuda_is_warned_of(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    said = []
    for precision in ("float32", "bfloat16", "float16"):
        _advise_on_precision(replace(FINETUNE, precision=precision), said.append)
    (line,) = said
    assert line.startswith("float16 is made for CUDA")
    assert "bfloat16" in line
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    _advise_on_precision(replace(FINETUNE, precision="float16"), said.append)
    assert len(said) == 1


def test_one_user_and_missing_folders_are_named(pairs, album, tmp_path):
    with pytest.raises(DataError, match="one user"):
        train(of_users(pairs, "u1"), album)
    with pytest.raises(UserInputError, match="no such folder"):
        train(pairs, tmp_path / "nowhere")
    with pytest.raises(DataError, match="none of the pictures"):
        train(pairs, tmp_path)


def test_graded_pictures_train_without_users(album, tmp_path):
    names = sorted(path.name for path in album.glob("*.png"))
    levels = [5 if int(name[2]) % 2 == 0 else 1 for name in names]
    graded = pairs_from_levels(pa.table({"image": names, "level": levels}), "stars")
    model = train(graded, album)
    (evaluation,) = model.evaluations
    assert evaluation.model.users == 0
    assert evaluation.model.pooled.value > 0.95
    assert evaluation.later_wins is None
    assert "graded pictures" in model.learnt_from


def test_features_come_from_the_cache_the_second_time(album):
    transform = transform_named(PROBE.transform)
    images = sorted(path.name for path in album.glob("*.png"))
    computed = []
    first = image_features(images, [album], PROBE.backbone, transform)
    again = image_features(
        images, [album], PROBE.backbone, transform, lambda done, total: computed.append(done)
    )
    assert computed == []
    assert (first.embeddings[:] == again.embeddings[:]).all()
    assert (first.properties == again.properties).all()
    copy = {path.name: path for path in cache_folder().rglob("vectors-*")}
    assert copy["vectors-1280.float16"].stat().st_size == 2 * 1280 * len(images)


def test_from_posts_to_a_ranked_folder_by_commands_alone(pairs, album, tmp_path, capsys):
    write_pairs(pairs, tmp_path / "pairs.parquet")
    out = tmp_path / "run"
    assert run("train", tmp_path / "pairs.parquet", "--images", album, "-o", out) == 0
    printed = capsys.readouterr().out
    assert "| cross-validation | model | 54 / 6 |" in printed
    for name in ("model.onnx", "model.onnx.sha256", "model.safetensors", "card.md", "metrics.csv"):
        assert (out / name).is_file()
    record = json.loads((out / "run.json").read_text())
    assert record["evaluations"][0]["model"]["pairs"] == 54
    assert record["inputs"].keys() == {"pairs.parquet"}

    exported = tmp_path / "other" / "mine.onnx"
    assert run("export", out, "-o", exported, "--name", "mine", "--version", 7) == 0
    scorer, again = load_model(out), load_model(exported)
    assert again.model.tag == "mine@7"
    photograph, stripes = album / "0-0.png", album / "0-1.png"
    assert scorer.score_one(photograph).score > scorer.score_one(stripes).score
    assert scorer.score_one(photograph).score == pytest.approx(again.score_one(photograph).score)

    capsys.readouterr()
    assert run("rank", album, "--model", out, "--json") == 0
    items = json.loads(capsys.readouterr().out)["items"]
    best = {item["path"].rsplit("-", 1)[1] for item in items[: len(items) // 2]}
    assert best == {"0.png", "2.png", "4.png"}


def test_bad_commands_say_what_is_wrong(pairs, album, tmp_path, capsys):
    write_pairs(pairs, tmp_path / "pairs.parquet")
    (tmp_path / "text.parquet").write_text("likes")
    out = tmp_path / "run"
    good = tmp_path / "pairs.parquet"
    cases = [
        (("train", tmp_path / "no.parquet", "--images", album, "-o", out), 2, "no such file"),
        (("train", tmp_path / "text.parquet", "--images", album, "-o", out), 1, "pairs.parquet"),
        (("train", good, "--images", album, "-o", out, "--recipe", "magic"), 2, "probe"),
        (("train", good, "--images", album, "-o", out, "--transform", "x"), 2, "squash260@1"),
        (("export", tmp_path, "-o", tmp_path / "m.onnx"), 1, "run i2pa train first"),
        (("export", tmp_path, "-o", tmp_path / "m.bin"), 2, ".onnx"),
    ]
    for arguments, code, message in cases:
        assert run(*arguments) == code
        err = capsys.readouterr().err
        assert message in err
        assert len(err.splitlines()) == 1
    assert not out.exists()


def test_a_run_never_replaces_other_files_and_a_finished_run_only_when_told(tmp_path):
    check_run_folder(tmp_path / "new" / "run")
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").write_text("")
    for folder in (tmp_path, tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(UserInputError):
            check_run_folder(folder)
    run_folder = tmp_path / "run"
    run_folder.mkdir()
    (run_folder / "metrics.csv").write_text("l2,accuracy_mean_of_users,log_loss\n")
    check_run_folder(run_folder)
    (run_folder / "run.json").write_text("{}")
    with pytest.raises(UserInputError, match="--overwrite"):
        check_run_folder(run_folder)
    check_run_folder(run_folder, overwrite=True)


def test_sets_to_measure_on_keep_their_names(pairs, album):
    parts = split_pairs(pairs, fractions=(0.6, 0.2, 0.2)).pairs
    with pytest.raises(UserInputError, match="called 'test'"):
        train(parts, album, validate_on={"test": pairs})
