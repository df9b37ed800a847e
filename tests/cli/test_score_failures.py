"""What fails in `score`, `rank` and `compare` costs only itself, and is told or refused."""

import csv
import json
import os

import pytest
from command_runner import one_line, run


@pytest.mark.parametrize("command", ["score", "rank"])
def test_a_missing_file_costs_only_itself(capsys, tiny, album, command):
    code, printed, err = run(capsys, command, "a.png", "gone.jpg", "--json", "--model", tiny)
    assert code == 0
    answer = json.loads(printed)
    assert [item["path"] for item in answer["items"]] == ["a.png"]
    assert [(one["path"], one["kind"]) for one in answer["failures"]] == [("gone.jpg", "missing")]
    assert err.splitlines()[-1] == "i2pa: 1 of 2 pictures could not be scored: 1 missing"
    code, _, err = run(capsys, command, "gone.jpg", "--model", tiny)
    assert code == 1
    assert err.splitlines()[-1] == "i2pa: the one picture given could not be scored"


def test_what_may_be_no_picture_is_wrong_usage_if_it_is_not_there(capsys, tiny, album):
    for command, place, message in (
        ("rank", "nowhere", "no such file or folder"),
        ("rank", "gone.txt", "no such file or folder"),
        ("score", "gone.csv", "no such file or folder"),
        ("score", "gone.txt", "no such file or folder"),
        ("score", "*.tif", "matches no file"),
        ("score", "https://x.org/a.jpg", "addresses are not fetched"),
    ):
        code, printed, err = run(capsys, command, "a.png", place, "--model", tiny)
        assert (code, printed) == (2, ""), place
        assert f"{place}: {message}" in one_line(err)
    # Of score, which takes no folder, any other name is one of a picture.
    code, _, err = run(capsys, "score", "a.png", "4f2a", "--model", tiny)
    assert code == 0
    assert "4f2a: cannot be read (No such file" in err


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_file_in_a_closed_folder_costs_only_itself(score, album):
    closed = album / "closed"
    closed.mkdir()
    (album / "b.png").rename(closed / "b.png")
    closed.chmod(0)
    try:
        code, printed, _ = score("a.png", "closed/b.png", "--jsonl")
    finally:
        closed.chmod(0o700)
    assert code == 0
    assert json.loads(printed.splitlines()[1])["status"] == "permission"


@pytest.mark.parametrize("command", ["score", "rank"])
@pytest.mark.parametrize(
    ("most", "code"), [(None, 0), ("2", 0), ("1", 1), ("0", 1), ("50%", 0), ("49.9%", 1)]
)
def test_more_failures_than_may_be_are_exit_code_1(capsys, tiny, album, command, most, code):
    (album / "t.csv").write_text("image,n\na.png,1\nb.png,2\ngone.png,3\n,4\n")
    options = () if most is None else ("--max-failures", most)
    made = run(capsys, command, "t.csv", "-o", "out.csv", "--model", tiny, *options)
    assert made[0] == code
    summary = "i2pa: 2 of 4 pictures could not be scored: 1 "
    told = [line for line in made[2].splitlines() if line.startswith(summary)]
    assert len(told) == 1
    assert "1 missing" in told[0]
    assert "1 no path" in told[0]
    if code:
        last = f"i2pa: 2 pictures of 4 failed, more than --max-failures {most} allows"
        assert made[2].splitlines()[-1] == last
    # What could be scored is not lost.
    assert any(row["score"] for row in csv.DictReader((album / "out.csv").read_text().splitlines()))


def test_a_limit_that_is_no_number_is_wrong_usage(score, album):
    for most in ("some", "-1", "101%", "%", "nan%", "1.5"):
        code, _, err = score("a.png", f"--max-failures={most}")
        assert code == 2
        assert "give one as 10 or as 0.5%" in one_line(err)


def test_rank_has_paths_as_given_and_counts_cells_without_one(capsys, tiny, album):
    (album / "deep").mkdir()
    (album / "deep" / "t.csv").write_text("image,n\n..//a.png,1\n,2\n./../b.png,3\n../x.png,4\n")
    places = ("deep/t.csv", ".//c.png")
    code, printed, err = run(capsys, "rank", *places, "--json", "--model", tiny)
    assert code == 0
    answer = json.loads(printed)
    assert {item["path"] for item in answer["items"]} == {"..//a.png", "./../b.png", ".//c.png"}
    assert [(one["path"], one["kind"]) for one in answer["failures"]] == [
        ("", "no_path"),
        ("../x.png", "missing"),
    ]
    assert "i2pa: row 3 of deep/t.csv names no picture" in err.splitlines()
    code, _, err = run(capsys, "rank", *places, "--copy-to", "best", "--model", tiny)
    assert code == 0
    assert len(list((album / "best").iterdir())) == 3


def test_quiet_says_only_what_went_wrong(capsys, tiny, album):
    for command in ("score", "rank"):
        code, _, err = run(capsys, command, "a.png", "-o", "o.csv", "--quiet", "--model", tiny)
        assert (code, err) == (0, "")
        code, _, err = run(capsys, command, "a.png", "gone.png", "--csv", "-q", "--model", tiny)
        assert code == 0
        assert "gone.png: cannot be read" in one_line(err)
    code, _, err = run(capsys, "score", "a.png", "gone.png", "--csv", "--model", tiny)
    assert len(err.splitlines()) == 2


def test_compare_is_quiet_on_request(capsys, tiny, album):
    command = ("compare", "a.png", "b.png", "gone.png", "--model", tiny)
    assert len(run(capsys, *command)[2].splitlines()) == 2
    code, out, err = run(capsys, *command, "-q")
    assert (code, bool(out)) == (0, True)
    assert "gone.png: cannot be read" in one_line(err)


@pytest.mark.parametrize("form", ["--csv", "--jsonl", "--json"])
def test_a_cache_that_is_set_up_wrong_is_said_before_anything_is_printed(
    score, album, monkeypatch, form
):
    monkeypatch.setenv("I2PA_CACHE_MB", "abc")
    code, printed, err = score("a.png", form)
    assert (code, printed) == (2, "")
    assert "I2PA_CACHE_MB: holds 'abc'" in one_line(err)


@pytest.mark.parametrize("command", ["score", "rank", "compare"])
def test_an_empty_name_is_wrong_usage(capsys, tiny, album, command):
    code, printed, err = run(capsys, command, "a.png", "", "--model", tiny)
    assert (code, printed) == (2, "")
    assert "an empty path names no picture" in one_line(err)


def test_no_file_of_a_list_is_there(score, album):
    (album / "deep").mkdir()
    (album / "deep" / "list.txt").write_text("a.png\nb.png\n")
    code, printed, err = score("deep/list.txt", "--jsonl")
    assert code == 1
    assert [json.loads(line)["status"] for line in printed.splitlines()] == ["missing"] * 2
    assert "none of 2 pictures could be scored: 2 missing; paths in a list" in err.splitlines()[-1]
    assert err.splitlines()[-1].endswith("give it as: - < LIST")
