"""When two posts differ by their pictures alone: the paper's constraints as numbers.

Numbers only: no SQL, no files, no posts. `build` turns these rules into pairs.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from numbers import Integral
from statistics import NormalDist
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from i2pa.errors import UserInputError, require

Measure = Literal["likes", "views", "score", "likes-per-view"]

MOST_DAYS = 100_000
"""No rule counts more days: posts lie between 1970 and 2200."""

_AT_MOST = {
    "sigma": 1_000_000,
    "window_hours": 24 * MOST_DAYS,
    "dates_closer_than": MOST_DAYS,
    "min_age_days": MOST_DAYS,
}
_AT_LEAST = {"sigma": 1e-6}
"""A smaller spread calls every difference certain, and its square may be 0."""
_LARGEST = 10**18  # no count of a post has more digits


def probability_discriminable(
    delta_s: npt.ArrayLike, sigma: float, count_variance: npt.ArrayLike = 0.0
) -> npt.NDArray[np.float64]:
    """Eq. 6: P(Q_A >= Q_B) = Phi((S_A - S_B) / (sqrt(2) sigma)), S in natural-log counts.

    `count_variance` (beyond the paper) is added to the variance 2 sigma^2 of the difference.
    """
    z = np.asarray(delta_s, dtype=np.float64) / np.sqrt(2 * sigma**2 + np.asarray(count_variance))
    x = -z / math.sqrt(2)
    tail = np.fromiter(map(math.erfc, x.ravel().tolist()), np.float64, x.size)
    return tail.reshape(x.shape) / 2


@dataclass(frozen=True)
class PairRules:
    """When two posts differ by picture alone (sections 2.2 and 2.3 of the paper).

    None or False switches a rule off. Dates are UTC calendar dates, which is what the authors'
    released pairs show; `window_hours` is the other reading of "within ten days" and takes the
    place of `dates_closer_than`, which becomes None. `hashtag_tolerance` takes the place of
    `same_hashtags`.
    """

    sigma: float = 0.3  # spread of log likes, were one picture posted many times
    confidence: float | None = 0.95  # T: how sure that the winner is better
    same_user: bool = True
    min_age_days: float | None = 30  # likes stop growing after about four weeks
    dates_closer_than: int | None = 10  # UTC calendar days
    window_hours: float | None = None  # in place of dates_closer_than
    same_hashtags: bool = True  # in content and number
    same_mentions: bool = True
    max_caption_words: int | None = 6  # hashtags and mentions aside
    single_images: bool = True  # likes of several pictures cannot be told apart
    min_likes: int | None = 50  # of whatever is measured; few likes are noise
    measure: Measure = "likes"  # S is its natural logarithm
    one_image_one_pair: bool = True
    hashtag_tolerance: int | None = None  # beyond the paper: numbers of hashtags may differ by this
    count_noise: bool = False  # beyond the paper: a count n adds 1/n to the variance of S
    max_pairs_per_user: int | None = None  # beyond the paper: a seeded choice of each user's pairs

    def __post_init__(self) -> None:
        """Refuse what means nothing; equal rules have equal JSON."""
        require(self.sigma is not None, "sigma", None, "a finite number above 0")
        self._check_number("confidence", float, "between .5 and 1", lambda n: 0.5 < n < 1)
        for name in ("sigma", "window_hours"):
            self._check_number(name, float, "a finite number above 0", lambda n: n > 0)
        self._check_number("min_age_days", float, "a finite number from 0", lambda n: n >= 0)
        if self.window_hours is not None:
            # Of two windows the funnel could name but one.
            object.__setattr__(self, "dates_closer_than", None)
        for name in ("dates_closer_than", "min_likes", "max_pairs_per_user"):
            self._check_number(name, int, "a whole number above 0", lambda n: n > 0)
        for name in ("max_caption_words", "hashtag_tolerance"):
            self._check_number(name, int, "a whole number from 0", lambda n: n >= 0)
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(field.default, bool):
                require(isinstance(value, bool), field.name, value, "True or False")
        known = self.measure in get_args(Measure)
        require(known, "measure", self.measure, f"one of {', '.join(get_args(Measure))}")
        if self.max_pairs_per_user is not None and not self.same_user:
            raise UserInputError(
                "max_pairs_per_user and same_user=False do not go together: a pair of two users "
                "counts for neither",
                remedy="leave one out",
            )

    def _check_number(
        self,
        name: str,
        kind: type[float] | type[int],
        wanted: str,
        holds: Callable[[float], bool],
    ) -> None:
        """Make a field a number of one kind, unless it is None; raise ArgumentError."""
        value = getattr(self, name)
        if value is None:
            return
        is_number = isinstance(value, (int, float, np.number))
        is_number = is_number and bool(-math.inf < value < math.inf)
        remedy = "" if name == "sigma" else "None switches the rule off"
        most = _AT_MOST.get(name, _LARGEST)
        require(not is_number or value <= most, name, value, f"at most {most:,}", remedy=remedy)
        good = is_number and holds(value) and kind(value) == value
        require(good, name, value, wanted, remedy=remedy)
        least = _AT_LEAST.get(name, -math.inf)
        require(value >= least, name, value, f"at least {least:g}", remedy=remedy)
        object.__setattr__(self, name, kind(value))

    @cached_property
    def min_log_gap(self) -> float:
        """Eq. 6 solved for S_A - S_B: 0.69785 by default, about twice the likes; 0 when off."""
        return float(self.least_log_gap(np.zeros(())))

    def least_log_gap(self, count_variance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """`min_log_gap` where counts add `count_variance` to the variance 2 sigma^2."""
        if self.confidence is None:
            return np.zeros_like(count_variance)
        z = NormalDist().inv_cdf(self.confidence)
        return np.asarray(z * np.sqrt(2 * self.sigma**2 + count_variance))

    def to_json(self) -> str:
        """The rules as JSON, keys sorted: what `sha256` hashes and pairs.parquet records."""
        return json.dumps(asdict(self), sort_keys=True)

    def sha256(self) -> str:
        """Hex digest that names this set of rules."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()


PAPER = PairRules()
"""Every constraint of the paper with its own numbers."""

SAME_USER_WIDE = PairRules(
    min_age_days=None,
    dates_closer_than=None,
    window_hours=30 * 24,
    same_hashtags=False,
    same_mentions=False,
    max_caption_words=None,
    min_likes=None,
    one_image_one_pair=False,
)
"""Every discriminable pair of one user's single images within 30 days of 24 hours, to evaluate on.

Small collections give hardly a pair under the paper's rules; this set keeps only the rules
without which the label itself would be doubtful.
"""

RULE_SETS = {"paper": PAPER, "same-user-wide": SAME_USER_WIDE}


def within_days(rules: PairRules, days: int) -> PairRules:
    """The rules with another width of the time window, read the way they read it already.

    Calendar dates less than `days` apart, or, where the rules count hours, at most 24 x `days`.
    """
    good = isinstance(days, Integral) and days > 0
    require(good, "days", days, "a whole number above 0")
    require(days <= MOST_DAYS, "days", days, f"at most {MOST_DAYS:,}")
    if rules.window_hours is not None:
        return replace(rules, window_hours=24.0 * days)
    return replace(rules, dates_closer_than=days)
