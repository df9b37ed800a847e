"""Users in what is learnt and in what is measured: refused, or told loudly where asked for."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from command_runner import run

from i2pa.errors import DataError
from i2pa.pairs import split_pairs
from i2pa.pairs.schema import write_pairs
from i2pa.training import PROBE, train
from i2pa.training.pairset import SharedUsers, check_disjoint, shared_users
from made_up import album


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with by-pair.parquet, split as in the paper, and the pictures that it names."""
    folder = tmp_path_factory.mktemp("shared")
    pairs = album(folder / "pictures", users=4, pairs_each=5)
    by_pair = split_pairs(pairs, by="pair", counts=(12, 4, 4))
    assert by_pair.users_shared > 1
    write_pairs(by_pair.pairs, folder / "by-pair.parquet")
    return folder


@pytest.fixture(autouse=True)
def kept_embeddings(monkeypatch: pytest.MonkeyPatch, private_cache: None, place: Path) -> None:
    monkeypatch.setenv("I2PA_CACHE", str(place / "cache"))


def command(place: Path, out: Path, *options: object) -> tuple[object, ...]:
    data = (place / "by-pair.parquet", "--images", place / "pictures")
    return ("train", *data, "-o", out, *options)


def test_users_and_pictures_in_both_are_counted(tmp_path: Path) -> None:
    pairs = album(tmp_path / "pictures", users=3, pairs_each=2)
    learn, others = pairs.slice(0, 3), pairs.slice(3)
    assert shared_users(learn, others, "test") == SharedUsers("test", 1, 0)
    assert shared_users(learn, pairs.slice(2, 1), "test") == SharedUsers("test", 1, 2)
    apart = pairs.slice(4)
    assert shared_users(learn, apart, "test") is None
    check_disjoint(learn, apart, "test")
    with pytest.raises(DataError, match=r"shares 1 user .* --shared-users"):
        check_disjoint(learn, others, "test")
    with pytest.raises(DataError, match=r"shares 1 user .* learn from, and 2 pictures"):
        check_disjoint(learn, pairs.slice(2, 1), "test")


def test_a_split_by_pair_is_refused_unless_asked_for(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, *command(place, tmp_path / "run"))
    assert (code, out) == (1, "")
    assert "with the pairs to learn from; split by user" in err
    assert "--shared-users" in err
    assert len(err.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "recipe",
    [(), ("--recipe", "finetune", "--epochs", 1, "--frozen-blocks", 20)],
    ids=["probe", "finetune"],
)
def test_the_papers_split_trains_and_says_what_its_accuracy_is_of(
    recipe: tuple[object, ...], place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    code, said, err = run(capsys, *command(place, out, "--shared-users", *recipe))
    assert code == 0, err
    assert "| test | model | 4 / " in said
    warned = [line for line in err.splitlines() if "WARNING" in line]
    assert [line.split("'")[1] for line in warned] == ["test", "val"]
    assert all("known users" in line for line in warned)
    card = (out / "card.md").read_text()
    record = json.loads((out / "run.json").read_text())
    assert [shared["pairs"] for shared in record["shared_users"]] == ["test", "val"]
    for shared in record["shared_users"]:
        assert shared["pictures"] == 0
        assert f"**WARNING: '{shared['pairs']}' shares {shared['users']} user" in card
    assert "trained on its user" not in card
    learnt = record["metadata"]["i2pa.training"]
    assert learnt.endswith(", users shared with what it was measured on")
    if recipe:
        name = record["metadata"]["i2pa.reference"]
        assert "whose other pairs were trained on" in json.loads(name)["name"]


@pytest.mark.slow
def test_a_split_by_user_says_nothing_of_it(place: Path) -> None:
    pairs = album(place / "others", users=3, pairs_each=2)
    told: list[str] = []
    model = train(pairs, place / "others", PROBE, shared_users=True, warn=told.append)
    assert model.shared_users == ()
    assert told == []


@pytest.mark.slow
def test_ordinary_pairs_of_known_users_calibrate_and_are_named(place: Path) -> None:
    pairs = album(place / "more", users=3, pairs_each=2)
    apart = pairs.set_column(
        pairs.column_names.index("split"), "split", pa.nulls(pairs.num_rows, pa.string())
    )
    recipe = replace(PROBE, l2=0.3)
    with pytest.raises(DataError, match=r"'calibrate' shares 3 users .* and 12 pictures"):
        train(apart, place / "more", recipe, calibrate_on=apart)
    model = train(apart, place / "more", recipe, calibrate_on=apart, shared_users=True)
    assert model.shared_users == (SharedUsers("calibrate", 3, 12),)
    assert "whose other pairs were trained on" in model.metadata.reference.name
