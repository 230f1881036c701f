"""Loss and F1 over the steps of a run, as one SVG: enough for a report, and no dependency."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

WIDTH, HEIGHT, MARGIN = 720, 240, 48
"""Size of one chart and the room for its labels, in pixels."""

_COLOURS = ("#4a78b5", "#c0504d", "#5f9e4f", "#8064a2", "#d08a2e", "#3a9a9a", "#7f7f7f", "#b0567d")

Points = Sequence[tuple[float, float]]


def draw(history: Sequence[Mapping[str, Any]]) -> str:
    """A chart of the losses and, where it was measured, one of the F1 scores.

    Args:
        history: the trainer's log: mappings with ``step`` and numbers by name.
    """
    losses = {"training": _series(history, "loss")}
    losses |= _named(history, "eval_loss", "validation")
    scores = _named(history, "eval_f1", "F1")
    charts = [_chart("loss of the answer's tokens", losses)]
    if scores:
        charts.append(_chart("entity F1, free answers", scores))
    body = "\n".join(
        f'<g transform="translate(0 {index * HEIGHT})">\n{chart}\n</g>' for index, chart in enumerate(charts)
    )
    size = f'width="{WIDTH}" height="{HEIGHT * len(charts)}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="system-ui" font-size="11">\n'
        f'<rect {size} fill="#fff"/>\n{body}\n</svg>\n'
    )


def _series(history: Sequence[Mapping[str, Any]], name: str) -> Points:
    return [(entry["step"], entry[name]) for entry in history if name in entry]


def _named(history: Sequence[Mapping[str, Any]], prefix: str, title: str) -> dict[str, Points]:
    """The series of a name and of its parts by source; those by type would be too many for a picture."""
    names = dict.fromkeys(key for entry in history for key in entry if key.startswith(prefix))
    shown = [name for name in names if "_type_" not in name][: len(_COLOURS) - 1]
    return {name.replace(prefix, title).replace("_", " "): _series(history, name) for name in shown}


def _chart(title: str, series: Mapping[str, Points]) -> str:
    points = [point for line in series.values() for point in line]
    last = max((x for x, _ in points), default=0) or 1
    top = max((y for _, y in points), default=0) or 1

    def place(x: float, y: float) -> str:
        across, up = WIDTH - 2 * MARGIN - 130, HEIGHT - 2 * MARGIN
        return f"{MARGIN + across * x / last:.1f},{HEIGHT - MARGIN - up * y / top:.1f}"

    lines = [
        f'<text x="{MARGIN}" y="20" font-weight="bold">{html.escape(title)}</text>',
        f'<polyline points="{place(0, top)} {place(0, 0)} {place(last, 0)}" fill="none" stroke="#999"/>',
        f'<text x="4" y="{MARGIN + 4}">{top:.3g}</text>',
        f'<text x="4" y="{HEIGHT - MARGIN}">0</text>',
        f'<text x="{MARGIN}" y="{HEIGHT - MARGIN + 16}">0</text>',
        f'<text x="{WIDTH - 180}" y="{HEIGHT - MARGIN + 16}" text-anchor="end">step {last:,.0f}</text>',
    ]
    for index, (name, line) in enumerate(series.items()):
        colour = _COLOURS[index % len(_COLOURS)]
        joined = " ".join(place(x, y) for x, y in line)
        lines.append(f'<polyline points="{joined}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        lines.append(
            f'<text x="{WIDTH - 170}" y="{MARGIN + 14 * index}" fill="{colour}">{html.escape(name)}</text>'
        )
    return "\n".join(lines)
