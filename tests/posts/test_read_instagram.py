"""Instagram's own account export and the Graph API's media."""

from __future__ import annotations

import json
import os
import sys
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from i2pa.errors import DataError, UserInputError
from i2pa.posts import read_posts


def garbled(text: str) -> str:
    return text.encode().decode("latin-1")


EXPORT: list[dict[str, Any]] = [
    {
        "media": [
            {
                "uri": "media/posts/201906/1_n.jpg",
                "creation_timestamp": 1559383200,
                "title": garbled("Été à la plage 🌊 #mer"),
            }
        ]
    },
    {
        "media": [
            {"uri": "media/posts/201906/2_n.jpg", "creation_timestamp": 1, "title": ""},
            {"uri": "media/posts/201906/3_n.jpg", "creation_timestamp": 1, "title": ""},
        ],
        "title": "two",
        "creation_timestamp": 1559383300,
    },
    {"media": [{"uri": "media/posts/201906/4.mp4", "creation_timestamp": 1559383400}]},
    {"media": []},
]


def test_an_account_export_says_that_it_has_no_likes(tmp_path: Path) -> None:
    folder = tmp_path / "your_instagram_activity" / "media"
    folder.mkdir(parents=True)
    (folder / "posts_1.json").write_text(json.dumps(EXPORT))
    late = {"uri": "media/posts/5.jpg", "creation_timestamp": 1559383500, "title": "naïve"}
    (folder / "posts_2.json").write_text(json.dumps([{"media": [late]}]))
    (folder / "profile_photos.json").write_text("{}")
    read = read_posts(tmp_path)
    rows = read.posts.to_pylist()
    assert [row["post_id"] for row in rows] == [
        *("media/posts/201906/1_n.jpg", "media/posts/201906/2_n.jpg", "media/posts/201906/4.mp4"),
        "media/posts/5.jpg",
    ]
    assert rows[0]["caption"] == "Été à la plage 🌊 #mer"
    assert rows[0]["uploaded_at"] == datetime(2019, 6, 1, 10, tzinfo=UTC)
    assert rows[1]["caption"] == "two"
    assert [row["media_type"] for row in rows] == ["image", "carousel", "video", "image"]
    assert rows[1]["image_count"] == 2
    # Text that never was garbled stays as it is.
    assert rows[3]["caption"] == "naïve"
    assert {row["user_id"] for row in rows} == {"self"}
    assert read.posts["likes"].null_count == 4
    (reject,) = read.rejects.to_pylist()
    assert (reject["row"], reject["reason"]) == (4, "holds no picture or video")
    (warning,) = read.warnings
    assert "holds no likes" in warning
    assert "Graph API" in warning
    assert "i2pa pairs levels.csv --levels" in warning


def test_reels_of_an_export(tmp_path: Path) -> None:
    path = tmp_path / "reels.json"
    path.write_text(json.dumps({"ig_reels_media": EXPORT[2:3]}))
    assert read_posts(path).posts["media_type"].to_pylist() == ["video"]


def media(**changes: Any) -> dict[str, Any]:
    return {
        "id": "17900000000000001",
        "caption": "hi @bo",
        "media_type": "IMAGE",
        "like_count": 91,
        "comments_count": 2,
        "timestamp": "2019-06-01T10:00:00+0000",
        "permalink": "https://www.instagram.com/p/BAaaaaaaaaa/",
        "username": "ana",
    } | changes


def test_graph_api_media(tmp_path: Path) -> None:
    album = {"media_type": "CAROUSEL_ALBUM", "children": {"data": [{"id": "1"}, {"id": "2"}]}}
    insights = {"data": [{"name": "views", "values": [{"value": 500}]}]}
    posts = [
        media(),
        media(permalink=None, shortcode="BBaaaaaaaaa", **album),
        {k: v for k, v in media(permalink=None, insights=insights).items() if k != "like_count"},
        media(permalink="https://www.instagram.com/reel/BCaaaaaaaaa/", media_type="VIDEO"),
        "nonsense",
    ]
    path = tmp_path / "media.json"
    path.write_text(json.dumps({"data": posts, "paging": {"cursors": {}}}, indent=1))
    read = read_posts(path)
    rows = read.posts.to_pylist()
    assert [(row["post_id"], row["likes"], row["views"], row["media_type"]) for row in rows] == [
        ("17900000000000001", None, 500, "image"),
        ("BAaaaaaaaaa", 91, None, "image"),
        ("BBaaaaaaaaa", 91, None, "carousel"),
        ("BCaaaaaaaaa", 91, None, "video"),
    ]
    assert rows[2]["image_count"] == 2
    assert rows[1]["uploaded_at"] == datetime(2019, 6, 1, 10, tzinfo=UTC)
    assert [(r["row"], r["reason"]) for r in read.rejects.to_pylist()] == [
        (5, "is not a JSON object")
    ]


def test_graph_api_pages_and_business_discovery(tmp_path: Path) -> None:
    account = {"username": "bo", "followers_count": 10, "media_count": 3}
    nameless = {k: v for k, v in media().items() if k != "username"}
    found = {"business_discovery": account | {"media": {"data": [nameless]}}, "id": "1"}
    pages = [{"data": [media(shortcode=f"B{i}aaaaaaaaa")]} for i in range(3)]
    (tmp_path / "one.json").write_text(json.dumps(found))
    (tmp_path / "pages.json").write_text(json.dumps(pages))
    row = read_posts(tmp_path / "one.json").posts.to_pylist()[0]
    assert (row["user_id"], row["followers"], row["user_posts"]) == ("bo", 10, 3)
    assert read_posts(tmp_path / "pages.json").posts.num_rows == 3


@pytest.mark.parametrize("file_format", [None, "instagram-export", "csv"])
def test_a_zip_file_has_to_be_unpacked(tmp_path: Path, file_format: str | None) -> None:
    path = tmp_path / "instagram-ana.zip"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("media/posts_1.json", json.dumps(EXPORT))
    with pytest.raises(DataError, match="is a ZIP file; unpack it first"):
        read_posts(path, file_format)


def test_graph_api_media_without_an_answer_around_it(tmp_path: Path) -> None:
    path = tmp_path / "media.json"
    for document, n in (([media(), media(id="2", permalink=None), 7], 2), (media(), 1)):
        path.write_text(json.dumps(document, indent=1))
        read = read_posts(path)
        assert (read.kept, read.posts["likes"].to_pylist()) == (n, [91] * n)
    path.write_text(json.dumps(media()))
    assert read_posts(path).posts["post_id"].to_pylist() == ["BAaaaaaaaaa"]
    path.write_text(json.dumps([{"id": "1", "user": "ana", "timestamp": 1559383200}]))
    with pytest.raises(DataError, match="one JSON array"):
        read_posts(path)


@pytest.mark.parametrize("file_format", [None, "graph-api"])
def test_an_error_of_the_api_is_told(tmp_path: Path, file_format: str | None) -> None:
    path = tmp_path / "media.json"
    error = {"message": "Error validating access token", "type": "OAuthException", "code": 190}
    path.write_text(json.dumps({"error": error}))
    with pytest.raises(DataError, match=r"an error of the Graph API.*validating access token"):
        read_posts(path, file_format)


def test_media_that_name_no_user_say_which_field_to_ask_for(tmp_path: Path) -> None:
    path = tmp_path / "media.json"
    path.write_text(json.dumps({"data": [media(username=None), media(id="2")]}))
    read = read_posts(path)
    assert read.kept == 1
    assert read.rejects["reason"].to_pylist() == [
        "names no user: ask the API for the field username"
    ]


def test_one_post_of_an_export_need_not_be_in_a_list(tmp_path: Path) -> None:
    path = tmp_path / "posts_1.json"
    path.write_text(json.dumps(EXPORT[0]))
    assert read_posts(path, "instagram-export").posts["post_id"].to_pylist() == [
        "media/posts/201906/1_n.jpg"
    ]


def test_documents_that_are_cut_short_or_something_else(tmp_path: Path) -> None:
    path = tmp_path / "posts_1.json"
    path.write_text(json.dumps(EXPORT)[:-20])
    with pytest.raises(DataError, match=r"is not JSON .*cut short"):
        read_posts(path)
    path.write_text('{"id": 1}')
    with pytest.raises(DataError, match="no list of posts"):
        read_posts(path, "instagram-export")
    with pytest.raises(DataError, match="no answer of the Graph API"):
        read_posts(path, "graph-api")


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="has no such names")
def test_a_part_of_an_export_whose_name_is_no_text_is_named(tmp_path: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    odd.mkdir()
    (odd / "posts_1.json").write_text("[]")
    with pytest.raises(UserInputError, match="the name is no valid text; rename the file or its"):
        read_posts(tmp_path)
