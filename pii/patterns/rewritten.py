"""A second reading where layout cuts a value up: a line break inside it, a space after each digit.

Each such place is written once more as it would stand without the layout, with what stands around it, and the
recognisers read these lines as any other text. Only what owes itself to the rewriting is taken from them: a
value that reaches over the line break, or one that is exactly the run of spread digits.
"""

from __future__ import annotations

import bisect
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from pii.folding import Folded
from pii.patterns.scanned import Candidate, Scanned

_CONTEXT = 48
"""Characters kept on either side: longer than a label and its value's halves."""

_HAN = "〇零一二三四五六七八九十年月"
# No value goes on in a date: that is how the next line of a log begins.
_BREAK = re.compile(
    # The line feed first, which the search finds in C; then what stands before it.
    rf"\n(?:(?<=[0-9A-Za-z@.:_()+·,/ {_HAN}-]\n)|(?<=[0-9A-Za-z@.:_()+·,/ {_HAN}-]\r\n))"
    rf" {{0,4}}(?=[0-9A-Za-z@.:_()+·,/ {_HAN}日-])"
    r"(?!(?:19|20)[0-9]{2}[-/.][0-9]{2}[-/.][0-9]{2})"
)
_HINT = re.compile(rf"[0-9@{_HAN}]")
_SPREAD = re.compile(
    r"[0-9](?<![0-9A-Za-z][0-9])(?<![0-9][ .-][0-9])(?=([ .-]))(?:\1[0-9]){3,18}(?:\1[Xx])?(?!\1?[0-9A-Za-z])"
)
_ENDS = re.compile(r"[，。；！？,;)]|\s*$")

PLACES = (_BREAK, _SPREAD)
"""One of these matches in every text that has anything to rewrite."""

_FREE_LENGTH = frozenset({"USERNAME", "CREDENTIAL"})
"""Types whose values are whatever stands on the line: a word of the next line would join any of them."""


@dataclass(frozen=True, slots=True)
class _Place:
    """One rewritten place: where it stands in the rewritten text, and what was cut out of the scanned one."""

    start: int
    end: int
    cut: tuple[int, int] | None


def _windows(text: str) -> Iterator[tuple[list[tuple[int, int]], tuple[int, int], bool]]:
    """Pieces of the text to be written one behind the other, the place in question, whether it is a break."""
    if not _HINT.search(text):
        return
    for cut in _BREAK.finditer(text):
        start, end = cut.span()
        start -= text[start - 1] == "\r"
        if not _HINT.search(text, max(0, start - 20), min(len(text), end + 20)):
            continue
        begin = max(text.rfind("\n", max(0, start - _CONTEXT), start) + 1, start - _CONTEXT, 0)
        stop = text.find("\n", end, end + _CONTEXT)
        yield (
            [(begin, start), (end, stop if stop >= 0 else min(len(text), end + _CONTEXT))],
            (start, end),
            True,
        )
    for run in _SPREAD.finditer(text):
        start, end = run.span()
        singles = [(at, at + 1) for at in range(start, end, 2)]
        yield (
            [(max(0, start - _CONTEXT), start), *singles, (end, min(len(text), end + 4))],
            (start, end),
            False,
        )


def without_layout(text: str) -> str:
    """What the second reading reads: all rewritten places of a text as paragraphs."""
    parts = ["".join([text[a:b] for a, b in pieces]) for pieces, _, _ in _windows(text)]
    return "\n\n".join([*parts, ""])


def _rewrite(text: str) -> tuple[Folded, list[_Place]]:
    """`without_layout` of a scanned text, with the way back to it."""
    parts: list[str] = []
    offsets = array("I")
    places: list[_Place] = []
    for pieces, (start, end), is_break in _windows(text):
        begin = len(offsets)
        for a, b in pieces:
            parts.append(text[a:b])
            offsets.extend(range(a, b))
        if is_break:
            middle = begin + pieces[0][1] - pieces[0][0]
            places.append(_Place(middle, middle, (start, end)))
        else:
            first = begin + pieces[0][1] - pieces[0][0]
            places.append(_Place(first, first + len(pieces) - 2, None))
        parts.append("\n\n")
        offsets.extend((end, end))
    return Folded("".join(parts), offsets), places


def find_rewritten(
    scanned: Scanned, known: Sequence[Candidate], read: Callable[[Scanned], Iterable[Candidate]]
) -> Iterator[Candidate]:
    """Values that only the second reading shows, in offsets of `scanned`.

    Args:
        scanned: the text as it stands.
        known: what the first reading found.
        read: runs the recognisers over a text.
    """
    folded, places = _rewrite(scanned.text)
    if not places:
        return
    ends = {(c.type, c.end) for c in known}
    starts = {(c.type, c.start) for c in known}
    again = sorted(read(Scanned(folded, scanned.vocabulary)), key=lambda c: c.start)
    at = 0
    for place in places:
        while at < len(again) and again[at].end <= place.start:
            at += 1
        for candidate in _meeting(again, at, place):
            start, end = folded.original(candidate.start, candidate.end)
            moved = replace(candidate, start=start, end=end)
            if place.cut is None or _belongs(scanned.text, moved, place.cut, starts, ends):
                yield moved


def _meeting(found: Sequence[Candidate], at: int, place: _Place) -> Iterator[Candidate]:
    """The candidates that reach over the line break, or that are exactly the spread run."""
    while at < len(found) and found[at].start <= place.start:
        candidate = found[at]
        at += 1
        if place.cut is None:
            if (candidate.start, candidate.end) == (place.start, place.end):
                yield candidate
        elif candidate.start < place.start < candidate.end and candidate.type not in _FREE_LENGTH:
            yield candidate


def _belongs(
    text: str,
    value: Candidate,
    cut: tuple[int, int],
    starts: set[tuple[str, int]],
    ends: set[tuple[str, int]],
) -> bool:
    """Whether both lines hold a part of one value, where one of them holds a whole one already.

    A whole value before the break goes on only in digits, up to a stop; one behind it began earlier only
    where a label says so.
    """
    if (value.type, cut[1]) in starts and not value.labelled:
        return False
    if (value.type, cut[0]) not in ends:
        return True
    rest = text[cut[1] : value.end]
    return any(c.isdigit() for c in rest) and _ENDS.match(text, value.end) is not None


def without_parts_of(wholes: Sequence[Candidate], known: Sequence[Candidate]) -> Iterator[Candidate]:
    """The candidates of the first reading that are no mere part of a value of the second.

    A part may well pass some checksum by chance; it is believed against a bare shape, not against a label.
    """
    wholes = sorted(wholes, key=lambda c: c.start)
    starts = [whole.start for whole in wholes]
    for part in known:
        at = bisect.bisect_right(starts, part.start) - 1
        whole = wholes[at] if at >= 0 else None
        inside = (
            whole is not None and part.end <= whole.end and part.end - part.start < whole.end - whole.start
        )
        if not (inside and whole and (whole.labelled or part.evidence != "checksum")):
            yield part
