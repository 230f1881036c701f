"""Which tokens an answer may go on with: the grammar of `codec.Grammar`, followed byte by byte.

A value is followed as the places of the text at which it may have ended so far; all around the values is a
`Shape`. So nothing is compiled for a request.

llguidance, to which vLLM hands the same grammar as Lark, is general, and compiles each request's text for two
milliseconds: a twelfth of what decoding a short text takes. Tests hold the two against each other: the same
tokens are allowed at every place.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from pii.codec import AnswerStyle, Grammar
from serving.engines.answer_shape import BEGIN, BEHIND, END, INSIDE, VALUE, Shape, State, walk
from serving.engines.token_table import Vocabulary

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_QUOTE = 0x22
_CHARACTERS = re.compile(rb"\\u....|\\.|[^\\][\x80-\xbf]*", re.DOTALL)
"""The characters of a JSON string's inside, in UTF-8."""
_CHOPPED = 5
"""More forced tokens than these are never left open; llguidance's number."""
_MOST_SHAPES = 64
"""Selections of types whose shape is kept."""


class Shapes:
    """The shapes of one vocabulary; any thread may ask.

    Args:
        tokenizer: see `Vocabulary`.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._vocabulary = Vocabulary(tokenizer)
        self._shape = functools.lru_cache(_MOST_SHAPES)(self._made)

    def _made(self, types: tuple[str, ...], style: AnswerStyle) -> Shape:
        return Shape(types, style, self._vocabulary)

    def matcher(self, grammar: Grammar) -> AnswerMatcher:
        """A matcher at the begin of an answer."""
        # Where there is nothing to copy no entity may be begun: it would have no end.
        types = grammar.types if grammar.text else ()
        return AnswerMatcher(self._shape(types, grammar.style), self._vocabulary, grammar.text)


class AnswerMatcher:
    """Follows one answer. Made by `Shapes`.

    Args:
        shape: of the answer.
        vocabulary: the model's.
        text: whose characters values consist of.
    """

    def __init__(self, shape: Shape, vocabulary: Vocabulary, text: str) -> None:
        self._shape, self._vocabulary = shape, vocabulary
        self._text = json.dumps(text, ensure_ascii=False)[1:-1].encode()
        self._starts = tuple(found.start() for found in _CHARACTERS.finditer(self._text))
        self._ends = frozenset((*self._starts[1:], len(self._text)))
        self._state: State = (BEGIN, ())
        self._latest: int | None = None

    @property
    def is_ended(self) -> bool:
        """Whether the answer is whole: only the end of the turn may follow."""
        return self._state[0] == END

    def follow(self, token: int) -> bool:
        """Take a token, if it is allowed; otherwise nothing has changed."""
        state, spelled = self._state, self._vocabulary.bytes_of(token)
        for byte in spelled:
            reached = self._behind(state, byte)
            if reached is None:
                return False
            state = reached
        if not spelled:
            return False
        self._state, self._latest = state, token
        return True

    def allowed(self) -> NDArray[np.intp]:
        """The ids of the tokens that may come next, ascending, but for the one that ends the turn.

        Where only one text can follow, it is the token with which the tokenizer begins that.
        """
        import numpy as np

        if (forced := self._forced()) is not None:
            return np.array([forced], np.intp)
        place, ends = self._state
        if place == VALUE:
            return self._allowed_first
        if place == INSIDE:
            return self._in_value(ends)
        known, doors = self._shape.allowed(place)
        if not doors:
            return known
        further = walk(self._vocabulary.all, doors, self._following)
        return np.array(sorted([*known.tolist(), *further]), np.intp)

    @functools.cached_property
    def _allowed_first(self) -> NDArray[np.intp]:
        return self._in_value(self._starts)

    def _in_value(self, ends: Iterable[int]) -> NDArray[np.intp]:
        """What goes on with the text, and what closes the value."""
        import numpy as np

        vocabulary = self._vocabulary
        found = {token for end in ends for token in vocabulary.all.prefixes(self._text, end)}
        found.update(walk(vocabulary.quoted, [(vocabulary.quoted.whole, self._state)], self._following))
        return np.array(sorted(found), np.intp)

    def _forced(self) -> int | None:
        """The next token, where one text alone can follow, as llguidance has it.

        The tokenizer writes that text as it would behind the latest token. Its first token is left open where
        a longer one could come in.
        """
        spelled, state = bytearray(), self._state
        while state[0] != END:
            first, *others = self._following(state)
            if others:
                break
            spelled.append(first[0])
            state = first[1]
        if not spelled:
            return None
        vocabulary = self._vocabulary
        tokens = vocabulary.tokenised(bytes(spelled))
        if self._latest is not None:
            latest, *behind = vocabulary.tokenised(vocabulary.bytes_of(self._latest) + bytes(spelled))
            if latest == self._latest:
                tokens = behind
        return None if self._is_open(tokens, state) else tokens[0]

    def _is_open(self, tokens: Sequence[int], state: State) -> bool:
        """Whether the first of a few forced tokens, or an end of it, could be the begin of a longer one.

        That one would go on with the other tokens and then with what may come behind them.
        """
        first, *_ = spelled = [self._vocabulary.bytes_of(token) for token in tokens]
        whole = b"".join(spelled)
        if len(tokens) > _CHOPPED or len(whole) > self._vocabulary.all.longest:
            return False
        return any(self._goes_on(whole[start:], state) for start in range(len(first)))

    def _goes_on(self, spelled: bytes, state: State) -> bool:
        """Whether a token has some bytes and then, from a place on, what may follow."""
        table = self._vocabulary.all
        _, longer = table.ending(table.beginning(spelled))
        return bool(walk(table, [(longer, state)], self._following))

    def _behind(self, state: State, byte: int) -> State | None:
        place, ends = state
        if place not in (VALUE, INSIDE):
            to = self._shape.edges[place].get(byte)
            return None if to is None else (to, ())
        if byte == _QUOTE and place == INSIDE and ends[0] in self._ends:
            return BEHIND, ()
        text, wanted = self._text, bytes((byte,))
        going_on = self._starts if place == VALUE else ends
        reached = tuple(end + 1 for end in going_on if text.startswith(wanted, end))
        return (INSIDE, reached) if reached else None

    def _following(self, state: State) -> Iterable[tuple[int, State]]:
        """The bytes that may come next, each with where it leads."""
        place, ends = state
        if place == VALUE:
            return self._first
        if place != INSIDE:
            return [(byte, (to, ())) for byte, to in self._shape.edges[place].items()]
        following = self._going_on(ends)
        # What was written has one reading: it ends with a whole character at all of these places, or at none.
        # And a quote that is a character has a backslash before it.
        if ends[0] in self._ends:
            following.append((_QUOTE, (BEHIND, ())))
        return following

    @functools.cached_property
    def _first(self) -> list[tuple[int, State]]:
        return self._going_on(self._starts)

    def _going_on(self, ends: Iterable[int]) -> list[tuple[int, State]]:
        """The bytes of the text that come behind some of its places."""
        by_byte: dict[int, list[int]] = {}
        for end in ends:
            if end < len(self._text):
                by_byte.setdefault(self._text[end], []).append(end + 1)
        return [(byte, (INSIDE, tuple(reached))) for byte, reached in by_byte.items()]
