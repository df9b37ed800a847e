"""Labels turned round on purpose reach whatever is fitted, the start's head too, and no more."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_probe import true_direction

from i2pa.metrics.accuracy import pairwise_correct
from i2pa.pairs import PAIRS
from i2pa.training import FINETUNE, PROBE, Recipe, TrainedModel, cross_validate, train
from i2pa.training.labelled import labelled, with_clock, with_noise
from i2pa.training.labels import flip_labels, turned_round
from i2pa.training.pairset import PairSet
from i2pa.training.probe import fit_head
from i2pa.training.recipes import ABSOLUTE, PAPER, head_before
from made_up import album

START = datetime(2020, 1, 1, tzinfo=UTC)


def listed(pairs: PairSet) -> pa.Table:
    """A pairs table of them, each row unlike any other."""
    rows = [
        {
            "platform": "test",
            "user_id": pairs.user[i],
            "winner_id": f"w{i}",
            "loser_id": f"l{i}",
            "winner_image": f"{pairs.winner[i]}.png",
            "loser_image": f"{pairs.loser[i]}.png",
            "winner_time": START + timedelta(hours=2 * i + 1),
            "loser_time": START + timedelta(hours=i),
            "winner_s": 6.0,
            "loser_s": 5.0,
            "delta_s": 1.0,
            "delta_hours": i + 1.0,
            "p": pairs.p[i],
            "weight": 1.0,
            "rules_sha256": "5",
        }
        for i in range(len(pairs))
    ]
    return pa.Table.from_pylist(rows, schema=PAIRS)


@settings(deadline=None, max_examples=20)
@given(share=st.floats(0, 0.5), seed=st.integers(0, 99))
def test_exactly_the_share_changes_places_in_arrays_and_table_alike(share, seed):
    _, _, plain = true_direction(1)
    table = listed(plain)
    pairs = with_clock(plain, table)
    recipe = replace(PROBE, flip_labels=share, seed=seed)
    noisy, turned = with_noise(pairs, table, recipe)
    moved = noisy.winner != pairs.winner
    assert moved.sum() == round(share * len(pairs))
    assert (moved == flip_labels(table, share, seed)).all()
    assert (noisy.winner[moved] == pairs.loser[moved]).all()
    assert (noisy.loser[moved] == pairs.winner[moved]).all()
    assert (noisy.p == pairs.p).all()
    assert turned["winner_image"].to_pylist() == [f"{row}.png" for row in noisy.winner]
    assert turned["loser_image"].to_pylist() == [f"{row}.png" for row in noisy.loser]
    # What time says is of the new order, whichever way it is come by.
    assert with_clock(noisy, turned).clock == pytest.approx(noisy.clock)
    # A network of the same seed learns the same labels.
    network = replace(FINETUNE, flip_labels=share, seed=seed)
    learnt = labelled(*with_noise(plain, table, network), network)
    assert (learnt.winner == noisy.winner).all()
    assert (learnt.p == pairs.p).all()


def test_twice_turned_is_as_it_was_and_no_column_is_lost():
    _, _, pairs = true_direction(2)
    table = listed(pairs).replace_schema_metadata({"i2pa.rules": "{}"})
    flipped = flip_labels(table, 0.3, 0)
    once = turned_round(table, flipped)
    assert once.schema.equals(table.schema, check_metadata=True)
    assert turned_round(once, flipped).equals(table)
    first = int(np.flatnonzero(flipped)[0])
    row, was = once.slice(first, 1).to_pylist()[0], table.slice(first, 1).to_pylist()[0]
    assert (row["winner_id"], row["loser_time"]) == (was["loser_id"], was["winner_time"])
    assert (row["delta_s"], row["delta_hours"]) == (-1, -was["delta_hours"])
    assert (row["p"], row["weight"]) == (was["p"], was["weight"])


def right(embeddings: np.ndarray, learnt: PairSet, tested: PairSet) -> float:
    """The share of tested pairs that a head has right which learnt from others."""
    scores = fit_head(embeddings, learnt.evenly(), 0.1).score(embeddings)
    return float(pairwise_correct(tested.delta(scores)).mean())


def test_a_head_learns_the_labels_that_it_is_given():
    embeddings, _, pairs = true_direction(3)
    learn, test = pairs.at(np.arange(120)), pairs.at(np.arange(120, len(pairs)))
    assert right(embeddings, learn, test) > 0.8
    # All turned round, it learns the opposite; half of them, next to nothing.
    assert right(embeddings, learn.turned(np.ones(120, bool)), test) < 0.2
    table = listed(pairs).slice(0, 120)
    some = [
        right(
            embeddings, with_noise(learn, table, replace(PROBE, flip_labels=0.5, seed=s))[0], test
        )
        for s in range(8)
    ]
    assert np.mean(some) == pytest.approx(0.5, abs=0.2)


def test_the_head_at_the_start_is_asked_for_what_the_network_is_asked_for():
    asked = {
        "loss": "thurstone",
        "nuisance": True,
        "per_user": False,
        "flip_labels": 0.2,
        "seed": 4,
    }
    before = head_before(replace(FINETUNE, **asked))
    assert {name: getattr(before, name) for name in asked} == asked
    assert before.l2 is None
    plain = head_before(FINETUNE)
    assert (plain.loss, plain.per_user, plain.flip_labels) == ("soft", True, 0)
    assert head_before(PAPER).loss == "hard"
    assert head_before(PAPER).backbone == "resnet50"


def test_what_learns_likes_has_no_labels_to_turn_round():
    _, _, pairs = true_direction(1)
    table = listed(pairs)
    noisy, same = with_noise(pairs, table, replace(ABSOLUTE, flip_labels=0.5))
    assert noisy is pairs
    assert same is table


def test_pairs_count_alike_where_users_need_not():
    _, _, pairs = true_direction(1)
    alike = pairs.weighed(per_user=False)
    assert alike.weight == pytest.approx(1 / len(pairs))
    assert (pairs.weighed(per_user=True).weight == pairs.evenly().weight).all()
    assert not np.allclose(pairs.evenly().weight, alike.weight)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[pa.Table, Path]:
    folder = tmp_path_factory.mktemp("noise") / "album"
    return album(folder, users=5, pairs_each=4), folder


@pytest.fixture(autouse=True)
def kept_embeddings(
    monkeypatch: pytest.MonkeyPatch, private_cache: None, pictures: tuple[pa.Table, Path]
) -> None:
    monkeypatch.setenv("I2PA_CACHE", str(pictures[1].parent / "cache"))


LATE = replace(FINETUNE, epochs=1, frozen_blocks=20, batch=16, wise=0.0)


def head_of(model: TrainedModel) -> np.ndarray:
    return model.ranker.head.weight.detach().numpy()[0]


@pytest.mark.slow
def test_a_network_starts_from_the_head_of_the_labels_that_it_learns(pictures):
    pairs, folder = pictures
    starts = {}
    for share in (0.0, 0.25, 0.5):
        # WiSE 0 ends where it began.
        network = train(pairs, folder, replace(LATE, flip_labels=share))
        probe = train(pairs, folder, replace(PROBE, loss="soft", flip_labels=share))
        assert head_of(network) == pytest.approx(probe.head.weights.astype(np.float32))
        starts[share] = head_of(network)
        assert network.data.pairs == probe.data.pairs == 16
        if share == 0.25:
            # 4 of 16 are wrong, inside training; the part held out has kept its labels.
            inside, val = probe.evaluations
            assert inside.model.pooled.value == pytest.approx(0.75, abs=0.1)
            assert val.model.pooled.value == 1
    assert not np.allclose(starts[0.0], starts[0.25])
    assert not np.allclose(starts[0.0], starts[0.5])


@pytest.mark.slow
def test_without_a_validation_part_its_users_are_kept_from_the_head_too(pictures):
    pairs, folder = pictures
    nothing = pa.nulls(pairs.num_rows, pa.string())
    unsplit = pairs.set_column(pairs.column_names.index("split"), "split", nothing)
    network = train(unsplit, folder, replace(LATE, flip_labels=0.25))
    assert network.data.users == 4
    everyone = train(unsplit, folder, replace(PROBE, loss="soft", flip_labels=0.25))
    assert not np.allclose(head_of(network), everyone.head.weights, rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [replace(PROBE, l2=0.3), LATE], ids=["probe", "finetune"])
def test_folds_learn_noise_and_are_judged_without(recipe, pictures):
    pairs, folder = pictures
    clean, noisy = (
        cross_validate(pairs, folder, replace(recipe, flip_labels=share), folds=2)
        for share in (0.0, 0.25)
    )
    assert clean.accuracy.pooled.value == 1
    assert noisy.delta != clean.delta
    # Labels of the users left out are true, so most are still told.
    assert noisy.accuracy.pooled.value > 0.75


@pytest.mark.slow
def test_further_pairs_and_pairs_to_start_from_are_noisy_too(pictures):
    pairs, folder = pictures
    split = np.array(pairs["user_id"].to_pylist()) < "u3"
    own, other = pairs.filter(pa.array(split)), pairs.filter(pa.array(~split))

    def told(recipe: Recipe, **how: pa.Table) -> tuple[float, ...]:
        return cross_validate(own, folder, recipe, folds=3, **how).delta

    probe = replace(PROBE, l2=0.3, nuisance=True)
    assert told(replace(probe, flip_labels=0.5), also=other) != told(probe, also=other)
    late = replace(LATE, nuisance=True)
    assert told(replace(late, flip_labels=0.5), start=other) != told(late, start=other)
