"""From tables to a model with a tiny network in place of a real one: what its figures are of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from tiny import TinyRanker

from i2pa.errors import DataError
from i2pa.images.transforms import transform_named
from i2pa.models.backbones import RANDOM, BackboneWeights
from i2pa.models.registry import CHECKPOINT_FILE
from i2pa.training import FINETUNE, PROBE, NetworkRecipe, TrainedModel, network, train
from i2pa.training.card import model_card
from i2pa.training.feed import Feed
from i2pa.training.gather import Gathered, gather
from i2pa.training.network import fit_network
from i2pa.training.nuisance import TIME_FEATURES
from i2pa.training.probe import Head
from i2pa.training.train import _fit_probe
from made_up import album

RECIPE = replace(FINETUNE, start="backbone", epochs=2, batch=4, rate_body=1e-2, rate_head=1e-2)
WEIGHTS = BackboneWeights(RECIPE.backbone, RANDOM, "", "none", "symmetric")


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[pa.Table, Path]:
    folder = tmp_path / "album"
    return album(folder, users=4, pairs_each=3), folder


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_ranker", lambda *_: TinyRanker())


@pytest.fixture
def breaking(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Pictures to be deleted once all have been read, before the first is trained on."""

    def delete(*paths: Path) -> None:
        feed_of = network.picture_feed

        def feed(*given: object) -> Feed:
            for path in paths:
                path.unlink()
            return feed_of(*given)

        monkeypatch.setattr(network, "picture_feed", feed)

    return delete


def trained(
    pictures: tuple[pa.Table, Path], recipe: NetworkRecipe = RECIPE, **how: object
) -> TrainedModel:
    return train(*pictures, recipe, weights="random", warn=lambda _: None, **how)


def unsplit(pairs: pa.Table) -> pa.Table:
    place = pairs.column_names.index("split")
    return pairs.set_column(place, "split", pa.nulls(pairs.num_rows, pa.string()))


def test_a_picture_to_measure_on_that_breaks_later_takes_its_pair_along(
    pictures: tuple[pa.Table, Path], breaking: Callable[..., None]
) -> None:
    breaking(pictures[1] / "3-1-loser.png")
    model = trained(pictures, allow_unreadable=True)
    (val,) = model.evaluations
    assert (val.model.pairs, val.model.ties) == (2, 0)
    assert val.properties.pairs == val.later_wins.pairs == 2
    assert model.calibration.pairs == 2
    assert np.isfinite([model.calibration.log_loss, *model.metadata.reference.quantiles]).all()
    assert model.metadata.reference.n == 4
    assert (model.data.pairs, model.pairs_without_picture) == (9, 0)
    assert model.measured_without_picture == {"val": 1}
    assert [failure.path for failure in model.unreadable] == ["3-1-loser.png"]
    card = model_card(model, "e" * 64, {})
    assert "as no picture could be read: 1 pair of val." in card
    assert "- `3-1-loser.png: cannot be read (No such file or directory)`" in card


def test_a_picture_to_learn_from_that_breaks_later_is_not_said_to_be_learnt_from(
    pictures: tuple[pa.Table, Path], breaking: Callable[..., None]
) -> None:
    breaking(pictures[1] / "0-0-winner.png")
    model = trained(pictures, allow_unreadable=True)
    assert (model.data.pairs, model.data.pictures) == (8, 16)
    assert model.learnt_from.startswith("8 pairs of 16 pictures")
    assert model.pairs_without_picture == 1
    assert model.measured_without_picture == {}
    assert [failure.path for failure in model.unreadable] == ["0-0-winner.png"]


def test_too_many_that_break_later_stop_training_in_every_list(
    pictures: tuple[pa.Table, Path], breaking: Callable[..., None]
) -> None:
    breaking(pictures[1] / "3-1-loser.png")
    with pytest.raises(DataError) as stopped:
        trained(pictures)
    assert str(stopped.value) == (
        "1 of 3 pairs of 'val' lack a picture that can be read, more than 5% (3-1-loser.png: "
        "cannot be read (No such file or directory)); mend the pictures, or --allow-unreadable"
    )


def test_none_that_are_left_stop_training_even_where_allowed(
    pictures: tuple[pa.Table, Path], breaking: Callable[..., None]
) -> None:
    pairs, folder = pictures
    apart = unsplit(pairs)
    breaking(*folder.glob("2-*.png"))
    with pytest.raises(DataError, match="no pair of 'calibrate' has both pictures"):
        trained(
            (apart.slice(0, 6), folder),
            validate_on={"val": apart.slice(9)},
            calibrate_on=apart.slice(6, 3),
            allow_unreadable=True,
        )


def test_users_held_out_of_training_are_counted_apart_from_what_is_learnt(
    pictures: tuple[pa.Table, Path], breaking: Callable[..., None]
) -> None:
    pairs, folder = pictures
    apart = unsplit(pairs)
    kept = network._with_validation(gathered(apart, folder), RECIPE.seed)
    (held_out, *_) = kept.held_out["val"]["winner_image"].to_pylist()
    breaking(folder / held_out)
    model = trained((apart, folder), allow_unreadable=True)
    assert (model.data.pairs, model.pairs_without_picture) == (9, 0)
    assert model.measured_without_picture == {"val": 1}


def gathered(pairs: pa.Table, folder: Path) -> Gathered:
    return gather(
        pairs,
        folder,
        None,
        RECIPE.transform,
        validate_on={},
        calibrate_on=None,
        allow_shared=False,
        allow_unreadable=False,
        progress=None,
        warn=None,
    )


def test_what_is_said_of_a_file_of_float32_comes_from_float32(
    pictures: tuple[pa.Table, Path],
) -> None:
    model = trained(pictures, replace(RECIPE, precision="bfloat16"))
    files = sorted(pictures[1].glob("3-*.png"))
    pixels = np.stack([transform_named(RECIPE.transform).pixels(file) for file in files])
    with torch.inference_mode():
        scores = model.ranker(torch.from_numpy(pixels))[0].numpy()
    quantiles = model.metadata.reference.quantiles
    assert (quantiles[0], quantiles[-1]) == pytest.approx((scores.min(), scores.max()), abs=1e-6)


def state_of(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / CHECKPOINT_FILE, weights_only=True)["network"]


def test_the_clocks_share_begins_with_the_heads(
    pictures: tuple[pa.Table, Path], tmp_path: Path
) -> None:
    found = gathered(*pictures)
    clock = np.linspace(-1, 1, len(TIME_FEATURES))
    head = Head(np.zeros(8), 0.0, clock=clock)
    still = replace(RECIPE, nuisance=True, rate_body=0.0, rate_head=0.0)
    for given, expected in ((head, clock), (None, 0 * clock)):
        fit_network(found, still, WEIGHTS, tmp_path / "still", head=given)
        weights = state_of(tmp_path / "still")["clock.linear.weight"][0]
        assert weights.numpy() == pytest.approx(expected)
    # It takes part in training, and in nothing else.
    moving = replace(RECIPE, nuisance=True)
    scores = []
    for folder, given in (("beside", head), ("alone", None)):
        fitted = fit_network(found, moving, WEIGHTS, tmp_path / folder, head=given)
        scores.append(fitted.scores)
        assert not any("clock" in name for name in fitted.ranker.state_dict())
    assert not np.allclose(*scores)


def test_resumed_with_the_clocks_share_it_ends_with_the_same_bits(
    pictures: tuple[pa.Table, Path], tmp_path: Path
) -> None:
    found = gathered(*pictures)
    head = Head(np.zeros(8), 0.0, clock=np.linspace(-1, 1, len(TIME_FEATURES)))
    recipe = replace(RECIPE, nuisance=True)
    fit_network(found, recipe, WEIGHTS, tmp_path / "whole", head=head)
    fit_network(found, replace(recipe, epochs=1), WEIGHTS, tmp_path / "parts", head=head)
    fit_network(found, recipe, WEIGHTS, tmp_path / "parts", head=head, resume=True)
    one, other = (state_of(tmp_path / name) for name in ("whole", "parts"))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_brightness_and_colourfulness_know_no_clock(pictures: tuple[pa.Table, Path]) -> None:
    found = gathered(*pictures)
    embedded = np.random.default_rng(0).normal(size=(len(found.features.paths), 5))
    found = replace(found, features=replace(found.features, embedded=embedded))
    plain, timed = (
        _fit_probe(found, replace(PROBE, l2=0.1, nuisance=nuisance)) for nuisance in (False, True)
    )
    assert (timed.plain.delta == plain.plain.delta).all()
    assert not np.allclose(timed.best.delta, plain.best.delta)
    assert plain.head.clock is None
    assert timed.head.clock.shape == (len(TIME_FEATURES),)
