"""Pairs of the real posts beside the checkout."""

from __future__ import annotations

from pathlib import Path

import pytest

from i2pa.pairs import PAPER, SAME_USER_WIDE, PairsBuilt, build_pairs, within_days
from i2pa.pairs.rules import PairRules
from i2pa.posts import read_posts


def built(folder: Path, rules: PairRules) -> PairsBuilt:
    return build_pairs(read_posts(folder / "posts.csv").posts, rules)


def test_the_papers_rules_leave_few(shared_data: Path) -> None:
    assert built(shared_data / "instagram_public_figures", PAPER).pairs.num_rows == 3
    previews = built(shared_data / "instagram_previews", PAPER)
    assert (previews.pairs.num_rows, previews.funnel[-1].before) == (50, 137)


@pytest.mark.parametrize(("days", "n", "users"), [(10, 199, 10), (30, 390, 10), (90, 652, 12)])
def test_the_wide_rules_on_public_figures(shared_data: Path, days: int, n: int, users: int) -> None:
    found = built(shared_data / "instagram_public_figures", within_days(SAME_USER_WIDE, days))
    assert (found.pairs.num_rows, found.summary.users, found.windows_cut) == (n, users, 0)
