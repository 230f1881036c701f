"""Who is let in: keys that are hashed, can be changed while it runs, end and have limits; names of hosts."""

from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from configs.errors import ConfigError
from serving import key_command, keys
from serving.app import create_app
from serving.extractor import Extractor
from serving.extractor_config import ExtractorConfig
from serving.keys import KeyRing
from serving.rates import Rates
from serving.settings import HttpSettings, ServeConfig

BODY = {"text": "电话13800138000"}


def app_of(**http: Any) -> FastAPI:
    config = ServeConfig(extractor=ExtractorConfig(detectors="patterns"), http=HttpSettings(**http))
    return create_app(config, Extractor.open(config.extractor))


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    return tmp_path / "keys.yaml"


# --- keys -------------------------------------------------------------------------------------------


def test_every_path_but_the_probes_wants_a_key(keys_file: Path) -> None:
    key = keys.add(keys_file, "billing")
    with TestClient(app_of(api_keys_file=keys_file)) as client:
        for method, path in [
            ("POST", "/extract"), ("POST", "/redact"), ("GET", "/metrics"), ("GET", "/version"),
            ("GET", "/entity_types"), ("GET", "/openapi.json"), ("GET", "/none"), ("DELETE", "/extract"),
        ]:  # fmt: skip
            answer = client.request(method, path)
            assert (answer.status_code, answer.json()["code"]) == (401, "no_key"), path
            assert answer.headers["www-authenticate"] == "Bearer"
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 200
        for headers in (bearer(key), {"x-api-key": key}, {"authorization": f"bearer  {key}"}):
            assert client.post("/extract", json=BODY, headers=headers).status_code == 200


@pytest.mark.parametrize("wrong", ["", "pii_", "x", "é", "\udcff", "Basic eDp5", " " * 9])
def test_a_wrong_key_is_refused_and_not_repeated(keys_file: Path, wrong: str) -> None:
    keys.add(keys_file, "billing")
    with TestClient(app_of(api_keys_file=keys_file)) as client:
        header = f"Bearer {wrong}".encode("utf-8", "surrogateescape")
        answer = client.post("/extract", json=BODY, headers={"authorization": header})
    assert answer.status_code == 401
    assert "Basic" not in answer.text


def test_a_hash_is_no_key(keys_file: Path) -> None:
    key = keys.add(keys_file, "billing")
    assert key not in keys_file.read_text()
    ring = KeyRing(keys_file)
    assert ring.find(keys.hash_of(key)) is None
    assert ring.find(key[:-1]) is None
    found = ring.find(key)
    assert found is not None
    assert found.name == "billing"


def test_keys_change_while_the_service_runs(keys_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "LOOK_S", 0.0)
    old = keys.add(keys_file, "billing")
    with TestClient(app_of(api_keys_file=keys_file)) as client:

        def status(key: str) -> int:
            return client.post("/extract", json=BODY, headers=bearer(key)).status_code

        # Both are good for a time, so that nobody is locked out.
        new = keys.add(keys_file, "billing-2")
        assert (status(old), status(new)) == (200, 200)
        assert keys.remove(keys_file, "billing") == 1
        assert (status(old), status(new)) == (401, 200)
        # A mistake in the file, or none at all, changes nothing.
        good = keys_file.read_text()
        keys_file.write_text("keys: [{nam: x}]")
        assert (status(old), status(new)) == (401, 200)
        keys_file.unlink()
        assert (status(old), status(new)) == (401, 200)
        keys_file.write_text(good.replace("billing-2", "other"))
        assert status(new) == 200


@pytest.mark.parametrize(("day", "is_taken"), [("2020-01-01", False), ("2999-12-31", True)])
def test_a_key_ends_after_its_last_day(keys_file: Path, day: str, is_taken: bool) -> None:
    key = keys.add(keys_file, "guest", not_after=day)
    assert (KeyRing(keys_file).find(key) is not None) == is_taken


@pytest.mark.parametrize(
    "content", ["keys: []", "", "keys: [{name: a}]", "keys: [{name: 'a b', hash: 'sha256:00'}]"]
)
def test_a_file_without_usable_keys_is_refused(keys_file: Path, content: str) -> None:
    keys_file.write_text(content)
    with pytest.raises(ConfigError, match="keys"):
        KeyRing(keys_file)


def test_the_command_makes_lists_and_withdraws(keys_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = ["--file", str(keys_file)]
    assert key_command.main(["add", "billing", "--requests-per-minute", "60", *file]) == 0
    key = capsys.readouterr().out.strip()
    found = KeyRing(keys_file).find(key)
    assert found is not None
    assert found.requests_per_minute == 60
    assert key_command.main(["list", *file]) == 0
    listed = capsys.readouterr().out
    assert listed.startswith("billing\t-\t60/min\t")
    assert key not in listed
    assert key_command.main(["remove", "billing", *file]) == 0
    assert key_command.main(["remove", "billing", *file]) == 2
    assert key_command.main(["add", "a b", *file]) == 2
    assert key_command.main(["add", "guest", "--not-after", "tomorrow", *file]) == 2
    assert "not_after" in capsys.readouterr().err


# --- rates ------------------------------------------------------------------------------------------


def test_a_bucket_empties_and_fills() -> None:
    now = 0.0
    rates = Rates(lambda: now)
    # 60 a minute: ten at once, then one a second.
    assert [rates.wait_s("a", 60) for _ in range(10)] == [0.0] * 10
    assert rates.wait_s("a", 60) == pytest.approx(1.0)
    assert rates.wait_s("b", 60) == 0
    now = 0.5
    assert rates.wait_s("a", 60) == pytest.approx(0.5)
    now = 1.0
    assert rates.wait_s("a", 60) == 0
    now = 1e6
    assert [rates.wait_s("a", 60) for _ in range(11)].count(0.0) == 10


def test_each_key_has_its_own_limit(keys_file: Path) -> None:
    one, other = keys.add(keys_file, "one"), keys.add(keys_file, "other", requests_per_minute=600)
    with TestClient(app_of(api_keys_file=keys_file, requests_per_minute=12)) as client:

        def ask(key: str) -> Any:
            return client.post("/extract", json=BODY, headers=bearer(key))

        assert [ask(one).status_code for _ in range(3)] == [200, 200, 429]
        assert [ask(other).status_code for _ in range(20)] == [200] * 20
        refused = ask(one)
        assert (refused.json()["code"], refused.headers["retry-after"]) == ("too_often", "5")
        # Probes are not counted.
        assert {client.get("/readyz").status_code for _ in range(5)} == {200}


def test_without_keys_the_limit_is_everybodys() -> None:
    with TestClient(app_of(requests_per_minute=6)) as client:
        assert [client.post("/extract", json=BODY).status_code for _ in range(2)] == [200, 429]


# --- hosts, origins, windows ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200), ("LOCALHOST:8000", 200), ("[::1]:8000", 200), ("a.example.com", 200),
        ("example.com", 400), ("evil.test", 400), ("localhost.evil.test", 400), ("", 400),
        ("a.example.com.evil", 400),
    ],
)  # fmt: skip
def test_only_trusted_hosts(host: str, status: int) -> None:
    hosts = ("localhost", "[::1]", "*.example.com")
    with TestClient(app_of(trusted_hosts=hosts)) as client:
        answer = client.post("/extract", json=BODY, headers={"host": host})
        assert answer.status_code == status
        # A kubelet calls by address.
        assert client.get("/readyz", headers={"host": host}).status_code == 200


def test_other_origins_get_no_permission() -> None:
    with TestClient(app_of()) as client:
        asked = {"origin": "https://evil.test", "access-control-request-method": "POST"}
        for answer in (
            client.options("/extract", headers=asked),
            client.post("/extract", json=BODY, headers=asked),
        ):
            assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_request_for_too_many_windows_is_refused_at_once(untrained_model: Path) -> None:
    config = ExtractorConfig(model=untrained_model, engine="transformers", max_new_tokens=16)
    with Extractor.open(config) as extractor:
        app = create_app(ServeConfig(http=HttpSettings(max_windows=5)), extractor)
        with TestClient(app) as client:
            long = {"text": "x" * 800}
            answer = client.post("/extract", json=long)
            assert (answer.status_code, answer.json()["code"]) == (413, "too_many_windows")
            assert client.post("/extract", json={**long, "detectors": "patterns"}).status_code == 200
            # Of several texts, those that still fit are read.
            results = client.post("/extract", json={"texts": ["x" * 300, "x" * 300, ""]}).json()["results"]
            assert [r.get("error", {}).get("code") for r in results] == [None, "too_many_windows", None]
