"""What the service counts, for Prometheus: numbers and names of types, never any text.

Names and meaning stand in ``docs/operation.md``; the dashboard in ``serving/deploy/grafana`` draws them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Literal

from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client import Counter as Total
from prometheus_client.exposition import CONTENT_TYPE_LATEST as CONTENT_TYPE

if TYPE_CHECKING:
    from serving.extraction import Extraction

__all__ = ["CONTENT_TYPE", "Metrics", "Stage"]

Stage = Literal["body", "waiting", "engine", "patterns", "answer"]
"""``body``: reading the request; ``waiting``: windows without a place with the engine; ``engine``: windows
with it; ``patterns``: the recognisers; ``answer``: making the answer, redaction included."""

_LIVE = {
    "ready": "1 while texts can be read.",
    "requests_in_progress": "Requests that hold a place.",
    "windows_waiting": "Windows without a place with the engine.",
    "windows_running": "Windows with the engine.",
    "engine_restarts": "How often a dead engine was started again.",
}

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_GRAMMAR_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1)


class Metrics:
    """The numbers of one application, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Total(
            "pii_requests", "Requests answered.", ["route", "method", "status"], registry=registry
        )
        self.refusals = Total("pii_refusals", "Problems answered, by code.", ["code"], registry=registry)
        self.request_seconds = Histogram(
            "pii_request_seconds", "From the first byte to the answer.", ["route"],
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self.stage_seconds = Histogram(
            "pii_stage_seconds", "Where a text's time goes.", ["stage"], buckets=_SECONDS, registry=registry
        )
        self.grammar_seconds = Histogram(
            "pii_grammar_compile_seconds", "Preparing one window's grammar, where the engine tells.",
            buckets=_GRAMMAR_SECONDS, registry=registry,
        )  # fmt: skip
        self.tokens = Total("pii_tokens", "Tokens read and written.", ["direction"], registry=registry)
        self.texts = Total("pii_texts", "Texts read.", registry=registry)
        self.characters = Total("pii_characters", "Code points of the texts read.", registry=registry)
        self.windows = Total("pii_windows", "Windows whose answers were used.", registry=registry)
        self.entities = Total(
            "pii_entities", "Entities found, by type and by who found them.", ["type", "source"],
            registry=registry,
        )  # fmt: skip
        self.ungrounded = Total(
            "pii_ungrounded", "Values that the model wrote and that no place of the text has left.",
            registry=registry,
        )  # fmt: skip
        self.truncated = Total(
            "pii_truncated_texts", "Texts with a part whose answer did not fit.", registry=registry
        )
        self.reloads = Total(
            "pii_reloads", "Changes of the model, by outcome.", ["outcome"], registry=registry
        )

    def observe_live(self, **readers: Callable[[], float]) -> None:
        """Add numbers that are read whenever somebody asks; each of `_LIVE` has to be named."""
        for name, meaning in _LIVE.items():
            Gauge(f"pii_{name}", meaning, registry=self.registry).set_function(readers[name])

    @contextmanager
    def stage(self, stage: Stage) -> Iterator[None]:
        """Time a part of the work."""
        began = perf_counter()
        try:
            yield
        finally:
            self.stage_seconds.labels(stage).observe(perf_counter() - began)

    def count(self, extraction: Extraction, num_chars: int) -> None:
        """Count what was found in one text and what it took."""
        usage = extraction.usage
        self.texts.inc()
        self.characters.inc(num_chars)
        self.windows.inc(extraction.num_windows)
        self.ungrounded.inc(extraction.num_ungrounded)
        self.truncated.inc(bool(extraction.truncated))
        self.tokens.labels("prompt").inc(usage.num_prompt_tokens)
        self.tokens.labels("answer").inc(usage.num_answer_tokens)
        for (kind, source), number in Counter((s.type, s.source or "") for s in extraction.spans).items():
            self.entities.labels(kind, source).inc(number)
        for seconds in usage.grammars_s:
            self.grammar_seconds.observe(seconds)
        self.stage_seconds.labels("patterns").observe(extraction.patterns_s)
        self.stage_seconds.labels("tagger").observe(extraction.tagger_s)
        if usage.num_prompt_tokens:
            self.stage_seconds.labels("waiting").observe(usage.waiting_s / max(1, extraction.num_windows))
            self.stage_seconds.labels("engine").observe(usage.engine_s / max(1, extraction.num_windows))

    def page(self) -> bytes:
        """Everything in Prometheus' text format, of the media type `CONTENT_TYPE`."""
        return generate_latest(self.registry)
