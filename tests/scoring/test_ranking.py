from datetime import datetime, timedelta
from hashlib import sha256
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from i2pa.errors import UserInputError
from i2pa.scoring import bursts
from i2pa.scoring.best import best_places
from i2pa.scoring.chances import Chances
from i2pa.scoring.pipeline import Measured
from i2pa.scoring.ranking import RankOptions, rank_measured

QUANTILES = np.linspace(-5, 5, 1001)
LOGISTIC = Chances("logistic", 1.5)
THURSTONE = Chances("thurstone", 0.8)
START = datetime(2024, 5, 1, 12)


def measured(number, *, score=None, like=None, seconds=None, spread=None):
    """A made-up picture; those that are `like` the same number look alike."""
    content = sha256(str(number).encode()).digest()
    rng = np.random.default_rng(number if like is None else like)
    vector = rng.normal(size=32) + 0.01 * np.random.default_rng(number).normal(size=32)
    return Measured(
        name=f"{number}.jpg",
        twins=(),
        digest=content,
        score=float(np.random.default_rng(number).normal()) if score is None else score,
        spread=spread,
        embedding=(vector / np.linalg.norm(vector)).astype(np.float16),
        taken=None if seconds is None else START + timedelta(seconds=seconds),
    )


albums = st.lists(
    st.builds(
        measured,
        st.integers(0, 30),
        like=st.one_of(st.none(), st.integers(0, 3)),
        seconds=st.one_of(st.none(), st.integers(0, 40)),
        spread=st.floats(0.05, 3),
    ),
    min_size=1,
    max_size=25,
    unique_by=lambda one: one.digest,
)


@settings(deadline=None, max_examples=60)
@given(albums, st.randoms(use_true_random=False), st.sampled_from([LOGISTIC, THURSTONE]))
def test_neither_names_nor_order_change_the_ranking(album, random, chances):
    renamed = [
        Measured(f"{random.random()}.png", (), m.digest, m.score, m.spread, m.embedding, m.taken)
        for m in album
    ]
    random.shuffle(renamed)
    first, second = (rank_measured(a, chances, QUANTILES) for a in (album, renamed))

    def facts(ranked, album):
        digests = [album[place].digest for place in ranked.given]
        return [
            (digest, i.rank, i.score, i.percentile, i.level, i.group, i.group_rank, i.tied_with)
            for digest, i in zip(digests, ranked.items, strict=True)
        ]

    assert facts(first, album) == facts(second, renamed)
    for diverse in (False, True):
        chosen = [
            [a[r.given[place]].digest for place in best_places(r, RankOptions(4, diverse), chances)]
            for r, a in ((first, album), (second, renamed))
        ]
        assert chosen[0] == chosen[1]


def test_equal_scores_share_a_rank_and_are_ordered_by_content():
    album = [measured(number, score=1.0) for number in range(5)] + [measured(9, score=2.0)]
    ranked = rank_measured(album, LOGISTIC, QUANTILES)
    assert [item.rank for item in ranked.items] == [1, 2, 2, 2, 2, 2]
    digests = [album[place].digest for place in ranked.given[1:]]
    assert digests == sorted(digests)


def test_copies_take_the_same_numbers_even_where_batches_rounded_differently():
    one = measured(1, score=1.0)
    other = Measured("copy", (), one.digest, 1.0000001, None, one.embedding, None)
    ranked = rank_measured([one, other, measured(2, score=0.5)], LOGISTIC, QUANTILES)
    assert [item.rank for item in ranked.items] == [1, 1, 3]
    assert ranked.items[0].score == ranked.items[1].score
    assert {item.group for item in ranked.items[:2]} == {1}


@settings(deadline=None)
@given(st.lists(st.floats(-4, 4), min_size=1, max_size=40))
def test_logistic_ties_are_every_picture_too_close_to_call(scores):
    album = [measured(number, score=score) for number, score in enumerate(scores)]
    items = rank_measured(album, LOGISTIC, QUANTILES).items
    for item in items:
        tied = [other.rank for other in items if LOGISTIC.tied(item.score, other.score)]
        alone = len(tied) == 1
        assert item.tied_with == (None if alone else (min(tied), max(tied)))


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(-4, 4), st.floats(0.05, 3)), min_size=1, max_size=40),
)
def test_thurstone_ties_run_to_the_first_picture_that_is_told_apart(pictures):
    album = [measured(i, score=score, spread=spread) for i, (score, spread) in enumerate(pictures)]
    ranked = rank_measured(album, THURSTONE, QUANTILES)
    pairs = [(album[place].score, album[place].spread) for place in ranked.given]
    for place, item in enumerate(ranked.items):
        first = last = place

        def tied(other, place=place):
            (one, s_one), (two, s_two) = pairs[place], pairs[other]
            return THURSTONE.tied(one, two, s_one, s_two)

        while first > 0 and tied(first - 1):
            first -= 1
        while last < len(pairs) - 1 and tied(last + 1):
            last += 1
        ranks = ranked.items[first].rank, ranked.items[last].rank
        assert item.tied_with == (None if first == last else ranks)


def slow_leaders(embeddings, taken):
    """What `bursts.leaders` says, one picture at a time."""
    wide = embeddings.astype(np.float32)
    leader = list(range(len(wide)))
    for i in range(len(wide)):
        linked = []
        for j in (j for j in range(i) if leader[j] == j):
            cosine = float(wide[i] @ wide[j])
            near = abs(taken[i] - taken[j]) <= bursts.MOMENT_SECONDS
            if cosine >= (bursts.MEASURED.same_moment if near else bursts.MEASURED.same_picture):
                linked.append((cosine, j))
        if linked:
            leader[i] = max(linked)[1]
    return leader


@pytest.mark.parametrize("block", [1, 3, 512])
def test_groups_are_those_of_the_slow_way(block, monkeypatch):
    monkeypatch.setattr(bursts, "_BLOCK", block)
    rng = np.random.default_rng(3)
    centres = rng.normal(size=(6, 24))
    vectors = centres[rng.integers(0, 6, 80)] + rng.normal(size=(80, 24)) * rng.uniform(0, 0.9)
    embeddings = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)
    taken = np.where(rng.random(80) < 0.5, rng.uniform(0, 60, 80), np.nan)
    assert list(bursts.leaders(embeddings, taken)) == slow_leaders(embeddings, taken)


def test_frames_of_one_moment_group_below_the_likeness_of_copies():
    base = np.zeros(8)
    base[0] = 1.0
    turned = np.array([0.75, np.sqrt(1 - 0.75**2), 0, 0, 0, 0, 0, 0])
    vectors = np.stack([base, turned])
    together = bursts.leaders(vectors, np.array([0.0, 9.0]))
    apart = bursts.leaders(vectors, np.array([0.0, 11.0]))
    unknown = bursts.leaders(vectors, np.array([0.0, np.nan]))
    assert (list(together), list(apart), list(unknown)) == ([0, 0], [0, 1], [0, 1])


def test_every_member_is_like_its_leader_so_that_chains_do_not_join():
    angles = np.deg2rad(np.arange(0, 90, 10))
    chain = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    lead = bursts.leaders(chain, np.full(len(chain), np.nan))
    assert len(set(lead)) > 1
    for place, leader in enumerate(lead):
        assert chain[place] @ chain[leader] >= bursts.MEASURED.same_picture


def test_the_best_are_one_of_each_group_unless_asked_otherwise():
    album = [measured(number, score=3 - number / 100, like=1) for number in range(4)]
    album += [measured(10 + number, score=1 - number / 100) for number in range(4)]
    ranked = rank_measured(album, LOGISTIC, QUANTILES)
    assert [item.group for item in ranked.items] == [1, 1, 1, 1, None, None, None, None]
    assert [item.group_rank for item in ranked.items] == [1, 2, 3, 4, 1, 1, 1, 1]
    assert best_places(ranked, RankOptions(3), LOGISTIC) == [0, 4, 5]
    assert best_places(ranked, RankOptions(3, whole_groups=True), LOGISTIC) == [0, 1, 2]
    assert best_places(ranked, RankOptions(99), LOGISTIC) == [0, 4, 5, 6, 7]


def test_diverse_prefers_what_is_new_among_what_is_nearly_as_good():
    near = np.array([1.0, 0, 0])
    similar = np.array([0.8, 0.6, 0])
    new = np.array([0, 0, 1.0])

    def one(number, score, vector):
        made = measured(number, score=score)
        return Measured(made.name, (), made.digest, score, None, vector.astype(np.float16), None)

    album = [one(1, 1.0, near), one(2, 0.99, similar), one(3, 0.9, new), one(4, -9.0, -near)]
    ranked = rank_measured(album, LOGISTIC, QUANTILES)
    assert best_places(ranked, RankOptions(2), LOGISTIC) == [0, 1]
    assert best_places(ranked, RankOptions(2, diverse=True), LOGISTIC) == [0, 2]
    assert best_places(ranked, RankOptions(9, diverse=True), LOGISTIC) == [0, 1, 2, 3]


@settings(deadline=None)
@given(
    st.floats(-50, 50),
    st.floats(-50, 50),
    st.floats(0, 5),
    st.floats(0, 5),
    st.sampled_from([LOGISTIC, THURSTONE]),
)
def test_the_two_chances_of_a_pair_are_one_exactly(a, b, s_a, s_b, chances):
    there, back = chances.beats(a, b, s_a, s_b), chances.beats(b, a, s_b, s_a)
    assert there + back == 1.0
    assert 0 <= there <= 1
    if a > b:
        assert there >= 0.5
    tied = chances.tied(a, b, s_a, s_b)
    assert tied == chances.tied(b, a, s_b, s_a)
    assert tied == pytest.approx(0.4 - 1e-9 <= there <= 0.6 + 1e-9)


def test_chances_are_those_of_the_formulas():
    # sigmoid(1 / 1.5), and Φ(1 / (0.8 · 5)) from tables of the normal distribution.
    assert LOGISTIC.beats(2, 1) == pytest.approx(0.660757, abs=1e-6)
    assert THURSTONE.beats(2, 1, 3, 4) == pytest.approx(0.598706, abs=1e-6)
    falling = [THURSTONE.beats(1, 0, spread, 0.1) for spread in (0.1, 0.5, 1, 5)]
    assert all(surer > less for surer, less in pairwise(falling))


def test_nothing_to_rank_is_an_empty_ranking():
    ranked = rank_measured([], LOGISTIC, QUANTILES)
    assert ranked.items == ()
    assert best_places(ranked, RankOptions(3, diverse=True), LOGISTIC) == []


def test_best_must_be_positive(tmp_path):
    from i2pa.scoring import load_model

    with pytest.raises(UserInputError, match="best is 0, but must be a whole number above 0"):
        load_model().rank([], best=0)
