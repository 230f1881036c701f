"""All of an answer but its values, as an automaton over bytes: types and style alone decide what it is.

    {"entities":[{"type":"PERSON_NAME","value":"<a value>"},{"type":...

It is made once for a selection of types, and what may come next at each of its places is computed once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from pii.codec import AnswerStyle
from serving.engines.token_table import Stretch, TokenTable, Vocabulary

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BEGIN, END, VALUE, INSIDE, BEHIND = range(5)
"""Places: begin and end; before a value, inside of one, behind its closing quote."""

State = tuple[int, tuple[int, ...]]
"""A place, and inside of a value where in the text it may have ended so far."""

_MOST_DIGITS = 7
"""Of an offset."""


class Shape:
    """The automaton of a selection of types.

    Args:
        types: those that may be written.
        style: of the answer.
        vocabulary: the model's.
    """

    def __init__(self, types: Sequence[str], style: AnswerStyle, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self.edges: list[dict[int, int]] = [{} for _ in range(BEHIND + 1)]
        if style == "grouped":
            self._grouped(types)
        else:
            self._listed(types, has_offsets=style == "with_offsets")
        self._kept: dict[int, tuple[NDArray[np.intp], list[tuple[Stretch, State]]]] = {}

    def _listed(self, types: Sequence[str], *, has_offsets: bool) -> None:
        first = self._path(BEGIN, '{"entities":[')
        self._path(first, "]}", END)
        if not types:
            return
        kind = self._path(first, '{"type":"')
        for name in types:
            self._path(kind, json.dumps(name)[1:] + ',"value":"', VALUE)
        if has_offsets:
            number = self._number(self._path(BEHIND, ',"start":'), ",")
            behind = self._number(self._path(number, '"end":'), "}")
        else:
            behind = self._path(BEHIND, "}")
        self._path(behind, "]}", END)
        self._path(behind, ',{"type":"', kind)

    def _grouped(self, types: Sequence[str]) -> None:
        first = self._path(BEGIN, "{")
        self._path(first, "}", END)
        if not types:
            return
        kind = self._path(first, '"')
        for name in types:
            self._path(kind, json.dumps(name)[1:] + ':["', VALUE)
        self._path(BEHIND, ',"', VALUE)
        behind = self._path(BEHIND, "]")
        self._path(behind, "}", END)
        self._path(behind, ',"', kind)

    def _place(self) -> int:
        self.edges.append({})
        return len(self.edges) - 1

    def _path(self, start: int, literal: str, end: int | None = None) -> int:
        """Lead from a place over some bytes, along edges that are there already, to an end or a new place."""
        at = start
        *inner, last = literal.encode()
        for byte in inner:
            if byte not in self.edges[at]:
                self.edges[at][byte] = self._place()
            at = self.edges[at][byte]
        if last not in self.edges[at]:
            self.edges[at][last] = self._place() if end is None else end
        return self.edges[at][last]

    def _number(self, start: int, closing: str) -> int:
        """Lead over a number of at most seven digits, without leading zeros, and the sign behind it."""
        end, at = self._place(), start
        endings = [self._path(start, "0")]
        for digits in ("123456789", *["0123456789"] * (_MOST_DIGITS - 1)):
            further = self._place()
            for digit in digits:
                self._path(at, digit, further)
            endings.append(further)
            at = further
        for ending in endings:
            self._path(ending, closing, end)
        return end

    def allowed(self, place: int) -> tuple[NDArray[np.intp], list[tuple[Stretch, State]]]:
        """The tokens that may come at a place and end before a value or where it begins, ascending.

        Also the stretches of those that go on into a value, with where they stand then.
        """
        import numpy as np

        if place not in self._kept:
            doors: list[tuple[Stretch, State]] = []

            def following(state: State) -> Iterable[tuple[int, State]]:
                return [(byte, (to, ())) for byte, to in self.edges[state[0]].items()]

            table = self._vocabulary.all
            found = walk(table, [(table.whole, (place, ()))], following, doors)
            self._kept[place] = np.array(sorted(found), np.intp), doors
        return self._kept[place]


def walk(
    table: TokenTable,
    begun: Iterable[tuple[Stretch, State]],
    following: Callable[[State], Iterable[tuple[int, State]]],
    doors: list[tuple[Stretch, State]] | None = None,
) -> list[int]:
    """The ids of the tokens of a table that may be written.

    Args:
        table: the tokens.
        begun: stretches, and where one stands behind their shared bytes.
        following: which bytes may come at a place, and where each leads.
        doors: takes the stretches that reach the begin of a value, which are then not followed; None: all
            are followed.
    """
    found: list[int] = []
    open_ = list(begun)
    while open_:
        stretch, state = open_.pop()
        ids, stretch = table.ending(stretch)
        found += ids
        if stretch.low == stretch.high:
            continue
        if doors is not None and state[0] == VALUE:
            doors.append((stretch, state))
            continue
        for byte, reached in following(state):
            if (longer := table.going_on(stretch, byte)) is not None:
                open_.append((longer, reached))
    return found
