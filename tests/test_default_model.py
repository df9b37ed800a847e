"""The embedded default on real posts, none of which it was trained on."""

import numpy as np
import pytest

from i2pa.metrics.accuracy import pairwise_accuracy
from i2pa.pairs import SAME_USER_WIDE, build_pairs, pairs_from_levels, within_days
from i2pa.posts import read_posts
from i2pa.scoring import load_model

pytestmark = pytest.mark.slow


def scores_of(folder, images):
    scored = load_model().score([folder / image for image in images])
    assert scored.failures == ()
    return dict(zip(images, (item.score for item in scored.items), strict=True))


@pytest.fixture(scope="module")
def figures(shared_data):
    folder = shared_data / "instagram_public_figures"
    posts = read_posts(folder / "posts.csv", platform="instagram").posts
    images = sorted(image for image in posts["image"].to_pylist() if image)
    return posts, scores_of(folder, images)


@pytest.mark.parametrize(
    ("days", "pairs", "pooled", "mean_of_users"),
    # As docs/model-card.md prints them.
    [(10, 177, 0.723, 0.690), (30, 349, 0.782, 0.761), (90, 604, 0.752, 0.794)],
)
def test_accuracy_on_public_figures_is_the_one_in_the_card(
    figures, days, pairs, pooled, mean_of_users
):
    posts, scores = figures
    wide = build_pairs(posts, within_days(SAME_USER_WIDE, days)).pairs.to_pylist()
    both = [p for p in wide if p["winner_image"] and p["loser_image"]]
    delta = np.array([scores[p["winner_image"]] - scores[p["loser_image"]] for p in both])
    accuracy = pairwise_accuracy(delta, np.array([p["user_id"] for p in both]))
    assert accuracy.pairs == pairs
    assert accuracy.pooled.value == pytest.approx(pooled, abs=0.01)
    assert accuracy.mean_of_users.value == pytest.approx(mean_of_users, abs=0.03)


def test_the_graded_pictures_it_learnt_from_come_in_order(shared_data):
    folder = shared_data / "paper_fig6"
    pairs = pairs_from_levels(folder / "levels.csv").to_pylist()
    assert len(pairs) == 4000
    scores = scores_of(
        folder, sorted({p["winner_image"] for p in pairs} | {p["loser_image"] for p in pairs})
    )
    right = [scores[p["winner_image"]] > scores[p["loser_image"]] for p in pairs]
    assert np.mean(right) > 0.97
