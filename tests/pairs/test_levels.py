"""Pairs from graded pictures."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from i2pa.errors import DataError, UserInputError
from i2pa.pairs import PAIRS, pairs_from_levels
from i2pa.pairs.schema import rules_json


def test_every_pair_across_levels() -> None:
    graded = pa.table({"image": ["a", "b", "c", "d"], "level": [1, 2.5, 2.5, 4]})
    pairs = pairs_from_levels(graded, "stars")
    assert pairs.schema.equals(PAIRS)
    sides = zip(pairs["winner_id"].to_pylist(), pairs["loser_image"].to_pylist(), strict=True)
    assert list(sides) == [("b", "a"), ("c", "a"), ("d", "a"), ("d", "b"), ("d", "c")]
    assert pairs["delta_s"].to_pylist() == [1.5, 1.5, 3, 1.5, 1.5]
    assert set(pairs["p"].to_pylist()) == {1.0}
    assert set(pairs["user_id"].to_pylist()) == {"stars"}
    assert rules_json(pairs) == {"kind": "levels"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,stars\na,1\n", "no column level; it has image, stars"),
        ("image,level\na,1\nb,1\n", "same level"),
        ("image,level\na,good\nb,bad\n", "row 2: the level 'good' is not a number"),
        ("image,level\na,1\nb,2\nc,z\n", "row 4: the level 'z' is not a number"),
        ("image,level\na,1\n,2\n", "row 3 has no image"),
        ("image,level\na,1\nb,2\nc,\n", "row 4 has no level"),
        ("image,level\nb,3\na,1\na,2\n", "a is listed twice, in rows 3 and 4"),
    ],
)
def test_grades_that_say_nothing(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "levels.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        pairs_from_levels(path)
    with pytest.raises(UserInputError, match="no such file"):
        pairs_from_levels(tmp_path / "none.csv")


def test_the_papers_fig_6(shared_data: Path) -> None:
    assert pairs_from_levels(shared_data / "paper_fig6" / "levels.csv").num_rows == 4000


def test_very_many_pictures_give_a_bounded_seeded_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("i2pa.pairs.levels.MAX_PAIRS", 500)
    level = [i % 5 for i in range(100)]
    graded = pa.table({"image": [f"{i:03}" for i in range(100)], "level": level})
    pairs = pairs_from_levels(graded)
    found = set(zip(*(pairs[f"{s}_image"].to_pylist() for s in ("winner", "loser")), strict=True))
    assert len(found) == pairs.num_rows == 500
    assert all(level[int(winner)] > level[int(loser)] for winner, loser in found)
    assert len({picture for pair in found for picture in pair}) > 90
    assert pairs_from_levels(graded).equals(pairs)


def test_names_like_numbers_stay_names(tmp_path: Path) -> None:
    file = tmp_path / "levels.csv"
    file.write_text("image,level\n001,1\n002,2\n")
    assert pairs_from_levels(file)["winner_image"].to_pylist() == ["002"]


def test_a_column_that_is_there_twice_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "levels.csv"
    path.write_text("image,level,image\na,1,a\nb,2,b\n")
    with pytest.raises(DataError, match=r"levels\.csv: has 2 columns called image; rename all"):
        pairs_from_levels(path)
