"""One extractor, always: loaded, watched, started again when its engine dies, changed on request."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from serving.engines.protocol import EngineError
from serving.extractor import Extractor
from serving.extractor_config import ExtractorConfig
from serving.problems import Problem
from serving.silence import describe

logger = logging.getLogger(__name__)

State = Literal["loading", "ready", "restarting", "draining"]
"""``loading``: for the first time; ``restarting``: the engine died; ``draining``: the service is about to
end."""

WATCH_S = 0.2
"""How often the engine is looked at."""

FIRST_WAIT_S, MAX_WAIT_S = 1.0, 30.0
"""First and longest wait between two attempts to start an engine; each is twice the one before."""

Opener = Callable[[ExtractorConfig], Extractor]
"""Opens an extractor, which takes seconds; called in a thread."""


@dataclass(slots=True)
class _Held:
    """An extractor and how many requests are using it; it is closed when it is retired and none does."""

    extractor: Extractor
    is_ours: bool = True
    num_users: int = 0
    is_retired: bool = False


class Supervisor:
    """Holds the extractor of a service.

    Requests take it by `lease`, so that one which is replaced is closed only after the last of them.
    Everything here runs on the service's event loop; opening and closing run in threads.

    Args:
        config: what is opened.
        extractor: one that is open already; whoever opened it closes it.
        opener: opens an extractor.
    """

    def __init__(
        self, config: ExtractorConfig, extractor: Extractor | None = None, opener: Opener = Extractor.open
    ) -> None:
        self._config, self._opener = config, opener
        self._held = _Held(extractor, is_ours=False) if extractor else None
        self._changing = asyncio.Lock()
        self._closing = set[asyncio.Task[None]]()
        self._is_restarting = False
        self.is_draining = False
        self.num_restarts = 0

    @property
    def state(self) -> State:
        """Whether texts can be read, and if not, why."""
        if self.is_draining:
            return "draining"
        if self._is_restarting:
            return "restarting"
        if self._held is None:
            return "loading"
        return "ready" if self._held.extractor.is_alive else "restarting"

    @property
    def extractor(self) -> Extractor:
        """The extractor. Raises Problem 503: ``loading`` at first, ``engine_failed`` after a death."""
        held = self._held
        if held is not None and held.extractor.is_alive:
            return held.extractor
        if held is not None or self._is_restarting:
            raise Problem.busy("engine_failed", "the engine died and is being started again", 5)
        raise Problem.busy("loading", "the model is being loaded", 5)

    @property
    def load(self) -> tuple[int, int]:
        """Windows that wait for a place with the engine, and windows that are with it."""
        return self._held.extractor.load if self._held else (0, 0)

    @contextmanager
    def lease(self) -> Iterator[Extractor | None]:
        """The extractor for one request, not closed before the end of it; None where none is ready."""
        held = self._held
        if held is None or not held.extractor.is_alive:
            yield None
            return
        held.num_users += 1
        try:
            yield held.extractor
        finally:
            held.num_users -= 1
            self._close_unused(held)

    async def run(self) -> None:
        """Load, then watch until cancelled.

        An engine elsewhere that does not answer yet is waited for. Raises whatever else the first opening
        raises; later failures are logged, and tried again.
        """
        if self._held is None:
            async with self._changing:
                self._held = _Held(await self._first())
        while True:
            await asyncio.sleep(WATCH_S)
            if self._held is not None and self._held.is_ours and not self._held.extractor.is_alive:
                await self._restart()

    async def reload(self, config: ExtractorConfig) -> None:
        """Change to another model or other options. The present one answers until the new one is ready.

        For that time there has to be memory for both. Raises what opening raises; then nothing has changed.
        While a dead engine is being started again, the next attempt takes the new configuration.
        """
        if self._is_restarting:
            self._config = config
            return
        async with self._changing:
            fresh = _Held(await self._open(config))
            old, self._held, self._config = self._held, fresh, config
            if old is not None:
                self._retire(old)
        logger.info("changed to model %s on %s", config.model, fresh.extractor.engine)

    async def close(self) -> None:
        """Close what is open and ours; requests under way are finished first."""
        if self._held is not None:
            held, self._held = self._held, None
            self._retire(held)
            # At the end nobody will come back: what is still in use is closed too.
            held.num_users = 0
            self._close_unused(held)
        await asyncio.gather(*self._closing)

    async def _first(self) -> Extractor:
        wait_s = FIRST_WAIT_S
        while True:
            try:
                return await self._open(self._config)
            except EngineError as error:
                logger.warning("%s; trying again in %.0f s", error, wait_s)
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, MAX_WAIT_S)

    async def _restart(self) -> None:
        async with self._changing:
            dead, self._held = self._held, None
            if dead is None or dead.extractor.is_alive:
                self._held = dead
                return
            self._is_restarting = True
            self.num_restarts += 1
            logger.error("the engine died; starting it again")
            # At once, for its memory: whoever still uses it gets an error from it.
            await self._close(dead)
            wait_s = FIRST_WAIT_S
            while self._held is None:
                try:
                    self._held = _Held(await self._open(self._config))
                except Exception as error:
                    logger.error("no engine (%s); trying again in %.0f s", describe(error), wait_s)
                    await asyncio.sleep(wait_s)
                    wait_s = min(2 * wait_s, MAX_WAIT_S)
            self._is_restarting = False
        logger.info("the engine is back: %s", self._held.extractor.engine)

    async def _open(self, config: ExtractorConfig) -> Extractor:
        opening = asyncio.ensure_future(asyncio.to_thread(self._opener, config))
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            # A thread cannot be ended: let it come to its end, and leave nothing open.
            with contextlib.suppress(Exception):
                await asyncio.to_thread((await opening).close)
            raise

    def _retire(self, held: _Held) -> None:
        held.is_retired = True
        self._close_unused(held)

    def _close_unused(self, held: _Held) -> None:
        if held.is_retired and not held.num_users and held.is_ours:
            held.is_ours = False
            task = asyncio.create_task(self._close(held))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def _close(self, held: _Held) -> None:
        try:
            await asyncio.to_thread(held.extractor.close)
        except Exception as error:
            logger.error("the old engine could not be closed: %s", describe(error))
