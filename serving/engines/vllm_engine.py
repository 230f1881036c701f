"""vLLM in our process (its engine core runs in a child of it), on a GPU or with the CPU build.

Structured outputs go through vLLM's ``guidance`` backend, which is llguidance.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from configs.errors import ConfigError
from pii import codec
from pii.model_folder import ADAPTER_CONFIG, base_of
from pii.taxonomy import shipped
from serving.engines.ending import ending_ids
from serving.engines.protocol import Dtype, EngineError, Generation, VllmSettings
from serving.silence import describe

logger = logging.getLogger(__name__)

LOGGING = Path(__file__).with_name("vllm_logging.json")
"""vLLM's logging, in all of its processes: templates without arguments, for a failing engine dumps its
requests and their grammars, which hold the text."""

WARM_UP_TOKENS = 4


class VllmEngine:
    """An `AsyncLLM`. Made by `start`; used from the event loop that started it.

    Args:
        engine: the running AsyncLLM.
        tokenizer: of the model folder.
        description: see `protocol.Engine.description`.
        adapter: vLLM's request for the low-rank adapter that answers; None: the base does.
    """

    name = "vllm"

    def __init__(self, engine: Any, tokenizer: Any, description: str, adapter: Any = None) -> None:
        self._adapter = adapter
        self._engine, self._tokenizer, self.description = engine, tokenizer, description
        self._end_of_turn = tokenizer.convert_tokens_to_ids(codec.TURN_END)
        self._stop_ids = {self._end_of_turn, tokenizer.eos_token_id}
        self._ending = ending_ids(tokenizer)

    @classmethod
    async def start(
        cls, folder: Path, *, dtype: Dtype, max_batch: int, max_model_tokens: int, settings: VllmSettings
    ) -> Self:
        """Load a model folder; takes 5 to 25 seconds, minutes where it compiles.

        Args:
            folder: the model folder, or that of a low-rank adapter, which is applied to its base at run time.
            dtype: number format of the weights.
            max_batch: most requests decoded at once.
            max_model_tokens: most tokens of prompt and answer together.
            settings: see there.
        """
        _prepare_environment(settings)
        # The import alone takes seconds; the loop's other tasks go on meanwhile.
        arguments = await asyncio.to_thread(
            _engine_arguments, folder, dtype, max_batch, max_model_tokens, settings
        )
        from transformers import AutoTokenizer
        from vllm import __version__
        from vllm.platforms import current_platform
        from vllm.v1.engine.async_llm import AsyncLLM

        # On this loop, which is the one that the engine's own tasks will run on.
        engine = AsyncLLM.from_engine_args(arguments)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        precision = str(engine.vllm_config.model_config.dtype).removeprefix("torch.")
        description = f"vllm {__version__}, {current_platform.device_type}, {precision}"
        made = cls(engine, tokenizer, description, _lora_request(folder))
        # The first request compiles kernels, for seconds or minutes: before anybody waits for it.
        prompt_ids, _ = codec.encode(tokenizer, codec.prompt("x"), answer_next=True)
        await made.generate(prompt_ids, codec.Grammar("x", shipped().default_types), WARM_UP_TOKENS)
        return made

    @property
    def is_alive(self) -> bool:
        """Whether the engine core's process runs."""
        return not self._engine.errored

    async def generate(
        self,
        prompt_ids: list[int],
        grammar: codec.Grammar | None,
        max_new_tokens: int,
        end_bias: float = 0.0,
        draft_ids: Sequence[int] = (),
    ) -> Generation:
        """See `protocol.Engine.generate`."""
        from vllm.sampling_params import RequestOutputKind, SamplingParams, StructuredOutputsParams

        parameters = SamplingParams(
            temperature=0.0,
            max_tokens=max_new_tokens,
            logprobs=0,
            # The text is made from the tokens here, once, as with the other engine.
            detokenize=False,
            stop_token_ids=[self._end_of_turn],
            logit_bias=dict.fromkeys(self._ending, -end_bias) if end_bias else None,
            structured_outputs=None if grammar is None else StructuredOutputsParams(grammar=grammar.lark()),
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        final = None
        try:
            async for output in self._engine.generate(
                {"prompt_token_ids": prompt_ids}, parameters, uuid.uuid4().hex, lora_request=self._adapter
            ):
                final = output.outputs[0]
        except Exception as error:
            # The message of the original may quote the request.
            raise EngineError(f"vLLM failed ({describe(error)})") from None
        if final is None or final.finish_reason not in ("stop", "length"):
            raise EngineError("vLLM ended a request without an answer")
        return self._generation(final)

    def _generation(self, final: Any) -> Generation:
        token_ids = list(final.token_ids)
        logprobs = [at[token].logprob for token, at in zip(token_ids, final.logprobs, strict=True)]
        if token_ids and token_ids[-1] in self._stop_ids:
            token_ids, logprobs = token_ids[:-1], logprobs[:-1]
        return Generation(
            text=self._tokenizer.decode(token_ids, skip_special_tokens=False),
            token_ids=tuple(token_ids),
            token_logprobs=tuple(logprobs),
            finish=final.finish_reason,
        )

    async def close(self) -> None:
        """End the engine core's process."""
        # Its task that waits for answers goes first: the core's end would be logged as its death.
        if (waiting := self._engine.output_handler) is not None:
            waiting.cancel()
            await asyncio.wait([waiting])
        await asyncio.to_thread(self._engine.shutdown)


def _prepare_environment(settings: VllmSettings) -> None:
    """What vLLM reads from the environment of this process and hands on to its child."""
    os.environ.update(
        {
            "VLLM_NO_USAGE_STATS": "1",
            "VLLM_DO_NOT_TRACK": "1",
            "VLLM_LOGGING_CONFIG_PATH": str(LOGGING),
            # 0: its warnings go to stderr and quote the grammar.
            "LLGUIDANCE_LOG_LEVEL": "0",
            "VLLM_CPU_KVCACHE_SPACE": f"{settings.kv_cache_gb}",
        }
    )
    os.environ.setdefault("HF_HUB_OFFLINE", "1")


def _engine_arguments(
    folder: Path, dtype: Dtype, max_batch: int, max_model_tokens: int, settings: VllmSettings
) -> Any:
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.platforms import current_platform

    if dtype == "auto":
        dtype = "float32" if current_platform.is_cpu() else "bfloat16"
    speculation = {
        "method": "ngram",
        "num_speculative_tokens": settings.speculative_tokens,
        "prompt_lookup_max": 4,
        "prompt_lookup_min": 2,
    }
    base = base_of(folder)
    lora = {"enable_lora": True, "max_loras": 1, "max_lora_rank": _rank(folder)} if base else {}
    return AsyncEngineArgs(
        model=str(base or folder),
        tokenizer=str(folder),
        **lora,
        dtype=dtype,
        max_model_len=max_model_tokens,
        max_num_seqs=max_batch,
        enforce_eager=settings.enforce_eager,
        block_size=settings.block_size,
        gpu_memory_utilization=settings.gpu_memory_utilization,
        enable_prefix_caching=True,
        structured_outputs_config={"backend": "guidance"},
        speculative_config=speculation if settings.speculative_tokens else None,
        generation_config="vllm",
        disable_log_stats=True,
        enable_log_requests=False,
    )


_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""Ranks for which vLLM makes room; an adapter of another one takes the next larger."""


def _rank(folder: Path) -> int:
    """The room that an adapter needs. Raises ConfigError: it is of a kind that vLLM does not apply."""
    config = json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    if config.get("peft_type") != "LORA" or config.get("use_dora"):
        raise ConfigError(
            f"{folder}: vLLM applies plain low-rank adapters alone; `pii merge` it, or use the"
            " engine transformers"
        )
    return next((rank for rank in _RANKS if rank >= config["r"]), config["r"])


def _lora_request(folder: Path) -> Any:
    """What a request says to be answered with a folder's adapter; None where it holds whole weights."""
    if base_of(folder) is None:
        return None
    from vllm.lora.request import LoRARequest

    return LoRARequest("adapter", 1, str(folder))
