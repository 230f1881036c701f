"""What stands behind the routes: the extractor once it is loaded, the places for requests."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

from fastapi import FastAPI, Request

from pii.errors import RequestError
from serving.admission import Admission
from serving.bodies import read_json
from serving.engines.protocol import EngineError
from serving.extractor import Extraction, Extractor
from serving.problems import Problem
from serving.requests import Parsed, ReadRequest, RedactRequest, parse_request
from serving.settings import ServeConfig
from serving.silence import describe
from serving.together import together

logger = logging.getLogger(__name__)

Entry = dict[str, Any]
Asked = TypeVar("Asked")
Result = TypeVar("Result")


class Service:
    """What the routes share: the configuration, the extractor once it is loaded, the places for requests."""

    def __init__(self, config: ServeConfig, extractor: Extractor | None = None) -> None:
        self.config, self._extractor = config, extractor
        self.admission = Admission(config.http.max_requests, config.http.deadline_s)
        self.failure: BaseException | None = None
        self.on_failure: Callable[[], None] = lambda: None

    @property
    def extractor(self) -> Extractor:
        """The loaded extractor. Raises Problem 503 ``loading`` before that."""
        if self._extractor is None:
            raise Problem.busy("loading", "the model is being loaded", 5)
        return self._extractor

    @property
    def is_ready(self) -> bool:
        """Whether texts can be read: the model is loaded and its engine has not died."""
        return self._extractor is not None and self._extractor.is_alive

    async def load(self) -> None:
        """Open the extractor off the event loop; a failure ends the service."""
        try:
            self._extractor = await asyncio.to_thread(Extractor.open, self.config.extractor)
        except Exception as error:
            self.failure = error
            self.on_failure()

    @asynccontextmanager
    async def lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        """Load beside the event loop, so that /healthz and /readyz answer meanwhile; close at the end."""
        if self._extractor is not None:
            # Opened by somebody else, who will close it.
            yield
            return
        loading = asyncio.create_task(self.load())
        yield
        await loading
        if self._extractor is not None:
            await asyncio.to_thread(self._extractor.close)

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
            value = await self.admission.read(read_json(request, self.config.http.max_body_bytes))
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
        return await self.extractor.extract(text, asked.types, asked.detectors, cut, asked.lists)

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
