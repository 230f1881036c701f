"""How numbers of ``report.json`` are shown to people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def percent(estimate: Any, *, interval: bool = True) -> str:
    """A rate in per cent with its interval: ``83.1 [79.0, 86.4]``; a dash where it is not defined."""
    value = estimate["value"] if isinstance(estimate, Mapping) else estimate
    if value is None:
        return "–"
    shown = f"{100 * value:.1f}"
    if interval and isinstance(estimate, Mapping) and estimate["low"] is not None:
        shown += f" [{100 * estimate['low']:.1f}, {100 * estimate['high']:.1f}]"
    return shown


def plain(estimate: Mapping[str, Any]) -> str:
    """A number that is no share, with its interval."""
    if estimate["value"] is None:
        return "–"
    shown = f"{estimate['value']:.2f}"
    return shown if estimate["low"] is None else f"{shown} [{estimate['low']:.2f}, {estimate['high']:.2f}]"


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    """A Markdown table; all columns but the first are set to the right."""
    cells = [[str(cell).replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [list(head), *cells]) for i in range(len(head))]

    def line(row: Sequence[str]) -> str:
        aligned = [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
        return f"| {' | '.join(aligned)} |"

    rule = [":" + "-" * (widths[0] - 1), *("-" * (width - 1) + ":" for width in widths[1:])]
    return [line(head), f"|{'|'.join(f' {r} ' for r in rule)}|", *map(line, cells)]
