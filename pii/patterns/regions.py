"""Where in a text values can stand: a cheap question that goes before each costly one.

Each recogniser by shape says what its values need (`Shape`), and is tried there alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple


class Region(NamedTuple):
    """A part of a scanned text.

    Attributes:
        begin: the first place where a value may begin.
        stop: where none begins any more.
        end: how far a value, and what has to be seen behind it, may reach.
    """

    begin: int
    stop: int
    end: int


class Run(NamedTuple):
    """A region around digits that are written in a row or in groups.

    Attributes:
        num_digits: how many there are.
        longest: how many of them stand in a row.
    """

    region: Region
    num_digits: int
    longest: int


_DIGITS = re.compile(r"[0-9]+")
_WRITTEN = re.compile(r"[\t-~·°′″]{5,}")
"""What identifiers are written with; no recogniser by shape finds one of fewer characters."""
_WITHIN = re.compile(r"[0-9](?:[\t-~·°′″]*[0-9])?")
"""From the first digit to the last."""

_FAR = 96
"""Longer than what may stand before or behind the digits of one value: a wallet's 90 characters."""

_NEAR = 12
"""Longer than the Chinese that belongs to a value: the 京 of a plate, the 转 of an extension."""

_GROUPS = re.compile(r"[0-9]+(?:[ .·\r\n()/-]+[0-9]+)*")
"""Digits with nothing between them but what people put between the groups of one number."""

FEWEST_DIGITS = 6
"""Runs of fewer digits are not kept: most numbers are a year or a count."""

_BEFORE_RUN = 4
"""Longer than what may stand before the digits of a value: a bracket, a plus sign, two letters."""
_BEHIND_RUN = 28
"""Longer than what may stand behind them: an extension, the letters of a credit code."""

TOKEN = re.compile(r"[0-9A-Za-z]{16,}")
"""What a value of `Shape.token` stands in."""


class Regions:
    """The regions of one scanned text, worked out when somebody asks for them.

    Attributes:
        islands: the surroundings of digits; no recogniser by shape need look elsewhere.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self.islands = [Region(begin, end, end) for begin, end in _islands(text)]
        self._runs: list[Run] | None = None
        self._tokens: list[Region] | None = None

    def runs(self) -> list[Run]:
        """Where `FEWEST_DIGITS` and more stand in a row or in groups."""
        if self._runs is None:
            self._runs = list(self._counted())
        return self._runs

    def _counted(self) -> Iterator[Run]:
        for begin, _, end in self.islands:
            for groups in _GROUPS.finditer(self._text, begin, end):
                start, stop = groups.span()
                if stop - start < FEWEST_DIGITS:
                    continue
                lengths = [len(group) for group in _DIGITS.findall(self._text, start, stop)]
                if (num_digits := sum(lengths)) >= FEWEST_DIGITS:
                    region = Region(max(begin, start - _BEFORE_RUN), stop, min(end, stop + _BEHIND_RUN))
                    yield Run(region, num_digits, max(lengths))

    def tokens(self) -> list[Region]:
        """Sixteen and more letters and digits without anything between them."""
        if self._tokens is None:
            self._tokens = [
                # What follows the token is seen: a value ends before another group.
                Region(token.start(), token.end(), min(end, token.end() + 2))
                for begin, _, end in self.islands
                for token in TOKEN.finditer(self._text, begin, end)
            ]
        return self._tokens


def _islands(text: str) -> list[tuple[int, int]]:
    islands: list[tuple[int, int]] = []
    for written in _WRITTEN.finditer(text):
        begin, end = written.span()
        within = _WITHIN.search(text, begin, end)
        if within is None:
            continue
        first, last = max(0, begin - _NEAR), min(len(text), end + _NEAR)
        # Surroundings of digits that are so near to each other are one.
        parts = [within] if end - begin <= 2 * _FAR else _DIGITS.finditer(text, begin, end)
        for digits in parts:
            start, stop = max(first, digits.start() - _FAR), min(last, digits.end() + _FAR)
            if islands and start <= islands[-1][1]:
                islands[-1] = (islands[-1][0], max(stop, islands[-1][1]))
            else:
                islands.append((start, stop))
    return islands
