"""The commands posts, pairs and split, as a shell sees them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from command_runner import one_line, run

from i2pa.errors import DataError, UserInputError
from i2pa.pairs import PAIRS, build_pairs, read_pairs, write_pairs
from i2pa.posts import load_posts, write_posts

HEADER = "id,username,taken_at,crawled_at,like_total,text"


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """Four users of three posts each; the likes have an unusual name."""
    rows = [
        f"p{user}{i},u{user},2019-06-0{i + 1}T10:00:00Z,2019-09-01T00:00:00Z,{100 * 3**i},hello"
        for user in range(4)
        for i in range(3)
    ]
    path = tmp_path / "export.csv"
    path.write_text("\n".join([HEADER, *rows, ""]))
    return path


def run_json(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    code, out, err = run(capsys, *arguments, "--json")
    assert (code, err) == (0, "")
    found: dict[str, Any] = json.loads(out)
    return found


def test_split_by_time_and_by_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], export: Path
) -> None:
    posts, pairs, parts = (tmp_path / f"{name}.parquet" for name in ("posts", "pairs", "split"))
    run_json(capsys, "posts", export, "-o", posts, "--map", "likes=like_total")
    n = run_json(capsys, "pairs", posts, "-o", pairs, "--matching", "maximum")["pairs"]
    said = run_json(capsys, "split", pairs, "-o", parts, "--by", "pair", "--counts", "rest,1,0")
    assert [part["pairs"] for part in said["parts"]] == [n - 1, 1, 0]
    said = run_json(capsys, "split", pairs, "-o", parts, "--by", "time", "--fractions", ".5,0,.5")
    first, _, last = said["parts"]
    assert first["last"] is None or last["first"] is None or first["last"] < last["first"]
    assert first["pairs"] + last["pairs"] + said["left_out"] == n
    _, out, _ = run(capsys, "split", pairs, "-o", parts, "--by", "time")
    assert "last post" in out


def test_from_export_to_split(
    export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    posts, pairs, parts = (tmp_path / f"{name}.parquet" for name in ("posts", "pairs", "split"))
    said = run_json(capsys, "posts", export, "-o", posts, "--map", "likes=like_total")
    assert (said["schema"], said["read"], said["kept"]) == ("i2pa.posts/1", 12, 12)
    assert load_posts(posts)["likes"].to_pylist()[:3] == [100, 300, 900]
    said = run_json(capsys, "pairs", posts, "-o", pairs, "--seed", 3)
    assert (said["schema"], said["pairs"], said["seed"]) == ("i2pa.pairs/1", 4, 3)
    assert said["rules"]["sigma"] == 0.3
    assert said["funnel"][-1]["after"] == 4
    assert said["table_1"][0] == {"attribute": "pairs", "value": 4, "paper": 2.5e6}
    said = run_json(capsys, "split", pairs, "-o", parts, "--fractions", ".5,.25,.25")
    assert (said["schema"], said["users_shared"], said["images_shared"]) == ("i2pa.split/1", 0, 0)
    assert [part["users"] for part in said["parts"]] == [2, 1, 1]
    assert read_pairs(parts)["split"].null_count == 0
    leftovers = [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert leftovers == []


def test_where_no_row_is_sound_all_are_among_the_rejects(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export, rejects = tmp_path / "export.csv", tmp_path / "posts.parquet.rejects.csv"
    export.write_text("id,username,date,likes\n,u,2019-06-01,5\nb,u,soon,5\n")
    rejects.write_text("of an older run")
    code, out, err = run(capsys, "posts", export, "-o", tmp_path / "posts.parquet")
    assert (code, out) == (1, "")
    assert "none of 2 rows is sound; 1: post_id is missing; first: row 2, post_id" in err
    assert one_line(err).endswith(f"; see {rejects}\n")
    assert rejects.read_text().splitlines()[1:] == [
        f'"{export}",2,"post_id is missing",',
        f'"{export}",3,"uploaded_at is not a time","soon"',
    ]
    assert not (tmp_path / "posts.parquet").exists()


def test_tables_for_people(
    export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    posts, pairs = tmp_path / "posts.parquet", tmp_path / "pairs.parquet"
    code, out, _ = run(capsys, "posts", export, "-o", posts, "--map", "likes=like_total")
    assert code == 0
    assert "posts kept" in out
    _, out, _ = run(capsys, "pairs", posts, "-o", pairs)
    assert "one image, one pair" in out
    assert "Table 1" in out
    _, out, _ = run(capsys, "split", pairs, "-o", tmp_path / "split.parquet")
    assert "in more than one part: 0 users, 0 images" in out


def test_every_rule_is_an_option(
    export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    posts, pairs = tmp_path / "posts.parquet", tmp_path / "pairs.parquet"
    run_json(capsys, "posts", export, "-o", posts, "--map", "likes=like_total")
    rules = run_json(
        *(capsys, "pairs", posts, "-o", pairs, "--sigma", 0.2, "--confidence", 0.9),
        *("--min-age-days", 7, "--days", 5, "--max-caption-words", 3, "--min-likes", 10),
        *("--without", "same-user", "--without", "hashtags", "--matching", "most-certain"),
    )["rules"]
    assert (rules["sigma"], rules["confidence"], rules["min_age_days"]) == (0.2, 0.9, 7)
    assert (rules["dates_closer_than"], rules["max_caption_words"], rules["min_likes"]) == (
        5,
        3,
        10,
    )
    assert (rules["same_user"], rules["same_hashtags"], rules["same_mentions"]) == (0, 0, 1)
    wide = ("pairs", posts, "-o", pairs, "--rules", "same-user-wide", "--days", 10)
    said = run_json(capsys, *wide)
    assert (said["pairs"], said["rules"]["window_hours"]) == (12, 240)
    hours = run_json(capsys, "pairs", posts, "-o", pairs, "--window-hours", 24)["rules"]
    assert (hours["window_hours"], hours["dates_closer_than"]) == (24, None)


def test_broken_rows_are_written_down_and_said_loudly(
    export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export.write_text(export.read_text() + "bad,u,2019-06-01,,many,\n")
    posts = tmp_path / "posts.parquet"
    command = ("posts", export, "-o", posts, "--map", "likes=like_total")
    code, _, err = run(capsys, *command)
    rejects = tmp_path / "posts.parquet.rejects.csv"
    assert code == 0
    assert "WARNING: 7.7% of the rows were left out" in err
    assert "likes is not a whole number (1)" in err
    assert rejects.read_text().splitlines()[1].split(",")[1:3] == [
        "14",
        '"likes is not a whole number"',
    ]
    export.write_text(export.read_text().replace("many", "5"))
    assert run(capsys, *command)[0] == 0
    assert not rejects.exists()


def test_levels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graded = tmp_path / "levels.csv"
    graded.write_text("image,level\na.jpg,1\nb.jpg,0\nc.jpg,0\n")
    pairs = tmp_path / "pairs.parquet"
    said = run_json(capsys, "pairs", graded, "--levels", "--name", "mine", "-o", pairs)
    assert said["pairs"] == 2
    assert read_pairs(pairs)["user_id"].to_pylist() == ["mine", "mine"]


def test_the_options_that_are_named_for_hessels_pairs_make_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    title = "My cat number {} sits in a box that she found behind the house"
    seconds_and_scores = {"a": (0, 900), "b": (30, 9), "c": (1000, 3), "d": (1031, 80)}
    found = {
        name: {"id": name, "time": 1388534400 + time, "score": score, "caption": title.format(time)}
        for name, (time, score) in seconds_and_scores.items()
    }
    pairs = [{"ex1": found[one], "ex2": found[other]} for one, other in ("ab", "dc")]
    (tmp_path / "aww_data.json").write_text(json.dumps({"pairs": pairs}))
    posts, out = tmp_path / "posts.parquet", tmp_path / "pairs.parquet"
    _, _, err = run(capsys, "posts", tmp_path / "aww_data.json", "-o", posts)
    options = err.partition("i2pa pairs ")[2].split()
    run_json(capsys, "pairs", posts, "-o", out, *options)
    assert read_pairs(out).select(["winner_id", "loser_id"]).to_pylist() == [
        {"winner_id": "a", "loser_id": "b"}
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["posts", "none.csv", "-o", "x"], 2, "none.csv: no such file"),
        (["posts", "export.csv", "-o", "x"], 1, "--map likes=like_total"),
        (["posts", "export.csv", "-o", "x", "--map", "likes"], 2, "lacks '='"),
        (["posts", "export.csv", "-o", "-"], 2, "name a file to write"),
        (["posts", "export.csv", "-o", "x", "--platform", ""], 2, "the platform is empty"),
        (["posts", "export.csv", "-o", "x", "--downloaded-at", "May"], 2, "no date or time"),
        (["pairs", "export.csv", "-o", "x"], 1, "i2pa posts export.csv -o posts.parquet"),
        (
            ["pairs", "posts.parquet", "-o", "x", "--days", "5", "--window-hours", "3"],
            2,
            "together",
        ),
        (["pairs", "posts.parquet", "-o", "x", "--name", "mine"], 2, "--name without --levels"),
        (["pairs", "l.csv", "--levels", "-o", "x", "--days", "5"], 2, "--days and --levels do"),
        (
            ["pairs", "posts.parquet", "-o", "x", "--min-likes", "9", "--without", "min-likes"],
            2,
            "--min-likes and --without min-likes do not go together",
        ),
        (
            ["pairs", "posts.parquet", "-o", "x", "--confidence", ".9", "--without", "confidence"],
            2,
            "--confidence and --without confidence do not go together",
        ),
        (
            ["posts", "export.csv", "-o", "z.csv"],
            2,
            "Parquet, not csv; name it z.parquet",
        ),
        (["pairs", "posts.parquet", "-o", "z.json"], 2, "would hold Parquet, not json"),
        (["split", "posts.parquet", "-o", "z.tsv"], 2, "would hold Parquet, not tsv"),
        (["split", ".", "-o", "x"], 2, "is a folder; name a file of pairs"),
        (
            ["audit", "x", "--balance", "time", "-o", "w.csv"],
            2,
            "w.csv: would hold Parquet, not csv; name it w.parquet",
        ),
        (["audit", "."], 2, "is a folder; name a file of pairs"),
        (["split", "x", "-o", "y", "--counts", "1,1,1", "--fractions", "1,0,0"], 2, "together"),
        (["split", "posts.parquet", "-o", "x", "--counts", "rest,1_0,1"], 2, "not three numbers"),
        (["split", "posts.parquet", "-o", "x", "--fractions", "0_1,0,0"], 2, "not three numbers"),
        (["pairs", "none.parquet", "-o", "x"], 2, "no such file"),
        (["pairs", "posts.parquet", "-o", "x", "--rules", "mine"], 2, "paper, same-user-wide"),
        (["pairs", "posts.parquet", "-o", "x", "--without", "luck"], 2, "no such rule"),
        (["pairs", "posts.parquet", "-o", "x", "--sigma", "0"], 2, "sigma is 0"),
        (["pairs", "posts.parquet", "-o", "x", "--measure", "views"], 1, "'views known"),
        (["split", "posts.parquet", "-o", "x"], 1, "not a pairs.parquet"),
        (["split", "posts.parquet", "-o", "x", "--fractions", "most"], 2, "not three numbers"),
        (["split", "posts.parquet", "-o", "x", "--counts", "1,2,all"], 2, "not three numbers"),
    ],
)
def test_wrong_input_is_one_line_and_leaves_nothing(
    export: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(export.parent)
    run(capsys, "posts", "export.csv", "-o", "posts.parquet", "--map", "likes=like_total")
    before = sorted(export.parent.iterdir())
    got, out, err = run(capsys, *arguments)
    assert (got, out) == (code, "")
    assert err.startswith("i2pa: ")
    assert err.count("\n") == 1
    assert message in err
    assert sorted(export.parent.iterdir()) == before


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no such files")
def test_a_pipe_is_no_file_that_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / "pipe")
    code, _, err = run(capsys, "pairs", tmp_path / "pipe", "-o", tmp_path / "x")
    assert code == 2
    assert "pipe: is no regular file; name a posts.parquet" in one_line(err)


def test_a_post_twice_is_told_with_its_file(
    export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made, twice = tmp_path / "posts.parquet", tmp_path / "twice.parquet"
    run(capsys, "posts", export, "-o", made, "--map", "likes=like_total")
    posts = load_posts(made)
    write_posts(posts.take([0, *range(posts.num_rows)]), twice)
    for more in ((), ("--without", "same-user")):
        code, _, err = run(capsys, "pairs", twice, "-o", tmp_path / "x.parquet", *more)
        assert code == 1
        assert f"{twice}: the post " in one_line(err)


def test_of_pairs_of_two_users_no_proof_is_claimed(
    export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    posts, pairs, parts = (tmp_path / f"{name}.parquet" for name in ("posts", "pairs", "split"))
    run(capsys, "posts", export, "-o", posts, "--map", "likes=like_total")
    table = build_pairs(posts).pairs
    unknown = pa.nulls(table.num_rows, pa.string())
    write_pairs(table.set_column(1, PAIRS.field("user_id"), unknown), pairs)
    for by in ("pair", "time"):
        said = run_json(capsys, "split", pairs, "-o", parts, "--by", by)
        assert (said["users_shared"], said["parts"][0]["users"]) == (None, None)
        _, out, _ = run(capsys, "split", pairs, "-o", parts, "--by", by)
        n = said["without_user"]
        assert f"in more than one part: unknown users ({n} pairs without user_id), 0 images" in out


def test_what_is_written_in_python_is_what_the_commands_would_write(
    export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = tmp_path / "posts.parquet"
    run(capsys, "posts", export, "-o", made, "--map", "likes=like_total")
    with pytest.raises(DataError, match="pairs is not a table of pairs: it has no winner_id"):
        write_pairs(load_posts(made), tmp_path / "z.parquet")
    pairs = build_pairs(made).pairs
    for write in (
        lambda: write_pairs(pairs, tmp_path / "z.csv"),
        lambda: build_pairs(made, out=tmp_path / "z.csv"),
    ):
        with pytest.raises(
            UserInputError, match=r"would hold Parquet, not csv; name it z\.parquet"
        ):
            write()
    assert not (tmp_path / "z.csv").exists()


@pytest.mark.parametrize("command", ["posts", "pairs", "split"])
def test_help_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, command, "--help")
    assert code == 0
    assert f"Example: i2pa {command} " in " ".join(out.split())


def test_starting_up_loads_no_tables() -> None:
    check = "import sys, i2pa.cli; sys.exit('duckdb' in sys.modules or 'pyarrow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_without_the_extra_a_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("i2pa.cli.data.importlib.util.find_spec", lambda _: None)
    code, _, err = run(capsys, "posts", "a.csv", "-o", tmp_path / "x")
    assert code == 2
    assert "pip install 'i2pa[data]'" in err


def test_no_input_is_overwritten_and_no_device_replaced(
    export: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = export.read_bytes()
    code, _, err = run(capsys, "posts", export, "-o", export, "--map", "likes=like_total")
    assert (code, "is the input itself" in err) == (2, True)
    code, _, err = run(capsys, "posts", export, "-o", "/dev/null", "--map", "likes=like_total")
    assert (code, "is no regular file" in err) == (2, True)
    assert export.read_bytes() == before


def test_a_map_in_a_file_beside_a_map_in_words(
    export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    columns, posts = tmp_path / "columns.yaml", tmp_path / "posts.parquet"
    columns.write_text("likes: nonsense\ncaption: text\n")
    maps = ["--map", columns, "--map", "likes=like_total"]
    assert run_json(capsys, "posts", export, "-o", posts, *maps)["kept"] == 12
    columns.write_text("likes: [1]\n")
    code, _, err = run(capsys, "posts", export, "-o", posts, *maps)
    assert code == 2
    assert "is not a column to a column" in err


def test_an_account_export_is_a_folder_without_likes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "media").mkdir()
    media = [{"uri": "media/1.jpg", "creation_timestamp": 1559383200, "title": "hello"}]
    (tmp_path / "media" / "posts_1.json").write_text(json.dumps([{"media": media}]))
    code, out, err = run(capsys, "posts", tmp_path, "-o", tmp_path / "posts.parquet")
    assert code == 0
    assert "holds no likes" in err
    assert "i2pa pairs levels.csv --levels" in err
    assert "posts kept" in out
    code, out, _ = run(capsys, "posts", tmp_path, "-o", tmp_path / "p.parquet", "--json")
    assert "holds no likes" in json.loads(out)["warnings"][0]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--days", 0), "--days is 0, but must be a whole number above 0; --without dates"),
        (("--rules", "same-user-wide", "--days", -1), "--days is -1, but must be a whole number"),
        (("--window-hours", "nan"), "--window-hours is nan, but must be a finite number above 0"),
        (("--window-hours", 1e10), "--window-hours is 1e+10, but must be at most 2,400,000"),
        (("--days", 10**19), "--days is 10000000000000000000, but must be at most 100,000; --wit"),
        (
            ("--max-pairs-per-user", 3, "--without", "same-user"),
            "--max-pairs-per-user and --without same-user do not go together; leave one out",
        ),
        (
            ("--rules", "same-user-wide", "--matching", "maximum"),
            "--matching maximum means nothing where one-image-one-pair is off; leave it out",
        ),
        (
            ("--without", "one-image-one-pair", "--matching", "closest-in-time"),
            "--matching closest-in-time means nothing where one-image-one-pair is off",
        ),
        (
            ("--rules", "same-user-wide", "--assume-settled"),
            "--assume-settled means nothing where the age rule is off; leave it out, or ask for",
        ),
        (
            ("--without", "age", "--downloaded-at", "2019-06-28"),
            "--downloaded-at means nothing where the age rule is off",
        ),
        (("--sigma", 0), "--sigma is 0, but must be a finite number above 0"),
        (("--min-age-days", -1), "must be a finite number from 0; --without age switches the rule"),
        (("--max-caption-words", -1), "--max-caption-words is -1, but must be a whole number from"),
        (("--hashtag-tolerance", -1), "--hashtag-tolerance is -1, but must be a whole number fro"),
        (("--measure", "hearts"), "--measure is 'hearts', but must be one of likes, views"),
    ],
)
def test_a_number_that_means_nothing_is_told_by_its_option(
    options: tuple[object, ...], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "pairs.parquet"
    code, _, err = run(capsys, "pairs", tmp_path / "posts.parquet", "-o", out, *options)
    assert code == 2
    assert says in err
    assert len(err.splitlines()) == 1
