"""Policies, keys, verification and certificates as people meet them: files and HTTP."""

import json

import pytest
from fastapi.testclient import TestClient

from pii.redaction import RedactionKey, verify_certificate
from pii.redaction.keys import ENVIRONMENT
from serving import redact
from serving.app import create_app
from serving.extractor import Extractor
from serving.extractor_config import ExtractorConfig
from serving.settings import ServeConfig

PATTERNS = ExtractorConfig(detectors="patterns")
ROWS = [
    {"id": 1, "text": '电话13800138000，"引"\\号，邮箱a.b@foo.example.com'},
    {"id": 2, "text": "再拨138-0013-8000；<PERSON_NAME> [pii1:PERSON_NAME:AAAA]"},
    {"id": 3, "text": "没有"},
]


@pytest.fixture
def job(tmp_path, monkeypatch):
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    (tmp_path / "in.jsonl").write_text(
        "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS), encoding="utf-8"
    )
    (tmp_path / "key").write_text("5a" * 32)
    (tmp_path / "fake.yaml").write_text("default: {operator: surrogate}\n")

    def run(name, policy, *options):
        out = tmp_path / name
        code = redact.main(
            [
                str(tmp_path / "in.jsonl"),
                "-o",
                str(out),
                "--detectors",
                "patterns",
                "--policy",
                policy,
                *options,
            ]
        )
        return code, out

    return run


def test_one_number_has_one_surrogate_in_every_row_and_run(job, tmp_path):
    options = (str(tmp_path / "fake.yaml"), "--key-file", str(tmp_path / "key"), "--set", "shard_rows=1")
    _, out = job("one.jsonl", *options)
    _, again = job("two.jsonl", *options)
    assert out.read_bytes() == again.read_bytes()
    first, second, _ = (json.loads(line)["text"] for line in out.read_text(encoding="utf-8").splitlines())
    assert first[2:13] == second[2:15].replace("-", "")


def test_a_job_ends_with_a_signed_certificate(job, tmp_path):
    _, out = job("out.jsonl", "gdpr", "--key-file", str(tmp_path / "key"))
    content = (tmp_path / "out.jsonl.certificate.json").read_text()
    made = verify_certificate(content, RedactionKey.from_file(tmp_path / "key"))
    assert (made.rows, made.bad_rows, made.leaks) == (3, 0, 0)
    assert made.by_type == {"EMAIL_ADDRESS": 1, "PHONE_NUMBER": 2}
    assert made.by_operator == {"surrogate": 3}
    assert made.by_source == {"pattern": 3}
    assert set(made.hashes) == {"input", "output", "policy", "answer_format"}
    assert out.exists()


def test_without_a_key_a_job_does_not_begin(job, tmp_path, capsys):
    code, out = job("out.jsonl", "gdpr")
    assert code == 2
    assert "needs a key" in capsys.readouterr().err
    assert not out.exists()


def test_the_key_may_come_from_the_environment(job, monkeypatch):
    monkeypatch.setenv(ENVIRONMENT, "5a" * 32)
    assert job("out.jsonl", "logs")[0] == 0


def test_a_row_that_would_leak_is_put_aside_by_number(tmp_path):
    rows = ("电话13800138000，又写作1(380)0138(000)", "好")
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in rows))
    (tmp_path / "strict.yaml").write_text("on_leak: fail\n")
    out = tmp_path / "out.jsonl"
    arguments = [str(tmp_path / "in.jsonl"), "-o", str(out), "--detectors", "patterns"]
    assert redact.main([*arguments, "--policy", str(tmp_path / "strict.yaml")]) == 3
    assert [json.loads(line)["text"] for line in out.read_text().splitlines()] == ["好"]
    bad = (tmp_path / "out.jsonl.bad.jsonl").read_text()
    assert json.loads(bad) == {"line": 1, "reason": "leak", "at": 0}
    certificate = json.loads((tmp_path / "out.jsonl.certificate.json").read_text())
    assert (certificate["rows"], certificate["bad_rows"], certificate["leaking_rows"]) == (1, 1, 1)


def client(**settings):
    config = ServeConfig(extractor=PATTERNS, **settings)
    return TestClient(create_app(config, Extractor.open(PATTERNS)))


def test_http_takes_a_shipped_policy_by_name_and_says_where_a_key_is_missing(monkeypatch, tmp_path):
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    body = {"text": "电话13800138000", "policy": "pipl"}
    with client() as open_client:
        assert open_client.post("/redact", json=body).json()["text"] == "电话<PHONE_NUMBER>"
        refused = open_client.post("/redact", json={**body, "policy": "gdpr"})
        assert (refused.status_code, refused.json()["code"]) == (422, "key_required")
        assert open_client.post("/redact", json={**body, "policy": "/etc/hostname"}).status_code == 422
    (tmp_path / "key").write_text("5a" * 32)
    with client(redaction_key_file=tmp_path / "key") as keyed:
        answer = keyed.post("/redact", json={**body, "policy": "gdpr"}).json()["text"]
    assert "13800138000" not in answer
    assert len(answer) == len(body["text"])
