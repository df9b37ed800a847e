"""Errors reach whoever is to read them, from another process too."""

import importlib.metadata
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor

import pytest

from i2pa import errors
from i2pa.errors import (
    ArgumentError,
    DataError,
    I2paError,
    ImageError,
    MissingExtraError,
    ModelError,
    UserInputError,
)

EXAMPLES = [
    I2paError("wrong", where="a.csv", remedy="mend it"),
    UserInputError("wrong"),
    DataError("wrong", where="row 3"),
    ImageError("not a picture", kind="not_a_picture", where="a.jpg", remedy="give JPEG"),
    ModelError("altered", remedy="get it again"),
    MissingExtraError("training", "train"),
    ArgumentError("seed", "x", "a whole number"),
]


def facts(error):
    return type(error), str(error), error.args, vars(error), error.exit_code


def raises(place):
    raise EXAMPLES[place]


def all_kinds(base=I2paError):
    return {base}.union(*(all_kinds(kind) for kind in base.__subclasses__()))


def test_the_examples_are_all_there_are():
    known = {kind for kind in all_kinds() if kind.__module__ == errors.__name__}
    assert {type(error) for error in EXAMPLES} == known
    # Errors elsewhere are made as their base is, so they travel as it does.
    for kind in all_kinds() - known:
        assert "__init__" not in vars(kind), kind


@pytest.mark.parametrize("error", EXAMPLES)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_an_error_is_pickled_whole(error, protocol):
    again = pickle.loads(pickle.dumps(error, protocol))
    assert facts(again) == facts(error)


def test_a_value_that_cannot_travel_is_told_of():
    again = pickle.loads(pickle.dumps(ArgumentError("rules", lambda: 0, "PairRules")))
    assert str(again) == "rules is of type function, but must be PairRules"
    assert again.value == "of type function"


@pytest.mark.slow
def test_a_pool_of_processes_hands_errors_on_and_lives():
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        waiting = [pool.submit(raises, place) for place in range(len(EXAMPLES))]
        for error, future in zip(EXAMPLES, waiting, strict=True):
            raised = future.exception(timeout=60)
            assert facts(raised) == facts(error)
        assert pool.submit(len, "alive").result(60) == 5


@pytest.mark.slow
def test_a_multiprocessing_pool_hands_errors_on_and_lives():
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        waiting = [pool.apply_async(raises, (place,)) for place in range(len(EXAMPLES))]
        for error, result in zip(EXAMPLES, waiting, strict=True):
            with pytest.raises(type(error)) as raised:
                result.get(timeout=60)
            assert facts(raised.value) == facts(error)
        assert pool.apply_async(len, ("alive",)).get(60) == 5


@pytest.mark.parametrize(
    ("installed", "remedy"),
    [
        (True, "run: pip install 'i2pa[train]'"),
        (False, "run in the clone: pip install '.[train]'"),
    ],
)
def test_the_hint_fits_how_i2pa_came_here(monkeypatch, installed, remedy):
    def version(name):
        if not installed:
            raise importlib.metadata.PackageNotFoundError(name)
        return "1"

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert MissingExtraError("training", "train").remedy == remedy
