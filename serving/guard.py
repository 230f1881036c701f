"""The outermost layer of the service: request ids, one log line a request, no error that says too much."""

from __future__ import annotations

import logging
import time
import uuid
from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.access import OPEN_PATHS
from serving.logs import request_id
from serving.metrics import Metrics
from serving.problems import Problem, internal
from serving.silence import trace
from serving.tracing import Traces

logger = logging.getLogger(__name__)


class Guard:
    """Wraps the application.

    The log line names the route, not the path that was asked for, and no query string: both are the
    caller's and may hold anything. An exception that nobody handled is logged by kind and place, and answered
    by a bare 500; it never reaches the server's own traceback log.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, traces: Traces) -> None:
        self._app, self._metrics, self._traces = app, metrics, traces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; other kinds of connection pass through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        seen = _Seen(scope, uuid.uuid4().hex)
        token = request_id.set(seen.request_id)
        try:
            with self._traces.request(seen.method, Headers(scope=scope)) as told:
                try:
                    await self._answer(seen, receive, send)
                finally:
                    told |= {"http.route": seen.route, "http.response.status_code": seen.status}
        finally:
            self._tell(seen)
            request_id.reset(token)

    async def _answer(self, seen: _Seen, receive: Receive, send: Send) -> None:
        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen.status = message["status"]
                headers = [*message.get("headers", []), (b"x-request-id", seen.request_id.encode())]
                message = {**message, "headers": headers}
            await send(message)

        try:
            await self._app(seen.scope, receive, send_marked)
        except Problem as problem:
            self._metrics.refusals.labels(problem.code).inc()
            if not seen.status:
                await problem.response()(seen.scope, receive, send_marked)
        except Exception as error:
            logger.error("request %s: %s", seen.request_id, trace(error))
            if not seen.status:
                await internal().response()(seen.scope, receive, send_marked)

    def _tell(self, seen: _Seen) -> None:
        """Count the request and write its line."""
        seconds = time.perf_counter() - seen.began
        self._metrics.requests.labels(seen.route, seen.method, seen.status).inc()
        self._metrics.request_seconds.labels(seen.route).observe(seconds)
        fields = {
            "method": seen.method,
            "route": seen.route,
            "status": seen.status,
            "ms": round(seconds * 1000, 1),
            "key": seen.scope.get("state", {}).get("key", ""),
        }
        # Probes come every few seconds and would drown the rest.
        level = logging.DEBUG if seen.route in OPEN_PATHS else logging.INFO
        logger.log(
            level, "request %s: %s %s %d in %.1f ms",
            seen.request_id, seen.method, seen.route, seen.status, seconds * 1000, extra={"fields": fields},
        )  # fmt: skip


@dataclass(slots=True)
class _Seen:
    """What is told of a request. `status` is 0 until the answer begins."""

    scope: Scope
    request_id: str
    began: float = field(default_factory=time.perf_counter)
    status: int = 0

    @property
    def method(self) -> str:
        method: str = self.scope["method"]
        return method if method in _METHODS else "(other)"

    @property
    def route(self) -> str:
        """Known once the request has been routed."""
        return getattr(self.scope.get("route"), "path", "(no route)")


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
