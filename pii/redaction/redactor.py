"""Put a replacement in place of every span; nothing outside the spans changes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from pii.errors import DataError
from pii.redaction.identity import identity
from pii.redaction.keys import RedactionKey
from pii.redaction.occurrence import Occurrence, Operator, Scope
from pii.redaction.policy import Policy, default_policy
from pii.redaction.visible import Replace
from pii.spans import Span
from pii.taxonomy import Taxonomy, shipped

FALLBACK = Replace()
"""What stands in for an operator that cannot read a value."""


@dataclass(frozen=True, slots=True)
class Replacement:
    """One replaced entity: `span` in the original text, `start` and `end` in the redacted one.

    Attributes:
        operator: what was really done; ``replace`` where the policy's operator could not read the value.
    """

    span: Span
    start: int
    end: int
    operator: str = "replace"


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


def redact(
    text: str,
    spans: Iterable[Span],
    policy: Policy | None = None,
    taxonomy: Taxonomy | None = None,
    *,
    key: RedactionKey | None = None,
    document: str | None = None,
) -> Redacted:
    """Replace every span; what stands outside the spans is copied unchanged.

    Args:
        text: the original text.
        spans: the entities, in any order; overlapping ones are merged (`disjoint`).
        policy: which operator each gets; None: every entity becomes ``<TYPE>``.
        taxonomy: where the Chinese names of types are looked up; None: the shipped one.
        key: for the operators that need one.
        document: what names the document, such as a row's id: decides the offset of its dates. None: the
            text names itself.

    Raises:
        DataError: a span ends behind the end of the text.
        KeyRequired: an operator needs a key.
    """
    policy = policy or default_policy()
    return replace_spans(text, spans, policy.operator, taxonomy, scope_of(text, policy, key, document))


def scope_of(text: str, policy: Policy, key: RedactionKey | None, document: str | None) -> Scope:
    """The secret and the name under which a text is redacted."""
    named = (
        document
        if document is not None
        else hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    )
    return Scope(key, policy.tenant, named)


def replace_spans(
    text: str,
    spans: Iterable[Span],
    operator_of: Callable[[Span], Operator],
    taxonomy: Taxonomy | None,
    scope: Scope,
) -> Redacted:
    """As `redact`, with the choice of operators and the scope in the caller's hands."""
    apart = disjoint(spans)
    if apart and apart[-1].end > len(text):
        raise DataError(f"span {apart[-1].start}-{apart[-1].end}: the text ends at {len(text)}")
    occurrences = _occurrences(text, apart, taxonomy or shipped())
    originals: dict[str, set[str]] = {}
    for occurrence in occurrences:
        originals.setdefault(occurrence.type, set()).add(occurrence.who)
    scope.originals = {type: frozenset(values) for type, values in originals.items()}
    pieces: list[str] = []
    replacements: list[Replacement] = []
    copied = written = 0
    for span, occurrence in zip(apart, occurrences, strict=True):
        operator = operator_of(span)
        new = operator.replacement(occurrence, scope)
        if new is None:
            operator = FALLBACK
            new = FALLBACK.replacement(occurrence, scope)
        pieces += [text[copied : span.start], new]
        written += span.start - copied
        replacements.append(Replacement(span, written, written + len(new), operator.operator))
        written += len(new)
        copied = span.end
    pieces.append(text[copied:])
    return Redacted("".join(pieces), tuple(replacements))


def _occurrences(text: str, spans: Iterable[Span], taxonomy: Taxonomy) -> list[Occurrence]:
    """What the operators get to know of each span."""
    numbers: dict[str, dict[str, int]] = {}
    occurrences = []
    for span in spans:
        value = span.value(text)
        who = identity(span.type, value)
        seen = numbers.setdefault(span.type, {})
        index = seen.setdefault(who, len(seen) + 1)
        zh = taxonomy[span.type].zh if span.type in taxonomy else span.type
        occurrences.append(Occurrence(value, span.type, zh, span.subtype, index, who, span.start))
    return occurrences
