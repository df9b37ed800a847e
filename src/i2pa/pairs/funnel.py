"""Which rule removed how much, in order, and how to relax it.

Counts only: the rules themselves are applied in `pairing`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from i2pa.errors import DataError
from i2pa.pairs.eligible import ANOTHER_MEASURE
from i2pa.pairs.groups import key_columns
from i2pa.pairs.pairing import Counts, Pairing
from i2pa.words import many


@dataclass(frozen=True)
class Step:
    """One rule: how many posts (or candidate pairs) came in, how many it removed, its option.

    `relax` is empty where no option relaxes it: posts of two platforms never pair.
    """

    rule: str
    unit: Literal["posts", "pairs"]
    before: int
    removed: int
    relax: str

    @property
    def after(self) -> int:
        """How many are left."""
        return self.before - self.removed


def no_pair_error(funnel: Sequence[Step], others: Callable[[], Sequence[str]]) -> DataError:
    """The error for an empty result: the rule to blame, its counts, the option that relaxes it.

    That is the post rule that removed the most, if it removed half of the posts or left too few;
    else the pair rule that removed the last candidates. `others` looks up which other measures the
    posts have.
    """
    posts = [step for step in funnel if step.unit == "posts"]
    pairs = [step for step in funnel if step.unit == "pairs"]
    n_posts = posts[0].before
    worst = max(posts, key=lambda step: step.removed)
    if 2 * worst.removed > n_posts or posts[-1].after < 2:
        blamed, total = worst, n_posts
    else:
        blamed = next(step for step in pairs if step.after == 0)
        total = blamed.before
    if blamed.removed == 0:
        return DataError(f"no eligible pair: {many(n_posts, 'post')} cannot make one")
    unit = blamed.unit if total != 1 else blamed.unit.removesuffix("s")
    what = f"no eligible pair: {blamed.removed:,} of {total:,} {unit} fail '{blamed.rule}'"
    if not blamed.relax:
        return DataError(what, remedy="no option pairs posts of two platforms")
    if blamed.relax != ANOTHER_MEASURE:
        return DataError(what, remedy=f"relax with {blamed.relax}")
    known = [f"--measure {measure}" for measure in others()]
    if known:
        return DataError(what, remedy=f"relax with {' or '.join(known)}")
    return DataError(
        f"{what}, and they have no other measure",
        remedy="take an export with likes, views or score, or grade pictures: i2pa pairs "
        "levels.csv --levels",
    )


def funnel_steps(how: Pairing, counts: Counts, total: int) -> list[Step]:
    """Steps of the funnel: how many posts, then pairs, each rule removes of those left to it."""
    rules = how.rules
    steps, left = [], total
    for rule, removed in zip(how.posts_meet, counts.removed.tolist(), strict=True):
        steps.append(Step(rule.name, "posts", left, removed, rule.relax))
        left -= removed
    if rules.one_image_one_pair:
        name, relax = "a picture of its own", "--without one-image-one-pair"
        steps.append(Step(name, "posts", left, counts.twice, relax))
    n = counts.eligible.total()
    named = [("all pairs of these posts", "", n * (n - 1) // 2)]
    inside = counts.inside.tolist()
    of_platforms = [n for n in counts.eligible.values() if n]
    if rules.same_user:
        named.append(("the same user", "--without same-user", inside[0]))
    elif len(of_platforms) > 1:
        named.append(("the same platform", "", sum(n * (n - 1) // 2 for n in of_platforms)))
    names = {"tags_key": "hashtags", "mentions_key": "mentions"}
    for key, count in zip(key_columns(rules), inside[1:], strict=True):
        named.append((f"the same {names[key]}", f"--without {names[key]}", count))
    named += _pair_counts(how, counts)
    for (_, _, before), (name, relax, after) in pairwise(named):
        steps.append(Step(name, "pairs", before, before - after, relax))
    return steps


def _pair_counts(how: Pairing, counts: Counts) -> list[tuple[str, str, int]]:
    """Name, option and pairs left of each step after the groups."""
    rules = how.rules
    left = []
    if rules.dates_closer_than is not None:
        name = f"UTC dates less than {many(rules.dates_closer_than, 'day')} apart"
        left.append((name, "--days N", counts.later))
    elif rules.window_hours is not None:
        name = f"at most {many(rules.window_hours, 'hour')} apart"
        left.append((name, "--window-hours N", counts.later))
    name = f"looked at ({many(how.candidates, 'later post')} each)"
    left.append((name, "--candidates N", counts.looked_at))
    if rules.hashtag_tolerance is not None:
        name = f"numbers of hashtags at most {rules.hashtag_tolerance} apart"
        left.append((name, "--hashtag-tolerance N", counts.alike))
    if rules.confidence is not None:
        name = f"P(Q_A >= Q_B) at least {rules.confidence:g}"
        left.append((name, "--confidence T or --sigma S", counts.discriminable))
    else:
        left.append((f"different {rules.measure}", ANOTHER_MEASURE, counts.discriminable))
    if rules.one_image_one_pair:
        name, relax = "one image, one pair", "--without one-image-one-pair"
        left.append((name, relax, counts.matched))
    elif counts.matched < counts.discriminable:
        left.append(("two pictures, not one", "posts of other pictures", counts.matched))
    if rules.max_pairs_per_user is not None:
        name = f"at most {many(rules.max_pairs_per_user, 'pair')} a user"
        left.append((name, "--max-pairs-per-user N", counts.kept))
    return left
