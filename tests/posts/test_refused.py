"""What is no table of text is told shortly: UTF-16, pictures, noise, two columns of one name."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from i2pa.errors import DataError
from i2pa.posts import read_posts

LINE = '{"post_id": "p", "user_id": "u", "uploaded_at": "2019-06-01", "likes": 5}\n'


@pytest.mark.parametrize(
    ("codec", "named"),
    [("utf-16", "utf-16"), ("utf-16-le", "utf-16le"), ("utf-16-be", "utf-16be")],
)
@pytest.mark.parametrize("name", ["my posts.jsonl", "posts.csv", "posts.tsv"])
def test_utf_16_is_told_with_the_way_out(name: str, codec: str, named: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(LINE if "json" in name else "post_id,likes\np,5\n", encoding=codec)
    with pytest.raises(DataError) as caught:
        read_posts(path)
    said = str(caught.value)
    assert "is UTF-16, where UTF-8 is needed" in said
    assert f"iconv -f {named} -t utf-8 " in said
    if name == "my posts.jsonl":
        assert said.endswith("'my posts.jsonl' > 'my posts-utf8.jsonl'")


@pytest.mark.parametrize("name", ["photo.jpg", "photo.png", "noise.csv", "noise.tsv", "zeros"])
def test_binary_data_is_no_table(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    noise = random.Random(1).randbytes(40_000)
    if path.stem == "photo":
        Image.frombytes("RGB", (100, 100), noise[:30_000]).save(path)
    else:
        path.write_bytes(b"\0" * 1000 if name == "zeros" else noise)
    with pytest.raises(DataError, match="is binary data, not a table; name an export") as caught:
        read_posts(path)
    assert len(caught.value.what) < 40


def test_text_of_another_code_page_is_still_a_table(tmp_path: Path) -> None:
    path = tmp_path / "posts.csv"
    rows = "post_id,user_id,uploaded_at,likes,Légende\n" + "p,u,2019-06-01,5,été\n" * 300
    path.write_bytes(rows.encode("latin-1"))
    assert read_posts(path).kept == 1
    # A character of two bytes that the first kilobytes cut in two.
    for odd in ("", "x"):
        path.write_text("post_id,user_id,uploaded_at,likes,x\np,u,2019-06-01,5," + odd + "é" * 4096)
        assert read_posts(path).kept == 1


def test_two_columns_of_one_name_in_parquet(tmp_path: Path) -> None:
    path = tmp_path / "posts.parquet"
    columns = {"post_id": ["p"], "user_id": ["u"], "uploaded_at": [1559383200], "likes": [5]}
    table = pa.table(columns)
    pq.write_table(table.append_column("likes", pa.array([6])), path)
    with pytest.raises(DataError, match="two columns are called 'likes'; rename one of them"):
        read_posts(path)
    unused = table.append_column("mood", pa.array([6])).append_column("mood", pa.array([7]))
    pq.write_table(unused, path)
    assert read_posts(path).kept == 1
