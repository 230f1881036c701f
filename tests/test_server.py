"""The process: whom it lets in from where, how it ends, how it changes its model, what happens when one
dies."""

import json
import signal
import ssl
import threading
import time
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import httpx
import psutil
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from serving import keys
from serving.server import main
from tests.running import Server, serving, until

PATTERNS = "extractor.detectors=patterns"
BODY = {"text": "电话13800138000"}


def certify(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "tls.crt", folder / "tls.key"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, *plain))
    return certificate, private


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_no_public_address_without_a_key(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--set", "http.port=0", "--set", PATTERNS, "--set", f"http.host='{host}'"]) == 2
    assert "http.api_keys_file" in capsys.readouterr().err


def test_a_certificate_that_cannot_be_used_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = ["--set", f"http.tls_certificate={tmp_path / 'a'}", "--set", f"http.tls_key={tmp_path / 'b'}"]
    assert main(["--set", "http.port=0", "--set", PATTERNS, *files]) == 2
    assert "http.tls_certificate" in capsys.readouterr().err
    assert main(["--set", PATTERNS, *files[:2]]) == 2
    assert "go together" in capsys.readouterr().err


def test_in_public_with_keys_tls_and_json_lines(tmp_path: Path) -> None:
    certificate, private = certify(tmp_path)
    key = keys.add(tmp_path / "keys.yaml", "billing")
    trust = ssl.create_default_context(cafile=str(certificate))
    with serving(
        tmp_path,
        PATTERNS,
        "http.host='0.0.0.0'",
        f"http.api_keys_file={tmp_path / 'keys.yaml'}",
        f"http.tls_certificate={certificate}",
        f"http.tls_key={private}",
        "telemetry.log_format=json",
        verify=trust,
    ) as server:
        server.wait_until_ready()
        assert server.client.base_url.scheme == "https"
        assert server.client.post("/extract", json=BODY).status_code == 401
        answer = server.client.post("/extract", json=BODY, headers={"x-api-key": key})
        assert answer.status_code == 200
    lines = [json.loads(line) for line in server.log.splitlines()]
    (line,) = (line for line in lines if line.get("status") == 200 and line.get("route") == "/extract")
    assert line["request_id"] == answer.headers["x-request-id"]
    assert line["key"] == "billing"
    assert key not in server.log


class Callers:
    """Threads that ask without pause until the block ends; `statuses` is what they got."""

    def __init__(self, server: Server, number: int = 3) -> None:
        self._server, self.statuses, self.failures = server, list[int](), list[str]()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(number)]

    def __enter__(self) -> "Callers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        while not self._stop.is_set():
            try:
                self.statuses.append(self._server.client.post("/extract", json=BODY).status_code)
            except httpx.HTTPError as error:
                self.failures.append(type(error).__name__)
                return


def test_a_hangup_changes_the_model_and_drops_no_request(tmp_path: Path) -> None:
    recipe = tmp_path / "serve.yaml"
    recipe.write_text("extractor: {detectors: patterns}")
    with serving(tmp_path, config=recipe) as server:
        server.wait_until_ready()
        long = {"text": "x" * 100}
        with Callers(server) as callers:
            recipe.write_text("extractor: {detectors: patterns, max_text_chars: 50}")
            server.process.send_signal(signal.SIGHUP)
            until(lambda: server.client.post("/extract", json=long).status_code == 422, 10, server)
            # A mistake changes nothing.
            recipe.write_text("extractor: {model: runs/none, detectors: model}")
            server.process.send_signal(signal.SIGHUP)
            until(lambda: "the model stays as it was" in server.log, 10, server)
            assert server.client.post("/extract", json=long).status_code == 422
            assert server.client.get("/readyz").status_code == 200
        assert set(callers.statuses) == {200}
        assert not callers.failures
        # On loopback it has its own names alone: this is what a browser sends from a page whose name has been
        # pointed at 127.0.0.1.
        rebound = server.client.post("/extract", json=BODY, headers={"host": "evil.test"})
        assert (rebound.status_code, rebound.json()["code"]) == (400, "host_not_trusted")
        counted = server.client.get("/metrics").text
        assert 'pii_reloads_total{outcome="done"} 1.0' in counted
        assert 'pii_reloads_total{outcome="failed"} 1.0' in counted


def test_the_end_is_announced_and_finishes_what_is_under_way(tmp_path: Path) -> None:
    with serving(tmp_path, PATTERNS, "http.drain_delay_s=1.0") as server:
        server.wait_until_ready()
        with Callers(server, 1) as callers:
            server.process.send_signal(signal.SIGTERM)
            until(lambda: server.client.get("/readyz").status_code == 503, 5, server)
            assert server.client.get("/readyz").json() == {"ready": False, "state": "draining"}
            # Who comes meanwhile is still answered.
            assert server.client.post("/extract", json=BODY).status_code == 200
            server.process.wait(20)
        assert set(callers.statuses) == {200}
    assert "Traceback" not in server.log


@pytest.mark.slow
def test_a_killed_engine_is_refused_and_comes_back(tmp_path: Path, untrained_model: Path) -> None:
    pytest.importorskip("vllm")
    model = (f"extractor.model={untrained_model}", "extractor.engine=vllm", "extractor.max_new_tokens=32")
    with serving(tmp_path, *model) as server:
        server.wait_until_ready()
        before = server.client.post("/extract", json=BODY).json()
        with Callers(server) as callers:
            until(lambda: len(callers.statuses) > 10, 30, server)
            below = psutil.Process(server.process.pid).children(recursive=True)
            victims = [process for process in below if "EngineCore" in process.name()]
            assert victims, [process.name() for process in below]
            for victim in victims:
                victim.kill()
            until(lambda: server.client.get("/readyz").status_code == 503, 10, server)
            assert server.client.get("/readyz").json()["state"] == "restarting"
            began = time.monotonic()
            refused = server.client.post("/extract", json=BODY)
            assert (refused.status_code, refused.json()["code"]) == (503, "engine_failed")
            assert time.monotonic() - began < 5
            server.wait_until_ready()
            until(lambda: callers.statuses[-1] == 200, 30, server)
        assert set(callers.statuses) == {200, 503}
        assert not callers.failures
        assert server.client.post("/extract", json=BODY).json() == before
        assert "pii_engine_restarts 1.0" in server.client.get("/metrics").text
    assert "13800138000" not in server.log
