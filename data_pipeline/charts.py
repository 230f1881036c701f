"""Charts as SVG, bars from counts and values with intervals: enough for a report, and no dependency."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

BAR, LABEL, WIDTH = 18, 210, 760
"""Height of a row, width of the labels and of the whole picture, in pixels."""


def bars(title: str, counts: Mapping[str, int]) -> str:
    """A horizontal bar for each count, in the order given."""
    largest = max(counts.values(), default=0) or 1
    height = BAR * (len(counts) + 2)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        'font-family="system-ui" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="4" y="{BAR}" font-weight="bold">{html.escape(title)}</text>',
    ]
    for row, (name, count) in enumerate(counts.items(), 1):
        y = BAR * row + 8
        length = round((WIDTH - LABEL - 80) * count / largest, 1)
        lines += [
            f'<text x="{LABEL - 6}" y="{y + 12}" text-anchor="end">{html.escape(name)}</text>',
            f'<rect x="{LABEL}" y="{y + 2}" width="{length}" height="{BAR - 5}" fill="#4a78b5"/>',
            f'<text x="{LABEL + length + 5}" y="{y + 12}">{count:,}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])


COLOURS = ("#4a78b5", "#c0504d", "#5f9e4f", "#8064a2", "#d08a2e", "#3a9a9a", "#7f7f7f", "#b0567d")
_TICKS = 5


@dataclass(frozen=True, slots=True)
class Mark:
    """A value and, where it is known, its interval; a value of None is not drawn."""

    value: float | None
    low: float | None = None
    high: float | None = None


def marks(title: str, rows: Mapping[str, Mapping[str, Mark]], *, top: float | None = None) -> str:
    """A row for each name, a dot for each of its series, a line where it has an interval.

    Args:
        title: stands above, with the names of the series.
        rows: name → series → its mark; the series are coloured in the order in which they first appear.
        top: the right end of the axis, which begins at 0; None: a round number that fits.
    """
    series = list(dict.fromkeys(name for row in rows.values() for name in row))
    every = [x for row in rows.values() for m in row.values() for x in (m.value, m.high) if x is not None]
    end = top if top is not None else _round_up(max(every, default=1.0))
    height = BAR * (len(rows) + 4)
    body = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" font-family="system-ui, sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="4" y="{BAR - 3}" font-weight="bold">{html.escape(title)}</text>',
        *_legend(series),
        *_axis(end, BAR * 2, BAR * (len(rows) + 2)),
    ]
    for index, (name, row) in enumerate(rows.items()):
        middle = BAR * (index + 2) + BAR // 2
        body.append(f'<text x="{LABEL - 8}" y="{middle + 4}" text-anchor="end">{html.escape(name)}</text>')
        for at, mark in row.items():
            body += _dot(mark, end, middle, COLOURS[series.index(at) % len(COLOURS)], f"{name}, {at}")
    return "\n".join([*body, "</svg>", ""])


def _round_up(value: float) -> float:
    """The least of 1, 2, 2.5, 5 times a power of ten that is not below a value."""
    if value <= 0:
        return 1.0
    unit: float = 10.0 ** math.floor(math.log10(value))
    return next(step * unit for step in (1, 2, 2.5, 5, 10) if step * unit >= value * 0.999)


def _across(value: float, end: float) -> float:
    return round(LABEL + (WIDTH - LABEL - 30) * min(max(value, 0), end) / end, 1)


def _legend(series: Sequence[str]) -> list[str]:
    lines, x = [], LABEL
    for index, name in enumerate(series):
        colour = COLOURS[index % len(COLOURS)]
        lines += [
            f'<circle cx="{x + 4}" cy="{BAR + 8}" r="4" fill="{colour}"/>',
            f'<text x="{x + 12}" y="{BAR + 12}">{html.escape(name)}</text>',
        ]
        x += 30 + 7 * len(name)
    return lines


def _axis(end: float, upper: int, lower: int) -> list[str]:
    lines = []
    for tick in range(_TICKS + 1):
        value = end * tick / _TICKS
        x = _across(value, end)
        lines += [
            f'<line x1="{x}" y1="{upper}" x2="{x}" y2="{lower}" stroke="#e3e8ee"/>',
            f'<text x="{x}" y="{lower + 14}" text-anchor="middle" fill="#666">{value:.3g}</text>',
        ]
    return lines


def _dot(mark: Mark, end: float, middle: int, colour: str, name: str) -> list[str]:
    if mark.value is None:
        return []
    x, told = _across(mark.value, end), html.escape(f"{name}: {mark.value:.3g}")
    lines = [f'<circle cx="{x}" cy="{middle}" r="4" fill="{colour}"><title>{told}</title></circle>']
    if mark.low is not None and mark.high is not None:
        low, high = _across(mark.low, end), _across(mark.high, end)
        lines.append(
            f'<line x1="{low}" y1="{middle}" x2="{high}" y2="{middle}" stroke="{colour}" stroke-width="2"/>'
        )
    return lines
