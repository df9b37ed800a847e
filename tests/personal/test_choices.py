from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from i2pa.errors import UserInputError
from i2pa.personal.choices import ALL, MOST_PAIRS, Candidate, groups_of, keeps_and_rejects
from i2pa.personal.validate import fold_of, splits

NOON = datetime(2024, 5, 1, 12)


def apart(n, seed=0):
    """Embeddings of pictures that look nothing like each other."""
    return np.random.default_rng(seed).normal(size=(n, 200))


def of(kept, *, taken=None, folder="", subfolder=""):
    return Candidate(kept, taken, folder, subfolder)


def test_pictures_of_one_folder_pair_where_most_keeps_have_a_reject_there():
    pictures = [
        of(kept, folder=folder)
        for folder, sides in {"a": (1, 0, 0), "b": (1, 1, 0), "c": (1,)}.items()
        for kept in map(bool, sides)
    ]
    choices, said = keeps_and_rejects(pictures, apart(7), "auto", 0)
    assert "same folder" in said
    pairs = sorted(zip(choices.winner.tolist(), choices.loser.tolist(), strict=True))
    assert pairs == [(0, 1), (0, 2), (3, 5), (4, 5)]


def test_two_folders_of_choices_pair_by_the_sub_folders_of_one_name():
    pictures = [
        of(kept, folder=f"{kept}/{name}", subfolder=name)
        for kept in (True, False)
        for name in ("sea", "town")
    ]
    choices, said = keeps_and_rejects(pictures, apart(4), "auto", 0)
    assert "sub-folder" in said
    assert sorted(zip(choices.winner.tolist(), choices.loser.tolist(), strict=True)) == [
        (0, 2),
        (1, 3),
    ]


def test_a_session_ends_where_nothing_was_taken_for_four_hours():
    hours = (0, 1, 4, 9, 10)
    kept = (True, False, False, True, False)
    pictures = [
        of(k, taken=NOON + timedelta(hours=h), folder=str(k))
        for k, h in zip(kept, hours, strict=True)
    ]
    choices, said = keeps_and_rejects(pictures, apart(5), "auto", 0)
    assert "session" in said
    assert sorted(zip(choices.winner.tolist(), choices.loser.tolist(), strict=True)) == [
        (0, 1),
        (0, 2),
        (3, 4),
    ]


def test_where_nothing_is_known_each_keep_pairs_with_each_reject():
    pictures = [of(kept, folder=str(kept)) for kept in (True, True, False, False, False)]
    choices, said = keeps_and_rejects(pictures, apart(5), "auto", 0)
    assert said == ALL
    assert len(choices.winner) == 6
    assert (choices.winner < 2).all()
    assert (choices.loser >= 2).all()
    with pytest.raises(UserInputError, match="--within all"):
        keeps_and_rejects(pictures, apart(5), "time", 0)
    with pytest.raises(UserInputError, match="choose from auto, folder"):
        keeps_and_rejects(pictures, apart(5), "week", 0)


def test_many_pictures_give_a_bounded_seeded_choice_of_pairs():
    pictures = [of(number % 2 == 0) for number in range(500)]
    once, again, other = (
        keeps_and_rejects(pictures, apart(500), "all", seed)[0] for seed in (0, 0, 1)
    )
    assert len(once.winner) == MOST_PAIRS
    assert len(set(zip(once.winner.tolist(), once.loser.tolist(), strict=True))) == MOST_PAIRS
    assert (once.loser == again.loser).all()
    assert not (once.loser == other.loser).all()


def test_look_alikes_and_bursts_are_one_group_and_links_carry_on():
    embeddings = apart(6)
    embeddings[1] = embeddings[0] * 3 + 0.01
    taken = [None, NOON, NOON + timedelta(seconds=20), NOON + timedelta(seconds=60), None, None]
    group = groups_of(embeddings, taken)
    assert group[0] == group[1] == group[2]
    assert len(np.unique(group)) == 4


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(8, 60), st.booleans())
def test_no_fold_shares_a_group_with_what_it_is_predicted_from(seed, n, by_time):
    rng = np.random.default_rng(seed)
    embeddings = apart(n, seed)
    for row in range(0, n - 1, 4):
        embeddings[row + 1] = embeddings[row]
    pictures = [of(bool(kept)) for kept in rng.permutation(np.arange(n) % 2)]
    choices, _ = keeps_and_rejects(pictures, embeddings, "all", 0)
    if by_time:
        object.__setattr__(choices, "place", rng.permutation(n))
    fold = fold_of(choices, np.arange(n), 5, 1, 3, seed)
    assert set(fold) <= set(range(5))
    for fit, held_out in splits(choices, fold):
        seen = np.concatenate([choices.winner[fit], choices.loser[fit]])
        unseen = np.concatenate([choices.winner[held_out], choices.loser[held_out]])
        assert not set(choices.group[seen]) & set(choices.group[unseen])


@pytest.mark.parametrize("turn", range(3))
def test_posts_are_held_out_in_blocks_of_time(turn):
    choices, _ = keeps_and_rejects([of(n % 2 == 0) for n in range(50)], apart(50), "all", 0)
    object.__setattr__(choices, "place", np.arange(50))
    fold = fold_of(choices, np.arange(50), 5, turn, 3, 0)
    # One cut after each block, and one more where the shifted last block is the first again.
    assert (np.diff(fold) != 0).sum() == 4 + (turn > 0)


def test_keeps_and_rejects_are_dealt_out_evenly():
    choices, _ = keeps_and_rejects([of(n < 10) for n in range(50)], apart(50), "all", 0)
    fold = fold_of(choices, np.arange(50), 5, 0, 1, 0)
    assert np.bincount(fold, choices.side).tolist() == [2] * 5
    assert np.bincount(fold).tolist() == [10] * 5
