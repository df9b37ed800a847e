"""What all checks come to, in words a reader can act on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from i2pa.audit.checks import BROKEN, CLEAN, DOMINATED, LEAKS, TOO_FEW, Check
from i2pa.metrics.intervals import Interval
from i2pa.pairs.schema import rules_json

USELESS_FROM = 0.65
"""A shortcut this good, by the near end of its interval, teaches a model more than pictures can.

Past half-way from chance to the 76.65 % that the paper's own model reaches by looking (Fig. 4).
"""

SHORTCUTS = (
    "later_wins",
    "time_features",
    "caption_length",
    "file_size",
    "picture_size",
    "aspect",
    "format",
)
"""Checks whose value is the accuracy of a guess made without looking."""

_SETTLED = "Pair settled posts only (--min-age-days 30) or posts"

USELESS = "useless for training"


@dataclass(frozen=True)
class Overall:
    """The verdict on a list ('useless for training', 'leaks', …), why, and what to do."""

    verdict: str
    sentences: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join(self.sentences)


def overall(checks: Sequence[Check], pairs: pa.Table) -> Overall:
    """The verdict on a list from its checks; `pairs` (schema PAIRS) carries its recorded rules."""
    shortcuts = [check for check in checks if check.name in SHORTCUTS]
    leaking = sorted((c for c in shortcuts if c.verdict == LEAKS), key=_reach, reverse=True)
    shared = [c for c in checks if c.verdict == LEAKS and c.name not in SHORTCUTS]
    clean = bool(shortcuts) and all(check.verdict == CLEAN for check in shortcuts)
    said = []
    if leaking and _reach(leaking[0]) >= USELESS_FROM:
        said += _useless(checks, leaking[0], pairs)
    elif leaking:
        said += [
            f"It leaks: without looking at a picture, {'; '.join(map(guess, leaking))}.",
            "Quote the accuracy of a model beside these, and never against 50 %.",
        ]
    elif clean:
        said.append("No sign that the winner can be told without looking at the pictures.")
    else:
        said.append("Too few to tell whether the winner can be told without looking.")
    verdict = USELESS if said[0].startswith("Useless") else LEAKS if leaking or shared else ""
    said += _also("The parts of its split leak into each other", [c.says for c in shared])
    said += _also("Against the rules", [c.says for c in checks if c.verdict == BROKEN])
    said += _also("Few users dominate", [c.says for c in checks if c.verdict == DOMINATED])
    few = [c for c in shortcuts if c.verdict == TOO_FEW]
    said += _also("Not settled", [c.title for c in few])
    return Overall(verdict or (CLEAN if clean else TOO_FEW), tuple(said))


def guess(check: Check) -> str:
    """A shortcut's accuracy in words, turned round where the opposite is right."""
    found = Interval(check.value, check.low or 0.0, check.high or 1.0)
    if check.name == "later_wins" and found.value < 0.5:
        turned = Interval(1 - found.value, 1 - found.high, 1 - found.low)
        return f"the earlier picture wins in {_percent(turned)}"
    if check.name == "later_wins":
        return f"the later picture wins in {_percent(found)}"
    return f"{check.title} alone names the winner in {_percent(found)}"


def _useless(checks: Sequence[Check], worst: Check, pairs: pa.Table) -> list[str]:
    by_name = {check.name: check for check in checks}
    later, young = by_name.get("later_wins"), by_name.get("young_posts")
    if later is None or _reach(later) < USELESS_FROM:
        return [
            f"Useless for training: without looking at a picture, {guess(worst)}.",
            "A model taught by it learns that instead. Pair posts alike in it, and audit again.",
        ]
    earlier = later.value < 0.5
    said = [f"Useless for training: {guess(later)}, by far."]
    if young is not None and young.value:
        said.append(f"{young.says[:1].upper()}{young.says[1:]}.")
    elif rules_json(pairs).get("min_age_days", 0) is None:
        said.append(
            "Its rules ask for no least age (min_age_days is off), so that posts may still have "
            "been collecting likes or views when they were counted."
        )
    # Where they are known to be settled, age is not to blame.
    pair = "Pair posts" if young is not None and not young.value else _SETTLED
    why = "first had more time to be seen" if earlier else "last had the larger audience"
    said.append(
        f"What was posted {why}: a model taught by it learns what dates a picture, not what people "
        f"like. {pair} closer in time, or weigh by order (--balance time), and audit again."
    )
    return said


def _also(what: str, items: Sequence[str]) -> list[str]:
    return [f"{what}: {'; '.join(items)}."] if items else []


def _reach(check: Check) -> float:
    """Accuracy of a guess, or its opposite, at the end of its interval next to 50 %."""
    if check.low is None or check.high is None:
        return 0.5
    return max(check.low, 1 - check.high if check.name == "later_wins" else 0.0, 0.5)


def _percent(found: Interval) -> str:
    return f"{100 * found.value:.1f} % of pairs [{100 * found.low:.1f}, {100 * found.high:.1f}]"
