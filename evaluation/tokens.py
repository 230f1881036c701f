"""Spans in tokens: a Chinese character, a run of other letters and digits, or a sign that is no space.

A model's own tokens would not do: the numbers of two models could then not be compared.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from pii.spans import Span

_HAN = r"\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_TOKEN = re.compile(rf"[{_HAN}]|[^\W_{_HAN}]+|[^\w\s]|_")


def extents(text: str, *groups: Sequence[Span]) -> list[list[Span]]:
    """Groups of spans with token numbers in place of code points; a token that a span touches belongs to it.

    A span of nothing but space touches none, and is left out.
    """
    if not any(groups):
        return [[] for _ in groups]
    places = [found.span() for found in _TOKEN.finditer(text)]
    starts, ends = [start for start, _ in places], [end for _, end in places]

    def moved(span: Span) -> tuple[int, int]:
        return bisect_right(ends, span.start), bisect_left(starts, span.end)

    return [
        [Span(first, last, span.type) for span in group for first, last in [moved(span)] if first < last]
        for group in groups
    ]
