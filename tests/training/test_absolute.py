"""The absolute baseline on a tiny network: likes learnt from redness and followers, then pairs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import torch
from PIL import Image
from tiny import ALONE, TINY, TinyRanker
from torch import Tensor, nn

from i2pa.cli import main
from i2pa.errors import DataError, UserInputError
from i2pa.metrics.accuracy import pairwise_correct
from i2pa.pairs import split_pairs
from i2pa.pairs.schema import PAIRS, write_pairs
from i2pa.posts import POSTS, write_posts
from i2pa.training import ABSOLUTE, PAPER, train
from i2pa.training.absolute import (
    FEATURES,
    Absolute,
    AbsoluteNetwork,
    LikesFit,
    LikesObjective,
    PostBatch,
    Standard,
    likes_fit,
    post_facts,
)
from i2pa.training.feed import PictureFeed
from i2pa.training.labelled import labelled
from i2pa.training.loop import Fitted, fit
from i2pa.training.objective import autocast
from i2pa.training.pairset import pair_set
from i2pa.training.recipes import changed
from i2pa.training.validation import rate_pictures

USERS, PICTURES, VAL_USERS = 16, 6, 4
FEW = 4
RECIPE = replace(
    ABSOLUTE,
    transform="tiny@1",
    batch=8,
    epochs=14,
    rate_body=1e-2,
    rate_head=1e-2,
    decay=0.9,
)


def redness(user: int, picture: int) -> float:
    """From 0 to 1; no order of pictures is that of their redness."""
    return ((picture * 5 + user) % PICTURES) / (PICTURES - 1)


def followers(user: int) -> int:
    """From 100 to 3 million; the held-out users are among the others."""
    return 100 * 2 ** (user * 7 % USERS)


def s_of(user: int, picture: int) -> float:
    return float(0.7 * np.log(followers(user)) + 1.5 * redness(user, picture))


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reds")
    rng = np.random.default_rng(0)
    for user in range(USERS):
        for picture in range(PICTURES):
            pixels = rng.integers(0, 80, (20, 26, 3)).astype(np.uint8)
            pixels[..., 0] += np.uint8(150 * redness(user, picture))
            # Green and blue vary too and mean nothing, so that red has to be found.
            pixels[..., 1:] += rng.integers(0, 150, 2).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{user}-{picture}.png")
    return folder


def posts_of(unknown: dict[str, list[int]] | None = None) -> pa.Table:
    """All posts; `unknown` lists by column the users of whom nobody knows it."""
    rows = []
    for user in range(USERS):
        for picture in range(PICTURES):
            row = dict.fromkeys(POSTS.names) | {
                "platform": "test",
                "user_id": f"u{user}",
                "post_id": f"{user}-{picture}",
                "followers": followers(user),
                "followings": 10 * user,
                "user_posts": PICTURES,
                "tags": picture % 3,
                "mentions": 0,
                "caption_length": 7 * picture,
            }
            lost = {name: None for name, users in (unknown or {}).items() if user in users}
            rows.append(row | lost)
    return pa.Table.from_pylist(rows, schema=POSTS)


@pytest.fixture(scope="module")
def pairs() -> pa.Table:
    """Pairs of a user's pictures, the redder first."""
    rows = []
    for user in range(USERS):
        for a in range(PICTURES):
            for b in range(PICTURES):
                if redness(user, a) > redness(user, b):
                    gap = s_of(user, a) - s_of(user, b)
                    row = dict.fromkeys(PAIRS.names) | {
                        "platform": "test",
                        "user_id": f"u{user}",
                        "winner_id": f"{user}-{a}",
                        "loser_id": f"{user}-{b}",
                        "winner_image": f"{user}-{a}.png",
                        "loser_image": f"{user}-{b}.png",
                        "winner_s": s_of(user, a),
                        "loser_s": s_of(user, b),
                        "delta_s": gap,
                        "p": 0.97,
                        "weight": 1.0,
                    }
                    rows.append(row)
    return pa.Table.from_pylist(rows, schema=PAIRS)


def run(
    pairs: pa.Table,
    album: Path,
    folder: Path,
    *,
    epochs: int = RECIPE.epochs,
    posts: pa.Table | None = None,
    resume: bool = False,
    mirrored: bool = False,
) -> tuple[Fitted, Absolute, LikesFit, float]:
    """As `train_network`, with the tiny ranker; the last is the accuracy on held-out pairs."""
    folder.mkdir(exist_ok=True)
    files = sorted(album.glob("*.png"))
    rows = {file.name: row for row, file in enumerate(files)}
    held = pa.array([int(user[1:]) >= USERS - VAL_USERS for user in pairs["user_id"].to_pylist()])
    used, table = pair_set(pairs.filter(pc.invert(held)), rows)
    val, val_table = pair_set(pairs.filter(held), rows)
    facts = post_facts(posts_of() if posts is None else posts, [pairs])
    recipe = replace(RECIPE, epochs=epochs)
    learnt = facts.of(used, table)
    torch.manual_seed(3)
    network = AbsoluteNetwork(TinyRanker(), learnt.s.mean())
    if mirrored:
        network.turn()
    objective = LikesObjective(learnt, labelled(used, table), recipe)
    feed = PictureFeed(files, TINY)
    fitted = fit(
        network,
        labelled(used, table),
        labelled(val, val_table),
        feed,
        recipe,
        folder,
        processes=ALONE,
        objective=objective,
        resume=resume,
    )
    if fitted.downward:
        network.turn()
    scores, _ = rate_pictures(network, feed, np.arange(len(files)), recipe, ALONE)
    absolute = Absolute(network, objective, facts.of(val, val_table))
    measured = likes_fit(absolute, scores, turned=fitted.downward)
    accuracy = float(pairwise_correct(val.delta(scores)).mean())
    return fitted, absolute, measured, accuracy


def weights_of(absolute: Absolute) -> dict[str, Tensor]:
    return absolute.network.state_dict()


def test_the_network_after_the_scalar_is_the_papers() -> None:
    network = AbsoluteNetwork(TinyRanker(), 7.5)
    linear = [layer for layer in network.likes if isinstance(layer, nn.Linear)]
    sizes = [(layer.in_features, layer.out_features) for layer in linear]
    assert sizes == [(7, 256), (256, 128), (128, 64), (64, 1)]
    between = [type(layer) for layer in network.likes if not isinstance(layer, nn.Linear)]
    assert between == [nn.ReLU] * 3
    assert linear[-1].bias.tolist() == [7.5]
    assert (ABSOLUTE.backbone, ABSOLUTE.batch, ABSOLUTE.l2) == ("resnet50", 64, 1e-4)
    assert (ABSOLUTE.rate_body, ABSOLUTE.rate_head, ABSOLUTE.decay) == (1e-5, 1e-4, 0.95)


def test_a_known_truth_is_found_whichever_sign_it_starts_with(pairs, album, tmp_path) -> None:
    signs = []
    for mirrored in (False, True):
        fitted, _, measured, accuracy = run(
            pairs, album, tmp_path / str(mirrored), mirrored=mirrored
        )
        assert measured.train_pearson > 0.95
        assert measured.val_pearson > 0.8
        assert accuracy > 0.85
        best = fitted.history[fitted.best - 1]
        assert best.val_accuracy == pytest.approx(accuracy)
        assert best.train_accuracy > 0.85
        assert measured.turned == fitted.downward
        assert any("turned" in note for note in measured.notes) == fitted.downward
        signs.append(fitted.downward)
    # The mirrored start goes the mirrored way, so one of the two has to be turned.
    assert sorted(signs) == [False, True]


def test_turning_changes_the_scalar_and_no_prediction() -> None:
    network = AbsoluteNetwork(TinyRanker(), 5.0).eval()
    pixels = torch.randint(0, 256, (4, 16, 16, 3), dtype=torch.uint8)
    features = torch.randn(4, len(FEATURES))
    score, predicted = network.ranker(pixels)[0], network(pixels, features)
    network.turn()
    assert torch.equal(network.ranker(pixels)[0], -score)
    assert torch.allclose(network(pixels, features), predicted)


def test_likes_come_in_float32_whatever_the_layers_compute_in() -> None:
    network = AbsoluteNetwork(TinyRanker(), 5.0).eval()
    pixels = torch.randint(0, 256, (4, 16, 16, 3), dtype=torch.uint8)
    features = torch.randn(4, len(FEATURES))
    whole = network(pixels, features)
    with autocast(torch.device("cpu"), replace(ABSOLUTE, precision="bfloat16")):
        assert network.ranker(pixels)[2].dtype == torch.bfloat16
        half = network(pixels, features)
    assert half.dtype == torch.float32
    assert torch.allclose(whole, half, atol=0.1)


def test_the_sign_is_read_off_training_pairs_alone(pairs, album, tmp_path) -> None:
    _, absolute, _, _ = run(pairs, album, tmp_path / "run", epochs=1)
    asked: list[int] = []

    def scored(rows: np.ndarray) -> np.ndarray:
        asked.extend(rows.tolist())
        return rows.astype(float)

    learnt = absolute.objective.pairs
    expected = pairwise_correct((learnt.winner - learnt.loser).astype(float)).mean()
    assert absolute.objective.upward(scored) == pytest.approx(expected)
    assert set(asked) <= set(absolute.objective.posts.row.tolist())


def test_every_post_is_met_once_an_epoch(pairs, album, tmp_path) -> None:
    _, absolute, _, _ = run(pairs, album, tmp_path / "run", epochs=1)
    objective = absolute.objective
    assert objective.size == (USERS - VAL_USERS) * PICTURES
    for n_parts in (1, 3):
        parts = [part for batch in objective.batches(2, n_parts) for part in batch]
        met = np.concatenate([part.post for part in parts])
        assert sorted(met.tolist()) == list(range(objective.size))
    one, other = (objective.batches(epoch, 1)[0][0].post for epoch in (1, 2))
    assert (one != other).any()


def test_a_part_without_posts_leaves_the_network_as_it_is(pairs, album, tmp_path) -> None:
    _, absolute, _, _ = run(pairs, album, tmp_path / "run", epochs=1)
    network = absolute.network.train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    nobody = PostBatch(*(np.array([], np.int64),) * 2)
    (pictures,) = PictureFeed([], TINY).batches([nobody.images])
    value, _ = absolute.objective.loss(network, nobody, pictures, 1)
    value.backward()
    assert all(torch.equal(kept, before[name]) for name, kept in network.state_dict().items())
    assert network.ranker.body[1].training


def test_features_are_standardised_and_the_unknown_are_the_mean() -> None:
    raw = np.array([[0.0, 5, 3, 1, 1, 9], [np.e - 1, 5, np.nan, 2, 2, 9]])
    raw = np.vstack([raw, [[np.nan, 5, np.nan, 3, 3, 9]]])
    raw[:, 2] = np.nan
    standard = Standard.over(raw)
    z = standard(raw)
    assert z.dtype == np.float32
    assert z[:, 0].tolist() == [-1, 1, 0]
    assert (z[:, [1, 2, 5]] == 0).all()
    assert z[:, 3].mean() == pytest.approx(0, abs=1e-6)
    assert z[:, 3].std() == pytest.approx(1, abs=1e-6)


def test_unknown_followers_are_counted_and_said(pairs, album, tmp_path) -> None:
    everyone = list(range(USERS))
    posts = posts_of({"followers": [0, 1], "user_posts": everyone})
    _, absolute, measured, _ = run(pairs, album, tmp_path / "run", epochs=1, posts=posts)
    n = (USERS - VAL_USERS) * PICTURES
    assert measured.unknown["followers"] == 2 * PICTURES
    assert measured.unknown["user_posts"] == n
    assert measured.unknown["tags"] == 0
    assert f"followers: unknown for 12 of {n} training posts, their mean is used" in measured.notes
    assert "user_posts: unknown for all posts, so left out" in measured.notes
    features = absolute.objective.features
    assert (features[:, FEATURES.index("user_posts")] == 0).all()
    assert (features[:, FEATURES.index("followers")] == 0).sum() == 2 * PICTURES


def test_what_is_missing_is_named(pairs, album) -> None:
    some = posts_of().slice(5)
    with pytest.raises(DataError, match="5 of the 96 posts in the pairs") as caught:
        post_facts(some, [pairs])
    assert "--posts" in caught.value.remedy
    with pytest.raises(DataError, match="no column tags"):
        post_facts(posts_of().drop(["tags"]), [pairs])
    with pytest.raises(DataError, match="there are no posts") as caught:
        train(pairs, album, ABSOLUTE)
    assert "--posts" in caught.value.remedy
    with pytest.raises(UserInputError, match="--posts means nothing to the recipe paper"):
        train(pairs, album, PAPER, posts=posts_of())
    with pytest.raises(UserInputError, match="--loss means nothing to the recipe absolute"):
        changed(ABSOLUTE, {"loss": "soft"})


def test_the_order_of_posts_is_no_matter(pairs) -> None:
    order = np.random.default_rng(0).permutation(USERS * PICTURES)
    one, other = (post_facts(table, [pairs]) for table in (posts_of(), posts_of().take(order)))
    assert one.keys == other.keys
    assert np.array_equal(one.features, other.features)


def test_resuming_changes_no_bit(pairs, album, tmp_path) -> None:
    whole, absolute, measured, _ = run(pairs, album, tmp_path / "whole", epochs=4)
    run(pairs, album, tmp_path / "parts", epochs=2)
    resumed, again, same, _ = run(pairs, album, tmp_path / "parts", epochs=4, resume=True)
    one, other = weights_of(absolute), weights_of(again)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert [e.train_loss for e in whole.history] == [e.train_loss for e in resumed.history]
    assert measured == same


@pytest.mark.slow
def test_from_posts_to_a_run_by_commands_alone(pairs, album, tmp_path, capsys) -> None:
    few = pairs.filter(pc.is_in(pairs["user_id"], pa.array([f"u{user}" for user in range(FEW)])))
    write_pairs(split_pairs(few, fractions=(0.5, 0.5, 0)).pairs, tmp_path / "pairs.parquet")
    write_posts(posts_of({"followings": list(range(USERS))}), tmp_path / "posts.parquet")
    out = tmp_path / "run"
    command = ["train", tmp_path / "pairs.parquet", "--images", album, "-o", out]
    command += ["--recipe", "absolute", "--backbone", "efficientnet-lite2", "--epochs", "1"]

    def cli(*more: object) -> int:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in (*command, *more)])
        return ended.value.code

    assert cli() == 1
    assert "--posts" in capsys.readouterr().err
    assert cli("--posts", tmp_path / "posts.parquet") == 0
    printed = capsys.readouterr()
    assert "| val | model |" in printed.out
    assert "Pearson correlation" in printed.err
    assert "followings: unknown for all posts" in printed.err
    record = json.loads((out / "run.json").read_text())
    assert record["inputs"].keys() == {"pairs.parquet", "posts.parquet"}
    assert record["likes"]["train_posts"] + record["likes"]["val_posts"] == FEW * PICTURES
    assert -1 <= record["likes"]["train_pearson"] <= 1
    card = (out / "card.md").read_text()
    assert "## Likes predicted" in card
    assert "least squares on log likes" in record["metadata"]["i2pa.training"]
