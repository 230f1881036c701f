"""Guesses of a row's next tokens, which one forward pass then checks all together.

What the patterns have found makes a first draft of the answer: where the model agrees, it comes in a pass or
two, and where it sees more or otherwise, the draft is taken up again behind that.

An answer copies its values from the prompt and repeats its own structure, so what followed the latest tokens
the last time they stood somewhere mostly follows again: prompt lookup decoding (Saxena 2023,
https://github.com/apoorvumang/prompt-lookup-decoding). Whatever the model would not have written itself is
thrown away: the answer is, token for token, the one without guesses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

LONGEST_MATCH = 3
"""Tokens that have to be the latest ones, where as many are known; fewer are tried after that."""


class Lookup:
    """Where each run of up to `LONGEST_MATCH` tokens stood last.

    Args:
        tokens: known from the start: the prompt.
        before: what is known to all, such as the shape of answers; looked at where a run stands nowhere else.
    """

    def __init__(self, tokens: Iterable[int], before: Lookup | None = None) -> None:
        self._before = before
        self._tokens: list[int] = []
        self._ends: dict[tuple[int, ...], int] = {}
        self._latest: dict[tuple[int, ...], int] = {}
        self.extend(tokens)

    def extend(self, tokens: Iterable[int]) -> None:
        """Append what was written."""
        for token in tokens:
            # A run becomes findable once something follows it.
            self._ends.update(self._latest)
            self._tokens.append(token)
            end = len(self._tokens)
            self._latest = {
                tuple(self._tokens[end - size : end]): end for size in range(1, min(LONGEST_MATCH, end) + 1)
            }

    def guess(self, count: int) -> Sequence[int]:
        """At most so many tokens that may come next; none where the latest one never stood before."""
        for run in sorted(self._latest, key=len, reverse=True):
            if following := self._following(run, count):
                return following
        return ()

    def _following(self, run: tuple[int, ...], count: int) -> Sequence[int]:
        """What followed a run the last time; nothing where it never stood before."""
        if (end := self._ends.get(run)) is not None:
            return self._tokens[end : end + count]
        return self._before._following(run, count) if self._before else ()


MOST_MISSES = 3
"""So often a draft is taken up again at one place; after that what stands there will not come."""


class Draft:
    """An answer that may come, followed as far as it comes true.

    Args:
        tokens: of the answer.
    """

    def __init__(self, tokens: Sequence[int]) -> None:
        self._tokens = list(tokens)
        self._at = 0
        self._is_followed = True
        self._misses: Counter[int] = Counter()

    def follow(self, token: int) -> None:
        """Take note of the next token of the true answer."""
        if not self._is_followed:
            return
        if self._tokens[self._at : self._at + 1] == [token]:
            self._at += 1
        else:
            self._is_followed = False
            self._misses[self._at] += 1

    def guess(self, latest: Sequence[int], count: int) -> Sequence[int]:
        """At most so many tokens that may come next.

        Args:
            latest: the last tokens of the true answer; where it has left the draft, they say where the draft
                goes on.
            count: of tokens.
        """
        if not self._is_followed and len(latest) == LONGEST_MATCH:
            ends = range(max(self._at, LONGEST_MATCH), len(self._tokens))
            again = (
                end
                for end in ends
                if self._misses[end] < MOST_MISSES and self._tokens[end - LONGEST_MATCH : end] == latest
            )
            if (found := next(again, None)) is not None:
                self._at, self._is_followed = found, True
        return self._tokens[self._at : self._at + count] if self._is_followed else ()
