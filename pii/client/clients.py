"""The two clients: one that waits and one to be awaited."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterable, Sequence
from typing import Any, Self, Unpack

import httpx

from pii.answers import EntityKind, Extracted, Failed, RedactedText, RestoredText, Version
from pii.client import calls
from pii.client.calls import Answer, Call, ExtractOptions, Outcome, RedactOptions, RestoreOptions
from pii.client.retries import Retries

CONCURRENT = 4
"""Requests that an `AsyncClient` has under way for one ``_many`` call."""


def _settings(api_key: str | None, timeout_s: float) -> dict[str, Any]:
    headers = {} if api_key is None else {"authorization": f"Bearer {api_key}"}
    return {"headers": headers, "timeout": httpx.Timeout(timeout_s, connect=10.0)}


class Client:
    """Asks a service and waits for the answer. Close it, or use it in a ``with`` block; threads may share it.

    Args:
        address: the service's, such as ``http://localhost:8000``.
        api_key: where the service wants one.
        timeout_s: longest silence of the service; its own deadline is 120 s by default.
        retries: how patient to be.
        transport: another way to the service, for tests.

    Every call raises `Unreachable`, `Refused` or `Unavailable`.
    """

    def __init__(
        self,
        address: str,
        *,
        api_key: str | None = None,
        timeout_s: float = 150.0,
        retries: Retries | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._retries = retries or Retries()
        self._http = httpx.Client(base_url=address, transport=transport, **_settings(api_key, timeout_s))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections that are kept open."""
        self._http.close()

    def extract(self, text: str, **options: Unpack[ExtractOptions]) -> Extracted:
        """Find the entities of a text."""
        return self._made(calls.extract(text, options))

    def extract_many(
        self, texts: Sequence[str], **options: Unpack[ExtractOptions]
    ) -> list[Extracted | Failed]:
        """Find the entities of many texts; one that cannot be read is a `Failed` in its place."""
        return [r for call in calls.extract_many(texts, options) for r in self._made(call).results]

    def redact(self, text: str, **options: Unpack[RedactOptions]) -> RedactedText:
        """Replace the entities of a text."""
        return self._made(calls.redact(text, options))

    def redact_many(
        self, texts: Sequence[str], **options: Unpack[RedactOptions]
    ) -> list[RedactedText | Failed]:
        """Replace the entities of many texts."""
        return [r for call in calls.redact_many(texts, options) for r in self._made(call).results]

    def restore(self, text: str, **options: Unpack[RestoreOptions]) -> RestoredText:
        """Open what `encrypt` sealed in a text."""
        return self._made(calls.restore(text, options))

    def restore_many(
        self, texts: Sequence[str], **options: Unpack[RestoreOptions]
    ) -> list[RestoredText | Failed]:
        """Open what `encrypt` sealed in many texts."""
        return [r for call in calls.restore_many(texts, options) for r in self._made(call).results]

    def entity_types(self) -> tuple[EntityKind, ...]:
        """The entity types, and who can find them."""
        return self._made(calls.ENTITY_TYPES).entity_types

    def version(self) -> Version:
        """Versions of the service."""
        return self._made(calls.VERSION)

    def is_ready(self) -> bool:
        """Whether the service can read texts now; False too where it cannot be reached."""
        try:
            return self._http.get("/readyz").is_success
        except httpx.HTTPError:
            return False

    def _made(self, call: Call[Answer]) -> Answer:
        for attempt in itertools.count(1):
            try:
                outcome: Outcome = self._http.send(call.request(self._http))
            except httpx.HTTPError as error:
                outcome = error
            wait_s = call.wait_s(outcome, attempt, self._retries)
            if wait_s is None:
                return call.read(outcome)
            time.sleep(wait_s)
        raise AssertionError


class AsyncClient:
    """As `Client`, to be awaited and used in an ``async with`` block."""

    def __init__(
        self,
        address: str,
        *,
        api_key: str | None = None,
        timeout_s: float = 150.0,
        retries: Retries | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._retries = retries or Retries()
        self._http = httpx.AsyncClient(base_url=address, transport=transport, **_settings(api_key, timeout_s))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections that are kept open."""
        await self._http.aclose()

    async def extract(self, text: str, **options: Unpack[ExtractOptions]) -> Extracted:
        """Find the entities of a text."""
        return await self._made(calls.extract(text, options))

    async def extract_many(
        self, texts: Sequence[str], **options: Unpack[ExtractOptions]
    ) -> list[Extracted | Failed]:
        """Find the entities of many texts; one that cannot be read is a `Failed` in its place."""
        answers = await self._all_made(calls.extract_many(texts, options))
        return [result for answer in answers for result in answer.results]

    async def redact(self, text: str, **options: Unpack[RedactOptions]) -> RedactedText:
        """Replace the entities of a text."""
        return await self._made(calls.redact(text, options))

    async def redact_many(
        self, texts: Sequence[str], **options: Unpack[RedactOptions]
    ) -> list[RedactedText | Failed]:
        """Replace the entities of many texts."""
        answers = await self._all_made(calls.redact_many(texts, options))
        return [result for answer in answers for result in answer.results]

    async def restore(self, text: str, **options: Unpack[RestoreOptions]) -> RestoredText:
        """Open what `encrypt` sealed in a text."""
        return await self._made(calls.restore(text, options))

    async def restore_many(
        self, texts: Sequence[str], **options: Unpack[RestoreOptions]
    ) -> list[RestoredText | Failed]:
        """Open what `encrypt` sealed in many texts."""
        answers = await self._all_made(calls.restore_many(texts, options))
        return [result for answer in answers for result in answer.results]

    async def entity_types(self) -> tuple[EntityKind, ...]:
        """The entity types, and who can find them."""
        return (await self._made(calls.ENTITY_TYPES)).entity_types

    async def version(self) -> Version:
        """Versions of the service."""
        return await self._made(calls.VERSION)

    async def is_ready(self) -> bool:
        """Whether the service can read texts now; False too where it cannot be reached."""
        try:
            return (await self._http.get("/readyz")).is_success
        except httpx.HTTPError:
            return False

    async def _all_made(self, every: Iterable[Call[Answer]]) -> list[Answer]:
        places = asyncio.Semaphore(CONCURRENT)

        async def made(call: Call[Answer]) -> Answer:
            async with places:
                return await self._made(call)

        return await asyncio.gather(*map(made, every))

    async def _made(self, call: Call[Answer]) -> Answer:
        for attempt in itertools.count(1):
            try:
                outcome: Outcome = await self._http.send(call.request(self._http))
            except httpx.HTTPError as error:
                outcome = error
            wait_s = call.wait_s(outcome, attempt, self._retries)
            if wait_s is None:
                return call.read(outcome)
            await asyncio.sleep(wait_s)
        raise AssertionError
