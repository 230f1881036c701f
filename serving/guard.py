"""The outermost layer of the service: request ids, one log line a request, no error that says too much."""

from __future__ import annotations

import logging
import time
import uuid

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.problems import Problem, internal
from serving.silence import trace

logger = logging.getLogger(__name__)


class Guard:
    """Wraps the application.

    The log line names the route, not the path that was asked for, and no query string: both are the
    caller's and may hold anything. An exception that nobody handled is logged by kind and place, and answered
    by a bare 500; it never reaches the server's own traceback log.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; other kinds of connection pass through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id, started, status = uuid.uuid4().hex, time.perf_counter(), 0

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message.get("headers", []), (b"x-request-id", request_id.encode())]
                message = {**message, "headers": headers}
            await send(message)

        try:
            await self._app(scope, receive, send_marked)
        except Problem as problem:
            await problem.response()(scope, receive, send_marked)
        except Exception as error:
            logger.error("request %s: %s", request_id, trace(error))
            if not status:
                await internal().response()(scope, receive, send_marked)
        finally:
            route = getattr(scope.get("route"), "path", "(no route)")
            method = scope["method"] if scope["method"] in _METHODS else "(other)"
            elapsed_ms = (time.perf_counter() - started) * 1000
            logger.info("request %s: %s %s %d in %.1f ms", request_id, method, route, status, elapsed_ms)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
