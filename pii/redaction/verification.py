"""Read a redacted text as an attacker would: is a value still there, in whatever form?

Two searches. The patterns read the redacted text again: what they find outside the replacements was missed.
And each replaced value is searched for in all forms (width, separators, case, Chinese digits): an
occurrence that no detector marked is still a leak.
"""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Self

from pii.errors import DataError
from pii.folding import comparable, compare, scan
from pii.patterns import find
from pii.recurrence import Seeker, joined, standing, worth_seeking
from pii.redaction.identity import identity
from pii.redaction.keys import RedactionKey
from pii.redaction.occurrence import Operator
from pii.redaction.policy import Policy, default_policy
from pii.redaction.redactor import FALLBACK, Redacted, disjoint, replace_spans, scope_of
from pii.spans import Span
from pii.taxonomy import Taxonomy

LeakKind = Literal["pattern", "value", "unchanged"]

SHOWN = frozenset({"keep", "generalise"})
"""Operators that show the value, or a part of it, on purpose."""

MAX_ROUNDS = 3
"""So often a text is redacted again with tags in place of leaks; then it is refused."""

_BREAKS = frozenset("，、,;；。\n\r")
"""Between the characters of one value stand spaces and dashes, but not these, unless it has them itself."""

_UNMISTAKABLE = 7
"""A number of so many characters is found inside a longer one too (86 before a mobile number)."""


@dataclass(frozen=True, slots=True)
class Leak:
    """One place of the redacted text where something shows that should not.

    Attributes:
        kind: ``pattern``, found by reading again; ``value``, a replaced value stands there once more;
            ``unchanged``, its replacement is the value itself.
        span: the place in the redacted text, and the type.
    """

    kind: LeakKind
    span: Span


@dataclass(frozen=True, slots=True)
class Leaks:
    """What verification found; true where that is something."""

    leaks: tuple[Leak, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.leaks)

    def __len__(self) -> int:
        return len(self.leaks)

    def __iter__(self) -> Iterator[Leak]:
        return iter(self.leaks)


class LeakError(DataError):
    """A text that cannot be redacted under its policy. The message counts leaks by kind; no text."""

    def __init__(self, leaks: Leaks) -> None:
        kinds = sorted({leak.kind for leak in leaks})
        said = ", ".join(f"{kind} {sum(leak.kind == kind for leak in leaks)}" for kind in kinds)
        super().__init__(f"verification found {len(leaks)} leaks ({said})")
        self.leaks = leaks

    def __reduce__(self) -> tuple[type[Self], tuple[Leaks]]:
        return type(self), (self.leaks,)


def verify(
    original_text: str,
    redacted: Redacted,
    spans: Iterable[Span],
    policy: Policy | None = None,
    *,
    types: Sequence[str] | None = None,
    allows: Callable[[str], bool] | None = None,
) -> Leaks:
    """Search a redacted text for what should be gone.

    Args:
        original_text: the text before.
        redacted: what became of it.
        spans: the entities that were asked to be redacted.
        policy: the policy; what it keeps is no leak.
        types: the types that were looked for; None: the default ones.
        allows: whether a value is nothing personal, whatever the patterns say; None: none is.
    """
    policy = policy or default_policy()
    places = _Places(redacted)
    apart = disjoint(spans)
    hidden = [s for s in apart if policy.operator(s).operator not in SHOWN]
    leaks = [*_unchanged(original_text, redacted), *_again(original_text, hidden, redacted.text, places)]
    for match in find(redacted.text, types):
        found = match.span
        if places.touch(found.start, found.end) or policy.operator(found).operator == "keep":
            continue
        if allows is not None and allows(found.value(redacted.text)):
            continue
        # Kept under a subtype's rule, and seen again without its subtype.
        shown = (
            identity(s.type, s.value(original_text))
            for s in apart
            if s not in hidden and s.type == found.type
        )
        if identity(found.type, found.value(redacted.text)) not in shown:
            leaks.append(Leak("pattern", found))
    return Leaks(tuple(_without_repeats(leaks)))


def _unchanged(original: str, redacted: Redacted) -> Iterator[Leak]:
    """Replacements that are what they replace, such as a mask over a value without letters or digits."""
    for done in redacted.replacements:
        if done.operator in SHOWN:
            continue
        if redacted.text[done.start : done.end] == done.span.value(original):
            yield Leak("unchanged", Span(done.start, done.end, done.span.type))


def _again(original: str, hidden: Iterable[Span], text: str, places: _Places) -> Iterator[Leak]:
    """Occurrences of hidden values outside the replacements."""
    plain = scan(text)
    quick = comparable(plain.text)
    forms: dict[str, list[tuple[str, str, str]]] = {}
    for type, value in dict.fromkeys((span.type, span.value(original)) for span in hidden):
        for form in (scan(value).text, _number(identity(type, value))):
            if worth_seeking(rough := comparable(form)):
                forms.setdefault(rough, []).append((form, type, value))
    # Most texts end here: the exact fold, with places, is for those that hold a value again.
    sought: dict[str, tuple[str, str]] = {}
    present = standing(forms, quick)
    for rough, of_form in forms.items():
        for form, type, value in of_form if rough in present else ():
            sought.setdefault(compare(form).text, (type, value))
    if not sought:
        return
    folded = compare(plain.text)
    for at, form in Seeker(sought).places(folded.text):
        type, value = sought[form]
        start, end = plain.original(*folded.original(at, at + len(form)))
        if not places.touch(start, end) and _is_form(text, start, end, form, value):
            yield Leak("value", Span(start, end, type))


def _number(who: str) -> str:
    """An identity that is a number, to be found without its country code; else nothing."""
    number = who.partition("x")[0].removeprefix("+86").removeprefix("+1").removeprefix("+")
    return number if number.isdecimal() and len(number) >= _UNMISTAKABLE else ""


def _is_form(text: str, start: int, end: int, form: str, value: str) -> bool:
    """Whether a place where the folded value stands is the value, and no accident of folding."""
    if any(char in _BREAKS and char not in value for char in text[start:end]):
        return False
    if form.isdecimal() and len(form) >= _UNMISTAKABLE:
        return True
    return not (joined(form[0], text[start - 1 : start]) or joined(form[-1], text[end : end + 1]))


def _without_repeats(leaks: Iterable[Leak]) -> list[Leak]:
    """One leak for each place, the first that was found."""
    seen: dict[tuple[int, int], Leak] = {}
    for leak in leaks:
        seen.setdefault((leak.span.start, leak.span.end), leak)
    return sorted(seen.values(), key=lambda leak: leak.span)


class _Places:
    """Where the replacements of a redacted text stand, and what lay there before."""

    def __init__(self, redacted: Redacted) -> None:
        self._replacements = [r for r in redacted.replacements if r.end > r.start]
        self._starts = [r.start for r in self._replacements]
        self._all = redacted.replacements

    def touch(self, start: int, end: int) -> bool:
        """Whether a range shares a character with a replacement."""
        before = bisect.bisect_left(self._starts, end) - 1
        return before >= 0 and self._replacements[before].end > start

    def original(self, position: int) -> int:
        """The place in the original text of a place outside the replacements."""
        before = bisect.bisect_right(self._all, position, key=lambda r: r.end) - 1
        if before < 0:
            return position
        last = self._all[before]
        return last.span.end + position - last.end


@dataclass(frozen=True, slots=True)
class Verified:
    """A redacted text without leaks.

    Attributes:
        redacted: the text and its replacements.
        num_escalated: places where a tag stands because the policy's operator would have leaked.
    """

    redacted: Redacted
    num_escalated: int = 0


def redact_verified(
    text: str,
    spans: Iterable[Span],
    policy: Policy | None = None,
    taxonomy: Taxonomy | None = None,
    *,
    key: RedactionKey | None = None,
    document: str | None = None,
    types: Sequence[str] | None = None,
    allows: Callable[[str], bool] | None = None,
) -> Verified:
    """Redact and verify. With ``on_leak: escalate`` tags take the places of leaks, and it is verified again.

    Arguments as for `redact` and `verify`.

    Raises:
        LeakError: there are leaks, and the policy says `fail` or tags did not help.
        DataError, KeyRequired: as `redact`.
    """
    policy = policy or default_policy()
    marked, tagged, apart = list(spans), set[Span](), list[Span]()

    def operator_of(span: Span) -> Operator:
        before = bisect.bisect_left(apart, span.end, key=lambda s: s.start) - 1
        is_tagged = before >= 0 and apart[before].end > span.start
        return FALLBACK if is_tagged else policy.operator(span)

    for _ in range(MAX_ROUNDS):
        apart = disjoint(tagged)
        # A scope of its own for each round: what the last round took is free again.
        scope = scope_of(text, policy, key, document)
        redacted = replace_spans(text, marked, operator_of, taxonomy, scope)
        leaks = verify(text, redacted, marked, policy, types=types, allows=allows)
        if not leaks:
            return Verified(redacted, len(tagged))
        if policy.on_leak == "fail":
            break
        places = _Places(redacted)
        for leak in leaks:
            span = _in_original(leak, redacted, places)
            tagged.add(span)
            marked.append(span)
    raise LeakError(leaks)


def _in_original(leak: Leak, redacted: Redacted, places: _Places) -> Span:
    """The place of a leak in the original text."""
    if leak.kind == "unchanged":
        return next(
            r.span for r in redacted.replacements if r.start == leak.span.start and r.end == leak.span.end
        )
    start, last = places.original(leak.span.start), places.original(leak.span.end - 1)
    return dataclasses.replace(leak.span, start=start, end=last + 1, source="verification")
