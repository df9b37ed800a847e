"""What `i2pa posts` is given and says: names that are empty, maps, choices among columns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_runner import one_line, run

POST = {"shortcode": "BAaaaaaaaaa", "owner": {"id": "11"}, "taken_at_timestamp": 1453132800}
ROWS = "post_id,user_id,uploaded_at,likes,Likes\np,u,2019-06-01T00:00:00Z,5,6\n"


@pytest.fixture
def export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "export.csv"
    path.write_text(ROWS)
    return path


@pytest.mark.parametrize("out", ["", ".", "/"])
def test_an_output_without_a_name_is_refused(
    out: str, export: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, "posts", export, "-o", out)
    assert code == 2
    assert one_line(err).endswith("is a folder; name a file to write\n")


def test_an_empty_name_is_not_the_current_folder(
    export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "dump.json").write_text(json.dumps({"node": POST}))
    code, _, err = run(capsys, "posts", "", "-o", "x.parquet")
    assert (code, "the name of a file is empty; name a file" in one_line(err)) == (2, True)
    assert run(capsys, "posts", export, "", "-o", "x.parquet")[0] == 2
    assert not Path("x.parquet").exists()
    code, out, _ = run(capsys, "posts", ".", "-o", "x.parquet", "--json")
    assert (code, json.loads(out)["kept"]) == (0, 1)


def test_the_map_is_not_overwritten(export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    columns = Path("columns.yaml")
    columns.write_text("likes: Likes\n")
    Path("link.yaml").symlink_to(columns)
    Path("hard.yaml").hardlink_to(columns)
    for out in ("columns.yaml", "link.yaml", "hard.yaml"):
        code, _, err = run(capsys, "posts", export, "--map", columns, "-o", out)
        assert (code, f"{out}: is the input itself" in one_line(err)) == (2, True)
    assert columns.read_text() == "likes: Likes\n"


def test_a_choice_among_columns_is_one_line(
    export: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, "posts", export, "-o", "x.parquet")
    assert (code, "took" in out) == (0, False)
    said = "export.csv: took 'likes' for likes (not 'Likes'); --map likes=Likes takes another"
    assert one_line(err).endswith(f"{said}\n")
    _, out, err = run(capsys, "posts", "export.csv", "-o", "x.parquet", "--json")
    assert (json.loads(out)["choices"], err) == ([said], f"i2pa: {said}\n")
    assert run(capsys, "posts", export, "-o", "x.parquet", "--map", "likes=likes")[2] == ""
