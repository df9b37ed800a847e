"""Features of pictures: what a recipe has no use for, no cache, names that nothing can have."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from i2pa.errors import DataError, ModelError
from i2pa.images.failure import Failure
from i2pa.images.transforms import transform_named
from i2pa.models.cache import embeddings_folder
from i2pa.training import ABSOLUTE, FINETUNE, PAPER, PROBE, train
from i2pa.training import features as training_features
from i2pa.training.embeddings import Embeddings
from i2pa.training.features import Features, image_features
from i2pa.training.gather import Gathered
from i2pa.training.pairset import PairSet
from i2pa.training.probe import fit_head
from i2pa.training.recipes import NetworkRecipe, fits_head
from made_up import album

NAMES = ("camera.png", "coffee.png", "rocket.jpg")


def features(folder: Path, names: tuple[str, ...] = NAMES, **options: object) -> Features:
    transform = transform_named(PROBE.transform)
    return image_features(names, [folder], PROBE.backbone, transform, **options)  # type: ignore[arg-type]


@pytest.mark.slow
def test_without_a_cache_features_are_the_same_and_one_line_says_so(
    examples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_cache = features(examples)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("I2PA_CACHE", str(tmp_path / "file" / "cache"))
    told: list[str] = []
    without = features(examples, warn=told.append)
    assert len(told) == 1
    assert "going on without the cache" in told[0]
    assert "set I2PA_CACHE to a writable folder" in told[0]
    assert np.array_equal(with_cache.embeddings[:], without.embeddings[:])
    assert np.array_equal(with_cache.properties, without.properties)
    with pytest.warns(RuntimeWarning, match="going on without the cache"):
        features(examples)


def test_large_embeddings_stay_in_the_caches_file_and_give_the_same_head(
    examples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = features(examples).embeddings
    assert isinstance(at_once, np.ndarray)
    assert at_once.dtype == np.float64
    monkeypatch.setattr("i2pa.training.embeddings._IN_MEMORY_BYTES", 0)
    mapped = features(examples).embeddings
    assert isinstance(mapped, Embeddings)
    assert isinstance(mapped.kept, np.memmap)
    assert mapped.kept.dtype == np.float16
    ones = np.ones(2)
    pairs = PairSet(np.array([0, 2]), np.array([1, 1]), np.array(["a", "b"]), ones, ones)
    one, other = fit_head(at_once, pairs, 0.1), fit_head(mapped, pairs, 0.1)
    assert np.array_equal(one.weights, other.weights)
    assert np.array_equal(one.score(at_once), other.score(mapped))


def test_a_cache_deleted_meanwhile_costs_one_line_and_no_embedding(
    examples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features(examples, NAMES[:1])
    embed = training_features._embed

    def embed_and_delete(*given: Any) -> np.ndarray:
        shutil.rmtree(embeddings_folder())
        return embed(*given)

    monkeypatch.setattr(training_features, "_embed", embed_and_delete)
    told: list[str] = []
    found = features(examples, warn=told.append)
    assert len(told) == 1
    monkeypatch.setattr(training_features, "_embed", embed)
    # Computed in other batches, last digits are others.
    again = features(examples).embeddings[:]
    np.testing.assert_allclose(found.embeddings[:], again, rtol=2e-3, atol=2e-3)


@pytest.mark.slow
def test_a_name_that_no_file_can_have_is_listed_like_any_that_is_missing(examples: Path) -> None:
    impossible = ("x" * 300, "a\0b", "camera.png/inside.png", "gone.png")
    found = features(examples, (*impossible, "camera.png"))
    assert found.row == {"camera.png": 0}
    assert found.unreadable == tuple(
        Failure(name, "missing", "no such file") for name in impossible
    )


class TrainingError(Exception):
    """Training was about to begin, with what was gathered."""


def gathered(
    monkeypatch: pytest.MonkeyPatch, pairs: pa.Table, folder: Path, recipe: NetworkRecipe
) -> Gathered:
    """What `train` hands to the network by a recipe that may not embed."""

    def embed(*_: object) -> None:
        pytest.fail("a picture was embedded")

    def fit(given: Gathered, *_: object, **__: object) -> None:
        raise TrainingError(given)

    monkeypatch.setattr("i2pa.training.features._embed", embed)
    monkeypatch.setattr("i2pa.training.features.load_weights", embed)
    monkeypatch.setattr(sys.modules[train.__module__], "train_network", fit)
    with pytest.raises(TrainingError) as begun:
        train(
            pairs,
            folder,
            recipe,
            weights="random",
            allow_unreadable=True,
            warn=lambda _: None,
        )
    given: Gathered = begun.value.args[0]
    return given


def test_only_what_begins_with_a_head_is_embedded() -> None:
    assert fits_head(PROBE)
    assert fits_head(FINETUNE)
    assert fits_head(replace(PAPER, start="probe"))
    assert not fits_head(PAPER)
    assert not fits_head(ABSOLUTE)
    assert not fits_head(replace(ABSOLUTE, start="probe"))


def test_paper_reads_its_pictures_and_embeds_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "album"
    pairs = album(folder, users=6, pairs_each=5)
    # One pair of 25 to learn from, and one to choose by, lose a picture.
    (folder / "0-0-loser.png").write_bytes(b"no picture")
    (folder / "5-0-loser.png").unlink()
    found = gathered(monkeypatch, pairs, folder, PAPER)
    assert found.missing == 1
    assert {(failure.path, failure.kind) for failure in found.features.unreadable} == {
        ("0-0-loser.png", "not_a_picture"),
        ("5-0-loser.png", "missing"),
    }
    assert len(found.features.row) == len(found.features.properties) == 58
    with pytest.raises(ValueError, match="properties alone"):
        _ = found.features.embeddings
    assert [kind.name for kind in embeddings_folder().iterdir()] == ["properties-crop224@1"]

    # The second run reads none of the pictures that it knows, and finds the broken one again.
    monkeypatch.setattr("i2pa.training.features.properties", lambda _: pytest.fail("read again"))
    again = gathered(monkeypatch, pairs, folder, PAPER)
    assert np.array_equal(again.features.properties, found.features.properties)
    assert {*again.features.unreadable} == {*found.features.unreadable}


def test_paper_stops_before_training_where_too_many_pictures_are_broken(tmp_path: Path) -> None:
    folder = tmp_path / "album"
    pairs = album(folder, users=3, pairs_each=2)
    (folder / "0-0-loser.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"1 of 4 pairs lack .*0-0-loser\.png: "):
        train(pairs, folder, PAPER, weights="random", warn=lambda _: None)


def test_properties_are_the_same_without_a_network(examples: Path) -> None:
    transform = transform_named(PROBE.transform)
    alone = image_features(NAMES, [examples], None, transform)
    beside = features(examples)
    assert np.array_equal(alone.properties, beside.properties)
    # Known by their properties alone, they were embedded all the same.
    assert len(beside.embeddings) == len(NAMES)


@pytest.mark.parametrize("loud", [1e5, float("nan")])
def test_embeddings_that_float16_cannot_hold_are_refused_and_none_is_kept(
    examples: Path, monkeypatch: pytest.MonkeyPatch, loud: float
) -> None:
    class Loud(torch.nn.Module):
        def features(self, planes: torch.Tensor) -> torch.Tensor:
            return planes

        def embed(self, features: torch.Tensor) -> torch.Tensor:
            return torch.full((len(features), 1280), loud)

    monkeypatch.setattr("i2pa.training.features.load_weights", lambda _: Loud())
    # Were any kept, the second run would take it for read.
    for _ in range(2):
        with pytest.raises(ModelError, match="float16"):
            features(examples)
