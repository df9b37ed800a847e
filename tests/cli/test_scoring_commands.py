import csv
import dataclasses
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from command_runner import one_line
from PIL import Image

from i2pa.cli import main
from i2pa.errors import UserInputError
from i2pa.models.cache import VectorStore
from i2pa.models.checks import EngineCheck, keep_check, processor_name
from i2pa.models.engine import load_engine
from i2pa.models.registry import find_model
from tiny_models import noise, tiny_model


@pytest.fixture
def i2pa(capsys):
    """Runs a command; gives exit code, stdout and stderr."""

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return ended.value.code, out, err

    return run


def test_rank_prints_a_table_best_first(i2pa, examples):
    code, out, err = i2pa("rank", examples)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert "i2pa-lite2@1" in lines[0]
    assert "never trained on" in lines[0]
    assert lines[1].split() == [
        *("rank", "ties", "with", "percentile", "level", "score", "picture")
    ]
    scores = [float(line.split()[-2]) for line in lines[2:]]
    assert len(scores) == 9
    assert scores == sorted(scores, reverse=True)


def test_rank_json_is_one_object_of_the_stated_schema(i2pa, examples):
    code, out, _ = i2pa("rank", examples, "--json", "--best", 3)
    answer = json.loads(out)
    assert code == 0
    assert answer["schema"] == "i2pa.rank/1"
    assert answer["model"].keys() == {
        *("name", "version", "sha256", "transform", "engine", "versions")
    }
    assert answer["model"]["versions"].keys() >= {"i2pa", "engine", "pillow", "libjpeg_turbo"}
    assert [item["rank"] for item in answer["items"]] == [1, 2, 3]
    assert answer["items"][0].keys() == {
        *("path", "rank", "score", "percentile", "level"),
        *("group", "group_rank", "tied_with", "taken", "twins"),
    }
    assert answer["ranked"] == 9
    assert answer["items"][0]["tied_with"] == [1, 7]
    assert answer["failures"] == []


def test_csv_and_output_files_agree_with_json(i2pa, examples, tmp_path):
    _, as_csv, _ = i2pa("rank", examples, "--csv")
    rows = list(csv.DictReader(io.StringIO(as_csv)))
    for suffix in ("csv", "json"):
        code, out, _ = i2pa("rank", examples, "-o", tmp_path / "new" / f"r.{suffix}")
        assert (code, out) == (0, "")
    assert (tmp_path / "new" / "r.csv").read_text() == as_csv
    items = json.loads((tmp_path / "new" / "r.json").read_text())["items"]
    assert [item["path"] for item in items] == [row["path"] for row in rows]
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["r.csv", "r.json"]


def test_score_keeps_the_order_given(i2pa, examples):
    names = [examples / "rocket.jpg", examples / "astronaut.png"]
    code, out, _ = i2pa("score", *names, "--json")
    assert code == 0
    assert [item["path"] for item in json.loads(out)["items"]] == [str(name) for name in names]


def test_compare_states_probability_and_verdict(i2pa, examples):
    pictures = examples / "grace_hopper.jpg", examples / "hubble_deep_field.jpg"
    code, out, _ = i2pa("compare", *pictures)
    assert code == 0
    assert f"P({pictures[0]} beats {pictures[1]}) = 0." in out
    answer = json.loads(i2pa("compare", *pictures, "--json")[1])
    assert answer["schema"] == "i2pa.compare/1"
    assert [item["path"] for item in answer["items"]] == [str(path) for path in pictures]
    (duel,) = answer["verdicts"]
    assert duel.keys() == {"first", "second", "probability", "verdict"}
    assert 0.5 < duel["probability"] < 1
    assert answer["matrix"][0][1] == duel["probability"]
    assert answer["matrix"][0][1] + answer["matrix"][1][0] == 1


def test_broken_pictures_are_listed_at_the_end_and_the_rest_is_ranked(i2pa, examples, tmp_path):
    (tmp_path / "fine.png").write_bytes((examples / "coffee.png").read_bytes())
    (tmp_path / "text.jpg").write_text("hello")
    code, out, err = i2pa("rank", tmp_path)
    assert code == 0
    assert "fine.png" in out
    assert "text.jpg: not a picture that can be read; give JPEG" in err.splitlines()[0]
    assert err.splitlines()[-1] == "i2pa: 1 of 2 pictures could not be scored: 1 not a picture"


def test_bad_input_gives_one_clear_line_and_the_right_exit_code(i2pa, tmp_path, examples):
    empty = tmp_path / "empty"
    empty.mkdir()
    (tmp_path / "text.jpg").write_text("hello")
    picture = examples / "coffee.png"
    cases = [
        (("rank", tmp_path / "nowhere"), 2, "no such file or folder"),
        (("rank", empty), 1, "no pictures found"),
        (("rank", tmp_path, "--model", "nonsense"), 2, "no model 'nonsense'"),
        (("rank", picture, "--json", "--csv"), 2, "exclude each other; give one of them"),
        (("rank", picture, "-o", ""), 2, "--output names no file; give a name in .json, .csv or"),
        (("rank", picture, "-o", tmp_path / "r.xlsx"), 2, "name it .json, .csv or .parquet"),
        (("rank", picture, "-o", picture / "r.csv"), 2, "cannot be written"),
        (("score", examples), 2, "try: i2pa rank"),
        (("compare", picture, tmp_path / "text.jpg"), 1, "not a picture"),
        (("compare", picture, tmp_path / "no.jpg"), 1, "no.jpg: cannot be read (No such file"),
    ]
    for arguments, code, message in cases:
        got, out, err = i2pa(*arguments)
        assert (got, out) == (code, ""), arguments
        assert message in one_line(err)
    code, out, err = i2pa("rank", tmp_path / "text.jpg")
    assert (code, out) == (1, "")
    assert err.splitlines()[-1] == "i2pa: the one picture given could not be scored"


def test_usage_errors_exit_with_2(i2pa):
    for arguments in (("rank",), ("nonsense",), ("rank", "x", "--best", "0")):
        assert i2pa(*arguments)[0] == 2


def test_every_command_has_help_with_an_example(i2pa):
    for command in (
        "rank",
        "score",
        "compare",
        "cache",
        "posts",
        "pairs",
        "split",
        "train",
        "export",
    ):
        code, out, _ = i2pa(command, "--help")
        assert code == 0
        assert f"Example: i2pa {command} " in out


def test_score_keeps_the_order_and_the_repeats(i2pa, examples):
    one, two = examples / "coffee.png", examples / "rocket.jpg"
    _, out, _ = i2pa("score", two, one, two, "--json")
    assert [item["path"] for item in json.loads(out)["items"]] == [str(two), str(one), str(two)]


def test_version_and_a_name_no_file_can_have(i2pa):
    code, out, _ = i2pa("--version")
    assert (code, out.split()[0]) == (0, "i2pa")
    code, _, err = i2pa("rank", "x" * 300)
    assert code in (1, 2)
    one_line(err)


def test_output_and_flags_may_not_disagree(i2pa, examples, tmp_path):
    code, _, err = i2pa("rank", examples, "--json", "-o", tmp_path / "r.csv")
    assert code == 2
    assert "disagree" in one_line(err)


def test_two_pictures_compare_in_one_line_and_more_as_a_matrix(i2pa, examples):
    names = [examples / name for name in ("camera.png", "clock.png", "coffee.png")]
    code, out, err = i2pa("compare", *names)
    assert (code, err) == (0, "")
    ranking, matrix = out.split("\n\n")
    assert [line.split()[0] for line in ranking.splitlines()[2:]] == ["1", "2", "3"]
    assert matrix.splitlines()[1].split() == ["A", "B", "C", "picture"]
    rows = [line.split()[:-1] for line in matrix.splitlines()[2:]]
    assert [row[0] for row in rows] == ["A", "B", "C"]
    assert [[cell.startswith("~") for cell in row[1:]] for row in rows] == [
        [False, True],
        [False, False],
        [True, False],
    ]
    for here, there in ((rows[0][1], rows[1][1]), (rows[0][2], rows[2][1])):
        assert float(here.strip("~")) + float(there.strip("~")) == pytest.approx(1)


def test_the_best_are_one_of_each_group(i2pa, examples, tmp_path):
    for name in ("coffee.png", "rocket.jpg", "clock.png"):
        with Image.open(examples / name) as image:
            image.convert("RGB").save(tmp_path / f"{name}.jpg", quality=80)
            image.convert("RGB").save(tmp_path / f"{name}.again.jpg", quality=60)
    _, out, _ = i2pa("rank", tmp_path, "--json")
    groups = [item["group"] for item in json.loads(out)["items"]]
    assert sorted(groups) == [1, 1, 2, 2, 3, 3]
    _, out, _ = i2pa("rank", tmp_path, "--json", "--best", 2)
    answer = json.loads(out)
    assert [(item["group"], item["group_rank"]) for item in answer["items"]] == [(1, 1), (2, 1)]
    assert answer["ranked"] == 6
    _, out, _ = i2pa("rank", tmp_path, "--json", "--best", 2, "--all")
    assert [item["rank"] for item in json.loads(out)["items"]] == [1, 2]
    _, out, _ = i2pa("rank", tmp_path, "--json", "--best", 2, "--diverse")
    assert len(json.loads(out)["items"]) == 2
    _, out, _ = i2pa("rank", tmp_path)
    assert out.splitlines()[1].split()[:4] == ["rank", "ties", "with", "group"]
    assert sum(" best " in line for line in out.splitlines()) == 3


def test_parquet_csv_and_json_hold_the_same(i2pa, tmp_path):
    pq = pytest.importorskip("pyarrow.parquet")
    model = tiny_model(tmp_path / "tiny.onnx")
    album = noise(tmp_path / "album", 6)[0].parent
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = "2024:05:01 12:30:00"
    Image.new("RGB", (30, 30)).save(album / "taken.jpg", exif=exif)
    (album / os.fsdecode(b"stray\xff.png")).write_bytes((album / "0003.png").read_bytes())
    for command in ("rank", "score"):
        pictures = [album] if command == "rank" else sorted(album.iterdir())
        for suffix in ("parquet", "json", "csv"):
            out = tmp_path / f"{command}.{suffix}"
            code, _, _ = i2pa(command, *pictures, "--model", model, "-o", out)
            assert code == 0
        table = pq.read_table(tmp_path / f"{command}.parquet")
        answer = json.loads((tmp_path / f"{command}.json").read_text())
        with (tmp_path / f"{command}.csv").open(errors="surrogateescape") as file:
            rows = list(csv.DictReader(file))
        assert len(table) == len(answer["items"]) == len(rows) == 8
        assert table.column_names == list(rows[0])
        assert json.loads(table.schema.metadata[b"i2pa.model"]) == answer["model"]
        assert table.schema.metadata[b"i2pa.reference"].decode() == "made up"
        for row, item, line in zip(table.to_pylist(), answer["items"], rows, strict=True):
            assert row["path"].replace("\\udcff", "\udcff") == item["path"] == line["path"]
            assert row["score"] == item["score"] == float(line["score"])
            if command == "rank":
                tied = [row["tied_from"], row["tied_to"]]
                assert tied == (item["tied_with"] or [None, None])
                assert (row["taken"] and row["taken"].isoformat()) == item["taken"]
                assert line["taken"] == (item["taken"] or "")
                assert (row["rank"], row["group"]) == (item["rank"], item["group"])


def test_a_cache_that_cannot_be_used_is_one_line(i2pa, examples, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("I2PA_CACHE", str(tmp_path / "file" / "cache"))
    code, out, err = i2pa("rank", examples)
    assert code == 0
    assert "hubble" in out
    assert "going on without the cache" in one_line(err)
    assert i2pa("rank", examples, "--no-cache")[2] == ""


def test_options_that_make_no_sense_together_are_usage_errors(i2pa, examples, tmp_path):
    for arguments, message in (
        (("--diverse",), "--diverse needs --best"),
        (("--no-cache", "--verify"), "exclude each other; give one of them"),
        (("--json", "-o", tmp_path / "x.parquet"), "disagree"),
    ):
        code, _, err = i2pa("rank", examples, *arguments)
        assert code == 2
        assert message in one_line(err)
    code, _, err = i2pa("compare", examples / "coffee.png")
    assert code == 2
    assert "two pictures or more" in one_line(err)


def test_the_cache_tells_where_it_is_and_goes_when_asked(i2pa, examples):
    i2pa("rank", examples)
    embeddings = Path(os.environ["I2PA_CACHE"]) / "embeddings" / "kind"
    VectorStore(embeddings, 1000, np.float32).append(["a"], np.ones((1, 1000)))
    code, out, err = i2pa("cache")
    assert (code, err) == (0, "")
    assert os.environ["I2PA_CACHE"] in out
    assert "9 scores" in out
    assert f"{embeddings.parent}: embeddings of personalize and train, 0.0 MB" in out
    answer = json.loads(i2pa("cache", "--json")[1])
    assert answer["schema"] == "i2pa.cache/1"
    assert (answer["scores"], answer["files"], answer["deleted"]) == (9, 9, False)
    assert answer["embeddings_bytes"] > 4000
    assert answer["limit_bytes"] == 2_000_000_000
    code, out, err = i2pa("cache", "--delete")
    assert (code, err) == (0, "")
    assert "9 scores" in out
    assert out.splitlines()[-1].startswith("deleted 0.")
    assert list(Path(os.environ["I2PA_CACHE"]).iterdir()) == []
    answer = json.loads(i2pa("cache", "--delete", "--json")[1])
    assert (answer["scores"], answer["embeddings_bytes"], answer["deleted"]) == (0, 0, True)
    assert list(Path(os.environ["I2PA_CACHE"]).iterdir()) == []


def test_an_input_is_never_written_over(i2pa, examples, tmp_path):
    picture = tmp_path / "coffee.html"
    picture.write_bytes((examples / "coffee.png").read_bytes())
    table = tmp_path / "list.csv"
    table.write_text(f"path\n{picture}\n")
    (tmp_path / "link.csv").symlink_to(table)
    before = {file: file.read_bytes() for file in (picture, table)}
    for arguments in (
        ("rank", table, "-o", table),
        ("score", table, "-o", table),
        ("rank", table, "-o", tmp_path / "link.csv"),
        ("rank", table, "--html", picture),
        ("rank", picture, "--html", picture),
    ):
        code, out, err = i2pa(*arguments)
        assert (code, out) == (2, ""), arguments
        assert "is the input itself" in one_line(err)
    assert before == {file: file.read_bytes() for file in (picture, table)}


def test_a_broken_picture_costs_a_comparison_only_itself(i2pa, examples, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_text("hello")
    one, two = examples / "coffee.png", examples / "clock.png"
    code, out, err = i2pa("compare", one, broken, two)
    assert code == 0
    assert f"P({one} beats {two}) = 0." in out
    assert "broken.jpg: not a picture" in err.splitlines()[0]
    assert err.splitlines()[1:] == ["i2pa: 1 of 3 pictures could not be compared"]
    _, out, _ = i2pa("compare", one, broken, two, "--json")
    answer = json.loads(out)
    assert [item["path"] for item in answer["items"]] == [str(one), str(two)]
    assert [failure["path"] for failure in answer["failures"]] == [str(broken)]
    assert [(duel["first"], duel["second"]) for duel in answer["verdicts"]] == [(0, 1)]
    code, out, err = i2pa("compare", one, broken, broken)
    assert (code, out) == (1, "")
    assert "(1 more cannot be read either)" in one_line(err)


def test_what_only_best_makes_sense_of_asks_for_it(i2pa, examples):
    for option in ("--all", "--diverse"):
        code, _, err = i2pa("rank", examples, option)
        assert code == 2
        assert f"{option} needs --best" in one_line(err)


def test_addresses_are_not_fetched(i2pa):
    for command in ("rank", "score"):
        code, _, err = i2pa(command, "https://x.org/a.jpg")
        assert code == 2
        assert one_line(err) == "i2pa: https://x.org/a.jpg: addresses are not fetched; give files\n"


def test_a_lower_precision_says_what_it_costs(i2pa, examples, tmp_path):
    pytest.importorskip("openvino")
    model = tmp_path / "m.onnx"
    model.write_bytes(find_model().data)
    try:
        load_engine(model.read_bytes(), precision="bf16")
    except UserInputError as error:
        pytest.skip(str(error))
    asked = ("--model", model, "--precision", "bf16")
    code, _, err = i2pa("score", examples / "coffee.png", *asked)
    assert code == 0
    assert "was not checked here: i2pa models check" in one_line(err)
    file = find_model(model)
    facts = {field.name: 0 for field in dataclasses.fields(EngineCheck)}
    told = {
        "model_sha256": file.sha256,
        "engine": "openvino-cpu-bfloat16",
        "processor": processor_name(),
        "flip_rate": 0.0123,
    }
    keep_check(file, EngineCheck(**(facts | told)))
    code, _, err = i2pa("score", examples / "coffee.png", *asked)
    assert code == 0
    assert "openvino-cpu-bfloat16: turns round 1.23% of pairs" in one_line(err)
    assert i2pa("score", examples / "coffee.png", "--model", model)[2] == ""
