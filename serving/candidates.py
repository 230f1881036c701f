"""What might be an entity, and every named fact that speaks for or against it.

Candidates are the model's spans, the tagger's and the patterns' matches; where several mark the same
characters with the same type they are one. Whether a candidate is right is for `serving.scoring` to say,
which of several that overlap is taken for `serving.merging`.
"""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from pii.identifiers import check
from pii.patterns import Match, announced
from pii.patterns.labels import NOT_PERSONAL
from pii.spans import Span
from serving.evidence import LEAST_LOGPROB, TokenEvidence
from serving.tagger import Tagged
from serving.wording import is_nobodys, trimmed, wording

_Item = TypeVar("_Item")

VERSION = 5
"""Of the features: a calibration of another version is not used. Rises when a feature changes its meaning."""

_LENGTHS = ((1, "1"), (4, "2_to_4"), (10, "5_to_10"), (20, "11_to_20"))


@dataclass(frozen=True, slots=True)
class Candidate:
    """A span that some detector marked.

    Attributes:
        span: with `source` and `subtype`, and with its `score` once that is known.
        features: name → value; a feature that is not there is 0.
    """

    span: Span
    features: Mapping[str, float] = field(compare=False)


@dataclass(frozen=True, slots=True)
class _Find:
    """What the detectors say of one span."""

    known: TokenEvidence | None = None
    of_model: bool = False
    of_tagger: bool = False
    match: Match | None = None

    @property
    def by(self) -> str:
        """Who marked it, such as ``model+pattern``."""
        who = {"model": self.of_model, "tagger": self.of_tagger, "pattern": self.match is not None}
        return "+".join(name for name, marked in who.items() if marked)


def candidates(
    text: str,
    model_spans: Sequence[Span],
    evidence: Sequence[TokenEvidence | None],
    matches: Sequence[Match],
    tagged: Tagged | None = None,
) -> tuple[Candidate, ...]:
    """All candidates of a text, sorted; they may overlap. What is nobody's is none, whoever marked it.

    Args:
        text: the text.
        model_spans: what the model marked; sorted, without overlap.
        evidence: how sure it was of each.
        matches: what the patterns marked; sorted, without overlap.
        tagged: what the tagger says; None where there is none.
    """
    marks = [
        (trimmed(text, span), known)
        for span, known in zip(model_spans, evidence, strict=True)
        if not is_nobodys(text, span)
    ]
    model_spans = [span for span, _ in marks]
    finds = {span: _Find(known, of_model=True) for span, known in marks}
    marked = [match.span for match in matches]
    for span in tagged.spans if tagged else ():
        if not is_nobodys(text, span):
            span = trimmed(text, span)
            # A piece of what a pattern has whole says nothing that its evidence does not.
            whole = _touching(span, marked, matches)
            if not any(m.span.type == span.type and len(m.span) > len(span) for m in whole):
                finds[span] = replace(finds.get(span, _Find()), of_tagger=True)
    for match in matches:
        finds[match.span] = replace(finds.get(match.span, _Find()), match=match)
    values = Counter((span.type, span.value(text)) for span in finds)
    made = []
    for span, find in sorted(finds.items(), key=lambda item: item[0]):
        features = _of_itself(text, span, find)
        if values[span.type, span.value(text)] > 1:
            features["found_elsewhere"] = 1.0
        if tagged is not None:
            features |= _tagged(tagged, span)
        # A span that several found meets itself: only the others are neighbours.
        if find.of_model or find.of_tagger:
            features |= _beside_patterns(
                text, span, [m for m in _touching(span, marked, matches) if m.span != span]
            )
        if find.match is not None or find.of_tagger:
            near = _touching(span, model_spans, marks)
            features |= _beside_model(text, span, [(s, known) for s, known in near if s != span])
        made.append(Candidate(_told(text, span, find), features))
    return tuple(made)


def _touching(span: Span, others: Sequence[Span], items: Sequence[_Item]) -> Sequence[_Item]:
    """The items of those of the sorted, disjoint others that share a character with the span."""
    first = bisect.bisect_right(others, span.start, key=lambda other: other.end)
    last = bisect.bisect_left(others, span.end, key=lambda other: other.start)
    return items[first:last]


def _told(text: str, span: Span, find: _Find) -> Span:
    """The span with its source, and the subtype that a pattern or a validator gives it."""
    if find.match is None:
        verdict = check(span.type, span.value(text))
        return replace(span, source=find.by, subtype=verdict.subtype if verdict.valid else None)
    return replace(span, source=find.by, subtype=find.match.span.subtype)


# --- features ---------------------------------------------------------------------------------------


def _of_itself(text: str, span: Span, find: _Find) -> dict[str, float]:
    """What is known of a span without its neighbours."""
    features = {f"found_by_{find.by}": 1.0, f"{find.by}:{span.type}": 1.0}
    value = span.value(text)
    if find.by == "model":
        # Where others marked the same, that the model did too is all it adds: an entity of which it was not
        # sure would otherwise be worth less than one that it had not seen.
        features |= _sureness(find.known)
    if find.match is None:
        features[f"length_{_length(len(value))}"] = 1.0
    else:
        features[f"pattern_{find.match.evidence}"] = 1.0
        if find.match.labelled:
            features["pattern_labelled"] = 1.0
    valid = True if find.match and find.match.evidence == "checksum" else check(span.type, value).valid
    if valid is not None:
        features["check_holds" if valid else "check_fails"] = 1.0
    return features | _announced(text, span) | wording(text, span)


def _announced(text: str, span: Span) -> dict[str, float]:
    """What the label before the span says that it is, where there is one."""
    types = announced(text, span.start)
    if not types:
        return {}
    says = "same" if span.type in types else "nobodys" if types == (NOT_PERSONAL,) else "other"
    return {f"label_says_{says}": 1.0}


def _sureness(known: TokenEvidence | None) -> dict[str, float]:
    if known is None:
        return {"evidence_missing": 1.0}
    return {
        "opening_logprob": max(known.opening, LEAST_LOGPROB),
        "type_logprob": max(known.type, LEAST_LOGPROB),
        "value_logprob": max(known.value, LEAST_LOGPROB),
        "lowest_logprob": max(known.lowest, LEAST_LOGPROB),
    }


def _tagged(tagged: Tagged, span: Span) -> dict[str, float]:
    known = tagged.evidence(span)
    if known is None:
        return {"tagger_has_no_such_type": 1.0}
    return {
        "tagger_begins": known.begins,
        "tagger_inside": known.inside,
        "tagger_ends": known.ends,
        "tagger_lowest": known.lowest,
    }


def _length(num_chars: int) -> str:
    return next((name for most, name in _LENGTHS if num_chars <= most), "over_20")


def _beside_patterns(text: str, span: Span, near: Sequence[Match]) -> dict[str, float]:
    """What the patterns say of the same characters, where that is something else."""
    features: dict[str, float] = {}
    for match in near:
        features |= _meeting(text, "pattern", span, match.span)
        features[f"meets_pattern_{match.evidence}"] = 1.0
    return features


def _beside_model(
    text: str, span: Span, near: Sequence[tuple[Span, TokenEvidence | None]]
) -> dict[str, float]:
    """What the model says of the same characters, where that is something else, and how sure it is."""
    features: dict[str, float] = {}
    for other, known in near:
        features |= _meeting(text, "model", span, other)
        if known is not None:
            total = max(known.total, 2 * LEAST_LOGPROB)
            features["met_model_logprob"] = max(features.get("met_model_logprob", 2 * LEAST_LOGPROB), total)
    return features


def _meeting(text: str, detector: str, span: Span, other: Span) -> dict[str, float]:
    """How a span lies to one of the other detector, and what that one's characters look like."""
    features = {f"meets_{detector}_{'same' if span.type == other.type else 'other'}_type": 1.0}
    features |= {f"met_{fact}": 1.0 for fact in wording(text, other)}
    if (span.start, span.end) == (other.start, other.end):
        features[f"equals_{detector}"] = 1.0
    elif other.start <= span.start and span.end <= other.end:
        features[f"inside_{detector}"] = 1.0
    elif span.start <= other.start and other.end <= span.end:
        features[f"around_{detector}"] = 1.0
    return features
