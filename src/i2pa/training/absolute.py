"""The paper's absolute baseline: likes themselves, from the picture and six facts of its post.

A ranker's one number a picture goes with the six into a small network that is taught the natural
log of the likes, end to end; pairs are then judged by the ranker's number alone. The paper: Pearson
.83 on training and .80 on test pictures, but 66.5 % of pairs, where learning from pairs gets
76.65 %. Epochs, checkpoints and processes are the loop's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor, nn

from i2pa.errors import DataError, UserInputError
from i2pa.metrics.accuracy import pairwise_correct
from i2pa.models.initialise import he_initialise
from i2pa.models.ranker import Ranker
from i2pa.training.batches import Floats, Ints, LabelledPairs
from i2pa.training.feed import Fed
from i2pa.training.objective import Network, Scored, autocast, norms_at_rest, nothing
from i2pa.training.pairset import PairSet, is_graded
from i2pa.training.recipes import NetworkRecipe, Recipe, trains_pairs
from i2pa.words import many

FEATURES = ("followers", "followings", "user_posts", "tags", "mentions", "caption_length")
"""Columns of the posts table, in the paper's order; all are counts."""

POST_COLUMNS = ("platform", "post_id", *FEATURES)
"""All that is read of the posts table."""

WIDTHS = (1 + len(FEATURES), 256, 128, 64, 1)

_PAIRS_FOR_SIGN = 2048


class AbsoluteNetwork(Network):
    """A ranker, and the network (7-256-128-64-1, ReLU between) from its number to log likes."""

    def __init__(self, ranker: Ranker, mean: float, *, frozen: int = 0) -> None:
        """`mean` is where predictions start: the mean log likes to be learnt from; `frozen` is how
        many of the backbone's first blocks take no part."""
        super().__init__()
        self.ranker = ranker
        self.frozen = frozen
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(WIDTHS):
            layer = nn.Linear(inputs, outputs)
            he_initialise(layer)
            layers += [layer, nn.ReLU()]
        self.likes = nn.Sequential(*layers[:-1])
        nn.init.constant_(layer.bias, mean)

    def forward(self, pixels: Tensor, features: Tensor) -> Tensor:
        """Log likes [m] of pictures [m, …] as `Network.rank` takes them in, whose posts' features
        are float [m, 6]."""
        score = self.rank(pixels)[0]
        # Log likes lie a few tenths apart around 7, where bfloat16 has steps of .03.
        with torch.autocast(pixels.device.type, enabled=False):
            return self.predict(score, features)

    def predict(self, score: Tensor, features: Tensor) -> Tensor:
        """Log likes [m] from the ranker's numbers [m] and the features [m, 6], all float32."""
        likes: Tensor = self.likes(torch.cat([score[:, None], features], dim=1)).squeeze(1)
        return likes

    def turn(self) -> None:
        """Turn the sign of the ranker's number, and what reads it, so that predictions stay."""
        first = self.likes[0]
        assert isinstance(first, nn.Linear)
        with torch.no_grad():
            for parameter in self.ranker.head.parameters():
                parameter.neg_()
            first.weight[:, 0].neg_()


@dataclass(frozen=True)
class PostFacts:
    """The six features, float64 [n, 6] with NaN where unknown, of posts named by `keys` [n]."""

    keys: pa.Array
    features: Floats

    def of(self, pairs: PairSet, table: pa.Table) -> Posts:
        """The posts in `pairs`, whose rows are those of `table`, each post once."""
        keys = pc.index_in(_keys(table), self.keys).to_numpy(zero_copy_only=False)
        s = _likes(table)
        post, first = np.unique(keys, return_index=True)
        row = np.concatenate([pairs.winner, pairs.loser])
        return Posts(row[first], s[first], self.features[post])


@dataclass(frozen=True)
class Posts:
    """Posts to learn from: rows of their pictures [n], S [n], and features [n, 6].

    S is the natural log of the measure that the pairs were made by.
    """

    row: Ints
    s: Floats
    features: Floats

    def __len__(self) -> int:
        return len(self.row)


def known_facts(
    recipe: Recipe | NetworkRecipe, posts: pa.Table | None, pairs: Sequence[pa.Table]
) -> PostFacts | None:
    """What is known of the posts of all pairs, where the recipe learns likes; None elsewhere.

    Raises UserInputError where posts are given and mean nothing, DataError where they are needed
    and missing, the pairs are of graded pictures, or a pair has no S.
    """
    if trains_pairs(recipe):
        if posts is not None:
            raise UserInputError(
                f"--posts means nothing to the recipe {recipe.name}",
                remedy="leave it out, or choose another --recipe",
            )
        return None
    if any(is_graded(table) for table in pairs):
        raise DataError("graded pictures have no likes", remedy="train them with --recipe probe")
    if posts is None:
        raise DataError(
            f"the recipe {recipe.name} learns from facts of the posts, and there are no posts",
            remedy="give --posts the posts.parquet that the pairs were made from",
        )
    if any(np.isnan(_likes(table)).any() for table in pairs):
        raise DataError("some pairs do not say how many likes their pictures have (winner_s)")
    return post_facts(posts, pairs)


def post_facts(posts: pa.Table, pairs: Sequence[pa.Table]) -> PostFacts:
    """What `posts` says of every post in `pairs`, matched by platform and post_id.

    Raises DataError where a post or a column of the features is missing.
    """
    remedy = "give --posts the posts.parquet that the pairs were made from"
    missing = [name for name in POST_COLUMNS if name not in posts.schema.names]
    if missing:
        raise DataError(f"the posts have no column {', '.join(missing)}", remedy=remedy)
    wanted = pc.unique(pa.concat_arrays([_keys(table) for table in pairs]))
    found = pc.index_in(_joined(posts["platform"], posts["post_id"]), wanted)
    place = pc.fill_null(found, -1).to_numpy(zero_copy_only=False)
    at = np.flatnonzero(place >= 0)
    features = np.full((len(wanted), len(FEATURES)), np.nan)
    known = posts.select(FEATURES).take(pa.array(at))
    for i, name in enumerate(FEATURES):
        features[place[at], i] = known[name].cast(pa.float64()).to_numpy()
    lost = len(wanted) - len(np.unique(place[at]))
    if lost:
        raise DataError(
            f"the posts given lack {lost:,} of the {many(len(wanted), 'post')} in the pairs",
            remedy=remedy,
        )
    return PostFacts(wanted, features)


def _likes(pairs: pa.Table) -> Floats:
    """S of the winners, then of the losers, [2n], NaN where a pair does not say."""
    return np.concatenate([pairs[name].to_numpy() for name in ("winner_s", "loser_s")])


def _keys(pairs: pa.Table) -> pa.Array:
    """Names of the winners' posts, then of the losers', [2n]."""
    sides = [_joined(pairs["platform"], pairs[name]) for name in ("winner_id", "loser_id")]
    return pa.concat_arrays([side.combine_chunks() for side in sides])


def _joined(platform: pa.ChunkedArray, post_id: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(
        platform, post_id, "\x1f", null_handling="replace", null_replacement=""
    )


@dataclass(frozen=True)
class Standard:
    """Features to standard units: ln(1 + count), less the mean, over the deviation; both [6]."""

    mean: Floats
    deviation: Floats

    @classmethod
    def over(cls, features: Floats) -> Standard:
        """Mean and deviation of the known among features [n, 6] of posts to learn from.

        A feature that nobody knows, or that does not vary, becomes 0.
        """
        logs = np.log1p(features)
        known = ~np.isnan(logs)
        n = np.maximum(known.sum(axis=0), 1)
        mean = np.where(known, logs, 0).sum(axis=0) / n
        variance = (np.where(known, logs - mean, 0) ** 2).sum(axis=0) / n
        return cls(mean, np.where(variance > 1e-12, np.sqrt(variance), np.inf))

    def __call__(self, features: Floats) -> npt.NDArray[np.float32]:
        """Features [n, 6] in standard units; 0, the mean to learn from, where unknown."""
        return np.nan_to_num((np.log1p(features) - self.mean) / self.deviation).astype(np.float32)


@dataclass(frozen=True)
class PostBatch:
    """Rows of pictures [m], and which of the posts to learn from each belongs to [m]."""

    images: Ints
    post: Ints

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class LikesObjective:
    """Least squares on log likes, every post once an epoch; `pairs` only tell up from down."""

    posts: Posts
    pairs: LabelledPairs
    recipe: NetworkRecipe

    @cached_property
    def standard(self) -> Standard:
        """The units of the features."""
        return Standard.over(self.posts.features)

    @cached_property
    def features(self) -> npt.NDArray[np.float32]:
        """Features of the posts in standard units, [n, 6]."""
        return self.standard(self.posts.features)

    @property
    def size(self) -> int:
        """Posts an epoch."""
        return len(self.posts)

    @property
    def columns(self) -> Sequence[npt.NDArray[Any]]:
        """Pictures, log likes and features."""
        return self.posts.row, self.posts.s, self.features

    def batches(self, epoch: int, n_parts: int) -> Sequence[Sequence[PostBatch]]:
        """All posts once, in the order of this epoch, `recipe.batch` a batch."""
        order = np.random.default_rng([self.recipe.seed, epoch]).permutation(len(self.posts))
        starts = range(0, len(order), self.recipe.batch)
        return [
            [
                PostBatch(self.posts.row[post], post)
                for post in np.array_split(order[start : start + self.recipe.batch], n_parts)
            ]
            for start in starts
        ]

    def loss(
        self, network: nn.Module, part: PostBatch, pictures: Fed, whole: int
    ) -> tuple[Tensor, Floats]:
        """See `Objective.loss`; a single post is no hit and no miss."""
        device = next(network.parameters()).device
        post = part.post[pictures.place >= 0]
        pixels, features = pictures.pixels, self.features[post]
        if not len(post):
            pixels, features = nothing(pixels), np.zeros((1, len(FEATURES)), np.float32)
        resting = nullcontext() if len(post) else norms_at_rest(network)
        with autocast(device, self.recipe), resting:
            predicted = network(
                torch.from_numpy(pixels).to(device), torch.from_numpy(features).to(device)
            )
        if not len(post):
            return 0 * predicted.sum(), np.zeros(3)
        true = torch.from_numpy(self.posts.s[post]).to(device, torch.float32)
        total = ((predicted - true) ** 2).sum()
        return total / whole, np.array([float(total.detach()), 0, len(post)])

    def upward(self, scored: Scored) -> float | None:
        """The share right of up to 2,048 training pairs drawn by the seed.

        Least squares do not care whether the scalar grows or falls with likes: the network after
        it can read either.
        """
        drawn = np.random.default_rng(self.recipe.seed).permutation(len(self.pairs))
        drawn = drawn[:_PAIRS_FOR_SIGN]
        winner, loser = self.pairs.winner[drawn], self.pairs.loser[drawn]
        rows = np.union1d(winner, loser)
        scores = scored(rows)
        delta = scores[np.searchsorted(rows, winner)] - scores[np.searchsorted(rows, loser)]
        return float(pairwise_correct(delta).mean())


@dataclass(frozen=True)
class Absolute:
    """The baseline at work: its network, what that is trained for, and posts to validate on."""

    network: AbsoluteNetwork
    objective: LikesObjective
    val: Posts


@dataclass(frozen=True)
class LikesFit:
    """How well likes themselves were predicted, and from what.

    Pearson correlations of predicted and true log likes, None where one of them does not vary;
    `unknown` counts, by feature, training posts in whose place the training mean stood; `turned`
    says that the scalar came out falling with likes, by the training pairs, and was turned.
    """

    train_posts: int
    train_pearson: float | None
    val_posts: int
    val_pearson: float | None
    unknown: Mapping[str, int]
    turned: bool

    @property
    def notes(self) -> tuple[str, ...]:
        """In words, a sentence each."""
        n = self.train_posts
        lost = (
            f"{name}: unknown for all posts, so left out"
            if count == n
            else f"{name}: unknown for {count:,} of {n:,} training posts, their mean is used"
            for name, count in self.unknown.items()
            if count
        )
        turned = ("the scalar fell with likes on the training pairs and was turned",)
        return (
            "Pearson correlation of predicted and true log likes: "
            f"{_number(self.train_pearson)} on {n:,} training posts, "
            f"{_number(self.val_pearson)} on {self.val_posts:,} validation posts "
            "(paper: .83 and, on test pictures, .80)",
            *lost,
            *(turned if self.turned else ()),
        )


def likes_fit(absolute: Absolute, scores: Floats, *, turned: bool) -> LikesFit:
    """Measure a trained network by its ranker's numbers [rows] of all pictures, NaN: unreadable."""
    network, train = absolute.network.cpu(), absolute.objective.posts
    pearson = []
    for posts in (train, absolute.val):
        features = torch.from_numpy(absolute.objective.standard(posts.features))
        score = torch.from_numpy(scores[posts.row].astype(np.float32))
        with torch.inference_mode():
            predicted = network.predict(score, features)
        pearson.append(_pearson(predicted.numpy().astype(np.float64), posts.s))
    unknown = np.isnan(train.features).sum(axis=0).tolist()
    return LikesFit(
        train_posts=len(train),
        train_pearson=pearson[0],
        val_posts=len(absolute.val),
        val_pearson=pearson[1],
        unknown=dict(zip(FEATURES, unknown, strict=True)),
        turned=turned,
    )


def _pearson(x: Floats, y: Floats) -> float | None:
    """Over the pictures that can be read, whose x is no NaN."""
    known = ~np.isnan(x)
    x, y = x[known], y[known]
    if len(x) < 2 or not (np.ptp(x) and np.ptp(y)):
        return None
    return float(np.corrcoef(x, y)[0, 1])


def _number(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.3f}"
