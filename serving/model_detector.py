"""What the model finds in one text: windows, prompts, answers, places."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from pii import codec, windows
from pii.codec import Mention
from pii.grounding import Grounding, ground
from pii.model_folder import ModelManifest
from pii.spans import Span
from pii.windows import Window
from serving import evidence
from serving.answer_facts import AnswerFacts, facts_of
from serving.engines.protocol import Engine
from serving.evidence import TokenEvidence, TokenLengths
from serving.together import together

MIN_ANSWER_TOKENS = 16
"""A prompt that leaves fewer tokens than this for the answer is split instead of asked."""

MAX_SPLITS = 3
"""How often a window may be halved. An eighth of a window that still overflows is a model that loops: asking
on would double the work each time for nothing."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What reading took, summed over windows; for metrics and bills, never part of a result.

    Attributes:
        num_prompt_tokens: tokens read.
        num_answer_tokens: tokens written.
        waiting_s: seconds for which windows waited for a place with the engine.
        engine_s: seconds for which they were with it.
        grammars_s: of each grammar the seconds that preparing it took, where the engine says so.
    """

    num_prompt_tokens: int = 0
    num_answer_tokens: int = 0
    waiting_s: float = 0.0
    engine_s: float = 0.0
    grammars_s: tuple[float, ...] = ()

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.num_prompt_tokens + other.num_prompt_tokens,
            self.num_answer_tokens + other.num_answer_tokens,
            self.waiting_s + other.waiting_s,
            self.engine_s + other.engine_s,
            self.grammars_s + other.grammars_s,
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """What the model found in a text.

    Attributes:
        spans: sorted, without overlap.
        evidence: for each span, how sure the model was of it; None where that could not be told.
        truncated: parts of the text, as (start, end), whose answer did not fit even after splitting; the
            entities that could be read there are in `spans`.
        num_windows: windows whose answers were used.
        num_ungrounded: values that stand nowhere in their window, or more often than it has room for.
        answers: every answer, in order of the text.
        usage: what it took.
    """

    spans: tuple[Span, ...] = ()
    evidence: tuple[TokenEvidence | None, ...] = ()
    truncated: tuple[tuple[int, int], ...] = ()
    num_windows: int = 0
    num_ungrounded: int = 0
    answers: tuple[AnswerFacts, ...] = ()
    usage: Usage = field(default=Usage(), compare=False)


@dataclass(frozen=True, slots=True)
class _Question:
    """What `ModelDetector.read` is asked."""

    text: str
    types: Sequence[str]
    end_bias: float
    likely: Sequence[Span]

    def likely_in(self, window: Window) -> list[Span]:
        """What is likely to be found in a window, with offsets of its own."""
        return [
            replace(span, start=span.start - window.start, end=span.end - window.start)
            for span in self.likely
            if window.start <= span.start and span.end <= window.end and span.type in self.types
        ]


@dataclass(frozen=True, slots=True)
class _Part:
    """One window's outcome; a window that was split has no spans of its own and is not `used`."""

    window: Window
    facts: AnswerFacts
    spans: tuple[Span, ...] = ()
    evidence: tuple[TokenEvidence | None, ...] = ()
    num_ungrounded: int = 0
    truncated: bool = False
    used: bool = True
    usage: Usage = Usage()


class ModelDetector:
    """Asks an engine about each window of a text, all of them at once.

    Everything here runs on one event loop; the tokenizer is used by that loop's thread alone, because
    switching its treatment of control tokens changes it for all threads.

    Args:
        engine: serves the model.
        tokenizer: the model's.
        manifest: the model folder's.
        max_new_tokens: budget of one answer.
        concurrency: most windows, over all texts, that are with the engine at once.
        grounded: whether the grammar binds the answer; False measures what the model does freely.
    """

    def __init__(
        self,
        engine: Engine,
        tokenizer: Any,
        manifest: ModelManifest,
        *,
        max_new_tokens: int,
        concurrency: int,
        grounded: bool = True,
    ) -> None:
        self._engine, self._tokenizer, self.manifest = engine, tokenizer, manifest
        self._prompt_ids, self._lengths = codec.PromptEncoder(tokenizer), TokenLengths(tokenizer)
        self._max_new_tokens, self._grounded = max_new_tokens, grounded
        self._places = asyncio.Semaphore(concurrency)
        self.num_waiting, self.num_running = 0, 0

    async def read(
        self, text: str, types: Sequence[str], end_bias: float = 0.0, likely: Sequence[Span] = ()
    ) -> Reading:
        """Find entities of the types, all of which the model has been trained on.

        Args:
            text: the whole text.
            types: in taxonomy order.
            end_bias: how much further the model looks (see `Engine.generate`).
            likely: what is likely to be found; the same is found without, later (see `Engine.generate`).
        """
        question = _Question(text, types, end_bias, likely)
        cut = windows.cut(text, self.manifest.window_chars, self.manifest.window_margin)
        outcomes = await together(self._ask(question, window, MAX_SPLITS) for window in cut)
        parts = [part for outcome in outcomes for part in outcome]
        used = [part for part in parts if part.used]
        found = windows.gather([p.window for p in used], [p.spans for p in used])
        spans = [replace(span, source="model") for span in found]
        known = _evidence_by_start(used)
        return Reading(
            spans=tuple(spans),
            evidence=tuple(known[span.start, span.type] for span in spans),
            truncated=_joined((p.window.core_start, p.window.core_end) for p in used if p.truncated),
            num_windows=len(used),
            num_ungrounded=sum(part.num_ungrounded for part in used),
            answers=tuple(part.facts for part in parts),
            usage=sum((part.usage for part in parts), Usage()),
        )

    async def _ask(self, question: _Question, window: Window, splits: int) -> list[_Part]:
        """Outcomes of a window or, where its answer does not fit, of its halves too."""
        part = await self._answer(question, window)
        halves = windows.halves(question.text, window, self.manifest.window_margin) if splits else None
        # An answer most of whose values have no place left in the text is a loop, and not short of room:
        # to split would cost 2 ** MAX_SPLITS answers that loop too.
        loops = part.num_ungrounded > len(part.spans)
        if not part.truncated or loops or halves is None:
            return [part]
        asked = _Part(window, replace(part.facts, asked_again=True), used=False, usage=part.usage)
        left, right = await together(self._ask(question, half, splits - 1) for half in halves)
        return [asked, *left, *right]

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[float]:
        """A place with the engine; yields the seconds that it was waited for."""
        began = time.perf_counter()
        self.num_waiting += 1
        try:
            await self._places.acquire()
        finally:
            self.num_waiting -= 1
        self.num_running += 1
        try:
            yield time.perf_counter() - began
        finally:
            self.num_running -= 1
            self._places.release()

    async def _answer(self, question: _Question, window: Window) -> _Part:
        piece, types = question.text[window.start : window.end], question.types
        async with self._place() as waiting_s:
            prompt_ids = self._prompt_ids(piece, types)
            budget = min(self._max_new_tokens, self.manifest.context_tokens - len(prompt_ids))
            if budget < MIN_ANSWER_TOKENS:
                return _Part(window, AnswerFacts(False, False, "no_room", 0), truncated=True)
            style = self.manifest.answer_style
            grammar = codec.Grammar(piece, tuple(types), style) if self._grounded else None
            draft = codec.render(piece, question.likely_in(window), style)
            draft_ids = codec.answer_ids(self._tokenizer, draft)
            began = time.perf_counter()
            generation = await self._engine.generate(
                prompt_ids, grammar, budget, question.end_bias, draft_ids
            )
            engine_s = time.perf_counter() - began
        answer = codec.parse(generation.text, style)
        known = evidence.read(generation, self._lengths(generation.token_ids), len(answer.mentions))
        asked = [index for index, mention in enumerate(answer.mentions) if mention.type in types]
        grounding = ground(piece, [answer.mentions[index] for index in asked])
        facts = facts_of(
            answer,
            generation.text,
            grounding.mentions,
            num_tokens=len(generation.token_ids),
            num_prompt_tokens=len(prompt_ids),
            is_cut=generation.finish == "length",
            num_wrong_offsets=_wrong_offsets(answer.mentions, asked, grounding),
        )
        return _Part(
            window,
            facts,
            grounding.spans,
            tuple(known[asked[mention]] for mention in grounding.mentions),
            num_ungrounded=len(answer.mentions) - len(grounding.spans),
            truncated=generation.finish == "length",
            usage=Usage(
                len(prompt_ids),
                len(generation.token_ids),
                waiting_s,
                engine_s,
                () if generation.grammar_s is None else (generation.grammar_s,),
            ),
        )


def _wrong_offsets(mentions: Sequence[Mention], asked: Sequence[int], grounding: Grounding) -> int:
    """How many placed values the model claims to stand elsewhere than they do."""
    claims = (mentions[asked[index]] for index in grounding.mentions)
    return sum(
        said.start is not None and (said.start, said.end) != (span.start, span.end)
        for said, span in zip(claims, grounding.spans, strict=True)
    )


def _evidence_by_start(parts: Iterable[_Part]) -> dict[tuple[int, str], TokenEvidence | None]:
    """Evidence by start and type, of the spans that their window answers for.

    Every span of `windows.gather` starts as one of them does, however it goes on in the next windows.
    """
    return {
        (part.window.start + span.start, span.type): known
        for part in parts
        for span, known in zip(part.spans, part.evidence, strict=True)
        if part.window.core_start <= part.window.start + span.start < part.window.core_end
    }


def _joined(parts: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Neighbouring (start, end) as one."""
    joined: list[tuple[int, int]] = []
    for start, end in parts:
        if joined and joined[-1][1] == start:
            start = joined.pop()[0]
        joined.append((start, end))
    return tuple(joined)
