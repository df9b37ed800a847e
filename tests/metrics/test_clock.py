"""What times say of pairs: found in other users where it is there, and nothing where it is not."""

import numpy as np
import pytest

from i2pa.metrics.accuracy import pairwise_accuracy
from i2pa.metrics.clock import GAPS, time_design, time_says

USERS, EACH = 12, 40


def pairs(hour_matters, seed=0):
    """Posts at random times of a year; of a pair the one after 12 UTC wins, or either."""
    rng = np.random.default_rng(seed)
    n = USERS * EACH
    times = np.datetime64("2020-01-01", "us") + rng.integers(0, 365 * 86400, (2, n)).astype(
        "timedelta64[s]"
    )
    late = (times.astype("datetime64[h]").astype(int) % 24) >= 12
    swap = (late[1] > late[0]) if hour_matters else rng.random(n) < 0.5
    winner, loser = np.where(swap, times[::-1], times)
    user = np.repeat([f"u{i}" for i in range(USERS)], EACH)
    return winner, loser, user, np.full(n, 0.01)


def test_an_hour_that_matters_is_found_in_users_never_seen():
    *times, user, weight = pairs(hour_matters=True)
    found = pairwise_accuracy(time_says(*times, user, weight), user)
    # Half of the pairs have both posts on one side of noon.
    assert found.mean_of_users.value > 0.65


def test_where_times_say_nothing_accuracy_is_chance():
    *times, user, weight = pairs(hour_matters=False)
    found = pairwise_accuracy(time_says(*times, user, weight), user)
    assert 0.42 < found.mean_of_users.value < 0.58


def test_the_scale_of_weights_is_no_matter_and_unknown_times_say_nothing():
    *times, user, weight = pairs(hour_matters=True)
    times[0][3] = np.datetime64("NaT")
    said = time_says(*times, user, weight)
    assert np.isnan(said[3])
    assert np.isfinite(np.delete(said, 3)).all()
    assert said == pytest.approx(time_says(*times, user, 700 * weight), nan_ok=True)


def test_sides_changed_are_signs_changed():
    winner, loser, *_ = pairs(hour_matters=True)
    design = time_design(winner, loser)
    assert design.shape == (USERS * EACH, len(GAPS) + 24 + 7)
    assert (time_design(loser, winner) == -design).all()


def test_one_user_cannot_be_judged_by_others():
    *times, user, weight = pairs(hour_matters=True)
    with pytest.raises(ValueError, match="two users"):
        time_says(*times, np.full(len(user), "u"), weight)
