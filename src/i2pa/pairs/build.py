"""From posts to popularity-discriminable pairs: every rule of the paper, in its order.

DuckDB judges and sorts single posts, numpy pairs them inside windows, a greedy matching sees to
one picture, one pair. The same posts give the same pairs, byte for byte, whatever the order of
rows or number of threads. Reading posts, splitting pairs and looking at pictures stay out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from itertools import pairwise
from tempfile import TemporaryDirectory

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from i2pa.errors import DataError, UserInputError
from i2pa.pairs.candidates import Eligible, Ints, edges, window_ends
from i2pa.pairs.eligible import PostRule, eligible_sql, post_rules
from i2pa.pairs.funnel import Step, no_pair_error
from i2pa.pairs.match import MATCHINGS, Matching, exactly_matched, keep_per_user, match
from i2pa.pairs.rules import PAPER, PairRules, probability_discriminable
from i2pa.pairs.schema import PAIRS, with_metadata
from i2pa.pairs.summary import Summary, summarise
from i2pa.posts.schema import POSTS

CANDIDATES = 64
"""How many later posts each post looks at, unless asked otherwise."""


@dataclass(frozen=True)
class PairsBuilt:
    """Pairs (schema PAIRS), the funnel that led to them, and their Table 1.

    `windows_cut` posts had more than `candidates` later posts in their window and looked at a
    seeded choice of them. `too_many_for_maximum` posts were in groups too large for an exact
    maximum matching, and matched at random instead.
    """

    pairs: pa.Table
    funnel: tuple[Step, ...]
    summary: Summary
    windows_cut: int
    too_many_for_maximum: int = 0


def build_pairs(
    posts: pa.Table,
    rules: PairRules = PAPER,
    *,
    seed: int = 0,
    matching: Matching = "random",
    downloaded_at: datetime | None = None,
    assume_settled: bool = False,
    candidates: int = CANDIDATES,
    memory_limit: str = "4GB",
    threads: int | None = None,
) -> PairsBuilt:
    """Pair posts (schema POSTS) by the rules; same posts, same pairs.

    `downloaded_at` stands in where a post has none; `assume_settled` lets such posts pass the
    one-month rule. Raises DataError naming the missing column, or, when nothing pairs, the rule
    that removed the most and what relaxes it.
    """
    if matching not in MATCHINGS:
        raise UserInputError(
            f"unknown matching {matching!r}", remedy=f"choose from {', '.join(MATCHINGS)}"
        )
    missing = [name for name in POSTS.names if name not in posts.column_names]
    if missing:
        raise DataError(
            f"the posts have no column {missing[0]}", remedy="make them with i2pa posts"
        )
    parameters: dict[str, object] = {
        "seed": str(seed),
        "given": downloaded_at and _utc(downloaded_at),
    }
    single_rules = post_rules(rules, assume_settled=assume_settled)
    with (
        TemporaryDirectory(prefix="i2pa-") as spill,
        duckdb.connect() as connection,
        _within_memory(memory_limit),
    ):
        _limit(connection, memory_limit, threads, spill)
        numbered = posts.drop_columns(["caption"]).append_column(
            "row", pa.array(np.arange(posts.num_rows))
        )
        connection.register("posts", numbered)
        funnel = _count_posts(connection, single_rules, parameters)
        sql = eligible_sql(rules, single_rules)
        found = connection.sql(sql, params=_used(sql, parameters)).to_arrow_table()
        found = found.combine_chunks()
        if rules.one_image_one_pair:
            found, step = _own_pictures(found)
            funnel.append(step)
        fingerprint = _fingerprint(connection, found)
    eligible, group_counts = _group(found, rules)
    ends = window_ends(eligible, rules)
    later = ends - np.arange(1, len(ends) + 1)
    at_most, inexact = np.full(len(ends), candidates), 0
    if matching == "maximum" and rules.one_image_one_pair:
        exact = exactly_matched(eligible.group_end)
        at_most, inexact = np.where(exact, len(ends), candidates), int((~exact).sum())
    winner, loser, n_alike, n_sure = _choose(
        eligible, ends, rules, matching, at_most, found["post_id"]
    )
    n_matched = len(winner)
    if rules.max_pairs_per_user is not None:
        kept = keep_per_user(winner, loser, eligible, rules.max_pairs_per_user)
        winner, loser = winner[kept], loser[kept]
    looked_at = int(np.minimum(later, at_most).sum())
    chosen = (looked_at, n_alike, n_sure, n_matched, len(winner))
    funnel += _count_pairs(rules, group_counts, int(later.sum()), candidates, chosen)
    if not len(winner):
        raise no_pair_error(funnel)
    pairs = _table(found, eligible, winner, loser, rules)
    rows = found["row"].to_numpy()
    facts = {
        "rules": rules.to_json(),
        "rules_sha256": rules.sha256(),
        "seed": str(seed),
        "matching": matching if rules.one_image_one_pair else "none: all eligible pairs",
        "candidates": str(candidates),
        "posts_hash": fingerprint,
        "assumed": json.dumps(
            {
                "assume_settled": assume_settled,
                "downloaded_at": downloaded_at and _utc(downloaded_at).isoformat(),
            },
            sort_keys=True,
        ),
    }
    return PairsBuilt(
        pairs=with_metadata(pairs, facts),
        funnel=tuple(funnel),
        summary=summarise(pairs, posts, rows[np.concatenate([winner, loser])]),
        windows_cut=int((later > at_most).sum()),
        too_many_for_maximum=inexact,
    )


@contextmanager
def _within_memory(memory_limit: str) -> Iterator[None]:
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise UserInputError(
            f"--memory-limit {memory_limit} is too little for these posts", remedy="give more"
        ) from error


def _own_pictures(found: pa.Table) -> tuple[pa.Table, Step]:
    """Posts without those whose picture file an earlier one of the table has; and their step."""
    images = found["image"].combine_chunks()
    named = np.flatnonzero(images.is_valid().to_numpy(zero_copy_only=False))
    codes = images.take(pa.array(named)).dictionary_encode().indices.to_numpy()
    kept = np.ones(found.num_rows, dtype=bool)
    kept[named] = False
    kept[named[np.unique(codes, return_index=True)[1]]] = True
    removed = found.num_rows - int(kept.sum())
    step = Step(
        "a picture of its own", "posts", found.num_rows, removed, "--without one-image-one-pair"
    )
    return (found.filter(pa.array(kept)).combine_chunks() if removed else found), step


def _limit(
    connection: duckdb.DuckDBPyConnection, memory_limit: str, threads: int | None, spill: str
) -> None:
    """Bound what DuckDB takes; past its memory it spills, and not into the working folder."""
    try:
        connection.execute("SET memory_limit = $limit", {"limit": memory_limit})
    except duckdb.Error as error:
        raise UserInputError(
            f"{memory_limit!r} is no amount of memory", remedy="write it as 4GB"
        ) from error
    connection.execute("SET temp_directory = $spill", {"spill": spill})
    connection.execute("SET TimeZone = 'UTC'")
    if threads is not None:
        connection.execute("SET threads = $n", {"n": threads})


def _used(sql: str, parameters: dict[str, object]) -> dict[str, object]:
    """The parameters that a statement mentions; DuckDB refuses others."""
    return {name: value for name, value in parameters.items() if f"${name}" in sql}


def _utc(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _count_posts(
    connection: duckdb.DuckDBPyConnection,
    single_rules: list[PostRule],
    parameters: dict[str, object],
) -> list[Step]:
    """How many posts each rule removes of those that the rules before it left."""
    cases = " ".join(
        f"WHEN NOT coalesce({rule.holds}, false) THEN {i}" for i, rule in enumerate(single_rules)
    )
    sql = f"SELECT CASE {cases} ELSE -1 END AS failed, count(*) FROM posts GROUP BY failed"
    counts = dict(connection.execute(sql, _used(sql, parameters)).fetchall())
    before = sum(counts.values())
    steps = []
    for i, rule in enumerate(single_rules):
        removed = counts.get(i, 0)
        steps.append(Step(rule.name, "posts", before, removed, rule.relax))
        before -= removed
    return steps


def _fingerprint(connection: duckdb.DuckDBPyConnection, found: pa.Table) -> str:
    """128-bit hash of the posts that may pair, whatever their order: 32 hex digits."""
    connection.register("found", found)
    row = connection.execute(
        "SELECT bit_xor(md5_number(concat_ws('|', platform, user_id, post_id, time, s, of_tags, "
        "of_mentions, image))) FROM found"
    ).fetchone()
    return f"{(row and row[0]) or 0:032x}"


def _group(found: pa.Table, rules: PairRules) -> tuple[Eligible, list[tuple[str, str, int]]]:
    """Arrays of the eligible posts, and how many pairs each grouping rule leaves in turn."""
    n = found.num_rows
    new = np.zeros(n, dtype=bool)
    new[:1] = True
    counts = [("all pairs of these posts", "", n * (n - 1) // 2)]

    def refine(*columns: str) -> Ints:
        for name in columns:
            codes = found[name]
            if codes.type == pa.string():
                codes = codes.combine_chunks().dictionary_encode().indices
            codes = codes.to_numpy()
            new[1:] |= codes[1:] != codes[:-1]
        starts = np.flatnonzero(new)
        return np.diff(np.append(starts, n))

    same_tags = rules.same_hashtags and rules.hashtag_tolerance is None
    keys = [
        (rules.same_user, ("platform", "of_user"), "the same user", "--without same-user"),
        (same_tags, ("of_tags",), "the same hashtags", "--without hashtags"),
        (rules.same_mentions, ("of_mentions",), "the same mentions", "--without mentions"),
    ]
    sizes = refine("platform")
    user = None
    for on, columns, name, relax in keys:
        sizes = refine(*columns)
        if user is None:
            user = np.repeat(np.arange(sizes.size), sizes)
        if on:
            counts.append((name, relax, int((sizes * (sizes - 1) // 2).sum())))
    eligible = Eligible(
        user=np.zeros(0, np.int64) if user is None else user,
        group_end=np.repeat(np.cumsum(sizes), sizes),
        time=found["time"].to_numpy(),
        date=found["date"].to_numpy(),
        s=found["s"].to_numpy(),
        noise=found["noise"].to_numpy(),
        tags=found["n_tags"].to_numpy(),
        hash=found["hash"].to_numpy(),
    )
    return eligible, counts


def _choose(
    eligible: Eligible,
    ends: Ints,
    rules: PairRules,
    matching: Matching,
    at_most: Ints,
    ids: pa.ChunkedArray,
) -> tuple[Ints, Ints, int, int]:
    """Winners, losers (indices of eligible posts), and how many pairs were alike, discriminable."""

    @cache
    def id_ranks() -> Ints:
        ranks = np.empty(len(ids), dtype=np.int64)
        ranks[pc.sort_indices(ids).to_numpy()] = np.arange(len(ids))
        return ranks

    winners, losers = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    n_alike = n_sure = 0
    nearest = matching == "closest-in-time"
    for block in edges(eligible, ends, rules, at_most=at_most, nearest=nearest):
        n_alike += block.alike
        n_sure += block.winner.size
        kept: Ints | slice = slice(None)
        if rules.one_image_one_pair:
            kept = match(block, eligible, matching, id_ranks)
        winners.append(block.winner[kept])
        losers.append(block.loser[kept])
    return np.concatenate(winners), np.concatenate(losers), n_alike, n_sure


def _count_pairs(
    rules: PairRules,
    group_counts: list[tuple[str, str, int]],
    n_later: int,
    candidates: int,
    chosen: tuple[int, int, int, int, int],
) -> list[Step]:
    """Steps of the funnel in pairs; windows and groups are counted without listing them.

    `chosen` counts the pairs looked at, alike in the number of hashtags, discriminable, matched,
    and within the user's cap.
    """
    looked_at, n_alike, n_sure, n_matched, n_kept = chosen
    left = [*group_counts]
    if rules.dates_closer_than is not None:
        name = f"UTC dates less than {rules.dates_closer_than} days apart"
        left.append((name, "--days N", n_later))
    elif rules.window_hours is not None:
        name = f"at most {rules.window_hours:g} hours apart"
        left.append((name, "--window-hours N", n_later))
    left.append((f"looked at ({candidates} later posts each)", "--candidates N", looked_at))
    if rules.hashtag_tolerance is not None:
        name = f"numbers of hashtags at most {rules.hashtag_tolerance} apart"
        left.append((name, "--hashtag-tolerance N", n_alike))
    if rules.confidence is not None:
        name = f"P(Q_A >= Q_B) at least {rules.confidence:g}"
        left.append((name, "--confidence T or --sigma S", n_sure))
    else:
        left.append((f"different {rules.measure}", "another --measure", n_sure))
    if rules.one_image_one_pair:
        left.append(("one image, one pair", "--without one-image-one-pair", n_matched))
    if rules.max_pairs_per_user is not None:
        name = f"at most {rules.max_pairs_per_user} pairs a user"
        left.append((name, "--max-pairs-per-user N", n_kept))
    steps = []
    for (_, _, before), (name, relax, after) in pairwise(left):
        steps.append(Step(name, "pairs", before, before - after, relax))
    return steps


def _table(
    found: pa.Table, eligible: Eligible, winner: Ints, loser: Ints, rules: PairRules
) -> pa.Table:
    """The pairs as a table, sorted by platform, user, time and id of the winner."""
    user = found["user_id"].take(winner)
    if not rules.same_user:
        same = pc.equal(user, found["user_id"].take(loser))
        user = pc.if_else(same, user, pa.scalar(None, pa.string()))
    s: tuple[npt.NDArray[np.float64], ...] = (eligible.s[winner], eligible.s[loser])
    table = pa.table(
        [
            found["platform"].take(winner),
            user,
            *(found["post_id"].take(side) for side in (winner, loser)),
            *(found["image"].take(side) for side in (winner, loser)),
            *(pa.array(eligible.time[side]) for side in (winner, loser)),
            *s,
            s[0] - s[1],
            probability_discriminable(
                s[0] - s[1], rules.sigma, eligible.noise[winner] + eligible.noise[loser]
            ),
            np.ones(len(winner)),
            pa.nulls(len(winner), pa.string()),
        ],
        names=PAIRS.names,
    ).cast(PAIRS)
    keys = ["platform", "user_id", "winner_time", "winner_id", "loser_id"]
    return table.sort_by([(key, "ascending") for key in keys]).combine_chunks()
