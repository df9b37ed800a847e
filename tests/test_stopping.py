"""Ctrl-C and SIGTERM at chosen moments of a whole run of the command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# `moment` is a module about to be imported, or a call; the signal comes there. What is raised in a
# module `in python` is left as it is.
SENDER = """
import os, signal, sys

number, moment = getattr(signal, sys.argv.pop(1)), sys.argv.pop(1)

def send():
    os.kill(os.getpid(), number)

class Finder:
    def find_spec(self, name, *rest):
        if f"{name} in python" == moment:
            send()
        if name == moment:
            try:
                send()
            except KeyboardInterrupt:
                # As the initialisation of modules in C does.
                raise ImportError("initialization failed")

sys.meta_path.insert(0, Finder())
if moment == "parsing":
    import typer.main
    build = typer.main.get_command
    typer.main.get_command = lambda *given: (send(), build(*given))[1]
if moment == "dropped":
    import i2pa.cli.data
    def need(job):
        try:
            send()
        except KeyboardInterrupt:
            pass
    i2pa.cli.data.need_data = need
if moment == "cleaning up":
    import i2pa.cli.data
    def need(job):
        try:
            send()
        finally:
            send()
            print("cleaned up", flush=True)
    i2pa.cli.data.need_data = need
if moment == "the end":
    import threading
    threading._register_atexit(send)
from i2pa.__main__ import main
main()
"""


def stopped_at(moment: str, signal: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", SENDER, signal, moment, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ there")
@pytest.mark.parametrize("signal", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("moment", ["typer", "i2pa.cli.personal", "parsing", "onnxruntime"])
def test_a_stop_is_one_line_and_130(moment: str, signal: str, examples: Path) -> None:
    done = stopped_at(moment, signal, "rank", examples / "coffee.png", "--no-cache")
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "i2pa: stopped\n"


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ there")
def test_a_stop_of_work_that_is_done_comes_too_late(examples: Path) -> None:
    done = stopped_at("the end", "SIGINT", "rank", examples / "coffee.png", "--no-cache")
    assert (done.returncode, done.stderr) == (0, "")
    assert "coffee.png" in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ there")
def test_no_command_imports_what_drops_a_stop(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    table = tmp_path / "posts.csv"
    table.write_text("user_id,post_id,uploaded_at,likes\nu,a,2019-06-01T00:00:00Z,100\n")
    # pyarrow would; this signal nobody handles.
    done = stopped_at("pandas", "SIGUSR1", "posts", table, "-o", tmp_path / "posts.parquet")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "posts.parquet").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ there")
def test_a_stop_that_was_dropped_is_said(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    table = tmp_path / "posts.csv"
    table.write_text("user_id,post_id,uploaded_at,likes\nu,a,2019-06-01T00:00:00Z,100\n")
    done = stopped_at("dropped", "SIGTERM", "posts", table, "-o", tmp_path / "posts.parquet")
    assert (done.returncode, done.stderr) == (130, "i2pa: stopped\n")


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ there")
def test_pyarrow_drops_no_stop_while_it_imports(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    pytest.importorskip("dateutil")
    table = tmp_path / "posts.csv"
    table.write_text("user_id,post_id,uploaded_at,likes\nu,a,2019-06-01T00:00:00Z,100\n")
    out = tmp_path / "posts.parquet"
    done = stopped_at("dateutil in python", "SIGINT", "posts", table, "-o", out)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "i2pa: stopped\n")
    assert not out.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ there")
def test_who_asks_again_does_not_disturb_what_cleans_up(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    table = tmp_path / "posts.csv"
    table.write_text("user_id,post_id,uploaded_at,likes\nu,a,2019-06-01T00:00:00Z,100\n")
    done = stopped_at("cleaning up", "SIGINT", "posts", table, "-o", tmp_path / "posts.parquet")
    assert (done.returncode, done.stderr) == (130, "i2pa: stopped\n")
    assert done.stdout == "cleaned up\n"


def test_importing_i2pa_handles_no_signal() -> None:
    code = (
        "import signal, i2pa.cli; "
        "assert signal.getsignal(signal.SIGINT) is signal.default_int_handler; "
        "assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL"
    )
    run = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    subprocess.run([sys.executable, "-c", run + code], check=True)
