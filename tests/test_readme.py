"""The README shows what really comes out."""

import doctest
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SESSIONS = re.findall(r"```console\n\$ (.*?)\n(.*?)```", README, re.S)
NUMBER = re.compile(r"[-+]?\d+\.\d+")


@pytest.mark.parametrize(("command", "shown"), SESSIONS)
def test_commands_print_what_the_readme_shows(command, shown):
    arguments = shlex.split(command)
    assert arguments[0] == "i2pa"
    run = subprocess.run(
        [sys.executable, "-m", *arguments], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert re.sub(NUMBER, "#", run.stdout).split() == re.sub(NUMBER, "#", shown).split()
    got, wanted = ([float(n) for n in re.findall(NUMBER, text)] for text in (run.stdout, shown))
    # Processors round differently: scores agree to 1e-3, percentiles move with them.
    assert got == pytest.approx(wanted, abs=0.11)


def test_the_python_session_prints_what_the_readme_shows(monkeypatch):
    monkeypatch.chdir(ROOT)
    failed, tried = doctest.testfile(str(ROOT / "README.md"), module_relative=False)
    assert tried > 5
    assert failed == 0


def test_ci_runs_the_readmes_test_command():
    (command,) = re.findall(r"^pip install .*pytest$", README, re.M)
    assert command in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


def test_links_in_the_docs_lead_somewhere():
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
