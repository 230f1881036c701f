"""What is concluded of a text from what every detector has seen in it.

looked (patterns, tagger) ─┐
reading (model) ───────────┴─ candidates → scores → merging → the caller's lists → Extraction
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from pii.patterns import Match
from pii.recurrence import further
from pii.spans import Span
from serving import merging
from serving.answer_facts import AnswerFacts
from serving.candidates import Candidate, candidates
from serving.extractor_config import Detectors
from serving.lists import Lists, without_overlap
from serving.model_detector import Reading, Usage
from serving.scoring import Calibration, scored
from serving.tagger import Tagged


@dataclass(frozen=True, slots=True)
class Extraction:
    """What was found in one text.

    Attributes:
        spans: what the chosen detectors found together; sorted, without overlap; with a score where both
            looked and the model is calibrated.
        model_spans: what the model found; empty where it was not asked.
        pattern_spans: what the patterns found; empty where they were not asked.
        tagger_spans: what the tagger thinks likeliest; empty where there is none.
        denied_spans: what stands on the caller's deny list; in `spans` in any case.
        propagated_spans: where a found value stands once more; in `spans` too. Empty unless asked for.
        candidates: where both looked, whatever either marked, with what speaks for and against it.
        threshold: the score from which a candidate counted; None where there are no scores.
        truncated: parts of the text, as (start, end), for which the model's answer did not fit; patterns
            and the readable part of the answer still count there.
        num_windows: windows that the model answered for.
        num_ungrounded: values of the model that could not be placed in the text.
        answers: facts of every model answer.
        usage: what the model's reading took.
        patterns_s: how long the patterns looked, in seconds.
        tagger_s: how long the tagger did.
        failure: the kind of exception that kept the text from being read; set by `extract_all` where it was
            told to be tolerant, and then nothing else is.
    """

    spans: tuple[Span, ...] = ()
    model_spans: tuple[Span, ...] = ()
    pattern_spans: tuple[Span, ...] = ()
    tagger_spans: tuple[Span, ...] = ()
    denied_spans: tuple[Span, ...] = ()
    propagated_spans: tuple[Span, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    threshold: float | None = None
    truncated: tuple[tuple[int, int], ...] = ()
    num_windows: int = 0
    num_ungrounded: int = 0
    answers: tuple[AnswerFacts, ...] = ()
    usage: Usage = field(default=Usage(), compare=False)
    patterns_s: float = field(default=0.0, compare=False)
    tagger_s: float = field(default=0.0, compare=False)
    failure: str = ""

    @property
    def suspected(self) -> tuple[Span, ...]:
        """What redaction hides: what the patterns marked, and of the model what is over the threshold.

        Overlaps included: merging may decide against a longer span, and a reader of a redacted text must not
        profit from that. Without scores it is whatever any detector marked.
        """
        if self.threshold is None:
            return (*self.spans, *self.model_spans, *self.pattern_spans)
        over = (c.span for c in self.candidates if (c.span.score or 0.0) > self.threshold)
        return (*over, *self.pattern_spans, *self.denied_spans, *self.propagated_spans)


NOTHING = Extraction()
"""Of a text in which there is nothing."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One request, checked.

    Attributes:
        detectors: who looks.
        model_types: what the model is asked for, in taxonomy order; empty: it is not asked.
        pattern_types: what the patterns look for; empty: they do not look.
        tagger_types: what the tagger looks for; empty: it does not.
        calibration: turns evidence into scores; None: there are none.
        threshold: the score from which a candidate counts; None without a calibration.
        lists: what the caller allows and denies.
        end_bias: how much further the model looks.
        propagate: whether found values are entities elsewhere too.
    """

    detectors: Detectors
    model_types: tuple[str, ...]
    pattern_types: tuple[str, ...]
    tagger_types: tuple[str, ...] = ()
    calibration: Calibration | None = None
    threshold: float | None = None
    lists: Lists | None = None
    end_bias: float = 0.0
    propagate: bool = False


class Looked(NamedTuple):
    """What patterns and tagger found, and how long they looked, in seconds."""

    matches: Sequence[Match]
    tagged: Tagged | None
    patterns_s: float
    tagger_s: float

    @property
    def likely(self) -> Sequence[Span]:
        """What the model is likely to find too; sorted, without overlap."""
        tagged = self.tagged.likeliest if self.tagged is not None else ()
        return merging.by_prior([*(match.span for match in self.matches), *tagged])


def concluded(text: str, plan: Plan, reading: Reading, looked: Looked) -> Extraction:
    """As `_combine`, after the caller's lists and with what stands once more."""
    if plan.lists is None:
        found = _combine(text, plan, reading, looked)
    else:
        found = _listed(text, plan, plan.lists, reading, looked)
    again = tuple(further(text, found.spans)) if plan.propagate else ()
    if not again:
        return found
    return replace(found, spans=tuple(sorted((*found.spans, *again))), propagated_spans=again)


def _listed(text: str, plan: Plan, lists: Lists, reading: Reading, looked: Looked) -> Extraction:
    """As `_combine`, without what the caller allows and with what the caller denies."""
    denied = tuple(lists.denied(text))
    known = [
        (span, evidence)
        for span, evidence in zip(reading.spans, reading.evidence, strict=True)
        if not lists.allows(span.value(text))
    ]
    reading = replace(reading, spans=tuple(s for s, _ in known), evidence=tuple(e for _, e in known))
    matches = [match for match in looked.matches if not lists.allows(match.span.value(text))]
    tagged = looked.tagged
    if tagged is not None:
        tagged = tagged.without(lambda span: lists.allows(span.value(text)))
    combined = _combine(text, plan, reading, looked._replace(matches=matches, tagged=tagged))
    return replace(combined, spans=tuple(without_overlap((*denied, *combined.spans))), denied_spans=denied)


def _combine(text: str, plan: Plan, reading: Reading, looked: Looked) -> Extraction:
    pattern_spans = tuple(match.span for match in looked.matches)
    found: tuple[Candidate, ...] = ()
    if plan.detectors != "merged":
        # One detector's spans are without overlap already, and most of a patterns-only job is this.
        spans = pattern_spans or reading.spans
    else:
        found = candidates(text, reading.spans, reading.evidence, looked.matches, looked.tagged)
        if plan.calibration is not None:
            found = scored(found, plan.calibration.weights)
        every = [candidate.span for candidate in found]
        if plan.threshold is not None:
            spans = merging.by_score(every, plan.threshold)
        else:
            # What the tagger alone marks is worth what a score says, and there is none.
            spans = merging.by_prior(span for span in every if span.source != "tagger")
    return Extraction(
        spans=spans,
        model_spans=reading.spans,
        pattern_spans=pattern_spans,
        tagger_spans=looked.tagged.likeliest if looked.tagged is not None else (),
        candidates=found,
        threshold=plan.threshold,
        truncated=reading.truncated,
        num_windows=reading.num_windows,
        num_ungrounded=reading.num_ungrounded,
        answers=reading.answers,
        usage=reading.usage,
        patterns_s=looked.patterns_s,
        tagger_s=looked.tagger_s,
    )
