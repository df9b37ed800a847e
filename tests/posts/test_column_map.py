"""Column maps in YAML."""

from __future__ import annotations

from pathlib import Path

import pytest

from i2pa.errors import UserInputError
from i2pa.posts import load_column_map


def test_a_map_is_read(tmp_path: Path) -> None:
    path = tmp_path / "columns.yaml"
    path.write_text("# ours: theirs\nlikes: like total\n'caption': \"Text (été)\"\n")
    assert load_column_map(path) == {"likes": "like total", "caption": "Text (été)"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "holds no column map"),
        ("- likes\n- caption\n", "holds no column map"),
        ("likes\n", "holds no column map"),
        ("likes: [a, b]\n", r"'likes': \['a', 'b'\] is not a column"),
        ("uploaded_at: 2019-01-01\n", "quote names that look like numbers or dates"),
        ("likes: 'open\n", r"is not YAML \(line"),
        ("likes: !!python/object/apply:os.getcwd []\n", r"is not YAML \(line 1: could not det"),
        ("a: \x00\n", "is not YAML"),
        ("[" * 5000, "is not YAML"),
        ("likes: a\ncaption: b\nlikes: c\n", "likes is there twice; keep one of the lines"),
    ],
)
def test_a_bad_map_is_one_line(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "columns.yaml"
    path.write_text(text)
    with pytest.raises(UserInputError, match=complaint) as caught:
        load_column_map(path)
    assert "\n" not in str(caught.value)


def test_no_map_at_all(tmp_path: Path) -> None:
    with pytest.raises(UserInputError, match="cannot be read"):
        load_column_map(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"likes: caf\xe9\n")
    with pytest.raises(UserInputError, match="is not YAML"):
        load_column_map(tmp_path / "latin.yaml")
