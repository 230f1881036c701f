"""What a caller knows better than any detector: values that are nothing personal, values that always are.

Patterns of callers run on RE2 (https://github.com/google/re2), whose time is linear in the text: a pattern
that takes exponential time elsewhere takes milliseconds here. Lookaround and back references, which cannot be
had in linear time, are refused. What is left to bound is the size of a pattern and the number of its matches.
"""

from __future__ import annotations

import bisect
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, Literal

import re2
from pydantic import BaseModel, ConfigDict, Field

from pii.errors import RequestError
from pii.spans import Span

MAX_ENTRIES = 1000
"""Most entries of one list."""
MAX_CHARS = 500
"""Longest word or pattern, in code points."""
BUDGET_S = 5.0
"""Longest time that the patterns of one request may take for one text; checked between matches."""

_PATTERN_MEMORY = 1 << 16
"""Bytes that RE2 may spend on one pattern: some thousand steps of its program, and no more per character."""
_WORDS_MEMORY = 64 << 20
"""Bytes for all words of a list together, which are one pattern without choices."""

CUSTOM = "CUSTOM"
"""The type of a denied value for which the caller names none."""

_Text = Annotated[str, Field(min_length=1, max_length=MAX_CHARS)]
_TypeName = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,63}$")]


class _Entry(BaseModel):
    model_config = ConfigDict(
        extra="forbid", strict=True, hide_input_in_errors=True, frozen=True, use_attribute_docstrings=True
    )


class AllowedPattern(_Entry):
    """Values that match the whole pattern are nothing personal. RE2 syntax; (?i) in front ignores case."""

    pattern: _Text


class DeniedWord(_Entry):
    """Every occurrence of the word is an entity. Case does not count; Latin words stand alone."""

    word: _Text
    type: _TypeName = CUSTOM


class DeniedPattern(_Entry):
    """Whatever matches the pattern is an entity. RE2 syntax; (?i) in front ignores case."""

    pattern: _Text
    type: _TypeName = CUSTOM


AllowList = Annotated[list[_Text | AllowedPattern], Field(max_length=MAX_ENTRIES)]
"""Words, which a value has to equal, and patterns, which it has to match from end to end."""
DenyList = Annotated[list[_Text | DeniedWord | DeniedPattern], Field(max_length=MAX_ENTRIES)]
"""Words, alone or with the type that they get, and patterns."""


class Lists:
    """The allow list and the deny list of one request.

    Args:
        allow: words and patterns for values that detectors shall leave alone.
        deny: words and patterns for what is an entity in any case.
        allow_match: whether an allowed pattern has to match a value from end to end or only somewhere in it.

    Raises RequestError ``pattern_not_supported`` with the place of the entry.
    """

    def __init__(
        self,
        allow: Sequence[str | AllowedPattern] = (),
        deny: Sequence[str | DeniedWord | DeniedPattern] = (),
        allow_match: Literal["whole", "part"] = "whole",
    ) -> None:
        self._words = frozenset(entry for entry in allow if isinstance(entry, str))
        self._allowed = [
            _compiled(entry.pattern, f"allow_list[{index}]")
            for index, entry in enumerate(allow)
            if isinstance(entry, AllowedPattern)
        ]
        self._allow_match = allow_match
        self._denied = [
            (_compiled(entry.pattern, f"deny_list[{index}]"), entry.type)
            for index, entry in enumerate(deny)
            if isinstance(entry, DeniedPattern)
        ]
        words = [DeniedWord(word=entry) if isinstance(entry, str) else entry for entry in deny]
        by_type: dict[str, list[str]] = {}
        for entry in words:
            if isinstance(entry, DeniedWord):
                by_type.setdefault(entry.type, []).append(entry.word)
        self._denied += [(_any_of(named), type) for type, named in by_type.items()]

    def __bool__(self) -> bool:
        return bool(self._words or self._allowed or self._denied)

    def allows(self, value: str) -> bool:
        """Whether the caller said that this value is nothing personal."""
        if value in self._words:
            return True
        whole = self._allow_match == "whole"
        return any((p.fullmatch(value) if whole else p.search(value)) is not None for p in self._allowed)

    def denied(self, text: str) -> list[Span]:
        """What the caller says is an entity; sorted, without overlap, the longer first where two overlap.

        Raises RequestError ``patterns_too_slow`` where the patterns take longer than `BUDGET_S`.
        """
        until = time.monotonic() + BUDGET_S
        found = [span for pattern, type in self._denied for span in _spans(text, pattern, type, until)]
        return without_overlap(sorted(found, key=lambda span: (-len(span), span.start)))


def without_overlap(spans: Iterable[Span]) -> list[Span]:
    """Of spans in the order of their worth those that touch no earlier one; sorted by place."""
    taken: list[Span] = []
    for span in spans:
        at = bisect.bisect_left(taken, span)
        beside = taken[max(0, at - 1) : at + 1]
        if not any(span.overlaps(other) for other in beside):
            taken.insert(at, span)
    return taken


def _spans(text: str, pattern: Any, type: str, until: float) -> Iterator[Span]:
    for match in pattern.finditer(text):
        if time.monotonic() > until:
            raise RequestError(
                "patterns_too_slow", "deny_list", f"the patterns take more than {BUDGET_S:g} s at this text"
            )
        start, end = match.span()
        if start < end:
            yield Span(start, end, type, score=1.0, source="deny_list")


def _compiled(pattern: str, place: str) -> Any:
    refusal = "not a pattern of RE2 (no lookaround, no back references), or too large"
    return _compile(pattern, RequestError("pattern_not_supported", place, refusal), max_mem=_PATTERN_MEMORY)


def _any_of(words: Iterable[str]) -> Any:
    refusal = RequestError("pattern_not_supported", "deny_list", "a word that is no text, or too many words")
    pattern = "|".join(_standing_alone(word) for word in words)
    return _compile(pattern, refusal, max_mem=_WORDS_MEMORY, case_sensitive=False, longest_match=True)


def _compile(pattern: str, refusal: RequestError, **settings: object) -> Any:
    options = re2.Options()
    # RE2 would write the pattern to standard error.
    options.log_errors = False
    for name, value in settings.items():
        setattr(options, name, value)
    try:
        return re2.compile(pattern, options)
    except (re2.error, UnicodeEncodeError):
        raise refusal from None
    finally:
        # It would keep the pattern, which may hold a name.
        re2.purge()


def _standing_alone(word: str) -> str:
    r"""The word as a pattern. RE2's \b knows ASCII alone, so that Chinese beside a word does not hide it."""
    edges = [
        r"\b" if char.isascii() and (char.isalnum() or char == "_") else "" for char in (word[0], word[-1])
    ]
    return edges[0] + re.escape(word) + edges[1]
