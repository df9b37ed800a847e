"""Which rule removed how much, in order, and how to relax it.

Counts only: the rules themselves are applied in `build`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from i2pa.errors import DataError


@dataclass(frozen=True)
class Step:
    """One rule: how many posts (or candidate pairs) came in, how many it removed, its option."""

    rule: str
    unit: Literal["posts", "pairs"]
    before: int
    removed: int
    relax: str

    @property
    def after(self) -> int:
        """How many are left."""
        return self.before - self.removed


def no_pair_error(funnel: Sequence[Step]) -> DataError:
    """The error for an empty result: the rule to blame, its counts, the option that relaxes it.

    That is the post rule that removed the most, if it removed half of the posts or left too few;
    else the pair rule that removed the last candidates.
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
        return DataError(f"no eligible pair: there are only {n_posts:,} posts")
    return DataError(
        f"no eligible pair: {blamed.removed:,} of {total:,} {blamed.unit} fail '{blamed.rule}'",
        remedy=f"relax with {blamed.relax}",
    )
