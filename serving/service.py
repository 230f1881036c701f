"""What stands behind the routes: the extractor once it is loaded, the places for requests."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request

from pii.errors import RequestError
from serving.admission import Admission
from serving.engines.protocol import EngineError
from serving.extractor import Extraction, Extractor
from serving.problems import Problem
from serving.requests import Parsed, ReadRequest, RedactRequest, parse_request, read_json
from serving.scoring import OperatingPoint
from serving.settings import ServeConfig
from serving.silence import describe
from serving.together import together

logger = logging.getLogger(__name__)

Entry = dict[str, Any]


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

    async def answer(
        self,
        request: Request,
        schema: type[Parsed],
        entry: Callable[[Extraction, str, Parsed], Entry],
    ) -> Entry:
        """Read a request, extract from its text or texts and make an entry of each."""
        async with self.admission.place():
            value = await self.admission.read(read_json(request, self.config.http.max_body_bytes))
            asked = parse_request(value, schema, self.config.http.max_texts)
            try:
                self.extractor.plan(asked.types, asked.detectors, asked.cut)
            except RequestError as error:
                raise Problem.of(error) from None
            return await self.admission.work(request, self._entries(asked, entry))

    def _cut(self, asked: ReadRequest) -> float | OperatingPoint | None:
        """From where a find counts. Redaction leans to recall, wherever there are scores to lean on."""
        leans = isinstance(asked, RedactRequest) and self.extractor.has_scores(asked.detectors)
        return self.config.redaction_point if leans and asked.cut is None else asked.cut

    async def _entries(self, asked: Parsed, entry: Callable[[Extraction, str, Parsed], Entry]) -> Entry:
        if asked.texts is None:
            return await self._entry(asked.text, asked, entry)

        async def item(index: int, text: object) -> Entry:
            try:
                return await self._entry(text, asked, entry, f"texts[{index}]")
            except Problem as problem:
                return {"error": problem.as_dict()}

        # At most `max_texts` of them, and the extractor bounds what is with the engine.
        return {"results": await together(item(index, text) for index, text in enumerate(asked.texts))}

    async def _entry(
        self,
        text: object,
        asked: Parsed,
        entry: Callable[[Extraction, str, Parsed], Entry],
        place: str | None = None,
    ) -> Entry:
        try:
            checked = self.extractor.check_text(text)
            extraction = await self.extractor.extract(checked, asked.types, asked.detectors, self._cut(asked))
            # Redaction reads the text once more: off the event loop, which other requests wait for.
            return await asyncio.to_thread(entry, extraction, checked, asked)
        except RequestError as error:
            raise Problem.of(error, place) from None
        except EngineError as error:
            logger.error("engine: %s", describe(error))
            raise Problem.busy("engine_failed", "the engine failed at this text", 1) from None
