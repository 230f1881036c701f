"""Serving under watch: an engine that remembers what it was asked, a service on a port of its own."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from configs.errors import StageError
from pii.codec import Grammar
from serving.app import create_app
from serving.engines.protocol import Engine, Generation
from serving.extractor import Extractor
from serving.settings import HttpSettings, ServeConfig

_START_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Call:
    """One request to an engine; prompt and grammar hold text, so repr shows neither."""

    prompt_ids: tuple[int, ...]
    grammar: Grammar | None
    max_new_tokens: int
    draft_ids: tuple[int, ...] = ()
    end_bias: float = 0.0

    def __repr__(self) -> str:
        return f"Call(num_prompt_tokens={len(self.prompt_ids)})"

    def of_one_token(self) -> Call:
        """The same prompt, answered with one token: the time of reading alone."""
        return replace(self, max_new_tokens=1)


@dataclass(slots=True)
class Traffic:
    """What went through an engine so far.

    Attributes:
        num_calls: answers.
        num_prompt_tokens: tokens read.
        num_tokens: tokens written.
        busy: sum over the calls of the seconds that each was under way.
    """

    num_calls: int = 0
    num_prompt_tokens: int = 0
    num_tokens: int = 0
    busy: float = 0.0

    def since(self, before: Traffic) -> Traffic:
        """What came on top of an earlier state."""
        return Traffic(
            self.num_calls - before.num_calls,
            self.num_prompt_tokens - before.num_prompt_tokens,
            self.num_tokens - before.num_tokens,
            self.busy - before.busy,
        )


class WatchedEngine:
    """Counts what goes through an engine and remembers its requests, so that they can be made again."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._loop: asyncio.AbstractEventLoop | None = None
        self.traffic, self._remembered = Traffic(), list[Call]()
        self._remembers = False

    @property
    def name(self) -> str:
        """Of the engine inside."""
        return self._engine.name

    @property
    def description(self) -> str:
        """Of the engine inside."""
        return self._engine.description

    @property
    def is_alive(self) -> bool:
        """Of the engine inside."""
        return self._engine.is_alive

    async def generate(
        self,
        prompt_ids: list[int],
        grammar: Grammar | None,
        max_new_tokens: int,
        end_bias: float = 0.0,
        draft_ids: Sequence[int] = (),
    ) -> Generation:
        """See `protocol.Engine.generate`."""
        self._loop = asyncio.get_running_loop()
        if self._remembers:
            self._remembered.append(
                Call(tuple(prompt_ids), grammar, max_new_tokens, tuple(draft_ids), end_bias)
            )
        began = time.perf_counter()
        made = await self._engine.generate(prompt_ids, grammar, max_new_tokens, end_bias, draft_ids)
        self.traffic.busy += time.perf_counter() - began
        self.traffic.num_calls += 1
        self.traffic.num_prompt_tokens += len(prompt_ids)
        self.traffic.num_tokens += len(made.token_ids)
        return made

    async def close(self) -> None:
        """Close the engine inside."""
        await self._engine.close()

    def snapshot(self) -> Traffic:
        """The traffic so far."""
        return replace(self.traffic)

    @contextmanager
    def remembering(self) -> Iterator[list[Call]]:
        """The requests that arrive meanwhile."""
        self._remembered, self._remembers = [], True
        try:
            yield self._remembered
        finally:
            self._remembers = False

    def answer(self, call: Call) -> Generation:
        """Make one request again, from a thread beside the engine's loop."""
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(self._again(call), self._loop).result()

    async def replay(self, calls: Sequence[Call]) -> None:
        """Make the requests of one text again, all at once, on the loop that the engine lives on."""
        assert self._loop is not None
        futures = [asyncio.run_coroutine_threadsafe(self._again(call), self._loop) for call in calls]
        await asyncio.gather(*map(asyncio.wrap_future, futures))

    async def _again(self, call: Call) -> Generation:
        return await self.generate(
            list(call.prompt_ids), call.grammar, call.max_new_tokens, call.end_bias, call.draft_ids
        )


@contextmanager
def service(extractor: Extractor) -> Iterator[str]:
    """The service over an open extractor, on a free port of this machine; yields its address."""
    import uvicorn

    for name in ("serving.guard", "uvicorn.error"):
        # A line for each request would bury the progress.
        logging.getLogger(name).setLevel(logging.WARNING)
    settings = ServeConfig(extractor=extractor.config, http=HttpSettings(port=0, max_requests=4096))
    server = uvicorn.Server(
        uvicorn.Config(create_app(settings, extractor), log_config=None, access_log=False)
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(
            target=server.run, kwargs={"sockets": [listener]}, name="service", daemon=True
        )
        thread.start()
        try:
            ends = time.monotonic() + _START_SECONDS
            while not server.started:
                if not thread.is_alive() or time.monotonic() > ends:
                    raise StageError("the service did not start; `pii serve` says why")
                time.sleep(0.01)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
