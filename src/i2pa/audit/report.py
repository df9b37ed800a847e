"""An audit as rows to print, as a JSON object, and as one HTML page that needs no other file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from html import escape

from i2pa.audit import figures
from i2pa.audit.checks import LEAKS, Check, Share, Table
from i2pa.audit.run import MOST_DATES, Audit
from i2pa.audit.verdict import SHORTCUTS, USELESS
from i2pa.files import whole_file
from i2pa.words import many

COLUMNS = ("check", "value", "95 % interval", "n", "users", "verdict")
"""Of `rows`."""

TABLE_COLUMNS = ("class", "share", "95 % interval", "pairs")
"""Of `table_rows`."""


def as_record(audit: Audit) -> dict[str, object]:
    """The audit as a mapping for JSON, every name as in `Audit`, the overall verdict in words."""
    fields = asdict(audit)
    fields["verdict"] = audit.overall.verdict
    fields["summary"] = " ".join(audit.overall.sentences)
    del fields["overall"]
    first = ("source", "pairs", "users", "verdict", "summary")
    return {name: fields[name] for name in first} | fields


def rows(checks: Sequence[Check]) -> list[tuple[str, ...]]:
    """One row of COLUMNS for each check."""
    return [
        (
            check.title,
            _value(check),
            _interval(check.low, check.high),
            f"{check.n:,}",
            "" if check.users is None else f"{check.users:,}",
            check.verdict,
        )
        for check in checks
    ]


def table_rows(table: Table) -> list[tuple[str, ...]]:
    """One row of TABLE_COLUMNS for each class."""
    return [
        (row.label, f"{100 * row.value:.1f} %", _interval(row.low, row.high), f"{row.n:,}")
        for row in table.rows
    ]


def write_html(audit: Audit, path: str | os.PathLike[str]) -> None:
    """Write the report as one HTML file; it appears whole or not at all."""
    with whole_file(path) as aside:
        aside.write_text(as_html(audit), encoding="utf-8")


def as_html(audit: Audit) -> str:
    """One page: the verdict, figures as inline SVG, every check and table. Nothing is fetched."""
    bad = audit.overall.verdict in (LEAKS, USELESS)
    users = "unknown users" if audit.users is None else many(audit.users, "user")
    unread = [f"{picture.path}: {picture.reason}" for picture in audit.unreadable]
    parts = [
        f"<h1>Audit of {escape(audit.source)}</h1>",
        f"<p>{many(audit.pairs, 'pair')}, {users}{', weighted' if audit.weighted else ''}</p>",
        f'<section class="verdict {"bad" if bad else "calm"}"><h2>'
        f"{escape(audit.overall.verdict)}</h2>"
        + "".join(f"<p>{escape(sentence)}</p>" for sentence in audit.overall.sentences)
        + "</section>",
        *(f'<p class="warning">{escape(warning)}</p>' for warning in audit.warnings),
        *_figures(audit),
        "<h2>Checks</h2>",
        _html_table(
            (*COLUMNS, "in words"),
            [
                (*row, f"{c.says}{': ' if c.found else ''}{c.first_found}")
                for row, c in zip(rows(audit.checks), audit.checks, strict=True)
            ],
        ),
    ]
    if audit.not_checked:
        missing = [(skipped.name, skipped.why) for skipped in audit.not_checked]
        parts += ["<h2>Not checked</h2>", _html_table(("check", "why"), missing)]
    for table in audit.tables:
        parts += [
            f"<details><summary>{escape(table.title)}</summary>",
            _html_table(TABLE_COLUMNS, table_rows(table))
            if table.rows
            else "<p>The two posts of every pair are of one class, so nothing is to be shown.</p>",
            "</details>",
        ]
    if unread:
        parts += ["<h2>Pictures left out</h2><ul>", *(f"<li>{escape(u)}</li>" for u in unread)]
        parts.append("</ul>")
    parts.append(
        f"<footer>Intervals: 95 %, percentile bootstrap over {audit.resampled}, "
        f"{audit.draws:,} draws, seed {audit.seed}. Classes in the figures carry no verdict: "
        "of twenty, one leaves out 50 % by chance.</footer>"
    )
    return _PAGE.format(title=escape(f"Audit of {audit.source}"), style=_STYLE, body="".join(parts))


def _figures(audit: Audit) -> list[str]:
    guesses = [
        Share(check.title, check.n, check.value, check.low, check.high)
        for check in audit.checks
        if check.name in SHORTCUTS and check.low is not None and check.high is not None
    ]
    drawn = []
    if guesses:
        drawn.append(figures.intervals("How often a guess without looking is right", guesses))
    for table in audit.tables:
        # Where both posts of every pair are of one class, none won by it.
        if table.rows:
            drawn.append(figures.shares(table.title, table.rows))
    if audit.date_gaps:
        labels = [
            f"{gap}+" if gap == MOST_DATES else str(gap) for gap in range(len(audit.date_gaps))
        ]
        drawn.append(figures.bars("pairs, by UTC dates between the posts", labels, audit.date_gaps))
    return drawn


def _html_table(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in cells
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="wide">{table}</div>'


def _value(check: Check) -> str:
    if check.unit in ("share of pairs", "share"):
        return f"{100 * check.value:.2f} %"
    if check.unit == "0 to 1":
        return f"{check.value:.3f}"
    return many(int(check.value), check.unit.removesuffix("s"))


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"[{100 * low:.2f}, {100 * high:.2f}]"


_PAGE = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    "<title>{title}</title><style>{style}</style></head><body><main>{body}</main></body></html>\n"
)

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2733; --paper: #fff; --soft: #66717d; --line: #d8dee4;
  --mark: #1f6feb; --bad: #c0362c; --calm: #2f7d4f; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --paper: #11161c; --soft: #9aa6b2;
  --line: #30363d; --mark: #6cb0ff; --bad: #ff7b72; --calm: #6fd08c; } }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 1rem; }
.verdict { border-left: .4rem solid; padding: .2rem 1rem; }
.verdict.bad { border-color: var(--bad); } .verdict.calm { border-color: var(--calm); }
.verdict h2 { margin: 0; } .warning { color: var(--bad); }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .9rem; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--line); }
td:nth-child(7) { min-width: 22rem; }
figure { margin: 1.5rem 0; overflow-x: auto; } figcaption { font-weight: 600; }
svg { width: 100%; min-width: 40rem; height: auto; }
svg text { fill: var(--soft); font-size: 12px; } svg circle, svg .bar { fill: var(--mark); }
svg .interval { stroke: var(--mark); stroke-width: 2; }
svg .chance { stroke: var(--soft); stroke-dasharray: 4 4; }
footer { color: var(--soft); font-size: .85rem; margin-top: 2rem; }
"""
