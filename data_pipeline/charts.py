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


SIDE, PAD = 300, 40
"""Side of a square chart, and the room around it for its labels, in pixels."""

Line = Sequence[tuple[float, float]]


def square(
    title: str, x: str, y: str, lines: Mapping[str, Line], points: Mapping[str, tuple[float, float]]
) -> str:
    """Shares against shares, both axes from 0 to 1: lines by name, and single points with their names.

    A line named ``ideal`` is drawn thin and grey.
    """

    def place(across: float, up: float) -> tuple[float, float]:
        return round(PAD + SIDE * across, 1), round(PAD + SIDE * (1 - up), 1)

    size = SIDE + 2 * PAD
    body = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size} {size}" width="{size}" height="{size}" '
        f'role="img" aria-label="{html.escape(title)}" font-family="system-ui, sans-serif" font-size="11">',
        f'<rect x="{PAD}" y="{PAD}" width="{SIDE}" height="{SIDE}" fill="#fff" stroke="#c9d2db"/>',
        f'<text x="{PAD}" y="18" font-size="13" font-weight="bold">{html.escape(title)}</text>',
        f'<text x="{PAD + SIDE}" y="{size - 4}" text-anchor="end">{html.escape(x)}</text>',
        f'<text x="{PAD}" y="34">{html.escape(y)}</text>',
    ]
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        (at, _), (_, height) = place(tick, 0), place(0, tick)
        body += [
            f'<line x1="{at}" y1="{PAD}" x2="{at}" y2="{PAD + SIDE}" stroke="#eef1f4"/>',
            f'<line x1="{PAD}" y1="{height}" x2="{PAD + SIDE}" y2="{height}" stroke="#eef1f4"/>',
            f'<text x="{at}" y="{PAD + SIDE + 14}" text-anchor="middle" fill="#667">{tick:g}</text>',
            f'<text x="{PAD - 6}" y="{height + 4}" text-anchor="end" fill="#667">{tick:g}</text>',
        ]
    for index, (name, line) in enumerate(lines.items()):
        joined = " ".join("{},{}".format(*place(*point)) for point in line)
        look = 'stroke="#9aa5b1" stroke-dasharray="4 3"' if name == "ideal" else f'stroke="{COLOURS[index]}"'
        body.append(f'<polyline points="{joined}" fill="none" {look} stroke-width="2"/>')
        if name != "ideal":
            body += [
                '<circle cx="{}" cy="{}" r="3" fill="{}"/>'.format(*place(*p), COLOURS[index]) for p in line
            ]
    for index, (name, point) in enumerate(points.items(), 1):
        at, height = place(*point)
        colour, told = COLOURS[index % len(COLOURS)], html.escape(name)
        body += [
            f'<circle cx="{at}" cy="{height}" r="5" fill="{colour}"/>',
            f'<text x="{at - 8}" y="{height + 14}" text-anchor="end" fill="{colour}">{told}</text>',
        ]
    return "\n".join([*body, "</svg>"])
