"""Closed-loop load: so many callers, each asking again as soon as it is answered, and how long they wait."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

Request = TypeVar("Request")

_FEWEST = {50: 1, 95: 20, 99: 100}
"""Percentile → fewest requests from which it is told; a tail needs a sample that reaches into it."""
_SAMPLE_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Timing:
    """What one load saw.

    Attributes:
        seconds: from the first request to the last answer.
        latencies: seconds of every request.
    """

    seconds: float
    latencies: tuple[float, ...]

    def summary(self) -> dict[str, Any]:
        """Requests, seconds, and milliseconds at p50, p95, p99; null where too few requests were made."""
        told = {
            f"p{percentile}_ms": round(1000 * float(np.percentile(self.latencies, percentile)), 3)
            if len(self.latencies) >= fewest
            else None
            for percentile, fewest in _FEWEST.items()
        }
        return {"num_requests": len(self.latencies), "seconds": round(self.seconds, 4), **told}


async def drive(
    ask: Callable[[Request], Awaitable[Any]],
    requests: Sequence[Request],
    *,
    concurrency: int,
    seconds: float,
    most: int,
) -> Timing:
    """Ask for the requests in turn, over and over, from `concurrency` callers.

    No request is begun once `seconds` are over or `most` were begun; those under way are waited for. Each
    caller asks at least once.
    """
    order = itertools.cycle(requests)
    latencies: list[float] = []
    began = time.perf_counter()
    begun = 0

    async def caller() -> None:
        nonlocal begun
        first = True
        while first or (begun < most and time.perf_counter() - began < seconds):
            first = False
            begun += 1
            start = time.perf_counter()
            await ask(next(order))
            latencies.append(time.perf_counter() - start)

    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(caller())
    return Timing(time.perf_counter() - began, tuple(latencies))


@dataclass
class Memory:
    """Memory of this process and its children while it is watched.

    Attributes:
        peak: most bytes resident at once, as sampled.
    """

    peak: int = 0
    _done: threading.Event = field(default_factory=threading.Event)

    def look(self) -> None:
        """Take one sample; a child that ends meanwhile counts as nothing."""
        import psutil

        own = psutil.Process()
        total = 0
        for process in (own, *own.children(recursive=True)):
            try:
                total += process.memory_info().rss
            except psutil.Error:
                continue
        self.peak = max(self.peak, total)

    def watch(self) -> None:
        """Sample until told to stop."""
        while not self._done.wait(_SAMPLE_SECONDS):
            self.look()

    def stop(self) -> None:
        """End the watch."""
        self._done.set()


@contextmanager
def watched_memory() -> Iterator[Memory]:
    """Watch the memory of this process and its children; engines of vLLM live in a child."""
    memory = Memory()
    memory.look()
    watcher = threading.Thread(target=memory.watch, name="memory", daemon=True)
    watcher.start()
    try:
        yield memory
    finally:
        memory.stop()
        watcher.join()
        memory.look()
