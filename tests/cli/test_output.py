"""Tables in pipes and on terminals of any width, and long lists of failures."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len

from i2pa.cli import output
from i2pa.cli.output import print_table, warn_of
from i2pa.cli.results import show
from i2pa.cli.writers import Heading, writer
from i2pa.images.failure import Failure
from i2pa.images.rows import Row
from i2pa.scoring.results import ScoredPicture
from ranked_set import MODEL, picture, ranking_of

COLUMNS = ("rank", "level", "picture")
ROWS = [("1", "excellent", "x" * 300), ("20", "fair", "日本.jpg"), ("300", "", "a\x1b[31m\n.jpg")]


def test_in_a_pipe_each_row_is_one_line_without_padding(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("title " * 60, COLUMNS, ROWS, numbers=("rank",))
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "title " * 60,
        "rank  level      picture",
        "   1  excellent  " + "x" * 300,
        "  20  fair       日本.jpg",
        " 300             a\ufffd[31m\ufffd.jpg",
    ]


@pytest.mark.parametrize("width", [10, 40, 60, 200])
def test_a_terminal_folds_names_only(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(width))
    print_table("", COLUMNS, ROWS, numbers=("rank",))
    lines = re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out).splitlines()
    room = max(width - 4 - 9 - 4, output.LEAST_FOLDED)
    assert lines[0].split() == list(COLUMNS)
    assert lines[1].rstrip() == "   1  excellent  " + "x" * room
    assert sum(line.count("x") for line in lines[2:]) == 300 - room
    assert all(cell_len(line.rstrip()) <= 17 + room for line in lines)


def test_long_lists_of_failures_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    warn_of([Failure(f"{n}.jpg", "damaged", "broken") for n in range(25)])
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "i2pa: 0.jpg: broken"
    assert lines[19:] == ["i2pa: 19.jpg: broken", "i2pa: and 5 more"]
    warn_of([Failure(f"{n}.jpg", "damaged", "broken") for n in range(20)])
    assert "more" not in capsys.readouterr().err


@pytest.mark.parametrize("of", ["rows", "ranking"])
def test_csv_is_exact_in_a_pipe_and_harmless_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, of: str
) -> None:
    name = "a\x1b[31m.jpg"

    def written(out: Path | None) -> str:
        if of == "ranking":
            show(ranking_of([picture(name, 1)]), "csv", out)
        else:
            with writer("csv", out, Heading(MODEL, "r")) as write:
                write(Row(name, Path(name)), ScoredPicture(name, 0.5, 50.0, "fair"))
        return capsys.readouterr().out if out is None else out.read_text()

    assert "a\x1b[31m.jpg," in written(None)
    assert "a\x1b[31m.jpg," in written(tmp_path / "r.csv")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert "a\ufffd[31m.jpg," in written(None)


def test_a_quiet_command_says_only_what_went_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    output.set_quiet(True)
    try:
        output.note("wrote a file")
        with output.progress("scoring", "pictures") as progress:
            progress(1, 2)
        output.warn("broken")
    finally:
        output.set_quiet(False)
    assert capsys.readouterr().err == "i2pa: broken\n"


def test_the_rate_in_plain_lines_is_of_what_was_done_since_the_first_report(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter((3600, 3605, 3610, 3621, 4000, 4020, 4025))
    monkeypatch.setattr("i2pa.cli.output.time.monotonic", lambda: float(next(clock)))
    with output.progress("training", "pairs") as progress:
        # An hour of other work first, and then a run that goes on from 1,000 pairs.
        for done in (1000, 1050, 1100, 1100):
            progress(done, 2000)
        assert capsys.readouterr().err.splitlines() == [
            "i2pa: training: 1,100 of 2,000, 10.0 pairs/s, 90 s left",
            "i2pa: training: 1,100 of 2,000, 4.8 pairs/s, 189 s left",
        ]
        # Another fold begins from nothing.
        for done in (10, 10, 60):
            progress(done, 500)
    assert capsys.readouterr().err == "i2pa: training: 60 of 500, 2.0 pairs/s, 220 s left\n"


def test_equal_ranks_are_no_interval(capsys: pytest.CaptureFixture[str]) -> None:
    tied = [(1, (1, 1)), (1, (1, 1)), (3, (3, 4)), (4, (3, 4)), (5, None)]
    items = [picture(f"{n}.jpg", rank, tied_with=ties) for n, (rank, ties) in enumerate(tied)]
    show(ranking_of(tuple(items)), "table", None)
    lines = capsys.readouterr().out.splitlines()[2:]
    assert ["3-4" in line for line in lines] == [False, False, True, True, False]
    assert not any("1-1" in line for line in lines)
