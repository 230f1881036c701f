"""From spans to a redacted text: what takes the place of each entity.

    redact("我叫张三", [Span(2, 4, "PERSON_NAME")]).text == "我叫<PERSON_NAME>"

An operator is one schema with one method, `replacement`; a policy says which operator a type or subtype
gets. Text outside the spans is never changed.
"""

from __future__ import annotations

import functools
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, Protocol

from pydantic import Field, field_validator

from configs.reader import StrictConfig
from pii.errors import DataError
from pii.spans import Span
from pii.taxonomy import Taxonomy, shipped


@dataclass(frozen=True, slots=True)
class Occurrence:
    """What an operator may know of the entity that it replaces.

    Attributes:
        value: the text of the entity.
        type: its type.
        zh: the Chinese name of the type.
        subtype: country or issuer, or None.
        index: the how-manieth different value of its type it is in this text, from 1; equal values share
            a number, so that a reader still sees who is who.
    """

    value: str = field(repr=False)
    type: str
    zh: str
    subtype: str | None
    index: int


class Operator(Protocol):
    """One way to replace an entity."""

    def replacement(self, occurrence: Occurrence) -> str:
        """What stands in the text instead of the entity."""


class Replace(StrictConfig):
    """Put a tag in its place."""

    operator: Literal["replace"] = "replace"
    template: str = "<{type}>"
    """The tag, with ``{type}``, ``{zh}``, ``{subtype}`` (the type where there is none) and ``{index}``."""

    @field_validator("template")
    @classmethod
    def _known_fields(cls, template: str) -> str:
        try:
            fields = {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}
            template.format(type="", zh="", subtype="", index=1)
        except (ValueError, KeyError, IndexError, AttributeError):
            raise ValueError("expected a template with {type}, {zh}, {subtype} or {index}") from None
        # Attribute access such as {type.__class__} formats without an error and is no field of ours.
        if not fields <= {"type", "zh", "subtype", "index"}:
            raise ValueError("expected a template with {type}, {zh}, {subtype} or {index}")
        return template

    def replacement(self, occurrence: Occurrence) -> str:
        """The filled template."""
        subtype = occurrence.subtype or occurrence.type
        return self.template.format(
            type=occurrence.type, zh=occurrence.zh, subtype=subtype, index=occurrence.index
        )


class Mask(StrictConfig):
    """Hide the inside, keep some characters at the ends."""

    operator: Literal["mask"] = "mask"
    char: str = Field(default="*", min_length=1, max_length=1)
    """What a hidden character becomes."""
    keep_first: int = Field(default=0, ge=0)
    """Letters and digits left visible at the beginning."""
    keep_last: int = Field(default=0, ge=0)
    """Letters and digits left visible at the end."""
    keep_separators: bool = True
    """Whether spaces, dashes and other marks between letters and digits stay visible."""

    def replacement(self, occurrence: Occurrence) -> str:
        """The value with its inside hidden; all of it where it is too short to hide half."""
        value = occurrence.value
        letters = [i for i, char in enumerate(value) if char.isalnum()]
        visible: set[int] = set()
        if 2 * (self.keep_first + self.keep_last) <= len(letters):
            visible.update(letters[: self.keep_first])
            visible.update(letters[len(letters) - self.keep_last :])
        hidden = set(letters) - visible if self.keep_separators else set(range(len(value))) - visible
        return "".join(self.char if i in hidden else char for i, char in enumerate(value))


class Remove(StrictConfig):
    """Put nothing in its place."""

    operator: Literal["remove"] = "remove"

    def replacement(self, occurrence: Occurrence) -> str:
        """The empty string."""
        return ""


class Keep(StrictConfig):
    """Leave the entity as it is."""

    operator: Literal["keep"] = "keep"

    def replacement(self, occurrence: Occurrence) -> str:
        """The value itself."""
        return occurrence.value


AnyOperator = Annotated[Replace | Mask | Remove | Keep, Field(discriminator="operator")]
"""The operators that a recipe may name; a further one joins here."""


class Policy(StrictConfig):
    """Which operator an entity gets: that of its subtype, else of its type, else the default."""

    default: AnyOperator = Replace()
    """For whatever is not named below."""
    types: Mapping[str, AnyOperator] = {}
    """Type or subtype (``PHONE_NUMBER``, ``cn_resident_id``) → operator."""

    def operator(self, span: Span) -> Operator:
        """The operator for a span."""
        if span.subtype is not None and span.subtype in self.types:
            return self.types[span.subtype]
        return self.types.get(span.type, self.default)


@dataclass(frozen=True, slots=True)
class Replacement:
    """One replaced entity: `span` in the original text, `start` and `end` in the redacted one."""

    span: Span
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Redacted:
    """A redacted text, and where its replacements stand; the values are not in it."""

    text: str = field(repr=False)
    replacements: tuple[Replacement, ...]


def disjoint(spans: Iterable[Span]) -> list[Span]:
    """Spans without overlap that hide at least what the given ones hide.

    Spans that overlap become one from the first start to the last end, with the type of the longest of them
    (the earliest of equally long ones): redaction may hide more than was marked, never less.
    """
    merged: list[Span] = []
    longest: list[Span] = []
    for span in sorted(spans):
        if merged and span.start < merged[-1].end:
            best = max(longest[-1], span, key=lambda s: (len(s), -s.start))
            end = max(merged[-1].end, span.end)
            longest[-1] = best
            merged[-1] = Span(merged[-1].start, end, best.type, best.subtype, best.score, best.source)
        else:
            merged.append(span)
            longest.append(span)
    return merged


@functools.cache
def default_policy() -> Policy:
    """Every entity becomes ``<TYPE>``."""
    return Policy()


def redact(
    text: str, spans: Iterable[Span], policy: Policy | None = None, taxonomy: Taxonomy | None = None
) -> Redacted:
    """Replace every span; what stands outside the spans is copied unchanged.

    Args:
        text: the original text.
        spans: the entities, in any order; overlapping ones are merged (`disjoint`).
        policy: which operator each gets; None: every entity becomes ``<TYPE>``.
        taxonomy: where the Chinese names of types are looked up; None: the shipped one.

    Raises:
        DataError: a span ends behind the end of the text.
    """
    policy = policy or default_policy()
    taxonomy = taxonomy or shipped()
    pieces: list[str] = []
    replacements: list[Replacement] = []
    numbers: dict[str, dict[str, int]] = {}
    copied = written = 0
    for span in disjoint(spans):
        if span.end > len(text):
            raise DataError(f"span {span.start}-{span.end}: the text ends at {len(text)}")
        value = span.value(text)
        seen = numbers.setdefault(span.type, {})
        index = seen.setdefault(value, len(seen) + 1)
        zh = taxonomy[span.type].zh if span.type in taxonomy else span.type
        new = policy.operator(span).replacement(Occurrence(value, span.type, zh, span.subtype, index))
        pieces += [text[copied : span.start], new]
        written += span.start - copied
        replacements.append(Replacement(span, written, written + len(new)))
        written += len(new)
        copied = span.end
    pieces.append(text[copied:])
    return Redacted("".join(pieces), tuple(replacements))
