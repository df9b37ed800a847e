"""The Flickr posts of the Social Media Prediction challenge."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from i2pa.errors import DataError
from i2pa.posts import read_posts


def write(folder: Path, times: str = "train_temporalspatial_information.json") -> None:
    folder.mkdir(exist_ok=True)
    posts = [{"Uid": "1@N1", "Pid": str(i), "Postdate": str(1420070400 + i)} for i in range(3)]
    texts = [
        {"Uid": p["Uid"], "Pid": p["Pid"], "Title": "Sea", "Alltags": "sea blue", "Mediatype": m}
        for p, m in zip(posts, ["photo", "video", "photo"], strict=True)
    ]
    (folder / times).write_text(json.dumps(posts))
    # Matched by Uid and Pid, not by place.
    (folder / "train_text.json").write_text(json.dumps(texts[::-1]))
    (folder / "train_label.txt").write_text("1.0\n11.0\nmany\n")
    (folder / "train_img_filepath.txt").write_text("".join(f"train/1@N1/{i}.jpg\n" for i in "012"))


@pytest.mark.parametrize(
    "times", ["train_temporalspatial_information.json", "train_temporalspatial.json"]
)
def test_a_folder_of_the_challenge(tmp_path: Path, times: str) -> None:
    write(tmp_path, times)
    read = read_posts(tmp_path)
    first, second = read.posts.to_pylist()
    assert (first["platform"], first["user_id"], first["post_id"]) == ("flickr", "1@N1", "1@N1/0")
    assert first["uploaded_at"] == datetime(2015, 1, 1, tzinfo=UTC)
    assert (first["caption"], first["caption_words"]) == ("Sea #sea #blue", 1)
    assert (first["media_type"], second["media_type"]) == ("image", "video")
    # log2(views a day) + 1: one view a day is 1, 1,024 are 11.
    assert (first["score"], second["score"]) == (1000, 1_024_000)
    assert first["image"] == "train/1@N1/0.jpg"
    (reject,) = read.rejects.to_pylist()
    assert (reject["row"], reject["value"]) == (3, "many")
    assert any("log2(views a day)" in note.what for note in read.notes)
    assert read_posts(tmp_path / "train_text.json").posts.equals(read.posts)


def test_parts_that_do_not_fit(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "train_label.txt").write_text("1.0\n")
    with pytest.raises(DataError, match="1 line for 3 posts"):
        read_posts(tmp_path)
    (tmp_path / "train_label.txt").unlink()
    with pytest.raises(DataError, match=r"no \*_label.txt"):
        read_posts(tmp_path)
    (tmp_path / "test_temporalspatial_information.json").write_text("[]")
    with pytest.raises(DataError, match="folders of their own"):
        read_posts(tmp_path)
    with pytest.raises(DataError, match="no \\*_temporalspatial"):
        read_posts(tmp_path.parent, "smp")


def test_damaged_files_of_the_challenge(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "train_text.json").write_text('[{"Uid": "1@N1"')
    with pytest.raises(DataError, match="is not JSON"):
        read_posts(tmp_path)
    (tmp_path / "train_text.json").write_text('{"Uid": "1@N1"}')
    with pytest.raises(DataError, match="is not a JSON array"):
        read_posts(tmp_path)
