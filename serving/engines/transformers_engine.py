"""The engine for machines without vLLM: transformers, one worker thread, rows batched as they come.

The grammar is llguidance's, the same that vLLM's ``guidance`` backend runs.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pii import codec
from pii.spans import Span
from pii.taxonomy import shipped
from serving.engines.answer_matcher import Shapes
from serving.engines.drafting import Draft, Lookup
from serving.engines.ending import ending_ids
from serving.engines.protocol import Dtype, EngineError, Generation
from serving.engines.running_batch import Row, RunningBatch
from serving.engines.slots import ATTENTION, register

logger = logging.getLogger(__name__)


def _shape(tokenizer: Any) -> list[int]:
    """An answer with every default type behind the opening of its turn: for guesses to begin with."""
    opening, _ = codec.encode(tokenizer, (), answer_next=True)
    answer = codec.render("x", [Span(0, 1, name) for name in shipped().default_types])
    return [*opening, *codec.answer_ids(tokenizer, answer)]


class TransformersEngine:
    """Decodes in a thread of its own; requests join the running batch after any token.

    Args:
        folder: a model folder.
        dtype: number format of the weights.
        max_batch: most rows decoded at once; more wait.
    """

    name = "transformers"

    def __init__(self, folder: Path, *, dtype: Dtype, max_batch: int) -> None:
        import torch
        import transformers
        from llguidance.hf import from_tokenizer

        transformers.utils.logging.disable_progress_bar()
        device = "cuda" if torch.cuda.is_available() else "cpu"
        chosen = dtype if dtype != "auto" else "bfloat16" if device == "cuda" else "float32"
        self._tokenizer: Any = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        register()
        model: Any = transformers.AutoModelForCausalLM.from_pretrained(
            folder, dtype=getattr(torch, chosen), attn_implementation=ATTENTION, local_files_only=True
        )
        self._model = model.to(device).eval()
        end_of_turn = self._tokenizer.convert_tokens_to_ids(codec.TURN_END)
        self._stop_ids = frozenset({end_of_turn, self._tokenizer.eos_token_id})
        self._shapes = Shapes(
            from_tokenizer(self._tokenizer, n_vocab=model.config.vocab_size, eos_token=end_of_turn)
        )
        self._shape = Lookup(_shape(self._tokenizer))
        self._ending = ending_ids(self._tokenizer)
        self._max_batch = max_batch
        self.description = f"transformers {transformers.__version__}, {device}, {chosen}"
        self._waiting: queue.SimpleQueue[Row | None] = queue.SimpleQueue()
        self._closed = False
        self._worker = threading.Thread(target=self._work, name="transformers-engine", daemon=True)
        self._worker.start()

    @property
    def is_alive(self) -> bool:
        """Whether the worker runs."""
        return not self._closed and self._worker.is_alive()

    async def generate(
        self,
        prompt_ids: list[int],
        grammar: codec.Grammar | None,
        max_new_tokens: int,
        end_bias: float = 0.0,
        draft_ids: Sequence[int] = (),
    ) -> Generation:
        """See `protocol.Engine.generate`."""
        if self._closed:
            raise EngineError("the engine is closed")
        began = time.perf_counter()
        matcher = None if grammar is None else self._shapes.matcher(grammar)
        grammar_s = time.perf_counter() - began
        lookup = Lookup(prompt_ids, self._shape)
        row = Row(prompt_ids, matcher, max_new_tokens, lookup, Draft(draft_ids), end_bias)
        self._waiting.put(row)
        await asyncio.wrap_future(row.done)
        # A row that failed has raised its error.
        assert row.finish in ("stop", "length")
        return Generation(
            text=self._tokenizer.decode(row.token_ids, skip_special_tokens=False),
            token_ids=tuple(row.token_ids),
            token_logprobs=tuple(row.token_logprobs),
            finish=row.finish,
            grammar_s=None if grammar is None else grammar_s,
        )

    async def close(self) -> None:
        """Finish the requests under way, then stop the worker."""
        if not self._closed:
            self._closed = True
            self._waiting.put(None)
            await asyncio.to_thread(self._worker.join)

    def _work(self) -> None:
        import torch

        batch = RunningBatch(self._model, self._stop_ids, self._ending)
        closing = False
        with torch.inference_mode():
            while batch.rows or not closing:
                joining: list[Row] = []
                try:
                    closing = self._collect(batch, joining) or closing
                    if joining:
                        batch.admit(joining)
                    if batch.rows:
                        batch.step()
                except Exception as error:
                    # Whose fault it is cannot be known: all rows get an error, and the worker lives on.
                    kind = type(error).__name__
                    logger.error("%d requests failed: %s", len({*map(id, batch.rows + joining)}), kind)
                    for row in batch.rows + joining:
                        row.fail(EngineError(f"decoding failed ({kind})"))
                    batch = RunningBatch(self._model, self._stop_ids, self._ending)

    def _collect(self, batch: RunningBatch, joining: list[Row]) -> bool:
        """Take what waits, up to a full batch; sleep only where nothing is under way. True: closing."""
        while len(batch.rows) + len(joining) < self._max_batch:
            try:
                row = self._waiting.get(block=not batch.rows and not joining)
            except queue.Empty:
                return False
            if row is None:
                return True
            if not row.done.cancelled():
                joining.append(row)
        return False
