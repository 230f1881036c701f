"""Presidio's analyzer on our extractor: which types to ask for, and its results under Presidio's names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from pii.errors import RequestError
from pii.spans import Span
from serving.extraction import Extraction
from serving.lists import DeniedPattern, DeniedWord, Lists
from serving.presidio.names import names
from serving.presidio.requests import DEFAULT_FLAGS, AdHocRecognizer, AnalyzeRequest, with_flags

UNMEASURED = 1.0
"""Presidio's results need a score. Where the model was never measured this one stands: no probability."""

_CONTEXT_WORDS, _CONTEXT_GAIN, _LEAST_WITH_CONTEXT = 5, 0.35, 0.4
"""Presidio's: how many words before a find may vouch for it, what that adds, the least score after it."""

_NOBODY = "No matching recognizers were found to serve the request."

_RECOGNIZERS = {
    "model": "ModelRecognizer",
    "pattern": "PatternRecognizer",
    "tagger": "TaggerRecognizer",
}


@dataclass(frozen=True, slots=True)
class AdHoc:
    """One pattern or list of words of a request, ready to search."""

    recognizer: AdHocRecognizer
    lists: Lists
    score: float
    pattern_name: str = "deny_list"
    pattern: str | None = None


def types_for(asked: AnalyzeRequest, known: Iterable[str]) -> list[str]:
    """Our types that can have the names which a request asks for; all known ones where it names none.

    Raises RequestError ``no_recognizer``: nobody finds any of them, or the language is another.
    """
    read_language(asked.language)
    if not asked.entities:
        return list(known)
    ours = names().ours(asked.entities, known)
    own = {recognizer.supported_entity for recognizer in asked.ad_hoc_recognizers or ()}
    if not ours and not own.intersection(asked.entities):
        raise RequestError("no_recognizer", "entities", _NOBODY)
    return ours


def read_language(language: str) -> None:
    """Raises RequestError ``no_recognizer`` where it is neither Chinese nor English."""
    if not re.fullmatch(r"(?:zh|en)(?:[-_].*)?", language):
        raise RequestError("no_recognizer", "language", _NOBODY)


def ad_hoc(asked: AnalyzeRequest) -> list[AdHoc]:
    """The recognisers that a request brings along, compiled.

    Raises RequestError ``pattern_not_supported`` with the place of the recogniser.
    """
    made: list[AdHoc] = []
    for index, recognizer in enumerate(asked.ad_hoc_recognizers or ()):
        if asked.entities and recognizer.supported_entity not in asked.entities:
            continue
        try:
            for own in recognizer.patterns:
                pattern = DeniedPattern.model_construct(pattern=with_flags(own.regex, DEFAULT_FLAGS))
                made.append(AdHoc(recognizer, Lists(deny=[pattern]), own.score, own.name, own.regex))
            if recognizer.deny_list:
                words = Lists(deny=[DeniedWord(word=word) for word in recognizer.deny_list])
                made.append(AdHoc(recognizer, words, recognizer.deny_list_score))
        except RequestError as error:
            raise RequestError(error.code, f"ad_hoc_recognizers[{index}]", str(error)) from None
    return made


def results_of(
    text: str, extraction: Extraction, asked: AnalyzeRequest, own: Iterable[AdHoc], lists: Lists
) -> list[dict[str, Any]]:
    """Presidio's answer for one text, by place. Finds of the request's own recognisers may overlap others.

    Raises RequestError ``patterns_too_slow``.
    """
    wanted = set(asked.entities or ())
    least = asked.score_threshold or 0.0
    found = [_result(names().of(span), span, _told(span)) for span in extraction.spans]
    found = [result for result in found if not wanted or result["entity_type"] in wanted]
    for recognizer in own:
        found.extend(
            result
            for span, result in _found_by(text, recognizer, asked.context)
            if not lists.allows(span.value(text))
        )
    if not asked.return_decision_process:
        found = [{**result, "analysis_explanation": None} for result in found]
    return sorted(
        (result for result in found if result["score"] >= least),
        key=lambda result: (result["start"], result["end"], result["entity_type"]),
    )


def _found_by(text: str, own: AdHoc, context: Iterable[str] | None) -> Iterator[tuple[Span, dict[str, Any]]]:
    words = [*(own.recognizer.context or ()), *(context or ())]
    for span in own.lists.denied(text):
        vouching = _context_word(text, span, words)
        raised = max(min(own.score + _CONTEXT_GAIN, 1.0), _LEAST_WITH_CONTEXT) if vouching else own.score
        told = {
            "recognizer": own.recognizer.name,
            "pattern_name": own.pattern_name,
            "pattern": own.pattern,
            "original_score": own.score,
            "score_context_improvement": raised - own.score,
            "supportive_context_word": vouching,
        }
        yield span, _result(own.recognizer.supported_entity, replace(span, score=raised), told)


def _context_word(text: str, span: Span, words: Iterable[str]) -> str:
    """The first of the words that stands in one of the five words before a find; empty: none does."""
    before = re.findall(r"\w+", text[max(0, span.start - 200) : span.start].lower())[-_CONTEXT_WORDS:]
    return next((word for word in words if word and any(word.lower() in other for other in before)), "")


def _told(span: Span) -> dict[str, Any]:
    who = [_RECOGNIZERS[part] for part in (span.source or "").split("+") if part in _RECOGNIZERS]
    return {"recognizer": ", ".join(who), "original_score": _score(span)}


def _score(span: Span) -> float:
    return UNMEASURED if span.score is None else span.score


def _result(name: str, span: Span, told: dict[str, Any]) -> dict[str, Any]:
    explanation = {
        "recognizer": "",
        "pattern_name": None,
        "pattern": None,
        "original_score": 0.0,
        "score": _score(span),
        "textual_explanation": None,
        "score_context_improvement": 0,
        "supportive_context_word": "",
        "validation_result": None,
        **told,
    }
    return {
        "entity_type": name,
        "start": span.start,
        "end": span.end,
        "score": _score(span),
        "analysis_explanation": explanation,
    }
