"""Which posts may pair at all: rules on single posts, and the sorted table of those that meet them.

SQL only; pairs of posts are `candidates`' business.
"""

from __future__ import annotations

from dataclasses import dataclass

from i2pa.pairs.rules import PairRules

DAY = 86_400_000_000  # microseconds

COUNTS_OF = {
    "likes": ("likes",),
    "views": ("views",),
    "score": ("score",),
    "likes-per-view": ("likes", "views"),
}
"""The counts that each measure is made of; S is the log of the first, less that of the second."""


@dataclass(frozen=True)
class PostRule:
    """A rule on single posts: its name, when it holds in SQL, what relaxes it."""

    name: str
    holds: str
    relax: str


def post_rules(rules: PairRules, *, assume_settled: bool) -> list[PostRule]:
    """Rules that a post meets or fails by itself, in the order of the funnel."""
    found = []
    if rules.single_images:
        single = "media_type = 'image' AND image_count = 1"
        found.append(PostRule("a single image", single, "--without single-image"))
    counts = COUNTS_OF[rules.measure]
    other = "--measure views" if rules.measure == "likes" else "--measure likes"
    known = " AND ".join(f"{count} > 0" for count in counts)
    found.append(PostRule(f"{' and '.join(counts)} known and above 0", known, other))
    if rules.min_likes is not None:
        enough = f"{counts[0]} >= {rules.min_likes:d}"
        found.append(PostRule(f"at least {rules.min_likes} {counts[0]}", enough, "--min-likes 1"))
    if rules.min_age_days is not None:
        read_at = "coalesce(downloaded_at, $given::TIMESTAMPTZ)"
        known = f"{read_at} IS NOT NULL"
        if not assume_settled:
            relax = "--downloaded-at DATE or --assume-settled"
            found.append(PostRule("time of download known", known, relax))
        age = f"epoch_us({read_at}) - epoch_us(uploaded_at) >= {int(rules.min_age_days * DAY)}"
        name = f"settled {rules.min_age_days:g} days before download"
        relax = "--min-age-days 0 or --downloaded-at DATE"
        found.append(PostRule(name, f"coalesce({age}, true)", relax))
    if rules.max_caption_words is not None:
        short = f"caption_words <= {rules.max_caption_words:d}"
        name = f"at most {rules.max_caption_words} caption words"
        found.append(PostRule(name, short, "--without caption-words"))
    return found


def eligible_sql(rules: PairRules, posts_meet: list[PostRule]) -> str:
    """One SELECT of the posts that may pair, sorted by group, then time.

    Takes $seed (text) and $given (time of download where a post has none). A rule that is off
    leaves its key constant, so that the group ignores it.
    """
    user = "user_id" if rules.same_user else "''"
    counts = COUNTS_OF[rules.measure]
    s = " - ".join(f"ln({count})" for count in counts)
    # The variance of ln(n) of a count n is about 1/n.
    noise = " + ".join(f"1.0 / {count}" for count in counts) if rules.count_noise else "0.0"
    same_tags = rules.same_hashtags and rules.hashtag_tolerance is None
    tags = "tags_key" if same_tags else "0::UBIGINT"
    mentions = "mentions_key" if rules.same_mentions else "0::UBIGINT"
    meets = " AND ".join(f"({rule.holds})" for rule in posts_meet)
    return (
        "SELECT row, platform, user_id, post_id, image, epoch_us(uploaded_at) AS time, "
        f"utc_date - DATE '1970-01-01' AS date, {s} AS s, tags::BIGINT AS n_tags, "
        f"({noise})::DOUBLE AS noise, "
        f"{user} AS of_user, "
        f"{tags} AS of_tags, {mentions} AS of_mentions, "
        "md5_number_lower(concat_ws('|', $seed, platform, post_id)) AS hash "
        f"FROM posts WHERE {meets} "
        "ORDER BY platform, of_user, of_tags, of_mentions, time, hash, post_id"
    )
