"""What stands behind the routes: the extractor once it is loaded, the places for requests."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol, TypeVar

from fastapi import FastAPI, Request

from configs.errors import UserError
from pii.errors import RequestError
from serving.admission import Admission
from serving.bodies import read_json
from serving.engines.protocol import EngineError
from serving.extraction import Extraction
from serving.extractor import Extractor
from serving.extractor_config import Detectors, ExtractorConfig
from serving.lists import Lists
from serving.problems import Problem
from serving.requests import Parsed, ReadRequest, RedactRequest, parse_request
from serving.scoring import OperatingPoint
from serving.settings import ServeConfig
from serving.silence import describe
from serving.supervisor import Opener, Supervisor
from serving.telemetry import Telemetry
from serving.together import together

logger = logging.getLogger(__name__)

Entry = dict[str, Any]
Asked = TypeVar("Asked")
Result = TypeVar("Result")


@dataclass(slots=True)
class _Attended:
    """The request whose work is done: its extractor, where one was ready, and the windows it has had."""

    extractor: Extractor | None
    num_windows: int = 0


_attended: ContextVar[_Attended | None] = ContextVar("attended", default=None)


class Beside(Protocol):
    """What works beside the requests while the service is there."""

    def open(self) -> None:
        """The service begins; the extractor may not be there yet."""

    def close(self) -> None:
        """The service ends; the extractor is still there."""


class Service:
    """What the routes share: the configuration, the extractor once it is loaded, the places for requests."""

    def __init__(
        self, config: ServeConfig, extractor: Extractor | None = None, opener: Opener | None = None
    ) -> None:
        self.config = config
        self.admission = Admission(config.http.max_requests, config.http.deadline_s)
        # Looked up now and not when this module is read, so that a test can put another in its place.
        self.supervisor = Supervisor(config.extractor, extractor, opener or Extractor.open)
        self.telemetry = Telemetry(config.telemetry)
        self.telemetry.metrics.observe_live(
            ready=lambda: self.is_ready,
            requests_in_progress=lambda: self.admission.num_requests,
            windows_waiting=lambda: self.supervisor.load[0],
            windows_running=lambda: self.supervisor.load[1],
            engine_restarts=lambda: self.supervisor.num_restarts,
        )
        self.failure: BaseException | None = None
        self.on_failure: Callable[[], None] = lambda: None
        self.beside: list[Beside] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def extractor(self) -> Extractor:
        """The extractor of the running request; outside of one, the present one.

        Raises Problem 503: ``loading`` at first, ``engine_failed`` while a dead engine is started again.
        """
        attended = _attended.get()
        return attended.extractor if attended and attended.extractor else self.supervisor.extractor

    @property
    def is_ready(self) -> bool:
        """Whether texts can be read: the model is loaded, its engine lives, and no end is near."""
        return self.supervisor.state == "ready"

    async def reload(self, config: ExtractorConfig) -> None:
        """Change the model; see `Supervisor.reload`. A failure is logged, and nothing has changed."""
        reloads = self.telemetry.metrics.reloads
        try:
            await self.supervisor.reload(config)
        except Exception as error:
            reloads.labels("failed").inc()
            told = error if isinstance(error, UserError) else describe(error)
            logger.error("the model stays as it was: %s", told)
        else:
            reloads.labels("done").inc()

    async def _supervise(self) -> None:
        try:
            await self.supervisor.run()
        except Exception as error:
            self.failure = error
            self.on_failure()

    @asynccontextmanager
    async def lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        """Load beside the event loop, so that /healthz and /readyz answer meanwhile; close at the end."""
        self._loop = asyncio.get_running_loop()
        supervising = asyncio.create_task(self._supervise())
        for worker in self.beside:
            worker.open()
        yield
        for worker in self.beside:
            await asyncio.to_thread(worker.close)
        supervising.cancel()
        await asyncio.wait([supervising])
        await self.supervisor.close()
        await asyncio.to_thread(self.telemetry.close)

    @contextmanager
    def _attend(self, request: Request) -> Iterator[None]:
        """Around the work of a request: one extractor from beginning to end, whatever is loaded meanwhile."""
        with self.telemetry.request(request), self.supervisor.lease() as extractor:
            token = _attended.set(_Attended(extractor))
            try:
                yield
            finally:
                _attended.reset(token)

    @contextmanager
    def lend(self) -> Iterator[Extractor | None]:
        """The extractor for work in a thread beside the requests; None where none is ready.

        It is not closed before the end of the block, whatever is loaded meanwhile.
        """
        lease = self.supervisor.lease()

        async def begin() -> Extractor | None:
            return lease.__enter__()

        async def end() -> None:
            lease.__exit__(None, None, None)

        assert self._loop is not None
        extractor = asyncio.run_coroutine_threadsafe(begin(), self._loop).result()
        try:
            yield extractor
        finally:
            asyncio.run_coroutine_threadsafe(end(), self._loop).result()

    async def handle(
        self,
        request: Request,
        parse: Callable[[Any], Asked],
        work: Callable[[Asked], Coroutine[Any, Any, Result]],
    ) -> Result:
        """Give a request a place, read its JSON, check it and do its work within the deadline.

        Raises Problem: what `parse` and `work` raise, RequestErrors and EngineErrors among it as problems.
        """
        async with self.admission.place():
            with self.telemetry.stage("body"):
                value = await self.admission.read(read_json(request, self.config.http.max_body_bytes))
            with self._attend(request):
                with problems():
                    asked = parse(value)
                return await self.admission.work(request, _translated(work(asked)))

    async def answer(
        self, request: Request, schema: type[Parsed], one: Callable[[str, Parsed], Coroutine[Any, Any, Entry]]
    ) -> Entry:
        """Make an entry of the text of a request, or one of each of its texts.

        Args:
            request: the request, not yet read.
            schema: what its body has to be.
            one: makes the entry of a text that has been checked.
        """
        return await self.handle(
            request, lambda value: self._parsed(value, schema), lambda asked: self._each(asked, one)
        )

    async def extract(self, text: str, asked: ReadRequest) -> Extraction:
        """Find what a request asks for. Redaction leans to recall, wherever there are scores to lean on."""
        cut = asked.cut
        if cut is None and isinstance(asked, RedactRequest) and self.extractor.has_scores(asked.detectors):
            cut = self.config.redaction_point
        return await self.find(text, asked.types, asked.detectors, cut, asked.lists, asked.propagate)

    async def find(
        self,
        text: str,
        types: Iterable[str] | None = None,
        detectors: Detectors | None = None,
        threshold: float | OperatingPoint | None = None,
        lists: Lists | None = None,
        propagate: bool | None = None,
    ) -> Extraction:
        """As `Extractor.extract`, within the request's limit of windows, and counted.

        Raises Problem: 413 ``too_many_windows``.
        """
        if detectors != "patterns" and (attended := _attended.get()):
            limit = self.config.http.max_windows
            needed = self.extractor.num_windows(text)
            if attended.num_windows + needed > limit:
                raise Problem(
                    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                    "too_many_windows",
                    f"more than {limit} windows of the model; send several requests",
                )
            attended.num_windows += needed
        reading = self.extractor.extract(text, types, detectors, threshold, lists, propagate)
        return await self.telemetry.text(reading, len(text))

    def _parsed(self, value: object, schema: type[Parsed]) -> Parsed:
        asked = parse_request(value, schema, self.config.http.max_texts)
        if isinstance(asked, ReadRequest):
            # What no text can change is refused before any text is looked at.
            self.extractor.plan(asked.types, asked.detectors, asked.cut, asked.lists)
        return asked

    async def _each(self, asked: Parsed, one: Callable[[str, Parsed], Coroutine[Any, Any, Entry]]) -> Entry:
        if asked.texts is None:
            return await one(self.extractor.check_text(asked.text), asked)

        async def item(index: int, text: object) -> Entry:
            try:
                with problems(f"texts[{index}]"):
                    return await one(self.extractor.check_text(text), asked)
            except Problem as problem:
                return {"error": problem.as_dict()}

        # At most `max_texts` of them, and the extractor bounds what is with the engine.
        return {"results": await together(item(index, text) for index, text in enumerate(asked.texts))}


@contextmanager
def problems(place: str | None = None) -> Iterator[None]:
    """Turn what a caller caused, or the engine failed at, into a Problem; `place` says where, if known."""
    try:
        yield
    except RequestError as error:
        raise Problem.of(error, place) from None
    except EngineError as error:
        logger.error("engine: %s", describe(error))
        raise Problem.busy("engine_failed", "the engine failed at this text", 1) from None


async def _translated(work: Coroutine[Any, Any, Result]) -> Result:
    with problems():
        return await work
