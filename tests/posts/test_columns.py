"""Columns that are missing and columns that several would do for."""

from __future__ import annotations

from pathlib import Path

import pytest

from i2pa.errors import DataError
from i2pa.posts import read_posts

WAY_OUT = "or for uploaded_at, if these are Instagram's shortcodes, which tell it: --platform insta"


def write(folder: Path, *lines: str, name: str = "posts.csv") -> Path:
    path = folder / name
    path.write_text("\n".join([*lines, ""]))
    return path


def test_codes_are_offered_for_times_by_what_their_column_is_called(tmp_path: Path) -> None:
    for header, row in (
        ("shortcode,username,likes", "BAaaaaaaaaa,u,5"),
        ("shortcode,username,likes", "nope,u,5"),
        ("shortcode,likes", "BAaaaaaaaaa,5"),
        ("Code,likes", "nope,5"),
    ):
        with pytest.raises(DataError) as caught:
            read_posts(write(tmp_path, header, row))
        assert WAY_OUT in str(caught.value)
    path = write(tmp_path, "shortcode,uploaded_at,likes", "BAaaaaaaaaa,2019-06-01,5")
    with pytest.raises(DataError) as caught:
        read_posts(path)
    assert "nstagram" not in str(caught.value)
    with pytest.raises(DataError) as caught:
        read_posts(write(tmp_path, "shortcode,username,likes", "a,u,5"), platform="flickr")
    assert "nstagram" not in str(caught.value)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("post_id,user_id,uploaded_at,likes", ""),
        # Our own name is no choice.
        ("post_id,user_id,username,uploaded_at,date,likes", ""),
        (
            "post_id,user_id,uploaded_at,likes,Likes",
            "took 'likes' for likes (not 'Likes'); --map likes=Likes takes another",
        ),
        (
            "id,shortcode,user_id,timestamp,date,taken at,likes",
            "took 'shortcode' for post_id (not 'id'), 'timestamp' for uploaded_at (not 'date' or "
            "'taken at'); --map post_id=id takes another",
        ),
        (
            "post_id,user_id,time,taken at,likes",
            "took 'taken at' for uploaded_at (not 'time'); --map uploaded_at=time takes another",
        ),
    ],
)
def test_a_choice_among_columns_is_told(header: str, said: str, tmp_path: Path) -> None:
    known = {"id": "q", "shortcode": "p", "likes": "5", "Likes": "6"}
    row = ",".join(known.get(name, "2019-06-01T00:00:00Z") for name in header.split(","))
    path = write(tmp_path, header, row)
    again = write(tmp_path, header, row, name="again.csv")
    choices = read_posts([path, again]).choices
    assert choices == ((f"{path}: {said}",) if said else ())


def test_a_column_that_is_mapped_is_no_choice(tmp_path: Path) -> None:
    path = write(tmp_path, "id,code,user_id,date,likes", "q,p,u,2019-06-01T00:00:00Z,5")
    read = read_posts(path, columns={"post_id": "id"})
    assert (read.choices, read.posts["post_id"].to_pylist()) == ((), ["q"])
