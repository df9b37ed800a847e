"""`rank` as a process of its own: pipes, signals, full disks, terminals, names of any bytes."""

import contextlib
import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time

import numpy as np
import pytest
from command_runner import one_line
from PIL import Image

from i2pa.models.score_file import scores_file


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
    (tmp_path / "\x1b[31mbroken.png").write_text("no picture")
    (tmp_path / "\x1b[31mfolder").mkdir()
    escape = tmp_path / os.fsdecode(names[2])
    for arguments in (
        ("rank", tmp_path),
        ("compare", escape, tmp_path / os.fsdecode(names[0])),
        ("score", tmp_path / "\x1b[31mfolder"),
    ):
        said = subprocess.run([sys.executable, "-m", "i2pa", *arguments], capture_output=True)
        assert b"[31m" in said.stdout + said.stderr
        assert b"\x1b[31m" not in said.stdout + said.stderr
    as_json = [sys.executable, "-m", "i2pa", "rank", tmp_path, "--json"]
    items = json.loads(subprocess.run(as_json, capture_output=True, check=True).stdout)["items"]
    assert {os.fsencode(item["path"]).rsplit(b"/", 1)[1] for item in items} == set(names)


def test_a_closed_pipe_ends_quietly(examples):
    command = f"{sys.executable} -m i2pa rank {examples} --json | head -c 1"
    run = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True)
    assert run.stderr == b""
    assert run.returncode == 0


def kept_scores():
    path = scores_file()
    if not path.exists():
        return 0
    with contextlib.closing(sqlite3.connect(path)) as connection:
        tables = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'scores'")
        there = tables.fetchone()[0]
        return connection.execute("SELECT count(*) FROM scores").fetchone()[0] if there else 0


@pytest.mark.slow
def test_ctrl_c_stops_at_once_with_130_and_loses_nothing(tmp_path):
    slow = io.BytesIO()
    gradient = np.linspace(0, 255, 3000 * 3000 * 3).reshape(3000, 3000, 3).astype(np.uint8)
    Image.fromarray(gradient).save(slow, "PNG", compress_level=1)
    for number in range(200):
        # What follows the end of a PNG only makes another file of it.
        (tmp_path / f"{number}.png").write_bytes(slow.getvalue() + bytes([number]))
    command = [sys.executable, "-m", "i2pa", "rank", tmp_path]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while kept_scores() < 4:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert out == b""
    assert err == (
        b"i2pa: stopped; what has been scored is kept, and the same command goes on from there\n"
    )
    assert 4 <= kept_scores() < 200


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
    caches = {"HOME": str(home), "XDG_CACHE_HOME": str(home / "caches")}
    done = shell("rank", examples, "--no-cache", cwd=tmp_path, env=kept | caches)
    assert (done.returncode, done.stderr) == (0, "")
    assert [path for path in tmp_path.rglob("*") if path != home] == []
    done = shell("rank", examples, cwd=tmp_path, env=kept | caches)
    assert (done.returncode, done.stderr) == (0, "")
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.name for path in written} <= {
        f"{scores_file().name}{end}" for end in ("", "-wal", "-shm")
    }


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
    assert one_line(done.stderr) == (
        "i2pa: standard output cannot be written (No space left on device); make room, or write "
        "elsewhere\n"
    )


def test_a_terminal_that_knows_only_ascii_gets_marks(examples):
    done = shell("rank", examples, env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, "")
    assert "i2pa-lite2@1 ? percentiles" in done.stdout
