"""i2pa personalize: what it prints, writes and refuses."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from command_runner import run

sys.path.insert(0, str(Path(__file__).parents[1] / "personal"))
from tiny_model import make_pictures, redness, tiny_model


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with keep, reject, and a base model; few: four pictures of each side."""
    folder = tmp_path_factory.mktemp("personal")
    made = make_pictures(folder / "all", 44)
    middle = np.median([redness(colours) for colours in made.values()])
    for name in ("keep", "reject", "few"):
        (folder / name).mkdir()
    for path, colours in made.items():
        side = "keep" if redness(colours) > middle else "reject"
        path.rename(folder / side / path.name)
    for path in sorted((folder / "keep").iterdir())[:5]:
        (folder / "few" / path.name).write_bytes(path.read_bytes())
    tiny_model(folder / "tiny.onnx")
    return folder


def command(place: Path, out: Path, keep: str = "keep") -> tuple[object, ...]:
    return (
        *("personalize", "--keep", place / keep, "--reject", place / "reject"),
        *("--model", place / "tiny.onnx", "-o", out),
    )


def test_a_taste_is_learnt_told_and_used(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mine"
    code, said, err = run(capsys, *command(place, out))
    assert code == 0, err
    assert "22 kept and 22 rejected pictures; 484 pairs" in said
    assert "\nyour taste adds " in said
    assert f"Try it: i2pa rank FOLDER --model {out}" in said
    code, ranked, _ = run(capsys, "rank", place / "keep", place / "reject", "--model", out)
    assert code == 0
    assert "my-taste@1 · percentiles refer to: 44 of your own pictures (22 kept)" in ranked
    first = [line for line in ranked.splitlines() if str(place) in line][:11]
    assert sum(str(place / "keep") in line for line in first) >= 9

    code, _, err = run(capsys, *command(place, out))
    assert code == 2
    assert "add --overwrite" in err
    code, said, _ = run(capsys, *command(place, out), "--overwrite", "--json", "--version", 2)
    assert code == 0
    record = json.loads(said)
    assert record["schema"] == "i2pa.personalize/1"
    assert record["verdict"] == "adds"
    assert record["model"]["path"] == str(out / "model.onnx")
    assert record["gain"]["gain"]["low"] > 0

    code, _, err = run(capsys, "export", out, "-o", tmp_path / "again.onnx")
    assert code == 1
    assert "a personal model has no weights to export anew" in err


def test_too_few_write_nothing_unless_asked(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mine"
    code, said, err = run(capsys, *command(place, out, "few"))
    assert code == 1
    assert "| gain |" in said
    assert "not enough data: 5 keeps and 22 rejects; at least 15 of each needed" in err
    assert "--anyway" in err
    assert not out.exists()
    code, said, err = run(capsys, *command(place, out, "few"), "--json")
    assert code == 1
    assert json.loads(said)["model"] is None
    code, said, err = run(capsys, *command(place, out, "few"), "--anyway")
    assert code == 0, err
    assert "not enough data" in said
    assert "**That it is better than the model underneath" in (out / "card.md").read_text()


def test_a_missing_favourite_is_named_and_nothing_need_be_cached(
    place: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = [f"keep/{path.name}" for path in sorted((place / "keep").iterdir())]
    favourites = tmp_path / "favourites"
    favourites.write_text("\n".join([*names, "keep/gone.png"]))
    monkeypatch.setenv("I2PA_CACHE", str(tmp_path / "cache"))
    arguments = (
        *("personalize", "--keep", favourites, "--reject", f"{place}/reject/*.png"),
        *("--model", place / "tiny.onnx", "--no-cache", "-o", tmp_path / "mine"),
    )
    code, said, err = run(capsys, *arguments, "--images", place)
    assert code == 0, err
    assert "22 kept and 22 rejected pictures" in said
    assert err == f"i2pa: {place}/keep/gone.png: cannot be read (No such file or directory)\n"
    assert not (tmp_path / "cache").exists()
    code, said, err = run(capsys, *arguments, "--overwrite")
    assert (code, said) == (1, "")
    assert f"looked for below {tmp_path}" in err
    assert "--images DIR names the folder" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "give --keep and --reject, or --likes"),
        (("--keep", "keep"), "both kept and rejected"),
        (("--keep", "keep", "--reject", "no"), "no such file or folder"),
        (("--likes", "p.csv", "--keep", "keep"), "--keep means nothing beside --likes"),
        (("--likes", "p.csv"), "p.csv: no such file of posts"),
        (("--likes", "p.csv", "--images", "keep"), "no such file"),
        (("--keep", "keep", "--reject", "reject", "--days", 3), "--days means nothing beside"),
        (("--keep", "keep", "--reject", "reject", "--user", "me"), "--user means nothing"),
        (("--keep", "keep", "--reject", "reject", "--within", "week"), "choose from auto"),
        (("--keep", "keep", "--reject", "reject", "--model", "none"), "no model 'none'"),
        (("--keep", "a.jpg", "b.jpg", "--reject", "reject"), "'b.jpg' belongs to no option; a pat"),
    ],
)
def test_wrong_usage_is_one_line(
    options: tuple[object, ...],
    says: str,
    place: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(place)
    model = () if "--model" in options else ("--model", "tiny.onnx")
    code, said, err = run(capsys, "personalize", *options, *model, "-o", tmp_path / "mine")
    assert (code, said) == (2, "")
    assert says in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "mine").exists()


def test_posts_that_are_not_there_are_told_before_their_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "nope.csv"
    code, _, err = run(capsys, "personalize", "--likes", missing, "-o", tmp_path / "mine")
    assert (code, err) == (2, f"i2pa: {missing}: no such file of posts\n")
