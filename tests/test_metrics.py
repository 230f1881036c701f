"""Numbers: what was done is what was counted, and nothing of a text is among them."""

import json
import logging
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from serving.app import create_app
from serving.extractor import Extractor
from serving.extractor_config import ExtractorConfig
from serving.logs import JsonFormatter, request_id
from serving.settings import ServeConfig

SEED = "我叫张三，电话13800138000"


def numbers(client: TestClient) -> dict[tuple[str, ...], float]:
    """(name, values of its labels in the order of their names...) → number."""
    page = client.get("/metrics").text
    assert "张三" not in page
    assert "1380013" not in page
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def test_requests_refusals_and_finds_are_counted() -> None:
    config = ServeConfig(extractor=ExtractorConfig(detectors="patterns"))
    with TestClient(create_app(config, Extractor.open(config.extractor))) as client:
        client.post("/extract", json={"texts": [SEED, "无"]})
        client.post("/redact", json={"text": SEED})
        client.post("/extract", json={"text": 5})
        client.get("/张三13800138000")
        counted = numbers(client)
    assert counted["pii_requests_total", "POST", "/extract", "200"] == 1
    assert counted["pii_requests_total", "POST", "/extract", "422"] == 1
    assert counted["pii_requests_total", "GET", "(no route)", "404"] == 1
    assert counted["pii_refusals_total", "text_not_string"] == 1
    assert counted["pii_refusals_total", "not_found"] == 1
    assert counted["pii_request_seconds_count", "/redact"] == 1
    assert counted["pii_texts_total",] == 3
    assert counted["pii_characters_total",] == 2 * len(SEED) + 1
    assert counted["pii_entities_total", "pattern", "PHONE_NUMBER"] == 2
    assert counted["pii_stage_seconds_count", "patterns"] == 3
    assert counted["pii_stage_seconds_count", "answer"] == 3
    assert counted["pii_stage_seconds_count", "body"] == 3
    assert counted["pii_ready",] == 1
    assert counted["pii_requests_in_progress",] == 0


def test_what_the_model_took_is_counted(untrained_model: Path) -> None:
    config = ExtractorConfig(model=untrained_model, engine="transformers", max_new_tokens=16)
    with Extractor.open(config) as extractor, TestClient(create_app(ServeConfig(), extractor)) as client:
        client.post("/extract", json={"text": SEED, "detectors": "model"})
        counted = numbers(client)
        assert counted["pii_windows_total",] >= 1
        # The window was split, so that more grammars were prepared than answers were used.
        num_asked = counted["pii_grammar_compile_seconds_count",]
        assert num_asked >= counted["pii_windows_total",]
        assert (
            0
            < counted["pii_grammar_compile_seconds_sum",]
            < counted["pii_stage_seconds_sum", "engine"] * num_asked
        )
        assert 0 < counted["pii_tokens_total", "answer"] <= 16 * num_asked
        assert counted["pii_tokens_total", "prompt"] > num_asked
        assert counted["pii_truncated_texts_total",] == 1
        client.post("/extract", json={"text": SEED, "detectors": "model"})
        again = numbers(client)
    assert again["pii_grammar_compile_seconds_count",] == 2 * num_asked
    assert again["pii_grammar_compile_seconds_sum",] > counted["pii_grammar_compile_seconds_sum",]


def test_json_lines_name_the_request_and_keep_the_silence() -> None:
    formatter = JsonFormatter()
    token = request_id.set("r1")
    ours = logging.LogRecord("serving.guard", logging.INFO, __file__, 1, "%d rows", (5,), None)
    ours.fields = {"status": 200}
    line = json.loads(formatter.format(ours))
    assert (line["message"], line["request_id"], line["status"], line["level"]) == (
        "5 rows",
        "r1",
        200,
        "INFO",
    )
    request_id.reset(token)
    foreign = logging.LogRecord("vllm", logging.ERROR, __file__, 1, "failed at %s", (SEED,), None)
    told = json.loads(formatter.format(foreign))
    assert (told["message"], "request_id" in told) == ("failed at %s", False)
