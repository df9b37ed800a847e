"""The script behind the table of recipes runs, and its first row is the one in the docs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROW = re.compile(r"^\| probe, hard, ℓ2 \.3 .*$", re.M)


@pytest.mark.slow
def test_the_first_row_is_as_in_the_docs(shared_data: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.md"
    command = [sys.executable, ROOT / "scripts" / "compare_recipes.py", shared_data, "-o", table]
    options = ["--work", tmp_path / "work", "--only", "no other row"]
    subprocess.run([*command, *options], check=True, timeout=300)
    (shown,) = ROW.findall((ROOT / "docs" / "researcher.md").read_text(encoding="utf-8"))
    (found,) = ROW.findall(table.read_text(encoding="utf-8"))
    told, said = (
        [float(n) for n in re.findall(r"\d\.\d+", row.partition("graded")[2])]
        for row in (shown, found)
    )
    # As far as processors differ.
    assert said == pytest.approx(told, abs=0.01)
    assert "604 pairs of 12 users" in table.read_text(encoding="utf-8")
