"""Bar charts as SVG, drawn from counts: enough for a data card, and no dependency."""

from __future__ import annotations

import html
from collections.abc import Mapping

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
