"""Traces: the parts of a request under the caller's trace, and nothing of its text in them."""

from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.testclient import TestClient

from serving.app import create_app
from serving.extractor import Extractor
from serving.extractor_config import ExtractorConfig
from serving.settings import ServeConfig
from serving.tracing import Traces

SEED = "我叫张三，电话13800138000"
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(Traces, "to", lambda _: Traces(provider))
    return exporter


def test_a_request_and_its_parts(exported: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch) -> None:
    config = ServeConfig(extractor=ExtractorConfig(detectors="patterns"))
    with TestClient(create_app(config, Extractor.open(config.extractor))) as client:
        client.post("/extract?q=张三", json={"text": SEED}, headers={"traceparent": CALLER})

        def fail(text: str, *_: Any) -> None:
            raise ValueError(text)

        monkeypatch.setattr("pii.patterns.find", fail)
        assert client.post("/extract", json={"text": SEED}).status_code == 500
    spans = exported.get_finished_spans()
    good = {span.name: span for span in spans if span.context.trace_id == int(CALLER.split("-")[1], 16)}
    assert set(good) == {"POST /extract", "body", "extract", "answer"}
    top = good["POST /extract"]
    assert top.parent is not None
    assert top.parent.span_id == int(CALLER.split("-")[2], 16)
    assert top.attributes == {"http.route": "/extract", "http.response.status_code": 200}
    assert all(good[part].parent == top.context for part in ("body", "extract", "answer"))
    assert good["extract"].attributes is not None
    assert good["extract"].attributes["pii.num_entities"] == 2
    assert any((span.attributes or {}).get("http.response.status_code") == 500 for span in spans)
    told = "".join(span.to_json() for span in spans).encode().decode("unicode_escape")
    assert "张三" not in told
    assert "1380013" not in told


def test_an_endpoint_makes_traces_and_none_makes_none() -> None:
    assert Traces.to(None)._tracer is None
    traces = Traces.to("http://127.0.0.1:9/v1/traces")
    assert traces._tracer is not None
    traces.close()
