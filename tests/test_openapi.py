"""The OpenAPI document: as committed, complete, and true of what the service does."""

import json
import os
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from starlette.testclient import TestClient

from pii.redaction.keys import ENVIRONMENT
from serving.app import create_app
from serving.examples import EXAMPLES
from serving.extractor import Extractor
from serving.extractor_config import ExtractorConfig
from serving.settings import HttpSettings, ServeConfig

COMMITTED = Path(__file__).parents[1] / "docs" / "openapi.json"


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> TestClient:
    monkeypatch.setenv(ENVIRONMENT, "5e" * 32)
    config = ServeConfig(extractor=ExtractorConfig(detectors="patterns"), http=HttpSettings(restore=True))
    return TestClient(create_app(config, Extractor.open(config.extractor)))


@pytest.fixture
def document(client: TestClient) -> Any:
    return client.get("/openapi.json").json()


def test_the_golden_document_is_the_committed_one(document: Any) -> None:
    """``make golden`` writes it; the difference is what clients will meet."""
    written = json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    if os.environ.get("GOLDEN") == "rewrite":
        COMMITTED.write_text(written, encoding="utf-8")
    assert COMMITTED.read_text(encoding="utf-8") == written


def test_every_reference_leads_somewhere_and_no_schema_is_unused(document: Any) -> None:
    written = json.dumps(document)
    references = set(re.findall(r'"\$ref": "#/components/schemas/([^"]+)"', written))
    assert references == set(document["components"]["schemas"])
    assert '"#/$defs' not in written


def operations(document: Any) -> list[tuple[str, str, Any]]:
    return [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def test_every_operation_says_what_it_is_and_names_its_problems(document: Any) -> None:
    for path, method, operation in operations(document):
        assert operation.get("description"), path
        assert operation["tags"], path
        if method == "post":
            assert {"400", "413", "415", "422", "503"} <= set(operation["responses"]), path
            content = operation["requestBody"]["content"]["application/json"]
            assert content["examples"], path
        for status, response in operation["responses"].items():
            if status.isdecimal() and status >= "400" and path != "/readyz":
                schema = response["content"]["application/problem+json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/ProblemDetails"}


def valid(value: Any, schema: Any, document: Any) -> bool:
    whole = {**schema, "components": document["components"]}
    return jsonschema.Draft202012Validator(whole).is_valid(value)


@pytest.mark.parametrize(
    ("route", "name"), [(r, n) for r, named in EXAMPLES.items() for n in named if r != "chat"]
)
def test_examples_are_what_the_service_answers(
    client: TestClient, document: Any, route: str, name: str
) -> None:
    example = EXAMPLES[route][name]
    answer = client.post(f"/{route}", json=example["request"])
    assert answer.json() == example["answer"]
    operation = document["paths"][f"/{route}"]["post"]
    asked = operation["requestBody"]["content"]["application/json"]["schema"]
    given = operation["responses"]["200"]["content"]["application/json"]["schema"]
    assert valid(example["request"], asked, document)
    assert valid(example["answer"], given, document)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"text": "a", "texts": ["a"]},
        {"text": "", "threshold": 0.5, "operating_point": "recall"},
        {"text": "", "threshold": 2},
        {"text": "", "language": "fr"},
        {"text": "", "deny_list": [{"word": "a", "type": "lower"}]},
        {"text": "", "offset_unit": "byte"},
        {"text": "", "further": 1},
    ],
)
def test_what_the_document_forbids_the_service_refuses(client: TestClient, document: Any, body: Any) -> None:
    schema = document["paths"]["/extract"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert not valid(body, schema, document)
    assert client.post("/extract", json=body).status_code == 422
