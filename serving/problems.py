"""Errors over HTTP: problem details (RFC 9457) with a code and a place, and never any text of a request.

https://www.rfc-editor.org/rfc/rfc9457
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from pii.errors import RequestError

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):
    """A request that gets an error status.

    Attributes:
        status: HTTP status code.
        code: stable snake_case word for programs.
        detail: one sentence for people; never holds any text of the request.
        place: where in the request, such as ``texts[3]``; empty for the request as a whole.
        headers: further response headers, such as ``Retry-After``.
        error: a further member for clients who look for one of that name; None: it is left out.
    """

    def __init__(
        self,
        status: HTTPStatus,
        code: str,
        detail: str,
        place: str = "",
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(code)
        self.status, self.code, self.detail, self.place = status, code, detail, place
        self.headers = headers or {}
        self.error: object = None

    @classmethod
    def of(cls, error: RequestError, place: str | None = None) -> Problem:
        """A caller's error as 422; `place` overrides where it says it happened."""
        return cls(HTTPStatus.UNPROCESSABLE_ENTITY, error.code, str(error), place or error.place)

    @classmethod
    def busy(cls, code: str, detail: str, retry_after_s: int) -> Problem:
        """503 with the time after which trying again makes sense."""
        headers = {"Retry-After": str(retry_after_s)}
        return cls(HTTPStatus.SERVICE_UNAVAILABLE, code, detail, headers=headers)

    def as_dict(self) -> dict[str, Any]:
        """The members of the problem details object."""
        body: dict[str, Any] = {
            "type": "about:blank",
            "title": self.status.phrase,
            "status": int(self.status),
            "detail": self.detail,
            "code": self.code,
        }
        if self.place:
            body["place"] = self.place
        return body

    def response(self) -> JSONResponse:
        """The HTTP response."""
        body = self.as_dict() if self.error is None else {**self.as_dict(), "error": self.error}
        return JSONResponse(body, status_code=self.status, headers=self.headers, media_type=MEDIA_TYPE)


def route_with_error(error_of: Callable[[Problem], object]) -> type[APIRoute]:
    """A kind of route whose problems have a member ``error`` besides, as clients of another product expect.

    RFC 9457, section 3.2, allows further members.
    """

    class Route(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def handled(request: Request) -> Response:
                try:
                    return await handle(request)
                except Problem as problem:
                    problem.error = error_of(problem)
                    raise

            return handled

    return Route


def internal() -> Problem:
    """500: something of ours went wrong; what it was stands in the log, without any text."""
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", "the service failed at this request")
