import json
import os
from functools import partial

import pytest
from command_runner import run

from i2pa.models.catalogue import PUBLISHED
from i2pa.models.engine import installed_engines
from i2pa.models.registry import find_model, models_folder

needs_openvino = pytest.mark.skipif(
    "openvino" not in installed_engines(), reason="OpenVINO is not installed here"
)


@pytest.fixture
def i2pa(capsys):
    return partial(run, capsys)


def one_line(text):
    assert len(text.strip().splitlines()) == 1, text
    return text


def test_models_are_listed_with_what_a_user_must_know(i2pa):
    code, out, err = i2pa("models")
    assert (code, err) == (0, "")
    for words in (
        "i2pa-lite2@1",
        find_model().sha256,
        "0.761 [0.607, 0.897]",
        "Apache-2.0",
        "squash260@1",
        "19.2 MB",
        "paper-resnet50@1",
        "0.7665 [0.7628, 0.7702]",
        "not here: i2pa models get paper-resnet50",
        "2b43c375ff8e75856aba1d4bbe713aa6b7f4d8fcce83c0f30e6558cb6d1d783f",
    ):
        assert words in out
    code, out, err = i2pa("models", "--json")
    answer = json.loads(out)
    assert (code, answer["schema"]) == (0, "i2pa.models/1")
    assert [model["name"] for model in answer["models"]] == [m.name for m in PUBLISHED]
    assert [model["on_disk"] for model in answer["models"]] == [True, False]
    assert answer["models"][0]["accuracy"]["pairs"] == 349
    assert i2pa("models", "list") == i2pa("models")
    assert i2pa("models", "list", "--json") == (0, out, "")


def test_a_model_tells_of_itself(i2pa, tmp_path):
    code, out, _ = i2pa("models", "show", "i2pa-lite2")
    assert code == 0
    assert "182 pictures of 13 public figures" in out
    (tmp_path / "copy.onnx").write_bytes(find_model().data)
    code, out, _ = i2pa("models", "show", tmp_path / "copy.onnx", "--json")
    facts = json.loads(out)
    assert facts["schema"] == "i2pa.models.show/1"
    assert (facts["name"], facts["pinned"]) == ("i2pa-lite2", False)
    assert facts["outputs"] == ["score", "embedding", "features"]


def test_getting_what_comes_inside_needs_no_network(i2pa):
    code, out, err = i2pa("models", "get", "i2pa-lite2")
    assert (code, err) == (0, "")
    assert find_model().sha256 in out
    code, out, err = i2pa("models", "get", "i2pa-lite2", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == {
        "schema": "i2pa.models.get/1",
        "name": "i2pa-lite2",
        "version": 1,
        "path": str(find_model().path),
        "sha256": find_model().sha256,
    }


def test_bad_input_is_one_line_with_the_remedy(i2pa, tmp_path, examples):
    (tmp_path / "w.pth").write_bytes(b"weights")
    picture = examples / "coffee.png"
    cases = [
        (("rank", examples, "--model", "paper-resnet50"), 2, "run: i2pa models get paper-resnet50"),
        (("models", "get", "nonsense"), 2, "choose from paper-resnet50"),
        (("models", "get", "i2pa-lite2", "--from", "x"), 2, "leave --from out"),
        (("models", "get", "paper-resnet50", "--from", tmp_path / "no"), 2, "cannot be read"),
        (("models", "get", "paper-resnet50", "--from", tmp_path / "w.pth"), 1, "2b43c375ff8e"),
        (("models", "get", "paper-resnet50", "--from", os.devnull), 2, "is no regular file"),
        (("models", "show", picture), 1, "coffee.png: is no ONNX model, or a damaged one; give a"),
        (("models", "--json", "list"), 2, "give --json after list"),
        (("models", "show", "nonsense"), 2, "paper-resnet50@1"),
        (("models", "--json", "show", "i2pa-lite2"), 2, "give --json after show"),
        (("models", "check", "i2pa-lite2", "--images", tmp_path), 1, "no pictures found"),
        (("score", picture, "--engine", "abacus"), 2, "choose from auto, onnxruntime"),
        (("score", picture, "--precision", "int8"), 2, "int8 is refused"),
        (("rank", picture, "--engine", "torch", "--precision", "bf16"), 2, "has no precision"),
        # Without --precision it is bfloat16 that is checked.
        (
            ("models", "check", "i2pa-lite2", "--images", examples, "--engine", "onnxruntime"),
            2,
            "has no precision bfloat16; give --precision float32",
        ),
        (
            ("models", "check", "i2pa-lite2", "--images", examples, "--column", "photo"),
            2,
            "there is no table to take the column 'photo' from",
        ),
    ]
    for arguments, code, message in cases:
        got, out, err = i2pa(*arguments)
        assert (got, out) == (code, ""), arguments
        assert message in one_line(err), arguments


def test_every_command_has_help_with_an_example(i2pa):
    for command in ("models", "models show", "models get", "models check"):
        code, out, _ = i2pa(*command.split(), "--help")
        assert code == 0
        assert f"Example: i2pa {command} " in out


@needs_openvino
def test_the_engine_asked_for_is_named_beside_the_scores(i2pa, examples):
    picture = examples / "coffee.png"
    answers = {}
    for engine in ("onnxruntime", "openvino"):
        code, out, err = i2pa("score", picture, "--engine", engine, "--json")
        assert (code, err) == (0, "")
        answers[engine] = json.loads(out)
        assert answers[engine]["model"]["engine"] == f"{engine}-cpu-float32"
    first, second = (answer["items"][0]["score"] for answer in answers.values())
    assert first == pytest.approx(second, abs=1e-3)


@needs_openvino
def test_a_check_is_printed_kept_and_listed(i2pa, examples):
    command = ("models", "check", "i2pa-lite2", "--images", examples, "--engine", "openvino")
    code, out, err = i2pa(*command, "--precision", "f32")
    assert (code, err) == (0, "")
    assert "openvino-cpu-float32: turns round 0.00% of 36 pairs of 9 pictures" in out
    assert "keeps the order" in out
    assert (models_folder() / "i2pa-lite2-v1.onnx.checks.json").is_file()
    _, listed, _ = i2pa("models")
    assert "openvino-cpu-float32: turns round 0.00% of 36 pairs" in listed
    code, out, _ = i2pa(*command, "--precision", "f32", "--json")
    answer = json.loads(out)
    assert answer["schema"] == "i2pa.models.check/1"
    assert (answer["flip_rate"], answer["pictures"], answer["keeps_order"]) == (0.0, 9, True)


@needs_openvino
def test_a_check_that_cannot_be_kept_is_still_told(i2pa, examples, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("I2PA_CACHE", str(tmp_path / "file"))
    command = ("models", "check", "i2pa-lite2", "--images", examples, "--engine", "openvino")
    code, out, err = i2pa(*command, "--precision", "f32")
    assert code == 0
    assert "turns round 0.00%" in out
    assert "not kept" in out
    assert "cannot be written" in one_line(err)
    assert err.endswith("; make room, or set I2PA_CACHE to a writable folder\n")


def test_a_check_takes_pictures_from_a_column_of_a_table(i2pa, examples, tmp_path):
    model = tmp_path / "m.onnx"
    model.write_bytes(find_model().data)
    table = tmp_path / "t.csv"
    rows = "".join(f"{examples / name}\n" for name in ("coffee.png", "clock.png"))
    table.write_text(f"photo\n{rows}")
    command = ("models", "check", model, "--images", table, "--precision", "float32", "--json")
    code, _, err = i2pa(*command)
    assert code == 2
    assert "name one of its columns with --column: 'photo'" in one_line(err)
    code, out, _ = i2pa(*command, "--column", "photo")
    assert (code, json.loads(out)["pictures"]) == (0, 2)


def test_a_stopped_download_says_that_it_goes_on(i2pa, monkeypatch):
    from i2pa.models import paper

    def stopped(*arguments, progress, **options):
        progress(500, 94_000_000)
        progress(50_000_000, 94_000_000)
        raise KeyboardInterrupt

    monkeypatch.setattr(paper, "download", stopped)
    code, out, err = i2pa("models", "get", "paper-resnet50")
    assert (code, out) == (130, "")
    assert "the same command goes on" in err.splitlines()[-1]
