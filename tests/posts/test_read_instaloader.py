"""Instaloader's dumps: a folder of JSON files and pictures becomes posts."""

from __future__ import annotations

import json
import lzma
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from i2pa.errors import DataError
from i2pa.posts import read_posts


def post(code: str = "BAaaaaaaaaa", **changes: Any) -> dict[str, Any]:
    node = {
        "__typename": "GraphImage",
        "id": "1165612457379106538",
        "shortcode": code,
        "taken_at_timestamp": 1453132800,
        "owner": {"id": "11", "username": "ana"},
        "edge_media_preview_like": {"count": 120},
        "edge_media_to_comment": {"count": 4},
        "edge_media_to_caption": {"edges": [{"node": {"text": "Été 🌊 #plage"}}]},
    }
    return {"node": node | changes, "instaloader": {"version": "4.10", "node_type": "Post"}}


def write(path: Path, document: object) -> None:
    data = json.dumps(document).encode()
    path.write_bytes(lzma.compress(data) if path.suffix == ".xz" else data)


def test_a_folder_of_posts_a_profile_and_pictures(tmp_path: Path) -> None:
    folder = tmp_path / "ana"
    folder.mkdir()
    write(folder / "2016-01-18_16-00-00_UTC.json.xz", post())
    (folder / "2016-01-18_16-00-00_UTC.jpg").touch()
    children = {"edges": [{"node": {}}, {"node": {}}, {"node": {}}]}
    sidecar = {"__typename": "GraphSidecar", "edge_sidecar_to_children": children}
    write(folder / "b.json", post("BBaaaaaaaaa", **sidecar))
    (folder / "b_1.jpg").touch()
    (folder / "b_2.jpg").touch()
    video = {"__typename": "GraphVideo", "is_video": True, "video_view_count": 900}
    write(folder / "c.json", post("BCaaaaaaaaa", **video))
    profile = {"id": "11", "username": "ana", "edge_followed_by": {"count": 5000}}
    profile |= {"edge_follow": {"count": 7}, "edge_owner_to_timeline_media": {"count": 80}}
    write(folder / "ana_11.json.xz", {"node": profile, "instaloader": {"node_type": "Profile"}})
    write(folder / "b_comments.json", [{"id": 1, "text": "nice"}])

    read = read_posts(tmp_path, downloaded_at=datetime(2018, 1, 1))
    posts = {row["post_id"]: row for row in read.posts.to_pylist()}
    first = posts["BAaaaaaaaaa"]
    assert first["platform"] == "instagram"
    assert (first["user_id"], first["likes"], first["comments"]) == ("11", 120, 4)
    assert first["uploaded_at"] == datetime(2016, 1, 18, 16, tzinfo=UTC)
    assert first["caption"] == "Été 🌊 #plage"
    assert first["image"] == "ana/2016-01-18_16-00-00_UTC.jpg"
    assert (first["followers"], first["followings"], first["user_posts"]) == (5000, 7, 80)
    second, third = posts["BBaaaaaaaaa"], posts["BCaaaaaaaaa"]
    assert (second["media_type"], second["image_count"]) == ("carousel", 3)
    assert second["image"] == "ana/b_1.jpg"
    assert (third["media_type"], third["views"], third["image"]) == ("video", 900, None)
    assert (read.read, read.rejects.num_rows) == (3, 0)
    notes = {note.what: note.n for note in read.notes}
    assert notes["files of JSON that hold no post (profiles, stories, comments)"] == 2
    assert notes["posts without a picture beside their file"] == 1


def test_what_the_app_alone_says(tmp_path: Path) -> None:
    phone = {
        "taken_at": 1453132800,
        "user": {"pk": 12, "username": "bo"},
        "like_count": 77,
        "media_type": 8,
        "carousel_media_count": 2,
        "caption": {"text": "hello"},
    }
    hidden = phone | {"like_count": 3, "like_and_view_counts_disabled": True}
    write(tmp_path / "a.json", {"node": {"shortcode": "BAaaaaaaaaa", "iphone_struct": phone}})
    write(tmp_path / "b.json", {"node": {"shortcode": "BBaaaaaaaaa", "iphone_struct": hidden}})
    web = post("BCaaaaaaaaa", taken_at_timestamp=1453132900, like_and_view_counts_disabled=True)
    write(tmp_path / "c.json", web)
    read = read_posts(tmp_path)
    assert read.posts["likes"].to_pylist() == [None, 77, None]
    assert read.posts["user_id"].to_pylist() == ["11", "12", "12"]
    assert read.posts["media_type"].to_pylist()[1:] == ["carousel", "carousel"]
    assert read.posts["caption"].to_pylist()[1:] == ["hello", "hello"]
    assert "negative (hidden) counts, left empty" in {note.what for note in read.notes}


def test_broken_files_are_rejects_with_their_name(tmp_path: Path) -> None:
    write(tmp_path / "a.json.xz", post())
    whole = lzma.compress(json.dumps(post("BBaaaaaaaaa")).encode())
    (tmp_path / "b.json.xz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "c.json").write_text('{"node": {"shortcode": "BC')
    (tmp_path / "d.json").write_text("[" * 100_000)
    write(tmp_path / "e.json", post())
    (tmp_path / "f.json").write_bytes(b"\xff\xfe{}")
    write(tmp_path / "g.json", post("BGaaaaaaaaa", owner=None))
    read = read_posts(tmp_path, "instaloader")
    assert read.posts.num_rows == 1
    found = {Path(r["file"]).name: (r["row"], r["reason"]) for r in read.rejects.to_pylist()}
    assert found["b.json.xz"] == (1, "the xz data is cut short")
    assert found["c.json"][1].startswith("is not JSON (line 1")
    assert found["d.json"] == (1, "is not JSON that can be read")
    assert found["e.json"] == (1, "post_id appears before")
    assert found["f.json"] == (1, "is not UTF-8")
    assert found["g.json"] == (1, "user_id is missing")


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="has no such names")
def test_names_that_are_no_text_are_rejects(tmp_path: Path) -> None:
    write(tmp_path / "a.json", post())
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    write(Path(f"{odd}.json"), post("BBaaaaaaaaa"))
    Path(f"{odd}.jpg").touch()
    odd.mkdir()
    write(odd / "c.json", post("BCaaaaaaaaa"))
    (odd / "c.jpg").touch()
    (odd / "empty.json").touch()
    read = read_posts(tmp_path)
    assert read.posts["post_id"].to_pylist() == ["BAaaaaaaaaa"]
    no_text = "the name of its file is no valid text"
    assert [(r["file"], r["reason"][:37]) for r in read.rejects.to_pylist()] == [
        (f"{tmp_path}/\\udcff/c.json", no_text),
        (f"{tmp_path}/\\udcff/empty.json", "is not JSON (line 1: Expecting value;"),
        (f"{tmp_path}/\\udcff.json", no_text),
    ]


def test_one_file_and_a_half_emoji(tmp_path: Path) -> None:
    caption = {"edges": [{"node": {"text": "half \ud83d emoji"}}]}
    write(tmp_path / "a.json.xz", post(edge_media_to_caption=caption))
    read = read_posts(tmp_path / "a.json.xz")
    assert read.posts["caption"].to_pylist() == ["half \ufffd emoji"]


def test_a_folder_without_posts(tmp_path: Path) -> None:
    write(tmp_path / "a.json", [1, 2])
    with pytest.raises(DataError, match="no posts"):
        read_posts(tmp_path)
