"""The loads that `pii bench serve` compares, and the processor time that each took."""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from evaluation.load import Timing, drive
from evaluation.watched import Call, WatchedEngine
from pii import codec
from pii.spans import Document

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Load:
    """One load: what callers saw, and what it took.

    Attributes:
        timing: as the callers saw it.
        processor_s: seconds of this process and its children, the client's apart.
        client_s: seconds of the client's process.
    """

    timing: Timing
    processor_s: float
    client_s: float = 0.0

    @property
    def per_second(self) -> float:
        """Documents a second by the clock."""
        return len(self.timing.latencies) / self.timing.seconds

    @property
    def per_processor_second(self) -> float:
        """Documents for a second of processor time."""
        return len(self.timing.latencies) / self.processor_s


def processor_seconds(besides: int | None = None) -> float:
    """Of this process and its living children (vLLM's core is one) but one."""
    import psutil

    own = psutil.Process()
    return sum(_seconds_of(p.pid) for p in (own, *own.children(recursive=True)) if p.pid != besides)


def _seconds_of(process: int) -> float:
    """Processor seconds of one process; 0 where it is gone."""
    import psutil

    try:
        times = psutil.Process(process).cpu_times()
    except psutil.Error:
        return 0.0
    spent: float = times.user + times.system
    return spent


class Loads:
    """The same documents by HTTP, from a process of its own, and of the engine alone.

    Args:
        engine: of the service.
        texts: what is asked for.
        calls: what the engine is asked for each.
        address: of the service.
        client: the pool with the client's process.
    """

    def __init__(
        self,
        engine: WatchedEngine,
        texts: Sequence[str],
        calls: Sequence[Sequence[Call]],
        address: str,
        client: ProcessPoolExecutor,
    ) -> None:
        self._engine, self._texts, self._address, self._client = engine, texts, address, client
        self._drafted = calls
        self._prompts = [[replace(call, draft_ids=()) for call in group] for group in calls]
        self._client_pid = client.submit(os.getpid).result()

    def through_http(self, callers: int, number: int, first: int = 0) -> Load:
        """POST /extract.

        Args:
            callers: each asks again as soon as it is answered.
            number: how many documents are asked for.
            first: the one to begin with.
        """
        asked = (self._address, _from(self._texts, first), callers, number)
        return self._measured(lambda: self._client.submit(_post_all, *asked).result())

    def prompts(self, callers: int, number: int, first: int = 0) -> Load:
        """The engine alone: prompts and grammars, guesses its own. See `through_http`."""
        return self._of_engine(self._prompts, callers, number, first)

    def drafted(self, callers: int, number: int, first: int = 0) -> Load:
        """The engine alone, given the drafts too that patterns and tagger made before. See `through_http`."""
        return self._of_engine(self._drafted, callers, number, first)

    def _of_engine(self, calls: Sequence[Sequence[Call]], callers: int, number: int, first: int) -> Load:
        driving = drive(
            self._engine.replay, _from(calls, first), concurrency=callers, seconds=math.inf, most=number
        )
        return self._measured(lambda: asyncio.run(driving))

    def _measured(self, load: Callable[[], Timing]) -> Load:
        before, client_before = processor_seconds(self._client_pid), _seconds_of(self._client_pid)
        timing = load()
        spent = processor_seconds(self._client_pid) - before
        return Load(timing, spent, _seconds_of(self._client_pid) - client_before)


def _from(items: Sequence[Item], first: int) -> list[Item]:
    """The items, another one first."""
    first %= len(items)
    return [*items[first:], *items[:first]]


def _post_all(address: str, texts: Sequence[str], callers: int, number: int) -> Timing:
    """POST /extract; what the client's process does."""
    import httpx

    async def run() -> Timing:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=callers)
        async with httpx.AsyncClient(base_url=address, timeout=600, limits=limits, trust_env=False) as client:

            async def post(text: str) -> None:
                (await client.post("/extract", json={"text": text})).raise_for_status()

            return await drive(post, texts, concurrency=callers, seconds=math.inf, most=number)

    return asyncio.run(run())


class UsualLoop:
    """Unbatched ``model.generate`` without a grammar, as many tokens as answers with offsets have.

    Args:
        documents: what is asked for.
        folder: of the model.
    """

    def __init__(self, documents: Sequence[Document], folder: Path) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self._documents = documents
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model: Any = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True).eval()
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model = model.to(self._device)

    def load(self, number: int, first: int = 0) -> Load:
        """Ask for so many documents, one after the other."""
        latencies: list[float] = []
        before, began = processor_seconds(), time.perf_counter()
        for document in _from(self._documents, first)[:number]:
            start = time.perf_counter()
            self._ask(document)
            latencies.append(time.perf_counter() - start)
        timing = Timing(time.perf_counter() - began, tuple(latencies))
        return Load(timing, processor_seconds() - before)

    def _ask(self, document: Document) -> None:
        import torch

        answer = codec.render(document.text, document.spans, "with_offsets")
        count = len(codec.answer_ids(self._tokenizer, answer))
        prompt = codec.encode(self._tokenizer, codec.prompt(document.text), answer_next=True)[0]
        ids = torch.tensor([prompt], device=self._device)
        with torch.inference_mode():
            made = self._model.generate(ids, do_sample=False, min_new_tokens=count, max_new_tokens=count)
        assert made.shape[1] == len(prompt) + count
