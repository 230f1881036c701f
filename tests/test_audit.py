"""The audit log: every request in it, no text in it, no line changed unseen."""

import errno
import json
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from configs.errors import ConfigError, StageError
from serving import audit, keys
from serving.app import create_app
from serving.audit import AuditLog, Tally
from serving.extractor import Extractor
from serving.extractor_config import ExtractorConfig
from serving.settings import HttpSettings, ServeConfig, TelemetrySettings

KEY = b"k" * 32
BY = {"route": "/extract", "key": "billing", "request_id": "r"}


def written(path: Path, number: int = 4) -> list[str]:
    log = AuditLog(path, KEY)
    for _ in range(number):
        log.write(Tally(1, 5), **BY)
    log.close()
    return path.read_text().splitlines(keepends=True)


def test_requests_are_counted_by_type_and_without_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(audit.VARIABLE, KEY.hex())
    path, keys_file = tmp_path / "audit.jsonl", tmp_path / "keys.yaml"
    key = keys.add(keys_file, "billing")
    config = ServeConfig(
        extractor=ExtractorConfig(detectors="patterns"),
        http=HttpSettings(api_keys_file=keys_file),
        telemetry=TelemetrySettings(audit_file=path),
    )
    with TestClient(create_app(config, Extractor.open(config.extractor))) as client:
        headers = {"authorization": f"Bearer {key}"}
        client.post("/extract", json={"texts": ["我叫张三，电话13800138000", "无", 7]}, headers=headers)
        answer = client.post("/redact", json={"text": "电话13800138000"}, headers=headers)
        client.post("/extract", json={"text": "电话13800138000"})
    first, second = (json.loads(line) for line in path.read_text().splitlines())
    assert first["entities"] == {"PERSON_NAME": 1, "PHONE_NUMBER": 1}
    assert (first["texts"], first["characters"], first["route"], first["key"]) == (
        2,
        18 + 1,
        "/extract",
        "billing",
    )
    assert second["request_id"] == answer.headers["x-request-id"]
    assert "张三" not in path.read_text()
    assert "138001" not in path.read_text()
    assert audit.main([str(path)]) == 0


def test_a_log_is_continued(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    written(path)
    written(path)
    assert audit.verify(path, KEY)[0] == 8


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (lambda lines: [lines[0].replace('"characters": 5', '"characters": 6'), *lines[1:]], 1),
        (lambda lines: [lines[0], *lines[2:]], 2),
        (lambda lines: lines[1:], 1),
        (lambda lines: [lines[0], lines[2], lines[1], lines[3]], 2),
        (lambda lines: [*lines, lines[3]], 5),
        (lambda lines: [*lines[:3], lines[3][:-9]], 4),
        (lambda lines: [*lines, "{}\n"], 5),
        (lambda lines: [*lines, "[" * 9999 + "\n"], 5),
    ],
)
def test_whatever_is_done_to_it_shows(tmp_path: Path, damage: Any, line: int) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_text("".join(damage(written(path))))
    with pytest.raises(StageError, match=rf":{line}:"):
        audit.verify(path, KEY)


def test_the_end_can_be_compared_with_a_signature_kept_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    lines = written(path)
    before = audit.verify(path, KEY)
    path.write_text("".join(lines[:-1]))
    assert audit.verify(path, KEY) != before


def test_another_key_verifies_nothing_and_continues_nothing(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    written(path)
    with pytest.raises(StageError):
        audit.verify(path, b"x" * 32)
    with pytest.raises(ConfigError, match="another key"):
        AuditLog(path, b"x" * 32)


def test_a_file_has_one_writer(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path, KEY)
    with pytest.raises(ConfigError, match="another process"):
        AuditLog(path, KEY)
    log.close()


def test_a_log_that_cannot_be_written_lets_nothing_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(audit.VARIABLE, KEY.hex())
    config = ServeConfig(
        extractor=ExtractorConfig(detectors="patterns"),
        telemetry=TelemetrySettings(audit_file=tmp_path / "audit.jsonl"),
    )

    class Full:
        def write(self, _: str) -> int:
            raise OSError(errno.ENOSPC, "full")

        def close(self) -> None:
            pass

    with TestClient(create_app(config, Extractor.open(config.extractor))) as client:
        client.app.state.service.telemetry._audit._file = Full()  # type: ignore[attr-defined]
        answer = client.post("/extract", json={"text": "电话13800138000"})
        assert (answer.status_code, answer.json()["code"]) == (503, "audit_failed")
        assert client.get("/healthz").status_code == 200


def test_a_log_is_a_file() -> None:
    with pytest.raises(ConfigError, match="not a file"):
        AuditLog(Path("/dev/full"), KEY)


def test_a_log_without_a_key_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(audit.VARIABLE, raising=False)
    with pytest.raises(ConfigError, match="openssl"):
        AuditLog.of(TelemetrySettings(audit_file=tmp_path / "audit.jsonl"))
