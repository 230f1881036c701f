"""The vocabulary in the order of its bytes: which tokens go on as some bytes do.

The tokens that begin with the same bytes lie next to each other, so that a sorted list is a trie that takes
no memory of its own: a node of it is a `Stretch`.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple


class Stretch(NamedTuple):
    """The tokens of a table from `low` up to `high`, which share their first `depth` bytes."""

    low: int
    high: int
    depth: int


class TokenTable:
    """Tokens sorted by their bytes.

    Args:
        tokens: bytes and id of each, none of them empty; several may have the same bytes.
    """

    def __init__(self, tokens: Sequence[tuple[bytes, int]]) -> None:
        ordered = sorted(tokens)
        self._bytes = [spelled for spelled, _ in ordered]
        self._ids = [token for _, token in ordered]
        self.longest = max(map(len, self._bytes), default=0)
        """Bytes of the longest."""
        self._shorter = _shorter(self._bytes)
        self.whole = Stretch(0, len(ordered), 0)

    def ending(self, stretch: Stretch) -> tuple[list[int], Stretch]:
        """The ids of the tokens that have no bytes but the shared ones, and the stretch of the others."""
        low, high, depth = stretch
        first = low
        while low < high and len(self._bytes[low]) == depth:
            low += 1
        return self._ids[first:low], Stretch(low, high, depth)

    def going_on(self, stretch: Stretch, byte: int) -> Stretch | None:
        """The tokens of a stretch, none of which ends with the shared bytes, that have this one next."""
        low, high, depth = stretch
        prefix = self._bytes[low][:depth]
        first = bisect.bisect_left(self._bytes, prefix + bytes((byte,)), low, high)
        last = (
            high
            if byte == 0xFF
            else bisect.bisect_left(self._bytes, prefix + bytes((byte + 1,)), first, high)
        )
        return Stretch(first, last, depth + 1) if first < last else None

    def beginning(self, prefix: bytes) -> Stretch:
        """The tokens that begin with some bytes."""
        low = bisect.bisect_left(self._bytes, prefix)
        high = bisect.bisect_right(self._bytes, prefix, key=lambda spelled: spelled[: len(prefix)])
        return Stretch(low, high, len(prefix))

    def prefixes(self, following: bytes, start: int) -> Iterator[int]:
        """The ids of all tokens with which some bytes begin, from a place in them.

        The longest is, or is the beginning of, the last one that sorts no later than these bytes.
        """
        coming = following[start : start + self.longest]
        at = bisect.bisect_right(self._bytes, coming) - 1
        while at >= 0:
            if coming.startswith(self._bytes[at]):
                yield self._ids[at]
            at = self._shorter[at]


def _shorter(ordered: Sequence[bytes]) -> list[int]:
    """For each token the place of the longest other one before it with which it begins; -1: there is none."""
    found: list[int] = []
    open_: list[int] = []
    for at, spelled in enumerate(ordered):
        while open_ and not spelled.startswith(ordered[open_[-1]]):
            open_.pop()
        found.append(open_[-1] if open_ else -1)
        open_.append(at)
    return found


class Vocabulary:
    """What a model can write, in bytes.

    Args:
        tokenizer: llguidance's view of the model's tokenizer, which knows how each kind of tokenizer spells.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._bytes: dict[int, bytes] = {}
        for token in range(tokenizer.vocab_size):
            if not tokenizer.is_special_token(token) and (spelled := tokenizer.decode_bytes([token])):
                self._bytes[token] = spelled
        spelled_tokens = [(spelled, token) for token, spelled in self._bytes.items()]
        self.all = TokenTable(spelled_tokens)
        self.quoted = TokenTable([item for item in spelled_tokens if b'"' in item[0]])
        """Those with a quote in them: the only ones that can go on behind the end of a value."""

    def bytes_of(self, token: int) -> bytes:
        """What a token stands for; nothing for a special one."""
        return self._bytes.get(token, b"")

    def tokenised(self, spelled: bytes) -> list[int]:
        """The tokens with which the tokenizer itself writes some bytes."""
        ids: list[int] = self._tokenizer.tokenize_bytes(spelled)
        return ids
