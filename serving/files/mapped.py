"""Texts whose characters stand in several places of a source, with markup between them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from serving.files.records import Edit


@dataclass(slots=True)
class Mapped:
    """A text under construction, and for each of its characters the place in the source that wrote it.

    A character that stands nowhere (the break between two blocks) has an empty place.
    """

    chars: list[str] = field(default_factory=list, repr=False)
    places: list[tuple[int, int]] = field(default_factory=list)

    def add(self, text: str, start: int) -> None:
        """Characters that stand in the source as they are."""
        self.chars.append(text)
        self.places.extend((at, at + 1) for at in range(start, start + len(text)))

    def add_as(self, text: str, start: int, end: int) -> None:
        """Characters for which the source has one notation, such as ``&amp;``, or none (start = end)."""
        self.chars.append(text)
        # The notation belongs to its first character: no edit may cut it in two.
        self.places.append((start, end))
        self.places.extend((end, end) for _ in text[1:])

    @property
    def text(self) -> str:
        """All characters."""
        return "".join(self.chars)


def moved(
    places: Sequence[tuple[int, int]], edits: Iterable[Edit], escape: Callable[[str], str]
) -> list[Edit]:
    """Edits of a mapped text as edits of its source.

    What takes a value's place stands where its first character stood; the rest of its characters go one run
    at a time, so that the markup between them stays.
    """
    done: list[Edit] = []
    for start, end, new in edits:
        ranges: list[list[int]] = []
        for begin, stop in places[start:end]:
            if begin == stop:
                continue
            if ranges and ranges[-1][1] == begin:
                ranges[-1][1] = stop
            else:
                ranges.append([begin, stop])
        if not ranges:
            continue
        done.append((ranges[0][0], ranges[0][1], escape(new)))
        done.extend((begin, stop, "") for begin, stop in ranges[1:])
    return done
