"""The pair files of Hessel et al. 2017."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from i2pa.errors import DataError
from i2pa.pairs import PairRules, build_pairs
from i2pa.posts import read_posts


def submission(name: str, score: int, time: float) -> dict[str, Any]:
    return {
        "id": name,
        "url": f"http://imgur.com/{name}",
        "caption": "My cat",
        "score": score,
        "imgurid": name,
        "time": time,
        "fname": f"{name}.jpg",
        "folder": "aww_images/0/",
        "social": [float("nan")] * 19,
    }


def test_submissions_come_once_and_pair_again(tmp_path: Path) -> None:
    first, second, third = (
        submission(name, score, 1388534400 + 10.0 * i)
        for i, (name, score) in enumerate([("a", 900), ("b", 60), ("c", 4000)])
    )
    pairs = [
        {"ex1": first, "ex2": second, "test_set": [0, 1]},
        {"ex1": third, "ex2": second, "test_set": [1, 1]},
        {"ex1": third, "ex2": None},
    ]
    path = tmp_path / "aww_data.json"
    path.write_text(json.dumps({"seconds": 30, "pairs": pairs}))
    read = read_posts(path)
    rows = read.posts.to_pylist()
    assert [row["post_id"] for row in rows] == ["a", "b", "c"]
    assert {(row["platform"], row["user_id"], row["media_type"]) for row in rows} == {
        ("reddit", "r/aww", "image")
    }
    assert rows[0]["uploaded_at"] == datetime(2014, 1, 1, tzinfo=UTC)
    assert (rows[2]["score"], rows[2]["image"]) == (4000, "aww_images/0/c.jpg")
    assert [(r["row"], r["reason"]) for r in read.rejects.to_pylist()] == [
        (6, "is not a JSON object")
    ]
    notes = {note.what: note.n for note in read.notes}
    assert notes["submissions that are in more than one pair, taken once"] == 2
    assert "no authors" in read.warnings[0]
    rules = PairRules(measure="score", dates_closer_than=None, window_hours=0.0083)
    assert build_pairs(read.posts, rules, assume_settled=True).pairs.num_rows == 1


def test_another_document(tmp_path: Path) -> None:
    path = tmp_path / "aww_data.json"
    path.write_text('{"pairs": []}')
    with pytest.raises(DataError, match="no pairs of ex1 and ex2"):
        read_posts(path, "hessel")
