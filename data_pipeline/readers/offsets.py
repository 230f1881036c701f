"""Proof of offsets: which way of counting did the source use?

Published sets disagree. An end may be inclusive; a place may be counted in code points, in UTF-16 units
(everything that was labelled in a browser) or in UTF-8 bytes. A row is read in the first way of counting in
which *every* value that it states is the slice that its offsets name; where there is none it is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate


@dataclass(frozen=True, slots=True)
class Claim:
    """What a source says of one span. `value` is None where it states offsets alone."""

    label: str
    start: int
    end: int
    value: str | None = field(default=None, repr=False)


def _utf16_units(char: str) -> int:
    return 2 if ord(char) > 0xFFFF else 1


def _utf8_bytes(char: str) -> int:
    return len(char.encode("utf-8", "surrogatepass"))


_UNITS: tuple[tuple[str, Callable[[str], int] | None], ...] = (
    ("code_points", None),
    ("utf16", _utf16_units),
    ("utf8", _utf8_bytes),
)


def prove(text: str, claims: Sequence[Claim]) -> tuple[str, list[Claim]] | None:
    """The claims in half-open code points, and the way of counting that the row was written in.

    The first way is code points with exclusive ends, which is also what claims without a value are taken
    for. Returns None where no way of counting makes every stated value the slice of its offsets.
    """
    for unit, width in _UNITS:
        places = _places(text, width)
        for inclusive in (False, True):
            converted = _convert(text, claims, places, inclusive)
            if converted is not None:
                return unit + ("_inclusive" if inclusive else ""), converted
    return None


def _places(text: str, width: Callable[[str], int] | None) -> dict[int, int] | None:
    """Offset in units → offset in code points; None where they are the same."""
    if width is None:
        return None
    return {units: index for index, units in enumerate(accumulate(map(width, text), initial=0))}


def _convert(
    text: str, claims: Sequence[Claim], places: dict[int, int] | None, inclusive: bool
) -> list[Claim] | None:
    converted = []
    for claim in claims:
        start: int | None = claim.start
        end: int | None = claim.end
        if places is not None:
            start = places.get(claim.start)
            # An inclusive end names the last unit of a character, so the next one begins behind it.
            end = places.get(claim.end + inclusive)
        elif inclusive:
            end = claim.end + 1
        if start is None or end is None or not 0 <= start < end <= len(text):
            return None
        if claim.value is None:
            if places is not None or inclusive:
                return None
        elif text[start:end] != claim.value:
            return None
        converted.append(Claim(claim.label, start, end, claim.value))
    return converted
