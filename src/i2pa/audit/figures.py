"""Figures as SVG text, to stand inside the HTML report. Numbers in, markup out.

Drawn here rather than by a plotting package: three kinds of plain figure need none, and their
colours follow the page's light or dark scheme by class.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from i2pa.audit.checks import Share
from i2pa.words import many

_WIDTH = 720
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 20, 16, 34


def intervals(title: str, rows: Sequence[Share]) -> str:
    """Shares from 0 to 1 as points with their intervals, one line each, beside the 50 % line."""
    height, left = _TOP + 30 * len(rows) + _BOTTOM, 300
    low, high = _range(rows)

    def x(share: float) -> float:
        return left + (share - low) / (high - low) * (_WIDTH - _RIGHT - left)

    parts = [_line(x(0.5), _TOP, x(0.5), height - _BOTTOM, "chance")]
    for tick in _ticks(low, high):
        parts.append(_text(x(tick), height - 12, f"{100 * tick:.0f} %", "middle"))
    for index, row in enumerate(rows):
        y = _TOP + 30 * index + 15
        parts += [
            _text(left - 12, y + 4, row.label, "end"),
            _line(x(row.low), y, x(row.high), y, "interval"),
            _dot(x(row.value), y, row),
        ]
    return _figure(title, height, parts)


def shares(title: str, rows: Sequence[Share], every: int = 1) -> str:
    """Shares by class from left to right, with intervals; every `every`th class is labelled."""
    height = 240
    low, high = _range(rows)

    def y(share: float) -> float:
        return _TOP + (high - share) / (high - low) * (height - _TOP - _BOTTOM)

    parts = [_line(_LEFT, y(0.5), _WIDTH - _RIGHT, y(0.5), "chance")]
    parts += [_text(_LEFT - 8, y(t) + 4, f"{100 * t:.0f} %", "end") for t in _ticks(low, high)]
    step = (_WIDTH - _LEFT - _RIGHT) / max(len(rows), 1)
    for index, row in enumerate(rows):
        x = _LEFT + step * (index + 0.5)
        parts += [_line(x, y(row.low), x, y(row.high), "interval"), _dot(x, y(row.value), row)]
        if index % every == 0:
            parts.append(_text(x, height - 12, row.label, "middle"))
    return _figure(title, height, parts)


def bars(title: str, labels: Sequence[str], counts: Sequence[int]) -> str:
    """Counts as bars from left to right."""
    height, most = 240, max([*counts, 1])
    step = (_WIDTH - _LEFT - _RIGHT) / max(len(counts), 1)
    parts = [_text(_LEFT - 8, _TOP + 8, f"{most:,}", "end")]
    for index, (label, count) in enumerate(zip(labels, counts, strict=True)):
        tall = count / most * (height - _TOP - _BOTTOM)
        x, y = _LEFT + step * index + step * 0.1, height - _BOTTOM - tall
        parts.append(
            f'<rect class="bar" x="{x:.1f}" y="{y:.1f}" width="{step * 0.8:.1f}" '
            f'height="{tall:.1f}"><title>{escape(label)}: {count:,}</title></rect>'
        )
        parts.append(_text(x + step * 0.4, height - 12, label, "middle"))
    return _figure(title, height, parts)


def _range(rows: Sequence[Share]) -> tuple[float, float]:
    low = min([0.45, *(row.low for row in rows)])
    high = max([0.55, *(row.high for row in rows)])
    return max(0.0, low - 0.02), min(1.0, high + 0.02)


def _ticks(low: float, high: float) -> list[float]:
    step = 0.05 if high - low < 0.3 else 0.1
    return [tick for tick in (step * i for i in range(round(1 / step) + 1)) if low <= tick <= high]


def _figure(title: str, height: float, parts: Sequence[str]) -> str:
    return (
        f'<figure><figcaption>{escape(title)}</figcaption><svg viewBox="0 0 {_WIDTH} {height:.0f}" '
        f'role="img" aria-label="{escape(title)}">{"".join(parts)}</svg></figure>'
    )


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _dot(x: float, y: float, row: Share) -> str:
    about = (
        f"{row.label}: {100 * row.value:.1f} % "
        f"[{100 * row.low:.1f}, {100 * row.high:.1f}], {many(row.n, 'pair')}"
    )
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4"><title>{escape(about)}</title></circle>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
