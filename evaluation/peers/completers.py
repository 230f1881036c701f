"""Who answers a prompt: this program's engines with a folder of weights, or an OpenAI-compatible service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import httpx

from evaluation.peers.finding import PeerAbsent, PeerFailure
from evaluation.peers.http import key_of
from evaluation.peers.recipe import PromptedPeer
from pii import codec
from pii.codec import Grammar, Message
from serving.engines import choice
from serving.engines.protocol import Engine, EngineError


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer.

    Attributes:
        text: what was written; may hold values, so it is never shown by repr.
        num_prompt_tokens: tokens of the prompt.
        num_tokens: tokens written.
        is_cut: whether the budget ended it.
    """

    text: str
    num_prompt_tokens: int
    num_tokens: int
    is_cut: bool

    def __repr__(self) -> str:
        return f"Completion(num_tokens={self.num_tokens}, is_cut={self.is_cut})"


class Completer(Protocol):
    """Answers one conversation; many may be under way at once."""

    @property
    def description(self) -> str:
        """Model and engine in one line."""

    async def complete(self, messages: Sequence[Message], grammar: Grammar | None) -> Completion:
        """Greedy answer. Raises PeerFailure: this request failed; PeerAbsent: nobody answers any more."""

    async def close(self) -> None:
        """Give back what it holds."""


class FolderCompleter:
    """A folder of weights in one of this program's engines.

    The engines end an answer at ChatML's end of turn (Qwen, SmolLM2 and many others have it).
    """

    def __init__(self, engine: Engine, tokenizer: Any, config: PromptedPeer) -> None:
        self._engine, self._tokenizer, self._config = engine, tokenizer, config
        assert config.folder is not None
        self.description = f"{config.folder.name}, {engine.description}"

    @classmethod
    async def start(cls, config: PromptedPeer) -> Self:
        """Load the folder; takes seconds. Raises PeerAbsent: it is not there or of another family."""
        from transformers import AutoTokenizer

        assert config.folder is not None
        if not (config.folder / "config.json").is_file():
            raise PeerAbsent(f"{config.folder}: no model")
        tokenizer = AutoTokenizer.from_pretrained(config.folder, local_files_only=True)
        if codec.TURN_END not in tokenizer.get_vocab():
            raise PeerAbsent(
                f"{config.folder}: its tokenizer has no ChatML turns; serve it behind an OpenAI-compatible "
                "address and name that as url"
            )
        engine = await choice.start(
            config.engine,
            config.folder,
            dtype=config.dtype,
            max_batch=config.concurrency,
            max_model_tokens=config.max_model_tokens,
            vllm=config.vllm,
        )
        return cls(engine, tokenizer, config)

    async def complete(self, messages: Sequence[Message], grammar: Grammar | None) -> Completion:
        """See `Completer.complete`."""
        ids, _ = codec.encode(self._tokenizer, messages, answer_next=True)
        room = self._config.max_model_tokens - len(ids)
        if room < 1:
            raise PeerFailure("no_room")
        try:
            made = await self._engine.generate(ids, grammar, min(room, self._config.max_new_tokens))
        except EngineError as error:
            raise PeerAbsent(str(error)) from None
        return Completion(made.text, len(ids), len(made.token_ids), made.finish == "length")

    async def close(self) -> None:
        """Stop the engine."""
        await self._engine.close()


class ServiceCompleter:
    """``POST /chat/completions`` of an OpenAI-compatible service.

    Source of the shape: https://platform.openai.com/docs/api-reference/chat
    """

    def __init__(self, config: PromptedPeer) -> None:
        self._config = config
        self.description = f"{config.model} at {config.url}"
        self._client = httpx.AsyncClient(timeout=config.timeout_seconds, headers=key_of(config.key_variable))

    async def complete(self, messages: Sequence[Message], grammar: Grammar | None) -> Completion:
        """See `Completer.complete`; tokens are what the service says they are."""
        assert grammar is None, "the recipe refuses a grammar for a service"
        body = {
            "model": self._config.model,
            "messages": list(messages),
            "max_tokens": self._config.max_new_tokens,
            "temperature": 0,
        }
        assert self._config.url is not None
        try:
            answer = await self._client.post(self._config.url.rstrip("/") + "/chat/completions", json=body)
        except httpx.TimeoutException:
            raise PeerFailure("timeout") from None
        except httpx.HTTPError as error:
            raise PeerAbsent(f"{self._config.url}: {type(error).__name__}") from None
        if answer.status_code != httpx.codes.OK:
            raise PeerFailure(f"status {answer.status_code}")
        return _completion(answer)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def _completion(answer: httpx.Response) -> Completion:
    try:
        row = answer.json()
        choice_, usage = row["choices"][0], row.get("usage") or {}
        return Completion(
            text=str(choice_["message"]["content"] or ""),
            num_prompt_tokens=int(usage.get("prompt_tokens", 0)),
            num_tokens=int(usage.get("completion_tokens", 0)),
            is_cut=choice_.get("finish_reason") == "length",
        )
    except (ValueError, KeyError, IndexError, TypeError):
        raise PeerFailure("an answer of another shape") from None
