"""Reddit's submissions, packed or not; and packed files that are cut short."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import zstandard

from i2pa.errors import DataError
from i2pa.posts import read_posts
from i2pa.posts.readers import streams


def submission(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": name,
        "author": "ana",
        "subreddit": "aww",
        "created_utc": 1559383200,
        "retrieved_on": 1561975200,
        "score": -3,
        "num_comments": 7,
        "title": "My cat",
        "post_hint": "image",
        "url": f"https://i.redd.it/{name}.jpg",
    } | changes


def lines(*items: object) -> bytes:
    return "".join(json.dumps(item) + "\n" for item in items).encode()


PACK = {
    ".jsonl": lambda data: data,
    ".zst": lambda data: zstandard.ZstdCompressor().compress(data),
    ".jsonl.xz": lzma.compress,
    ".bz2": bz2.compress,
    ".jsonl.gz": gzip.compress,
}


@pytest.mark.parametrize("suffix", PACK)
def test_submissions_in_every_packing(tmp_path: Path, suffix: str) -> None:
    album = {"is_gallery": True, "gallery_data": {"items": [{}, {}, {}]}, "post_hint": None}
    meta = {"_meta": {"retrieved_2nd_on": 1562000000}, "created_utc": "1559383200"}
    data = lines(
        submission("a1"),
        submission("a2", url="https://www.reddit.com/gallery/a2", **album),
        submission("a3", post_hint="hosted:video", url="https://v.redd.it/x"),
        submission("a4", author="[deleted]"),
        submission("a5", post_hint="self", url="https://www.reddit.com/r/aww/comments/a5/"),
        submission("a6", post_hint=None, url="https://imgur.com/AbCdE12", **meta),
    )
    path = tmp_path / f"RS_2019-06{suffix}"
    path.write_bytes(PACK[suffix](data))
    read = read_posts(path)
    rows = read.posts.to_pylist()
    assert [row["post_id"] for row in rows] == ["a1", "a2", "a3", "a6"]
    assert [row["media_type"] for row in rows] == ["image", "carousel", "video", "image"]
    assert [row["image_count"] for row in rows] == [1, 3, None, 1]
    first = rows[0]
    assert (first["platform"], first["user_id"], first["score"]) == ("reddit", "ana", -3)
    assert (first["caption"], first["comments"]) == ("My cat", 7)
    assert first["uploaded_at"] == datetime(2019, 6, 1, 10, tzinfo=UTC)
    assert first["downloaded_at"] == datetime(2019, 7, 1, 10, tzinfo=UTC)
    assert first["image"] == "https://i.redd.it/a1.jpg"
    assert rows[3]["downloaded_at"] == datetime.fromtimestamp(1562000000, UTC)
    assert [(r["row"], r["reason"]) for r in read.rejects.to_pylist()] == [
        (4, "its author is deleted"),
        (5, "holds no picture or video"),
    ]


def test_a_window_of_two_gigabytes(tmp_path: Path) -> None:
    wide = zstandard.ZstdCompressionParameters.from_level(1, window_log=31)
    path = tmp_path / "RS.zst"
    with (
        path.open("wb") as file,
        zstandard.ZstdCompressor(compression_params=wide).stream_writer(file) as writer,
    ):
        writer.write(lines(submission("a")))
        writer.write(lines(submission("b")))
    assert read_posts(path).posts["post_id"].to_pylist() == ["a", "b"]


def test_comments_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "RC.jsonl"
    comment = {k: v for k, v in submission("c1", body="nice").items() if k != "title"}
    path.write_bytes(lines(comment))
    with pytest.raises(DataError, match="comments, not submissions"):
        read_posts(path)


def many(n: int) -> bytes:
    # Titles of no pattern, so that packing leaves something to cut.
    return lines(*(submission(f"p{i}", title=f"{hash((i, 7)) ** 3}") for i in range(n)))


@pytest.mark.parametrize("suffix", [".zst", ".jsonl.xz", ".bz2", ".jsonl.gz"])
def test_a_packed_file_cut_short_keeps_what_came_before(tmp_path: Path, suffix: str) -> None:
    # Many frames, as a dump written over time has.
    last = PACK[suffix](lines(*(submission(f"q{i}", title="x" * 50) for i in range(300))))
    packed = PACK[suffix](many(300)) + last
    path = tmp_path / f"RS{suffix}"
    path.write_bytes(packed[: -len(last) // 2])
    read = read_posts(path)
    assert 300 <= read.posts.num_rows < 600
    reject = read.rejects.to_pylist()[-1]
    assert "is cut short; the rest is lost" in reject["reason"]
    assert reject["row"] == read.read
    (warning,) = read.warnings
    assert warning.startswith(f"{path}: ")
    assert "is cut short; what came after it is lost" in warning
    path.write_bytes(packed)
    assert read_posts(path).posts.num_rows == 600


@pytest.mark.parametrize("suffix", [".zst", ".jsonl.xz", ".bz2", ".jsonl.gz"])
def test_damage_in_the_middle(tmp_path: Path, suffix: str) -> None:
    good = PACK[suffix](many(50))
    bad = bytearray(PACK[suffix](many(5000)))
    bad[len(bad) // 2 : len(bad) // 2 + 64] = b"\xff" * 64
    path = tmp_path / f"RS{suffix}"
    path.write_bytes(good + bad)
    read = read_posts(path)
    assert read.posts.num_rows >= 50
    assert any("damaged" in reason.what for reason in read.reasons)
    assert [path.name in warning and "damaged" in warning for warning in read.warnings] == [True]


@pytest.mark.parametrize(
    ("suffix", "magic"), [(".zst", b"\x28\xb5\x2f\xfd"), (".xz", b"\xfd7zXZ\0")]
)
def test_nothing_sound_in_a_packed_file(tmp_path: Path, suffix: str, magic: bytes) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(magic + b"\xff" * 40)
    with pytest.raises(DataError, match="nothing that can be unpacked"):
        read_posts(path)
    with pytest.raises(DataError, match=r"damaged|cut short"):
        read_posts(path, "reddit")
    path.write_bytes(PACK[".zst"](b"post_id,user_id\n"))
    with pytest.raises(DataError, match="holds no JSON"):
        read_posts(path)


def test_lines_too_long_and_lines_across_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "_BATCH", 300)
    monkeypatch.setattr(streams, "LONGEST_LINE", 2000)
    path = tmp_path / "RS.jsonl"
    path.write_bytes(
        b"\xef\xbb\xbf" + lines(submission("a"), submission("b", title="x" * 5000), submission("c"))
    )
    read = read_posts(path)
    assert read.posts["post_id"].to_pylist() == ["a", "c"]
    (reject,) = read.rejects.to_pylist()
    assert (reject["row"], reject["reason"]) == (2, "the line is longer than 0 MB")


def test_a_line_of_a_hundred_megabytes_is_a_reject(tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl"
    sound = b'{"id": "p", "user": "u", "taken_at": 1559383200, "like_count": 5}\n'
    path.write_bytes(sound + b'{"caption": "' + b"x" * 100_000_000 + b'"}\n')
    read = read_posts(path)
    assert read.posts["post_id"].to_pylist() == ["p"]
    assert read.rejects["reason"].to_pylist() == ["the line is longer than 32 MB"]


def test_a_cut_file_of_json_lines_warns_too_and_a_whole_one_does_not(tmp_path: Path) -> None:
    post = '{"id": "%d", "user": "u", "taken_at": 1559383200, "like_count": 5, "text": "%s"}\n'
    text = "".join(post % (i, hash((i, 9)) ** 5) for i in range(2000)).encode()
    path = tmp_path / "posts.jsonl.gz"
    path.write_bytes(gzip.compress(text))
    assert (read_posts(path).kept, read_posts(path).warnings) == (2000, ())
    path.write_bytes(path.read_bytes()[:-500])
    read = read_posts(path)
    assert 0 < read.kept < 2000
    assert ["the gzip data is cut short" in warning for warning in read.warnings] == [True]


def test_titles_come_as_they_were_typed(tmp_path: Path) -> None:
    path = tmp_path / "RS.jsonl"
    titles = ["Cats &amp; dogs &lt;3", "a & b", "&amp;lt;", None]
    path.write_bytes(lines(*(submission(f"a{i}", title=t) for i, t in enumerate(titles))))
    assert read_posts(path).posts["caption"].to_pylist() == [
        *("Cats & dogs <3", "a & b", "&lt;", None),
    ]


def test_half_an_emoji_in_a_line_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl"
    post = '{"id": "p%d", "user": "u", "taken_at": 1559383200, "like_count": 5, "text": "%s"}\n'
    path.write_text(post % (1, "a \\ud83d b") + post % (2, "\\ud83c\\udf0a") + "[oops \\ud83d\n")
    read = read_posts(path)
    assert read.posts["caption"].to_pylist() == ["a \ufffd b", "\N{WATER WAVE}"]
    assert [(r["row"], r["reason"]) for r in read.rejects.to_pylist()] == [
        (3, "is not a JSON object")
    ]
