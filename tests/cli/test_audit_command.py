"""The command audit, as a shell sees it, and its page in a real browser."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_runner import run

from i2pa.pairs import read_pairs
from i2pa.posts.shortcode import encode

LIST = "Low_popularity,High_popularity\n" + "7s0kDUqUCW,7uEd3LqUK_\nBArs5gvFY7q,BAiFe7iFYzt\n" * 2


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    path = tmp_path / "list.csv"
    path.write_text(LIST)
    return path


def test_the_authors_format_is_taken_as_it_is(
    listed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, "audit", listed)
    assert code == 0
    assert "list.csv: 4 pairs, unknown users" in out
    assert "Verdict: Too few to tell" in out
    assert "not checked: caption_length: give --posts posts.parquet" in out
    assert err.startswith("i2pa: WARNING: there are no user ids")


def test_json_has_the_fields_that_the_docs_name(
    listed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys, "audit", listed, "--json")
    found: dict[str, Any] = json.loads(out)
    assert (code, found["schema"]) == (0, "i2pa.audit/1")
    first = found["checks"][0]
    names = ["name", "value", "low", "high", "n", "users", "verdict"]
    assert [name for name in first if name in names] == names
    assert (first["name"], first["n"], first["users"]) == ("later_wins", 4, None)
    docs = (Path(__file__).parents[2] / "docs" / "formats.md").read_text(encoding="utf-8")
    section = docs.partition("## Audit")[2].partition("\n## ")[0]
    named = set(re.findall(r"`([a-z_0-9]+)`", section))
    assert set(found) | set(first) | {check["name"] for check in found["checks"]} <= named


def test_balance_writes_pairs_that_train_can_read(
    listed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed.write_text(LIST + "7uEd3LqUK_,7s0kDUqUCW\n")
    out = tmp_path / "balanced.parquet"
    code, said, _ = run(capsys, "audit", listed, "--balance", "time", "-o", out)
    assert code == 0
    assert f"written: {out}" in said
    table = read_pairs(out)
    sign = (table["winner_time"].to_numpy() > table["loser_time"].to_numpy()) * 2 - 1
    assert (sign * table["weight"].to_numpy()).sum() == pytest.approx(0)


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--balance", "luck", "-o", "x"], 2, "cannot balance by 'luck'"),
        (["--balance", "time"], 2, "go together"),
        (["-o", "x"], 2, "go together"),
        (["--html", "."], 2, "is a folder"),
        (["--html", "-"], 2, "--html -: stdout is no place for it"),
        (["--html", "a.parquet"], 2, "a.parquet: is no name for a page; name it .html"),
        (["--balance", "time", "-o", "y.html", "--html", "./y.html"], 2, "name one file"),
        (["--posts", "none.parquet"], 2, "no such file"),
        (["--images", "none"], 2, "no such folder"),
    ],
)
def test_wrong_options_are_one_line_and_leave_nothing(
    listed: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(listed.parent)
    got, out, err = run(capsys, "audit", "list.csv", *options)
    assert (got, out) == (code, "")
    assert err.startswith("i2pa: ")
    assert err.count("\n") == 1
    assert message in err
    assert sorted(listed.parent.iterdir()) == [listed]


def test_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "audit", "--help")
    assert code == 0
    assert "Example: i2pa audit " in " ".join(out.split())


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


@pytest.fixture
def page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    hostile = tmp_path / "<b>list&.csv"
    hostile.write_text(LIST)
    page = tmp_path / "audit.html"
    assert run(capsys, "audit", hostile, "--html", page)[0] == 0
    return page


def test_the_page_needs_no_other_file_and_trusts_no_name(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    parsed = _Page()
    parsed.feed(text)
    tags = [tag for tag, _ in parsed.tags]
    assert not {"script", "link", "img", "iframe", "b"} & set(tags)
    assert not [a for _, a in parsed.tags if "src" in a or "href" in a]
    assert "url(" not in text
    assert "@import" not in text
    assert "Audit of &lt;b&gt;list&amp;.csv" in text
    assert tags.count("svg") == 5


def test_a_figure_without_a_class_is_left_out_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed, page = tmp_path / "list.csv", tmp_path / "audit.html"
    codes = encode(np.array([((10**9 + i) << 23) + 1 for i in (0, 5)], np.uint64))
    listed.write_text(f"Low_popularity,High_popularity\n{codes[0]},{codes[1]}\n")
    assert run(capsys, "audit", listed, "--html", page)[0] == 0
    text = page.read_text(encoding="utf-8")
    assert "<figcaption>share that won, by UTC hour" not in text
    assert "The two posts of every pair are of one class" in text


def test_the_page_opens_in_a_browser(page: Path, tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("there is no chromium on this machine")
    picture = tmp_path / "page.png"
    common = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    common.append(f"--user-data-dir={tmp_path / 'profile'}")
    dom = subprocess.run(
        [*common, "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout
    assert "<h1>Audit of &lt;b&gt;list&amp;.csv</h1>" in dom
    assert dom.count("<circle") > 5
    subprocess.run(
        [*common, "--window-size=900,2600", f"--screenshot={picture}", page.as_uri()],
        capture_output=True,
        check=True,
        timeout=120,
    )
    assert picture.stat().st_size > 10_000


def test_the_list_itself_is_never_the_output(
    listed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = listed.read_bytes()
    code, _, err = run(capsys, "audit", listed, "--html", listed)
    assert (code, "is the input itself" in err) == (2, True)
    assert listed.read_bytes() == before


def test_names_that_are_no_text_and_columns_twice_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    header = "Low_popularity,High_popularity"
    odd = tmp_path / os.fsdecode(b"bad\xff.csv")
    odd.write_text(f"{header}\n")
    twice = tmp_path / "twice.csv"
    twice.write_text(f"{header},Low_popularity\nBHlSlkOgZmu,BHjFakUgR2A,x\n")
    sound = tmp_path / "sound.csv"
    sound.write_text(f"{header}\nBHlSlkOgZmu,BHjFakUgR2A\n")
    for arguments, code, says in (
        (("audit", odd), 2, "the name is no valid text; rename the file or its folder"),
        (("split", odd, "-o", tmp_path / "out.parquet"), 2, "the name is no valid text"),
        (("pairs", odd, "-o", tmp_path / "out.parquet"), 2, "the name is no valid text"),
        (("posts", odd, "-o", tmp_path / "out.parquet"), 2, "the name is no valid text"),
        (("audit", sound, "--html", odd.with_suffix(".html")), 2, "the name is no valid text"),
        (("audit", twice), 1, "needs the columns Low_popularity,High_popularity, once each"),
    ):
        got, out, err = run(capsys, *arguments)
        assert (got, out) == (code, ""), arguments
        assert says in err
        assert len(err.splitlines()) == 1


def test_what_is_no_file_of_pairs_is_said_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    binary, out = tmp_path / "binary.parquet", tmp_path / "out.parquet"
    binary.write_bytes(bytes(range(256)) * 9)
    for arguments, code, says in (
        (("audit", os.devnull), 2, "is no regular file; name a file of pairs"),
        (("split", os.devnull, "-o", out), 2, "is no regular file; name a file of pairs"),
        (("pairs", os.devnull, "--levels", "-o", out), 2, "no regular file; name a CSV of image,"),
        (("pairs", binary, "--levels", "-o", out), 1, "it is no text in UTF-8; levels come from"),
        (("audit", binary), 1, "neither a pairs.parquet nor a CSV (no text in UTF-8)"),
    ):
        got, said, err = run(capsys, *arguments)
        assert (got, said, len(err.splitlines())) == (code, "", 1), arguments
        assert says in err
    assert not out.exists()
