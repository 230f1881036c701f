"""POST /restore: only where the recipe allows it, and only what this service's key sealed."""

import pytest
from starlette.testclient import TestClient

from pii.redaction.keys import ENVIRONMENT
from serving.app import create_app
from serving.extractor import Extractor
from serving.extractor_config import ExtractorConfig
from serving.settings import HttpSettings, ServeConfig

TEXT = "我叫张三，电话13800138000"
SEALED = {"default": {"operator": "encrypt"}}


def service(*, restore: bool) -> TestClient:
    config = ServeConfig(extractor=ExtractorConfig(detectors="patterns"), http=HttpSettings(restore=restore))
    return TestClient(create_app(config, Extractor.open(config.extractor)))


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> TestClient:
    monkeypatch.setenv(ENVIRONMENT, "5e" * 32)
    return service(restore=True)


def test_what_was_sealed_comes_back(client: TestClient) -> None:
    sealed = client.post("/redact", json={"texts": [TEXT, "x"], "policy": SEALED}).json()["results"]
    assert "张三" not in sealed[0]["text"]
    assert "138" not in sealed[0]["text"]
    restored = client.post("/restore", json={"texts": [s["text"] for s in sealed]}).json()["results"]
    assert [r["text"] for r in restored] == [TEXT, "x"]
    assert restored[0]["num_restored"] == 2


def test_an_altered_token_fails_its_text_alone(client: TestClient) -> None:
    sealed = client.post("/redact", json={"text": TEXT, "policy": SEALED}).json()["text"]
    altered = sealed.replace(":PERSON_NAME:", ":EMAIL_ADDRESS:")
    results = client.post("/restore", json={"texts": [altered, sealed]}).json()["results"]
    assert (results[0]["error"]["code"], results[0]["error"]["place"]) == ("tokens_refused", "texts[0]")
    assert results[1]["text"] == TEXT
    tolerant = client.post("/restore", json={"text": altered, "tolerant": True}).json()
    assert tolerant["num_restored"] == 1
    assert [altered[part["start"] : part["end"]][:7] for part in tolerant["refused"]] == ["[pii1:E"]
    other = client.post("/restore", json={"text": sealed, "tenant": "another"})
    assert other.json()["code"] == "tokens_refused"


def test_it_is_off_unless_the_recipe_allows_it(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = service(restore=False).post("/restore", json={"text": TEXT})
    assert (refused.status_code, refused.json()["code"]) == (403, "restore_off")
    monkeypatch.delenv(ENVIRONMENT)
    keyless = service(restore=True).post("/restore", json={"text": TEXT})
    assert (keyless.status_code, keyless.json()["code"]) == (403, "restore_off")
