"""The same texts through library, HTTP and engine, one load after the other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from tqdm import tqdm

from evaluation.load import Timing, drive
from evaluation.watched import Call, Traffic, WatchedEngine, service
from serving.extractor import Extractor

NUM_TEXTS = 12
"""Different texts of each length."""
Way = Literal["library", "http", "engine"]
WAYS: tuple[Way, ...] = get_args(Way)
"""The ways into an extractor."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How long each load is kept up, until `seconds` are over or `requests` were begun, and by which ways."""

    seconds: float
    requests: int
    ways: tuple[Way, ...] = WAYS


def texts_of(documents: Sequence[str], length: int) -> list[str]:
    """At most `NUM_TEXTS` texts of a length: documents joined until they reach it, cut where they pass it."""
    made, current = list[str](), ""
    for text in documents:
        current = f"{current}\n{text}" if current else text
        if len(current) >= length:
            made.append(current[:length])
            current = ""
        if len(made) == NUM_TEXTS:
            return made
    return made or [(current * (length // max(1, len(current)) + 1))[:length]]


class Bench:
    """Loads on one extractor, through each of the ways into it."""

    def __init__(self, extractor: Extractor, engine: WatchedEngine | None, effort: Effort) -> None:
        self.extractor, self.engine, self.effort = extractor, engine, effort

    async def _ask(self, text: str) -> None:
        await self.extractor.extract(text)

    def calls_of(self, texts: Sequence[str]) -> list[list[Call]]:
        """Ask for every text once: warms everything up, and tells what the engine is asked for each."""
        calls = []
        for text in texts:
            if self.engine is None:
                asyncio.run(self._ask(text))
                continue
            with self.engine.remembering() as asked:
                asyncio.run(self._ask(text))
            calls.append(asked)
        return [group for group in calls if group]

    def row(
        self, way: str, asked: Sequence[Any], length: int, concurrency: int, address: str
    ) -> dict[str, Any]:
        """Figures of one load through one way. `asked`: texts, or for the engine the calls of each text."""
        before, began = self._traffic(), time.perf_counter()
        timing = asyncio.run(self._through(way, asked, concurrency, address))
        seconds = time.perf_counter() - began
        through = self._traffic().since(before)
        return {
            "load": f"{length}x{concurrency}",
            "way": way,
            "length": length,
            "concurrency": concurrency,
            **timing.summary(),
            "documents_per_second": round(len(timing.latencies) / timing.seconds, 3),
            "characters_per_second": round(length * len(timing.latencies) / timing.seconds, 1),
            "tokens_per_second": round(through.num_tokens / timing.seconds, 1),
            "prompt_tokens_per_second": round(through.num_prompt_tokens / timing.seconds, 1),
            "num_tokens": through.num_tokens,
            "num_calls": through.num_calls,
            "rows": round(through.busy / seconds, 2),
        }

    def _traffic(self) -> Traffic:
        return self.engine.snapshot() if self.engine else Traffic()

    async def _through(self, way: str, asked: Sequence[Any], concurrency: int, address: str) -> Timing:
        async def run(ask: Callable[[Any], Awaitable[Any]]) -> Timing:
            return await drive(
                ask,
                asked,
                concurrency=concurrency,
                seconds=self.effort.seconds,
                most=self.effort.requests,
            )

        if way != "http":
            return await run(self._ask if way == "library" or self.engine is None else self.engine.replay)
        import httpx

        unlimited = httpx.Limits(max_connections=None, max_keepalive_connections=concurrency)
        async with httpx.AsyncClient(base_url=address, timeout=600, limits=unlimited) as client:

            async def post(text: str) -> None:
                (await client.post("/extract", json={"text": text})).raise_for_status()

            return await run(post)

    def decoding(self, full: Mapping[str, Any], calls: Sequence[list[Call]]) -> tuple[float, float] | None:
        """Rows decoded together and tokens a second while decoding: the load less that of one token each.

        None where the difference drowns in the noise.
        """
        short = [[call.of_one_token() for call in group] for group in calls]
        first = self.row("engine", short, full["length"], full["concurrency"], "")
        per_document = 1 / full["documents_per_second"] - 1 / first["documents_per_second"]
        written = (full["num_tokens"] - full["num_calls"]) / full["num_requests"]
        if per_document <= 0 or written <= 0:
            return None
        return min(full["rows"], float(self.extractor.config.chosen.max_batch)), written / per_document

    def rows(
        self, texts: Mapping[int, Sequence[str]], concurrency: Sequence[int]
    ) -> Iterator[dict[str, Any]]:
        """All figures, the loads of one length and number of callers next to each other."""
        with (
            service(self.extractor) as address,
            tqdm(total=len(texts) * len(concurrency), unit="load", desc="timing") as bar,
        ):
            for length, of_length in texts.items():
                calls = self.calls_of(of_length)
                for callers in concurrency:
                    for way in self.effort.ways:
                        asked: Sequence[Any] = calls if way == "engine" else of_length
                        if not asked:
                            continue  # the patterns alone ask no engine
                        row = self.row(way, asked, length, callers, address)
                        yield row | {"decoding": self.decoding(row, calls)} if way == "engine" else row
                    bar.update()
