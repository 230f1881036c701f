"""What a sweep came to: a table in Markdown, best first, and a plot of each field as SVG."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from training.sweep import Trial

_WIDTH, _HEIGHT, _MARGIN = 300, 220, 44
_COLUMNS = 3
_LOG_FROM = 20
"""Values that differ by more than this factor are drawn by their order of magnitude."""


def ranked(trials: Sequence[Trial], metric: str) -> list[Trial]:
    """The trials from the best to the worst; those without a result last."""
    sign = -1 if metric == "f1" else 1

    def place(trial: Trial) -> tuple[bool, float]:
        value = getattr(trial, metric)
        return value is None, 0.0 if value is None else sign * value

    return sorted(trials, key=place)


def table(trials: Sequence[Trial], metric: str) -> str:
    """The trials as a table, best first."""
    fields = list(trials[0].values) if trials else []
    head = ["trial", *fields, "F1", "loss", "minutes", ""]
    lines = [_row(head), _row(["---"] * len(head))]
    for trial in ranked(trials, metric):
        numbers = [_number(trial.f1), _number(trial.loss), _number(trial.minutes)]
        shown = [_number(trial.values[field]) for field in fields]
        lines.append(_row([f"{trial.number:03d}", *shown, *numbers, trial.problem]))
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _number(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def draw(trials: Sequence[Trial], metric: str) -> str:
    """One chart for each field of the space: its value across, the metric upwards; the best trial is red."""
    done = [trial for trial in ranked(trials, metric) if getattr(trial, metric) is not None]
    fields = list(trials[0].values) if trials else []
    charts = [
        f'<g transform="translate({index % _COLUMNS * _WIDTH} {index // _COLUMNS * _HEIGHT})">\n'
        f"{_chart(field, done, metric)}\n</g>"
        for index, field in enumerate(fields)
    ]
    width = min(_COLUMNS, max(1, len(fields))) * _WIDTH
    height = -(-max(1, len(fields)) // _COLUMNS) * _HEIGHT
    size = f'width="{width}" height="{height}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="system-ui" font-size="11">\n'
        f'<rect {size} fill="#fff"/>\n' + "\n".join(charts) + "\n</svg>\n"
    )


def _chart(field: str, trials: Sequence[Trial], metric: str) -> str:
    """`trials` from the best to the worst."""
    across, labels = _places([trial.values[field] for trial in trials])
    results = [getattr(trial, metric) for trial in trials]
    low, high = min(results, default=0.0), max(results, default=1.0)
    right, bottom = _WIDTH - _MARGIN, _HEIGHT - _MARGIN

    def x(share: float) -> float:
        return _MARGIN + share * (right - _MARGIN)

    def y(value: float) -> float:
        return bottom - (value - low) / (high - low or 1.0) * (bottom - _MARGIN)

    lines = [
        f'<text x="{_MARGIN}" y="20" font-weight="bold">{html.escape(field)}</text>',
        f'<polyline points="{_MARGIN},{_MARGIN} {_MARGIN},{bottom} {right},{bottom}"'
        ' fill="none" stroke="#999"/>',
        f'<text x="4" y="{_MARGIN + 4}">{high:.3g}</text>',
        f'<text x="4" y="{bottom}">{low:.3g}</text>',
        *(
            f'<text x="{x(share):.1f}" y="{bottom + 16}" text-anchor="middle">{html.escape(label)}</text>'
            for share, label in labels
        ),
    ]
    # The best one last, so that no other covers it.
    for share, value in reversed(list(zip(across, results, strict=True))):
        lines.append(
            f'<circle cx="{x(share):.1f}" cy="{y(value):.1f}" r="4" fill="#4a78b5" fill-opacity="0.6"/>'
        )
    if results:
        lines.append(f'<circle cx="{x(across[0]):.1f}" cy="{y(results[0]):.1f}" r="4" fill="#c0504d"/>')
    return "\n".join(lines)


def _places(values: Sequence[Any]) -> tuple[list[float], list[tuple[float, str]]]:
    """Where values stand between 0 and 1, and the labels below: numbers by size, words side by side."""
    if not values:
        return [], []
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    if not numbers:
        names = sorted({str(value) for value in values})
        at = {name: (index + 0.5) / len(names) for index, name in enumerate(names)}
        return [at[str(value)] for value in values], [(place, name) for name, place in at.items()]
    low, high = min(values), max(values)
    scale = math.log if low > 0 and high / low > _LOG_FROM else float
    span = scale(high) - scale(low) or 1.0
    places = [(scale(value) - scale(low)) / span for value in values]
    return places, [(0.0, _number(low)), (1.0, _number(high))] if high > low else [(0.0, _number(low))]
