"""How many requests are taken on, for how long, and for whom: a full house, a deadline, a client who left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from fastapi import Request

from serving.problems import Problem

Result = TypeVar("Result")


class Admission:
    """Bounds the work of the service.

    Args:
        max_requests: most requests at once, waiting ones included.
        deadline_s: longest time for reading a body, and again for working on it, in seconds.
    """

    def __init__(self, max_requests: int, deadline_s: float) -> None:
        self._max_requests, self._deadline_s = max_requests, deadline_s
        self.num_requests = 0

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold a place for one request. Raises Problem 503 ``busy`` where all are taken."""
        if self.num_requests >= self._max_requests:
            raise Problem.busy("busy", "too many requests are waiting", 1)
        self.num_requests += 1
        try:
            yield
        finally:
            self.num_requests -= 1

    async def read(self, body: Coroutine[Any, Any, Result]) -> Result:
        """Await a body. Raises Problem 503 ``deadline_exceeded`` where the client is too slow."""
        try:
            async with asyncio.timeout(self._deadline_s):
                return await body
        except TimeoutError:
            raise self._late() from None

    async def work(
        self, request: Request, work: Coroutine[Any, Any, Result], deadline_s: float | None = None
    ) -> Result:
        """Do the work of a request whose body has been read; cancel it when nobody waits for it.

        Args:
            request: whose client may leave.
            work: what to do.
            deadline_s: another longest time than the usual one, in seconds.

        Raises Problem 503: ``deadline_exceeded``, or ``client_gone``, which only the log will see.
        """
        working = asyncio.ensure_future(work)
        leaving = asyncio.ensure_future(_left(request))
        try:
            done, _ = await asyncio.wait(
                (working, leaving),
                timeout=deadline_s or self._deadline_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if working in done:
                return working.result()
            raise Problem.busy("client_gone", "the client left", 1) if done else self._late()
        finally:
            working.cancel()
            leaving.cancel()

    def _late(self) -> Problem:
        return Problem.busy("deadline_exceeded", f"not done within {self._deadline_s:g} s", 5)


async def _left(request: Request) -> None:
    """Return when the client has closed the connection; the body has to be read before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
