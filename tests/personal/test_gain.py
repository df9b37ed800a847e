import numpy as np
import pytest

from i2pa.models.head import LinearHead
from i2pa.personal.choices import Candidate, Choices, keeps_and_rejects
from i2pa.personal.fit import SPREADS, space_of
from i2pa.personal.gain import WIDE, gain_of, verdict_on
from i2pa.personal.validate import (
    HeldOut,
    choose_spread,
    clustered_error,
    cross_validate,
    final_folds,
    measure,
    out_of_fold_scores,
)

DIMENSIONS = 60


def person(seed, each, strength, reversed_base=False):
    """A space and choices: half the pictures are kept, for a direction and chance."""
    rng = np.random.default_rng(seed)
    embeddings = rng.normal(size=(2 * each, DIMENSIONS))
    base = LinearHead(rng.normal(size=DIMENSIONS), 0.0)
    direction = -base.weights if reversed_base else rng.normal(size=DIMENSIONS)
    liking = strength * embeddings @ direction / np.sqrt(DIMENSIONS) + rng.normal(size=2 * each)
    kept = liking > np.median(liking)
    pictures = [Candidate(bool(k), None, "", "") for k in kept]
    choices, _ = keeps_and_rejects(pictures, embeddings, "all", 0)
    return space_of(embeddings, base, 4.0), choices


def judged(space, choices, seed=0):
    gain = gain_of(choices, measure(space, choices, seed), seed)
    return gain, *verdict_on(gain, choices, "base@1")


def test_a_strong_taste_is_found():
    gain, verdict, says = judged(*person(0, 40, 20.0))
    assert verdict == "adds"
    assert gain.gain.low > 0
    assert gain.gain.value == pytest.approx(gain.taste.value - gain.base.value)
    assert gain.only_taste > gain.only_base
    assert gain.log_loss_taste < gain.log_loss_base
    assert says.startswith(f"your taste adds {100 * gain.gain.value:.1f} points [")


def test_a_base_model_that_is_the_wrong_way_round_is_turned():
    gain, verdict, _ = judged(*person(1, 40, 20.0, reversed_base=True))
    assert verdict == "adds"
    assert gain.base.value < 0.3
    assert gain.taste.value > 0.7


def test_too_few_are_told_how_many_are_needed():
    _, verdict, says = judged(*person(2, 10, 20.0))
    assert verdict == "not enough data"
    assert says == "not enough data: 10 keeps and 10 rejects; at least 15 of each needed"


def test_one_burst_a_side_is_too_few_groups():
    space, choices = person(2, 20, 20.0)
    choices = Choices(
        choices.winner,
        choices.loser,
        choices.p,
        choices.clear,
        np.arange(40) // 8,
        choices.side,
        None,
    )
    _, verdict, says = judged(space, choices)
    assert verdict == "not enough data"
    assert "5 groups" in says


def chance(seed, each=20):
    return judged(*person(seed, each, 0.0))


def test_to_be_ahead_of_a_wrong_base_model_is_not_enough_without_beating_a_coin():
    choices = two_sided(40, 1)
    delta = np.column_stack([np.tile([1.0, -1.0], 20), np.full(40, -1.0)])
    gain = gain_of(choices, held_out_of(delta), 0)
    assert gain.gain.low > 0
    verdict, says = verdict_on(gain, choices, "base@1")
    assert verdict == "not enough data"
    assert "not shown to beat a coin" in says


def test_nothing_to_find_is_not_found():
    for seed in range(3):
        gain, verdict, says = chance(seed)
        assert verdict != "adds"
        assert gain.gain.low <= 0
        assert ("as good" in says) == (gain.gain.high <= WIDE)


@pytest.mark.slow
def test_shuffled_choices_are_rarely_taken_for_a_taste():
    # Of 15 draws at a chance of .1 each, more than 4 happen once in 78.
    assert sum(chance(seed, 16)[1] == "adds" for seed in range(15)) <= 4


def held_out_of(delta):
    return HeldOut(np.arange(len(delta)), np.asarray(delta, float))


def two_sided(n_groups, per_group):
    """A kept and a rejected picture each, `per_group` pairs of each pair of groups."""
    group = np.repeat(np.arange(n_groups), per_group)
    n = len(group)
    return Choices(
        winner=np.arange(n),
        loser=np.arange(n, 2 * n),
        p=np.ones(n),
        clear=np.ones(n, bool),
        group=np.concatenate([group, n_groups + group]),
        side=np.repeat([1, 0], n),
        place=None,
    )


def test_copies_of_a_pair_do_not_narrow_the_interval():
    rng = np.random.default_rng(0)
    delta = rng.normal(size=(40, 2))
    alone = gain_of(two_sided(40, 1), held_out_of(delta), 0)
    copied = gain_of(two_sided(40, 9), held_out_of(np.repeat(delta, 9, axis=0)), 0)
    assert copied.pairs == 9 * alone.pairs
    assert copied.gain.value == pytest.approx(alone.gain.value)
    widths = [gain.gain.high - gain.gain.low for gain in (alone, copied)]
    assert widths[1] == pytest.approx(widths[0], rel=0.1)


def test_the_error_over_groups_is_the_textbooks_where_each_pair_is_its_own_group():
    values = np.random.default_rng(0).normal(size=500)
    choices = two_sided(500, 1)
    error = clustered_error(values, np.full(500, 1 / 500), choices, np.arange(500))
    # Both groups of a pair carry it, so the two-way sum counts its variance twice.
    assert error == pytest.approx(np.sqrt(2) * values.std() / np.sqrt(500), rel=0.01)


def test_the_least_spread_within_one_error_of_the_best_is_chosen():
    space, choices = person(4, 30, 2.0)
    tried = choose_spread(choices, cross_validate(space, choices, final_folds(choices, 0)))
    assert sorted(row.spread for row in tried) == sorted(SPREADS)
    chosen = tried[0]
    assert chosen.behind <= chosen.error
    for row in tried[1:]:
        assert row.spread > chosen.spread or row.behind > row.error


def test_a_pair_cut_up_several_ways_counts_once():
    held_out = HeldOut(np.array([3, 3, 3, 7]), np.array([[1.0, 0], [-1, 0], [1, 0], [1, 0]]))
    assert held_out.weight == pytest.approx([1 / 3] * 3 + [1])
    gain = gain_of(two_sided(10, 1), held_out, 0)
    assert gain.pairs == 2
    assert gain.taste.value == pytest.approx((2 / 3 + 1) / 2)
    assert gain.base.value == 0.5


def test_no_picture_is_scored_by_a_fit_that_saw_it():
    space, choices = person(5, 20, 2.0)
    fold = final_folds(choices, 0)[0]
    scores = out_of_fold_scores(space, choices, fold, 1.0)
    assert not np.isnan(scores).any()
    # Other labels for one fold's pictures change no score of that fold.
    inside = (fold[choices.winner] == 0) & (fold[choices.loser] == 0)
    turned = Choices(
        np.where(inside, choices.loser, choices.winner),
        np.where(inside, choices.winner, choices.loser),
        choices.p,
        choices.clear,
        choices.group,
        choices.side,
        None,
    )
    again = out_of_fold_scores(space, turned, fold, 1.0)
    assert (again[fold == 0] == scores[fold == 0]).all()
    assert not np.allclose(again[fold == 1], scores[fold == 1])
