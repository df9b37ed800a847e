"""What `rank` and `score` may be given besides folders and files."""

import html
import json
import os
import re
import shutil
import subprocess
import sys

import pytest


@pytest.fixture
def album(tmp_path, examples):
    for name in ("coffee.png", "rocket.jpg"):
        shutil.copy(examples / name, tmp_path / name)
    return tmp_path


def i2pa(*arguments, given=b"", folder=None):
    command = [sys.executable, "-m", "i2pa", *map(str, arguments)]
    run = subprocess.run(command, input=given, capture_output=True, cwd=folder, timeout=120)
    return run.returncode, run.stdout.decode(), run.stderr.decode()


def scored(answer):
    return [item["path"] for item in json.loads(answer)["items"]]


def test_score_takes_a_list_on_stdin_and_goes_on_past_what_is_gone(album):
    given = b"rocket.jpg\0gone.jpg\0coffee.png\0rocket.jpg\0"
    code, out, err = i2pa("score", "-", "--json", given=given, folder=album)
    assert code == 0
    assert scored(out) == ["rocket.jpg", "coffee.png", "rocket.jpg"]
    assert "gone.jpg: cannot be read (No such file or directory)" in err


def test_rank_takes_globs_and_tables(album):
    code, out, _ = i2pa("rank", "*.jpg", "--json", folder=album)
    assert (code, scored(out)) == (0, ["rocket.jpg"])
    (album / "list.csv").write_text("photo,likes\ncoffee.png,3\nrocket.jpg,4\n")
    code, out, _ = i2pa("rank", album / "list.csv", "--column", "photo", "--json")
    assert code == 0
    assert set(scored(out)) == {"coffee.png", "rocket.jpg"}
    code, _, err = i2pa("rank", album / "list.csv")
    assert code == 2
    assert "name one of its columns with --column: 'photo', 'likes'" in err


def test_the_list_is_not_written_over(album):
    table = album / "list.csv"
    table.write_text("path\nrocket.jpg\n")
    for command in ("rank", "score"):
        code, _, err = i2pa(command, table, "-o", table)
        assert code == 2
        assert "is the input itself" in err
    assert table.read_text() == "path\nrocket.jpg\n"


def test_folders_of_a_list_are_known_to_the_page_and_safe_from_copies(album, tmp_path):
    places = {"given": f"{album}\n".encode()}
    for best in (album, album / "best"):
        code, out, err = i2pa("rank", "-", "--copy-to", best, **places)
        assert (code, out) == (2, "")
        assert "lies in the ranked folder" in err
    (album / "day").mkdir()
    (album / "coffee.png").rename(album / "day" / "coffee.png")
    page = album / "page.html"
    code, _, _ = i2pa("rank", "-", "--html", page, **places)
    assert code == 0
    assert f"<h1>{album.name}</h1>" in page.read_text()
    assert ">day/coffee.png<" in page.read_text()


def test_compare_takes_what_score_takes_and_neither_takes_a_folder(album):
    for places, given in ((("*.*",), b""), (("-",), b"coffee.png\nrocket.jpg\n")):
        code, out, err = i2pa("compare", *places, "--json", given=given, folder=album)
        assert (code, err) == (0, "")
        assert scored(out) == ["coffee.png", "rocket.jpg"]
    for command in ("compare", "score"):
        code, _, err = i2pa(command, album, album / "coffee.png")
        assert code == 2
        assert "try: i2pa rank" in err
    code, _, err = i2pa("score", "-", given=b".\ncoffee.png\n", folder=album)
    assert code == 0
    assert ".: a folder, not a picture" in err


def test_an_empty_list_is_one_line(album):
    for command in ("rank", "score", "compare"):
        code, out, err = i2pa(command, "-", folder=album)
        assert (code, out) == (1, "")
        assert "-: the list is empty; write a path a line" in err
        assert len(err.splitlines()) == 1


def test_raw_beside_its_jpeg_is_ranked_once(album):
    (album / "ROCKET.NEF").write_bytes(b"not looked at")
    code, out, err = i2pa("rank", album, "--json")
    assert (code, err) == (0, "")
    assert len(scored(out)) == 2


def favourites_of(page):
    lines = re.findall('data-line="([^"]*)"', page.read_text())
    return "".join(html.unescape(line) + "\n" for line in lines)


def test_the_favourites_of_a_page_lead_back_to_the_pictures(album):
    names = ["one/coffee.png", "two/deep/new\nline.png", os.fsdecode(b"two/latin\xe9.jpg")]
    for name in names:
        (album / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(album / ("coffee.png" if "png" in name else "rocket.jpg"), album / name)
    page = album / "page.html"
    code, _, err = i2pa("rank", album / "one", album / "two", "--html", page)
    assert code == 0
    assert f"its names start from {album}" in err
    favourites = album / "favourites.txt"
    favourites.write_text(favourites_of(page))
    for command in ("rank", "score", "compare"):
        code, out, err = i2pa(command, favourites, "--json")
        assert (code, err) == (0, "")
        assert set(scored(out)) == set(names)
    code, out, _ = i2pa("score", "-", "--json", given=favourites.read_bytes(), folder=album)
    assert (code, set(scored(out))) == (0, set(names))
    away = favourites.rename(album / "one" / "favourites.txt")
    code, out, err = i2pa("rank", away)
    assert (code, out) == (1, "")
    assert f"looked for below {album / 'one'}" in err
    assert len(err.splitlines()) == 1


def test_a_column_beside_a_folder_is_refused(album):
    code, _, err = i2pa("rank", album, "--column", "photo")
    assert code == 2
    assert "--column goes with a .csv, .tsv, .jsonl or .parquet file" in err
