import csv
import io
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from i2pa.cli import main


@pytest.fixture
def i2pa(capsys):
    """Runs a command; gives exit code, stdout and stderr."""

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return ended.value.code, out, err

    return run


def one_line(text):
    assert text.strip()
    assert len(text.strip().splitlines()) == 1, text
    return text


def test_rank_prints_a_table_best_first(i2pa, examples):
    code, out, err = i2pa("rank", examples)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert "i2pa-lite2@1" in lines[0]
    assert "never trained on" in lines[0]
    assert lines[1].split() == ["rank", "percentile", "level", "score", "picture"]
    scores = [float(line.split()[3]) for line in lines[2:]]
    assert len(scores) == 9
    assert scores == sorted(scores, reverse=True)


def test_rank_json_is_one_object_of_the_stated_schema(i2pa, examples):
    code, out, _ = i2pa("rank", examples, "--json", "--best", 3)
    answer = json.loads(out)
    assert code == 0
    assert answer["schema"] == "i2pa.rank/1"
    assert answer["model"].keys() == {"name", "version", "sha256", "transform", "engine"}
    assert [item["rank"] for item in answer["items"]] == [1, 2, 3]
    assert answer["items"][0].keys() == {"path", "rank", "score", "percentile", "level"}
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
    assert 0.5 < answer["probability"] < 1


def test_broken_pictures_are_listed_at_the_end_and_the_rest_is_ranked(i2pa, examples, tmp_path):
    (tmp_path / "fine.png").write_bytes((examples / "coffee.png").read_bytes())
    (tmp_path / "text.jpg").write_text("hello")
    code, out, err = i2pa("rank", tmp_path)
    assert code == 0
    assert "fine.png" in out
    assert "text.jpg: not a picture that can be read; give JPEG" in err.splitlines()[0]
    assert err.splitlines()[-1] == "i2pa: 1 of 2 pictures could not be scored"


def test_bad_input_gives_one_clear_line_and_the_right_exit_code(i2pa, tmp_path, examples):
    empty = tmp_path / "empty"
    empty.mkdir()
    (tmp_path / "text.jpg").write_text("hello")
    picture = examples / "coffee.png"
    cases = [
        (("rank", tmp_path / "nowhere"), 2, "no such file or folder"),
        (("rank", empty), 1, "no pictures found"),
        (("rank", tmp_path, "--model", "nonsense"), 2, "no model 'nonsense'"),
        (("rank", picture, "--json", "--csv"), 2, "exclude each other"),
        (("rank", picture, "-o", tmp_path / "r.xlsx"), 2, "name it .json or .csv"),
        (("rank", picture, "-o", picture / "r.csv"), 2, "cannot be written"),
        (("score", examples), 2, "try: i2pa rank"),
        (("compare", picture, tmp_path / "text.jpg"), 1, "not a picture"),
        (("compare", picture, tmp_path / "no.jpg"), 2, "no such file"),
    ]
    for arguments, code, message in cases:
        got, out, err = i2pa(*arguments)
        assert (got, out) == (code, ""), arguments
        assert message in one_line(err)
    code, out, err = i2pa("rank", tmp_path / "text.jpg")
    assert (code, out) == (1, "")
    assert err.splitlines()[-1] == "i2pa: none of 1 pictures could be scored"


def test_usage_errors_exit_with_2(i2pa):
    for arguments in (("rank",), ("nonsense",), ("rank", "x", "--best", "0")):
        assert i2pa(*arguments)[0] == 2


def test_every_command_has_help_with_an_example(i2pa):
    for command in ("rank", "score", "compare", "posts", "pairs", "split", "train", "export"):
        code, out, _ = i2pa(command, "--help")
        assert code == 0
        assert f"Example: i2pa {command} " in out


def test_names_of_any_bytes_and_markup_are_printed_harmlessly(examples, tmp_path):
    data = (examples / "coffee.png").read_bytes()
    names = [b"[bold]red.png", b"bad\xffname.png", b"escape\x1b[31m.png", "été 日本.png".encode()]
    for name in names:
        (tmp_path / os.fsdecode(name)).write_bytes(data)
    run = subprocess.run([sys.executable, "-m", "i2pa", "rank", tmp_path], capture_output=True)
    assert (run.returncode, run.stderr) == (0, b"")
    assert b"[bold]red.png" in run.stdout
    assert b"\x1b[31m" not in run.stdout
    assert "été 日本.png".encode() in run.stdout
    as_json = [sys.executable, "-m", "i2pa", "rank", tmp_path, "--json"]
    items = json.loads(subprocess.run(as_json, capture_output=True, check=True).stdout)["items"]
    assert {os.fsencode(item["path"]).rsplit(b"/", 1)[1] for item in items} == set(names)


def test_a_closed_pipe_ends_quietly(examples):
    command = f"{sys.executable} -m i2pa rank {examples} --json | head -c 1"
    run = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True)
    assert run.stderr == b""
    assert run.returncode == 0


@pytest.mark.slow
def test_ctrl_c_stops_at_once_with_130(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (1500, 1500, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "0.png")
    for number in range(1, 300):
        (tmp_path / f"{number}.png").hardlink_to(tmp_path / "0.png")
    command = [sys.executable, "-m", "i2pa", "rank", tmp_path]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert (out, err) == (b"", b"i2pa: stopped\n")


def shell(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "i2pa", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        **options,
    )


def test_ranking_writes_nothing_but_what_is_asked_for(examples, tmp_path):
    # onnxruntime would keep a device id and a queue of reports in the user's home.
    home = tmp_path / "home"
    home.mkdir()
    kept = {k: v for k, v in os.environ.items() if k not in ("ORT_DISABLE_TELEMETRY", "I2PA_CACHE")}
    done = shell("rank", examples, cwd=tmp_path, env=kept | {"HOME": str(home)})
    assert (done.returncode, done.stderr) == (0, "")
    assert [path for path in tmp_path.rglob("*") if path != home] == []


@pytest.mark.skipif(sys.platform == "win32", reason="pipes end differently there")
@pytest.mark.parametrize("form", [(), ("--json",), ("--csv",)])
def test_a_closed_pipe_ends_quietly_with_0(examples, form):
    command = [sys.executable, "-m", "i2pa", "rank", str(examples), *form]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, timeout=120)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_ctrl_c_while_still_starting_is_130_too(examples):
    command = [sys.executable, "-m", "i2pa", "rank", str(examples)]
    for seconds in (0.15, 0.3):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        # Before Python has come to our first line, the signal ends it by itself.
        assert process.returncode in (0, 130, -signal.SIGINT)
        assert b"cli" not in err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")  # noqa: PTH110
def test_a_full_disk_is_one_line(examples):
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(
            [sys.executable, "-m", "i2pa", "rank", str(examples)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
        )
    assert done.returncode == 1
    assert "No space left" in one_line(done.stderr)


def test_a_terminal_that_knows_only_ascii_gets_marks(examples):
    done = shell("rank", examples, env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, "")
    assert "i2pa-lite2@1 ? percentiles" in done.stdout


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
