"""Arguments of another type are refused in one line that names them, before any work."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from i2pa import PairRules, Scorer, audit_pairs, build_pairs, load_model, read_posts, train
from i2pa.errors import ArgumentError, DataError, UserInputError
from i2pa.models.metadata import Likeness
from i2pa.pairs import PAIRS, PAPER, split_pairs, within_days
from i2pa.posts import POSTS
from i2pa.training import PROBE, cross_validate

NO_PAIRS, NO_POSTS = PAIRS.empty_table(), POSTS.empty_table()
Call = Callable[..., object]


def learn(**given: Any) -> object:
    return train(**{"pairs": NO_PAIRS, "images": ".", **given})


def validate(**given: Any) -> object:
    return cross_validate(**{"pairs": NO_PAIRS, "images": ".", "recipe": PROBE, **given})


@cache
def scorer() -> Scorer:
    return load_model()


def score(**given: Any) -> object:
    return scorer().score(**{"pictures": ["x.png"], **given})


def rank(**given: Any) -> object:
    return scorer().rank(**{"pictures": ["x.png"], **given})


def score_one(**given: Any) -> object:
    return scorer().score_one("x.png", **given)


def compare(**given: Any) -> object:
    return scorer().compare("x.png", "y.png", **given)


def stream(**given: Any) -> object:
    return list(scorer().stream(**{"pictures": ["x.png"], **given}))


@pytest.mark.parametrize(
    ("call", "given", "says"),
    [
        (read_posts, {"paths": 5}, "paths is 5, but must be the path of an export, or paths"),
        (read_posts, {"paths": [3]}, "paths is [3], but must be"),
        (read_posts, {"paths": {"a": 1}}, "paths is of type dict, but must be"),
        (read_posts, {"paths": "x", "columns": "likes=n"}, "columns is 'likes=n', but must be a"),
        (read_posts, {"paths": "x", "downloaded_at": "2019-06-28"}, "downloaded_at is '2019-06-2"),
        (read_posts, {"paths": "x", "platform": 7}, "platform is 7, but must be text"),
        (read_posts, {"paths": "x", "format": ["csv"]}, "format is ['csv'], but must be text"),
        (build_pairs, {"posts": [1]}, "posts is [1], but must be a pyarrow Table or the path"),
        (build_pairs, {"posts": NO_POSTS, "rules": "paper"}, "rules is 'paper', but must be Pair"),
        (build_pairs, {"posts": NO_POSTS, "seed": "x"}, "seed is 'x', but must be a whole number"),
        (build_pairs, {"posts": NO_POSTS, "candidates": "9"}, "candidates is '9', but must be a"),
        (build_pairs, {"posts": NO_POSTS, "threads": 0.5}, "threads is 0.5, but must be a whole"),
        (build_pairs, {"posts": NO_POSTS, "memory_limit": 4}, "memory_limit is 4, but must be te"),
        (build_pairs, {"posts": NO_POSTS, "downloaded_at": "x"}, "downloaded_at is 'x', but must"),
        (split_pairs, {"pairs": "pairs.parquet"}, "pairs is 'pairs.parquet', but must be a pyarr"),
        (split_pairs, {"pairs": NO_PAIRS, "fractions": 0.8}, "fractions is 0.8, but must be thre"),
        (split_pairs, {"pairs": NO_PAIRS, "fractions": ["a", 1, 2]}, "fractions is ['a', 1, 2], b"),
        (split_pairs, {"pairs": NO_PAIRS, "counts": "rest"}, "counts is 'rest', but must be three"),
        (split_pairs, {"pairs": NO_PAIRS, "counts": (1.5, 2, 3)}, "counts is (1.5, 2, 3), but mu"),
        (split_pairs, {"pairs": NO_PAIRS, "seed": None}, "seed is None, but must be a whole num"),
        (audit_pairs, {"pairs": 3}, "pairs is 3, but must be a pyarrow Table or the path of a"),
        (audit_pairs, {"pairs": NO_PAIRS, "posts": "p.parquet"}, "posts is 'p.parquet', but must"),
        (audit_pairs, {"pairs": NO_PAIRS, "draws": 0}, "draws is 0, but must be a whole number f"),
        (audit_pairs, {"pairs": NO_PAIRS, "seed": "0"}, "seed is '0', but must be a whole number"),
        (learn, {"pairs": "pairs.parquet"}, "i2pa.pairs.read_pairs reads one"),
        (learn, {"recipe": "probe"}, "recipe is 'probe', but must be a recipe, such as i2pa.trai"),
        (learn, {"posts": "posts.parquet"}, "i2pa.posts.load_posts reads one"),
        (learn, {"validate_on": NO_PAIRS}, "validate_on is of type Table, but must be a mapping"),
        (learn, {"validate_on": {"a": 1}}, "validate_on['a'] is 1, but must be a pyarrow Table"),
        (learn, {"calibrate_on": []}, "calibrate_on is [], but must be a pyarrow Table"),
        (learn, {"version": "1"}, "version is '1', but must be a whole number above 0"),
        (learn, {"images": 3}, "images is 3, but must be the path of a folder, or paths of sev"),
        (validate, {"recipe": None}, "recipe is None, but must be a recipe"),
        (validate, {"folds": 1}, "folds is 1, but must be a whole number from 2"),
        (validate, {"also": "x"}, "also is 'x', but must be a pyarrow Table"),
        (PairRules, {"sigma": "0.3"}, "sigma is '0.3', but must be a finite number above 0"),
        (PairRules, {"sigma": None}, "sigma is None, but must be a finite number above 0"),
        (PairRules, {"min_likes": 49.5}, "min_likes is 49.5, but must be a whole number above 0"),
        (PairRules, {"same_user": "yes"}, "same_user is 'yes', but must be True or False"),
        (PairRules, {"measure": 3}, "measure is 3, but must be one of likes"),
        (load_model, {"name_or_path": None}, "name_or_path is None, but must be a model's name or"),
        (load_model, {"name_or_path": 5}, "name_or_path is 5, but must be a model's name or"),
        (load_model, {"limits": 5}, "limits is 5, but must be a Limits, such as i2pa.Limits(pix"),
        (load_model, {"engine": 5}, "engine is 5, but must be one of auto, onnxruntime"),
        (load_model, {"precision": ["float32"]}, "precision is ['float32'], but must be one of"),
        (load_model, {"threads": 1025}, "a whole number from 1 to 1,024, or None for all cores"),
        (load_model, {"threads": 1.5}, "threads is 1.5, but must be a whole number from 1 to"),
        (rank, {"best": 1.5}, "best is 1.5, but must be a whole number above 0, or None for all"),
        (rank, {"best": 0}, "best is 0, but must be a whole number above 0, or None for all"),
        (rank, {"best": True}, "best is True, but must be a whole number above 0, or None"),
        (rank, {"likeness": 0.8}, "likeness is 0.8, but must be an i2pa.models.metadata.Likeness"),
        (rank, {"pictures": 5}, "pictures is 5, but must be a list of pictures"),
        (score, {"cache": "x"}, "cache is 'x', but must be an i2pa.ScoreCache, or None"),
        (rank, {"cache": "x"}, "cache is 'x', but must be an i2pa.ScoreCache, or None"),
        (stream, {"cache": "x"}, "cache is 'x', but must be an i2pa.ScoreCache, or None"),
        (compare, {"cache": "x"}, "cache is 'x', but must be an i2pa.ScoreCache, or None"),
        (score_one, {"cache": "x"}, "cache is 'x', but must be an i2pa.ScoreCache, or None"),
        (score, {"progress": 5}, "progress is 5, but must be a function of (done, of how many)"),
        (rank, {"progress": 5}, "progress is 5, but must be a function of (done, of how many)"),
        (stream, {"pictures": None}, "pictures is None, but must be a list of pictures"),
        (PairRules, {"min_age_days": -1}, "a finite number from 0; None switches the rule off"),
    ],
)
def test_what_cannot_be_meant_is_one_line(call: Call, given: dict[str, Any], says: str) -> None:
    with pytest.raises(ArgumentError) as refused:
        call(**given)
    assert says in str(refused.value)
    assert isinstance(refused.value, UserInputError)


@pytest.mark.parametrize("call", [score, rank, stream])
def test_one_picture_or_folder_in_the_place_of_many_says_what_to_call(
    call: Call, examples: Path
) -> None:
    for folder in (examples, str(examples)):
        with pytest.raises(UserInputError, match=r"not a folder; give i2pa\.pictures_in\(folder\)"):
            call(pictures=folder)
    for one in (examples / "coffee.png", b"", "coffee.png"):
        with pytest.raises(UserInputError, match=r"a list of pictures is needed; use score_one"):
            call(pictures=one)


def test_cosines_of_another_type_are_one_line() -> None:
    with pytest.raises(UserInputError, match=r"'x' and 0\.7 are no cosines to group by"):
        rank(likeness=Likeness("x", 0.7))  # type: ignore[arg-type]


def test_a_table_of_something_else_is_named_with_what_it_lacks() -> None:
    other = pa.table({"a": [1]})
    for call in (split_pairs, audit_pairs, lambda pairs: learn(pairs=pairs)):
        with pytest.raises(DataError, match="pairs is not a table of pairs: it has no platform"):
            call(other)


def test_numbers_of_other_libraries_are_numbers() -> None:
    made = PairRules(dates_closer_than=np.int64(10), sigma=np.float32(0.5), min_likes=50.0)  # type: ignore[arg-type]
    assert made.to_json() == PairRules(sigma=0.5).to_json()
    assert within_days(PAPER, np.int64(5)).sha256() == within_days(PAPER, 5).sha256()  # type: ignore[arg-type]


def test_paths_may_be_text(tmp_path: Path) -> None:
    with pytest.raises(UserInputError, match="no such folder of pictures"):
        learn(images=str(tmp_path / "gone"))
