"""What the service says of itself, in one place: numbers, traces and the audit log."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from fastapi import Request

from serving.audit import AuditLog, Tally
from serving.extraction import Extraction
from serving.logs import request_id
from serving.metrics import Metrics, Stage
from serving.settings import TelemetrySettings
from serving.tracing import Attributes, Traces

_tally: ContextVar[Tally | None] = ContextVar("tally", default=None)


class Telemetry:
    """Metrics always, traces and an audit log where the recipe wants them.

    Args:
        settings: the recipe's. Raises ConfigError: the audit log cannot be continued or has no key, or
            OpenTelemetry is not installed.
    """

    def __init__(self, settings: TelemetrySettings) -> None:
        self.metrics = Metrics()
        self.traces = Traces.to(settings.traces_endpoint)
        self._audit = AuditLog.of(settings)

    @contextmanager
    def stage(self, stage: Stage) -> Iterator[None]:
        """Time a part of a request."""
        with self.metrics.stage(stage), self.traces.part(stage):
            yield

    @contextmanager
    def request(self, request: Request) -> Iterator[None]:
        """Around the work of a request: whatever is found in it is one line of the audit log.

        Raises Problem 503 ``audit_failed`` where the line cannot be written.
        """
        tally = Tally()
        token = _tally.set(tally)
        try:
            yield
        finally:
            _tally.reset(token)
            if self._audit is not None:
                self._audit.write(tally, **_asked_by(request))

    async def text(self, reading: Awaitable[Extraction], num_chars: int) -> Extraction:
        """Await what is found in a text of so many code points; trace and count it."""
        with self.traces.part("extract") as told:
            extraction = await reading
            told |= _facts(extraction)
        self.metrics.count(extraction, num_chars)
        if tally := _tally.get():
            tally.add(extraction, num_chars)
        return extraction

    def close(self) -> None:
        """Send and write what has not been."""
        self.traces.close()
        if self._audit is not None:
            self._audit.close()


def _facts(extraction: Extraction) -> Attributes:
    """What a trace says of a text."""
    usage = extraction.usage
    return {
        "pii.num_entities": len(extraction.spans),
        "pii.num_windows": extraction.num_windows,
        "pii.num_prompt_tokens": usage.num_prompt_tokens,
        "pii.num_answer_tokens": usage.num_answer_tokens,
        "pii.waiting_s": usage.waiting_s,
        "pii.engine_s": usage.engine_s,
        "pii.patterns_s": extraction.patterns_s,
        "pii.tagger_s": extraction.tagger_s,
    }


def _asked_by(request: Request) -> dict[str, str]:
    """What the audit log says of a request: never its path, which the caller makes up, but its route."""
    route = getattr(request.scope.get("route"), "path", "(no route)")
    return {
        "route": route,
        "key": request.scope.get("state", {}).get("key", ""),
        "request_id": request_id.get(),
    }
