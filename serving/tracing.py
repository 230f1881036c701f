"""OpenTelemetry traces, where the recipe names somewhere to send them: a span a request, a span a part of it.

Attributes are routes, counts and seconds. An exception's message may hold text, so that none is recorded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from configs.errors import ConfigError

Attributes = dict[str, str | int | float]


class Traces:
    """Makes spans; without a provider it makes none, and costs nothing.

    Args:
        provider: an OpenTelemetry TracerProvider, or None.
    """

    def __init__(self, provider: Any = None) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("pii-extraction") if provider else None

    @classmethod
    def to(cls, endpoint: str | None) -> Traces:
        """Traces that are sent to an OTLP endpoint over HTTP, in batches, off the event loop; None: none.

        Raises ConfigError: OpenTelemetry is not installed.
        """
        if endpoint is None:
            return cls()
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ModuleNotFoundError:
            raise ConfigError("telemetry.traces_endpoint: install the extra traces") from None
        provider = TracerProvider(resource=Resource.create({"service.name": "pii-extraction"}))
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
        return cls(provider)

    @contextmanager
    def request(self, method: str, headers: Mapping[str, str]) -> Iterator[Attributes]:
        """A request's span, continuing the caller's trace (``traceparent``, https://www.w3.org/TR/trace-context/).

        Yields a dictionary whose entries become attributes at the end; ``http.route`` becomes the name.
        """
        if self._tracer is None:
            yield {}
            return
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        caller = TraceContextTextMapPropagator().extract(headers)
        with self._tracer.start_as_current_span(
            method, caller, SpanKind.SERVER, record_exception=False, set_status_on_exception=False
        ) as span:
            told: Attributes = {}
            try:
                yield told
            finally:
                span.update_name(f"{method} {told.get('http.route', '')}".strip())
                span.set_attributes(told)

    @contextmanager
    def part(self, name: str) -> Iterator[Attributes]:
        """The span of a part of the running request; entries of what it yields become attributes."""
        if self._tracer is None:
            yield {}
            return
        with self._tracer.start_as_current_span(
            name, record_exception=False, set_status_on_exception=False
        ) as span:
            told: Attributes = {}
            try:
                yield told
            finally:
                span.set_attributes(told)

    def close(self) -> None:
        """Send what has not been sent."""
        if self._provider is not None:
            self._provider.shutdown()
