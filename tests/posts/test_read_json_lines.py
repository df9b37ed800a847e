"""Values in JSON Lines: nested ones are broken rows, text that looks like JSON is text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from i2pa.posts import PostsRead, read_posts
from i2pa.posts.table import NoSoundRowError


def read_lines(folder: Path, *records: dict[str, Any]) -> PostsRead:
    path = folder / "posts.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return read_posts(path)


def record(name: str = "p", **changes: Any) -> dict[str, Any]:
    whole = {"post_id": name, "user_id": "u", "uploaded_at": "2019-06-01T00:00:00Z", "likes": 5}
    return whole | changes


def test_nested_values_are_rejects_that_name_the_field(tmp_path: Path) -> None:
    read = read_lines(
        tmp_path,
        record("fine", caption="{not} [json]", extra={"a": 1}),
        record(user_id={"id": "5"}),
        record(["a"]),
        record("q", caption={"text": "one two"}),
        record("r", likes=[1]),
        record("s", uploaded_at={}),
        record("list", caption="[1, 2]", user_id="true"),
    )
    assert sorted(read.posts["post_id"].to_pylist()) == ["fine", "list"]
    assert read.posts["caption"].to_pylist() == ["[1, 2]", "{not} [json]"]
    assert [(r["row"], r["reason"], r["value"]) for r in read.rejects.to_pylist()] == [
        (2, "user_id is nested JSON, not a value", '{"id":"5"}'),
        (3, "post_id is nested JSON, not a value", '["a"]'),
        (4, "caption is nested JSON, not a value", '{"text":"one two"}'),
        (5, "likes is nested JSON, not a value", "[1]"),
        (6, "uploaded_at is nested JSON, not a value", "{}"),
    ]


def test_true_and_false_are_no_ids(tmp_path: Path) -> None:
    read = read_lines(
        tmp_path, record(), record(True), record("q", user_id=False), record("r", caption=True)
    )
    assert [(r["row"], r["reason"], r["value"]) for r in read.rejects.to_pylist()] == [
        (2, "post_id is true or false, not an id", "true"),
        (3, "user_id is true or false, not an id", "false"),
    ]
    columns = {"post_id": [True, None], "user_id": [1, 1], "uploaded_at": [1559383200] * 2}
    pq.write_table(pa.table(columns | {"likes": [5, 5]}), tmp_path / "posts.parquet")
    with pytest.raises(NoSoundRowError) as caught:
        read_posts(tmp_path / "posts.parquet")
    assert caught.value.rejects["reason"].to_pylist() == [
        "post_id is true or false, not an id",
        "post_id is missing",
    ]


def test_nested_values_are_found_in_every_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("i2pa.posts.readers.streams._BATCH", 300)
    records = [record(f"p{i}") for i in range(40)]
    records[7]["user_id"] = records[33]["likes"] = {}
    read = read_lines(tmp_path, *records)
    assert (read.kept, read.rejects["row"].to_pylist()) == (38, [8, 34])


def test_a_column_called_row_may_be_mapped(tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl"
    path.write_text(json.dumps(record() | {"row": "r1"}) + "\n")
    assert read_posts(path, columns={"post_id": "row"}).posts["post_id"].to_pylist() == ["r1"]
