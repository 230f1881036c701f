"""A general model that is asked in words: zero-shot, or with examples. What training is measured against."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from anyio.from_thread import start_blocking_portal

from configs.errors import ConfigError
from evaluation.metrics import labelled_types
from evaluation.peers import prompts
from evaluation.peers.completers import Completer, FolderCompleter, ServiceCompleter
from evaluation.peers.finding import MARGIN, Finding, PeerAbsent, PeerFailure
from evaluation.peers.recipe import PromptedPeer
from pii import codec, windows
from pii.grounding import ground
from pii.spans import Document, Span
from pii.taxonomy import shipped
from serving.answer_facts import AnswerFacts, facts_of
from serving.together import together


@dataclass(frozen=True, slots=True)
class _Read:
    """One window: its spans in its own offsets, and what its answer was like."""

    spans: tuple[Span, ...]
    facts: AnswerFacts
    num_ungrounded: int


class Prompted:
    """Asks a completer about each window of a text; values are placed by `pii.grounding`, as ours are.

    Args:
        config: whom and how.

    Raises PeerAbsent: no model is there, or it does not start.
    """

    def __init__(self, config: PromptedPeer) -> None:
        self._config = config
        with ExitStack() as stack:
            self._portal = stack.enter_context(start_blocking_portal(name="prompted"))
            self._completer = self._portal.call(_open, config)
            stack.callback(self._portal.call, self._completer.close)
            self._resources = stack.pop_all()
        self._places = asyncio.Semaphore(config.concurrency)

    @property
    def description(self) -> str:
        """Who answers, and after how many examples."""
        shots = f"{self._config.shots} examples" if self._config.shots else "zero-shot"
        return f"{self._completer.description}, {shots}"

    @property
    def types(self) -> tuple[str, ...]:
        """All of them: each is explained in the prompt."""
        return tuple(t.name for t in shipped())

    def read(self, documents: Sequence[Document]) -> Iterator[Finding]:
        """Ask about as many documents at once as the recipe allows; findings in order."""
        step = self._config.concurrency
        for first in range(0, len(documents), step):
            yield from self._portal.call(self._together, documents[first : first + step])

    async def _together(self, documents: Sequence[Document]) -> list[Finding]:
        return await together(self._finding(document) for document in documents)

    async def _finding(self, document: Document) -> Finding:
        limit = self._config.window_chars
        types = [t.name for t in shipped() if t.name in labelled_types(document, shipped())]
        cut = windows.cut(document.text, limit, limit // MARGIN)
        try:
            read = await together(self._read(document.text[w.start : w.end], types) for w in cut)
        except PeerFailure as error:
            return Finding(failure=str(error), num_windows=len(cut))
        return Finding(
            spans=tuple(windows.gather(cut, [part.spans for part in read])),
            num_windows=len(cut),
            num_ungrounded=sum(part.num_ungrounded for part in read),
            answers=tuple(part.facts for part in read),
        )

    async def _read(self, text: str, types: Sequence[str]) -> _Read:
        async with self._places:
            said = await self._completer.complete(
                prompts.messages(text, types, self._config.shots),
                codec.Grammar(text, tuple(types)) if self._config.grounded else None,
            )
        answer = codec.parse(said.text)
        grounding = ground(text, [mention for mention in answer.mentions if mention.type in types])
        facts = facts_of(
            answer,
            said.text,
            grounding.mentions,
            num_tokens=said.num_tokens,
            num_prompt_tokens=said.num_prompt_tokens,
            is_cut=said.is_cut,
        )
        return _Read(grounding.spans, facts, len(answer.mentions) - len(grounding.spans))

    def close(self) -> Mapping[str, Any]:
        """Stop the engine or close the connections."""
        self._resources.close()
        return {}


async def _open(config: PromptedPeer) -> Completer:
    if config.url is not None:
        return ServiceCompleter(config)
    try:
        return await FolderCompleter.start(config)
    except ConfigError as error:
        raise PeerAbsent(str(error)) from None
    except (OSError, ValueError) as error:
        raise PeerAbsent(f"{config.folder}: does not start ({type(error).__name__})") from None
