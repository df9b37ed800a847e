"""The command that makes pairs of posts: pairs. It parses, calls and prints, nothing more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from i2pa.cli import output
from i2pa.cli.app import app
from i2pa.cli.data import (
    DownloadedAt,
    OutFile,
    Seed,
    check_output,
    need_data,
    parse_time,
)
from i2pa.cli.options import JsonFlag
from i2pa.errors import ArgumentError, UserInputError
from i2pa.files import check_parquet_name
from i2pa.words import many

if TYPE_CHECKING:
    from i2pa.pairs import PairRules, PairsBuilt
    from i2pa.pairs.match import Matching

# What --without NAME sets.
OFF: dict[str, dict[str, Any]] = {
    "confidence": {"confidence": None},
    "same-user": {"same_user": False},
    "age": {"min_age_days": None},
    "dates": {"dates_closer_than": None, "window_hours": None},
    "hashtags": {"same_hashtags": False},
    "mentions": {"same_mentions": False},
    "caption-words": {"max_caption_words": None},
    "single-image": {"single_images": False},
    "min-likes": {"min_likes": None},
    "one-image-one-pair": {"one_image_one_pair": False},
}

# A number and the rule that it belongs to: one of the two would win.
NUMBERS_OF = (
    ("confidence", "--confidence", "confidence"),
    ("min_age_days", "--min-age-days", "age"),
    ("max_caption_words", "--max-caption-words", "caption-words"),
    ("min_likes", "--min-likes", "min-likes"),
    ("hashtag_tolerance", "--hashtag-tolerance", "hashtags"),
    ("max_pairs_per_user", "--max-pairs-per-user", "same-user"),
)

NAME = "levels"
WITH_LEVELS = {"source", "out", "levels", "name", "as_json", "stats"}


@app.command()
def pairs(
    context: typer.Context,
    source: Annotated[
        Path, typer.Argument(metavar="POSTS", help="posts.parquet, or with --levels a CSV.")
    ],
    out: OutFile,
    rules: Annotated[str, typer.Option(help="paper or same-user-wide.")] = "paper",
    days: Annotated[
        int | None,
        typer.Option(
            help="Width of the time window: UTC calendar dates less than this apart (paper), or "
            "at most so many times 24 hours (same-user-wide)."
        ),
    ] = None,
    window_hours: Annotated[
        float | None, typer.Option(help="Count the window in hours instead of dates.")
    ] = None,
    sigma: Annotated[float | None, typer.Option(help="Spread of log likes of one image.")] = None,
    confidence: Annotated[float | None, typer.Option(help="T of Eq. 6, above .5.")] = None,
    min_age_days: Annotated[float | None, typer.Option(help="Age at download.")] = None,
    max_caption_words: Annotated[
        int | None, typer.Option(help="Words without hashtags and mentions.")
    ] = None,
    min_likes: Annotated[int | None, typer.Option(help="Of what --measure says.")] = None,
    measure: Annotated[
        str, typer.Option(help="likes, views, score or likes-per-view: S is its logarithm.")
    ] = "likes",
    hashtag_tolerance: Annotated[
        int | None,
        typer.Option(help="Beyond the paper: numbers of hashtags may differ by this, whichever."),
    ] = None,
    count_noise: Annotated[
        bool,
        typer.Option(
            "--count-noise",
            help="Beyond the paper: a count n adds 1/n to σ²; under likes-per-view both counts do.",
        ),
    ] = False,
    max_pairs_per_user: Annotated[
        int | None, typer.Option(help="Beyond the paper: a seeded choice of each user's pairs.")
    ] = None,
    without: Annotated[
        list[str] | None, typer.Option(metavar="RULE", help=f"Switch off: {', '.join(OFF)}.")
    ] = None,
    matching: Annotated[
        str, typer.Option(help="random, most-certain, closest-in-time or maximum (most pairs).")
    ] = "random",
    seed: Seed = 0,
    candidates: Annotated[
        int,
        typer.Option(min=1, max=100_000, help="Later posts that each post looks at, at most."),
    ] = 64,
    downloaded_at: DownloadedAt = None,
    assume_settled: Annotated[
        bool,
        typer.Option("--assume-settled", help="Posts of unknown download time are old enough."),
    ] = False,
    memory_limit: Annotated[
        str, typer.Option(help="For posts at work; sorting goes to disk.")
    ] = "4GB",
    threads: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Default: every core it may use.")
    ] = None,
    levels: Annotated[
        bool, typer.Option("--levels", help="POSTS is a CSV with the columns image and level.")
    ] = False,
    name: Annotated[str, typer.Option(help="With --levels: what to call the set.")] = NAME,
    stats: Annotated[
        bool,
        typer.Option(
            "--stats/--no-stats",
            help="Print what each rule left, and Table 1 of these pairs beside the paper's.",
        ),
    ] = True,
    as_json: JsonFlag = False,
) -> None:
    """Pair posts that differ by picture alone, by the rules of the paper.

    Example: i2pa pairs posts.parquet -o pairs.parquet --matching closest-in-time
    """
    need_data("i2pa pairs")
    from i2pa.pairs import build_pairs, pairs_from_levels, write_pairs
    from i2pa.pairs.match import EXACT_UP_TO

    check_output(out, source)
    check_parquet_name(out)
    if levels:
        _check_only_levels(context)
        graded = pairs_from_levels(source, name)
        write_pairs(graded, out)
        if as_json:
            output.print_json("pairs", output=str(out), pairs=graded.num_rows, name=name)
        else:
            print(f"{out}: {many(graded.num_rows, 'pair')} across levels")
        return
    numbers = {
        "sigma": sigma,
        "confidence": confidence,
        "min_age_days": min_age_days,
        "max_caption_words": max_caption_words,
        "min_likes": min_likes,
        "hashtag_tolerance": hashtag_tolerance,
        "count_noise": count_noise or None,
        "max_pairs_per_user": max_pairs_per_user,
    }
    _check_together(days, window_hours, numbers, without or [], name)
    chosen = _choose_rules(rules, days, window_hours, numbers, measure, without or [])
    _check_used(chosen, matching, downloaded_at, assume_settled)
    with output.progress("posts", "posts") as progress:
        built = build_pairs(
            source,
            chosen,
            seed=seed,
            matching=cast("Matching", matching),
            downloaded_at=parse_time(downloaded_at),
            assume_settled=assume_settled,
            candidates=candidates,
            memory_limit=memory_limit,
            threads=threads,
            out=out,
            progress=progress,
        )
    if built.too_many_for_maximum:
        output.warn(
            f"WARNING: {built.too_many_for_maximum:,} posts are in groups of more than "
            f"{EXACT_UP_TO:,}, too many for --matching maximum; they were matched at random"
        )
    if as_json or stats:
        _show_pairs(built, chosen, out, as_json)
    else:
        print(f"{out}: {many(built.summary.pairs, 'pair')}")


def _check_only_levels(context: typer.Context) -> None:
    """Refuse options about posts beside --levels, where they would do nothing."""
    for parameter in context.command.params:
        given = context.get_parameter_source(parameter.name or "")
        is_given = given is not None and given.name == "COMMANDLINE"
        if is_given and parameter.name not in WITH_LEVELS:
            raise UserInputError(
                f"{parameter.opts[0]} and --levels do not go together", remedy="leave one out"
            )


def _check_together(
    days: int | None,
    window_hours: float | None,
    numbers: Mapping[str, float | None],
    without: Sequence[str],
    name: str,
) -> None:
    """Refuse options of which one would silently win."""
    window = days is not None or window_hours is not None
    for clash, what in (
        (days is not None and window_hours is not None, "--days and --window-hours"),
        (window and "dates" in without, "a window and --without dates"),
        *(
            (numbers[number] is not None and rule in without, f"{option} and --without {rule}")
            for number, option, rule in NUMBERS_OF
        ),
        (name != NAME, "--name without --levels"),
    ):
        if clash:
            raise UserInputError(f"{what} do not go together", remedy="leave one out")


def _check_used(
    rules: PairRules, matching: str, downloaded_at: str | None, assume_settled: bool
) -> None:
    """Refuse options that do nothing under these rules."""
    if matching != "random" and not rules.one_image_one_pair:
        raise UserInputError(
            f"--matching {matching} means nothing where one-image-one-pair is off",
            remedy="leave it out",
        )
    for given, option in (
        (downloaded_at is not None, "--downloaded-at"),
        (assume_settled, "--assume-settled"),
    ):
        if given and rules.min_age_days is None:
            raise UserInputError(
                f"{option} means nothing where the age rule is off",
                remedy="leave it out, or ask for an age: --min-age-days 30",
            )


def _choose_rules(
    named: str,
    days: int | None,
    window_hours: float | None,
    numbers: dict[str, float | None],
    measure: str,
    without: Sequence[str],
) -> PairRules:
    from i2pa.pairs import RULE_SETS, within_days

    if named not in RULE_SETS:
        raise UserInputError(
            f"unknown rules {named!r}", remedy=f"choose from {', '.join(RULE_SETS)}"
        )
    changes: dict[str, Any] = {k: v for k, v in numbers.items() if v is not None}
    if window_hours is not None:
        changes["window_hours"] = window_hours
    try:
        rules = replace(RULE_SETS[named], measure=cast("Any", measure), **changes)
        if days is not None:
            rules = within_days(rules, days)
    except ArgumentError as error:
        raise _of_option(error) from error
    for name in without:
        if name not in OFF:
            raise UserInputError(
                f"--without {name}: no such rule", remedy=f"choose from {', '.join(OFF)}"
            )
        rules = replace(rules, **OFF[name])
    return rules


def _of_option(error: ArgumentError) -> ArgumentError:
    """The same of the option that set a rule, and the one that switches it off."""
    rule = "dates_closer_than" if error.name == "days" else error.name
    off = next((name for name, changes in OFF.items() if rule in changes), None)
    return ArgumentError(
        f"--{error.name.replace('_', '-')}",
        error.value,
        error.wanted,
        remedy=f"--without {off} switches the rule off" if off else "",
    )


def _show_pairs(built: PairsBuilt, rules: PairRules, out: Path, as_json: bool) -> None:
    from i2pa.pairs.summary import table_1

    facts = built.facts
    lines = table_1(built.summary, rules.measure)
    if as_json:
        output.print_json(
            "pairs",
            output=str(out),
            pairs=built.summary.pairs,
            rules=asdict(rules),
            **{key: facts[key] for key in ("rules_sha256", "matching", "posts_hash")},
            seed=int(facts["seed"]),
            funnel=[asdict(step) | {"after": step.after} for step in built.funnel],
            windows_cut=built.windows_cut,
            too_many_for_maximum=built.too_many_for_maximum,
            table_1=[{"attribute": a, "value": v, "paper": p} for a, v, p in lines],
        )
        return
    output.print_columns(
        f"{out}: what each rule leaves",
        ("rule", "of", "in", "removed", "left"),
        [
            (step.rule, step.unit, f"{step.before:,}", f"{step.removed:,}", f"{step.after:,}")
            for step in built.funnel
        ],
    )
    if built.windows_cut:
        print(
            f"{many(built.windows_cut, 'post')} had more than {facts['candidates']} later ones in "
            "the window and looked at a seeded choice of them (--candidates)"
        )
    output.print_columns(
        "Table 1",
        ("attribute", "here", "paper"),
        [(a, _number(v), _number(p)) for a, v, p in lines],
    )


def _number(value: float) -> str:
    return f"{value:,.4g}" if value < 1e4 else f"{value:,.0f}"
