"""What an engine promises. The extractor knows nothing else of vLLM or transformers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from pydantic import Field

from configs.reader import StrictConfig
from pii.codec import Grammar

Dtype = Literal["auto", "float32", "bfloat16", "float16"]
"""``auto``: float32 on a CPU, bfloat16 on a GPU."""


class EngineError(RuntimeError):
    """An engine failed at a request. The message holds the kind of failure, never prompt or answer."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One greedy answer.

    Attributes:
        text: the answer without its end-of-turn token; may hold values, so it is never shown by repr.
        token_ids: its tokens.
        token_logprobs: natural logarithm of each token's probability among the tokens that the grammar
            allowed; as long as `token_ids`, or empty where a server elsewhere does not tell. vLLM masks
            before it reports, so that what the model would have said without the grammar is not to be had
            there; ``docs/scores.md`` says what that costs.
        finish: ``stop``: the model ended its turn; ``length``: the budget ended it.
        grammar_s: how long preparing the grammar took, in seconds; None where there was none, or where the
            engine compiles it out of sight (vLLM).
    """

    text: str
    token_ids: tuple[int, ...]
    token_logprobs: tuple[float, ...]
    finish: Literal["stop", "length"]
    grammar_s: float | None = None

    def __repr__(self) -> str:
        return f"Generation(num_tokens={len(self.token_ids)}, finish={self.finish!r})"


class Engine(Protocol):
    """Greedy decoding under a grammar. Many requests may be under way at once; the engine batches them."""

    @property
    def name(self) -> str:
        """``vllm``, ``transformers`` or ``remote``."""

    @property
    def description(self) -> str:
        """Engine, version, device and dtype in one line."""

    @property
    def is_alive(self) -> bool:
        """Whether requests can still be served; an engine that has died stays dead."""

    async def generate(
        self,
        prompt_ids: list[int],
        grammar: Grammar | None,
        max_new_tokens: int,
        end_bias: float = 0.0,
        draft_ids: Sequence[int] = (),
    ) -> Generation:
        """Answer one prompt. Cancelling the call ends the request.

        Args:
            prompt_ids: the prompt's tokens, ending with the opening of the assistant's turn.
            grammar: what may be answered, or None for free text.
            max_new_tokens: budget of the answer, its end-of-turn token included.
            end_bias: what is taken off the logits of the tokens that end the list (`ending.ending_ids`): with
                more of it the model looks further. `Generation.token_logprobs` are those without it.
            draft_ids: tokens of an answer that may well come. An engine that checks guesses may begin with
                them; the answer is the same without.

        Raises:
            EngineError: the engine is gone or could not serve the request.
        """

    async def close(self) -> None:
        """Give back memory, threads and processes."""


class VllmSettings(StrictConfig):
    """What only vLLM has. Names as in its own documentation where it has one."""

    enforce_eager: bool = True
    """True: starts in seconds. False: compiles first (minutes) and then answers faster."""
    kv_cache_gb: int = Field(default=1, gt=0)
    """Memory of the key-value cache on a CPU, in whole GiB."""
    gpu_memory_utilization: float = Field(default=0.9, gt=0, le=1)
    """Part of a GPU's memory that vLLM may take."""
    block_size: int = Field(default=32, multiple_of=16)
    """Tokens per cache block; on a CPU a multiple of 32. Prompts shorter than a block share no prefix."""
    speculative_tokens: int | None = Field(default=None, ge=0, le=16)
    """Tokens proposed by n-gram lookup in the prompt, in place of the profile's; 0: none."""


class RemoteSettings(StrictConfig):
    """A server that has the model elsewhere."""

    url: str | None = None
    """Where it is, such as ``http://gpu-1:8000``, without ``/v1``; required for the engine ``remote``."""
    model: str | None = None
    """The name under which it has the model; null where it has only one."""
    dialect: Literal["vllm", "openai"] = "vllm"
    """``vllm``: grammar, tokens and log-probabilities go over the wire, as in process. ``openai``: what
    every such server understands; values are then not bound to the text while decoding, and those that are
    not in it are dropped and counted afterwards."""
    timeout_s: float = Field(default=120.0, gt=0)
    """Longest wait for one answer, in seconds."""
