"""Long text to overlapping windows and back: the same cut in training, evaluation and serving.

A window shows the model its core and up to ``margin`` characters on each side. The cores tile the text,
and a span belongs to the window whose core holds its start; so every span is taken exactly once, and a
span that begins near the end of a core is still seen whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from pii.spans import Span


@dataclass(frozen=True, slots=True)
class Window:
    """What one model call sees: ``text[start:end]``; it answers for spans that start in the core."""

    start: int
    end: int
    core_start: int
    core_end: int


# Where a core may end, best first: after a line, a sentence, a clause, a word.
_BREAKS = tuple(re.compile(p) for p in (r"\n+", r"[。！？!?；;…]+|[.](?=\s)", r"[，、,：:]", r"\s+"))


def cut(text: str, max_chars: int, margin: int) -> list[Window]:
    """Cut a text into windows; the cores tile it. A text that fits is one window; an empty one, none.

    Args:
        text: the whole document.
        max_chars: most code points that a window may hold.
        margin: context on each side of a core, in code points; ``2 * margin < max_chars``.
    """
    if not 0 <= 2 * margin < max_chars:
        raise ValueError("expected 0 <= 2 * margin < max_chars")
    if len(text) <= max_chars:
        return [Window(0, len(text), 0, len(text))] if text else []
    windows, core_start = [], 0
    while core_start < len(text):
        start = max(0, core_start - margin)
        if start + max_chars >= len(text):
            core_end = len(text)
        else:
            core_end = _break_before(text, core_start, start + max_chars - margin)
        windows.append(Window(start, min(len(text), core_end + margin), core_start, core_end))
        core_start = core_end
    return windows


def _break_before(text: str, core_start: int, limit: int) -> int:
    """The last good place to end a core in its second half, or the limit where there is none."""
    earliest = core_start + max(1, (limit - core_start) // 2)
    for pattern in _BREAKS:
        ends = [m.end() for m in pattern.finditer(text, earliest, limit)]
        if ends:
            return ends[-1]
    return limit


def halves(text: str, window: Window, margin: int) -> tuple[Window, Window] | None:
    """Split a window whose answer did not fit into two; None where it is too short to split."""
    if window.core_end - window.core_start < 2:
        return None
    middle = _break_before(text, window.core_start, (window.core_start + window.core_end + 1) // 2)
    # The context shrinks with the window, or the halves would be no shorter than the whole.
    margin = min(margin, (window.core_end - window.core_start) // 4)
    left = Window(window.start, min(window.end, middle + margin), window.core_start, middle)
    right = Window(max(window.start, middle - margin), window.end, middle, window.core_end)
    return left, right


def localise(spans: Iterable[Span], window: Window) -> tuple[Span, ...]:
    """The spans, or the parts of them, that the window shows, with offsets of the window's text."""
    return tuple(
        replace(s, start=max(s.start, window.start) - window.start, end=min(s.end, window.end) - window.start)
        for s in spans
        if s.start < window.end and window.start < s.end
    )


def gather(windows: Sequence[Window], found: Sequence[Sequence[Span]]) -> list[Span]:
    """Undo `localise`: each window's spans, in its own offsets, to the spans of the whole text.

    A span that its window shows only in part (it is longer than the margin) is continued by the next
    windows' parts of the same type. Where windows contradict each other, spans of one type that overlap
    become one, so that no character that either marked is lost; of two types, the one that starts first
    stays.

    With a margin of at least one, ``gather(windows, [localise(gold, w) for w in windows])`` is the gold.
    Without a margin, a span across a cut cannot be told from two neighbours that meet there; it is taken
    for one.
    """
    everywhere = [
        [replace(s, start=s.start + w.start, end=s.end + w.start) for s in spans]
        for w, spans in zip(windows, found, strict=True)
    ]
    whole = [
        _continued(span, index, windows, everywhere)
        for index, window in enumerate(windows)
        for span in everywhere[index]
        if window.core_start <= span.start < window.core_end
    ]
    kept: list[Span] = []
    for span in sorted(whole):
        last = kept[-1] if kept else None
        if last is None or not last.overlaps(span):
            kept.append(span)
        elif last.type == span.type:
            kept[-1] = replace(last, end=max(last.end, span.end))
    return kept


def _continued(span: Span, index: int, windows: Sequence[Window], everywhere: Sequence[list[Span]]) -> Span:
    """The span of window ``index`` with the parts of it that the following windows show.

    A span is followed as long as it reaches the end of what was seen of it. Windows that were halved may
    show less than the one before them; those are passed over.
    """
    seen = windows[index].end
    for following in range(index + 1, len(windows)):
        window = windows[following]
        if span.end != seen or window.start > seen:
            break
        if window.end <= seen:
            continue
        begin = max(window.start, span.start)
        ends = [p.end for p in everywhere[following] if p.type == span.type and p.start == begin]
        if not ends:
            break
        span, seen = replace(span, end=max(span.end, *ends)), window.end
    return span
