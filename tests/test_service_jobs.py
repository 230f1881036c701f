"""Batch jobs over HTTP: only below the roots, watched, cancelled, and not lost by a restart."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from serving import batch, sinks
from serving.app import create_app
from serving.extractor import Extractor
from serving.extractor_config import ExtractorConfig
from serving.settings import HttpSettings, JobSettings, ServeConfig

PATTERNS = ExtractorConfig(detectors="patterns")
PHONE = "13800138000"


@contextmanager
def service(tmp_path: Path, **settings: Any) -> Iterator[TestClient]:
    (tmp_path / "files").mkdir(exist_ok=True)
    jobs = JobSettings(roots=(tmp_path / "files",), folder=tmp_path / "book", **settings)
    config = ServeConfig(extractor=PATTERNS, http=HttpSettings(jobs=jobs), shard_rows=2)
    with TestClient(create_app(config, Extractor.open(PATTERNS))) as client:
        yield client


def rows(path: Path, num: int = 9) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps({"text": f"{n} {PHONE}"}) + "\n" for n in range(num)))
    return path


def until(client: TestClient, job: str, *states: str) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        status: dict[str, Any] = client.get(f"/jobs/{job}").json()
        if status["state"] in states:
            return status
        time.sleep(0.01)
    raise AssertionError(f"the job is still {status['state']}")


def ask(client: TestClient, source: Path, out: Path, **members: Any) -> Any:
    return client.post("/jobs", json={"input": [str(source)], "output": str(out), **members})


def test_a_job_is_taken_on_watched_and_done(tmp_path: Path) -> None:
    with service(tmp_path) as client:
        source, out = rows(tmp_path / "files" / "in.jsonl"), tmp_path / "files" / "out.jsonl"
        asked = ask(client, source, out, policy="pipl")
        assert asked.status_code == 202
        job = asked.json()["id"]
        assert asked.headers["location"] == f"/jobs/{job}"
        done = until(client, job, "done")
        assert done["progress"] == {"bytes": source.stat().st_size, "rows": 9, "bad_rows": 0}
        result = client.get(f"/jobs/{job}/result").json()
        assert result["summary"]["rows"] == result["certificate"]["rows"] == 9
        assert PHONE not in out.read_text()
        assert [entry["id"] for entry in client.get("/jobs").json()["jobs"]] == [job]


def test_there_are_no_jobs_where_no_root_is_named(tmp_path: Path) -> None:
    with TestClient(create_app(ServeConfig(extractor=PATTERNS), Extractor.open(PATTERNS))) as client:
        assert ask(client, tmp_path / "a", tmp_path / "b").status_code == 404
        assert not any(path.startswith("/jobs") for path in client.get("/openapi.json").json()["paths"])


@pytest.mark.parametrize(
    ("source", "out"),
    [
        ("{tmp}/secret.txt", "{files}/out.txt"),
        ("{tmp}/nothing.txt", "{files}/out.txt"),
        ("{files}/link.txt", "{files}/out.txt"),
        ("{files}/../secret.txt", "{files}/out.txt"),
        ("{files}/links", "{files}/out"),
        ("{files}/in.txt", "{tmp}/out.txt"),
        ("{files}/in.txt", "{files}/linked/out.txt"),
        ("-", "{files}/out.txt"),
        ("{files}/in.txt", "-"),
        ("memory://in.txt", "{files}/out.txt"),
        ("{files}/in.txt", "memory://out.txt"),
    ],
)
def test_nothing_outside_the_roots_is_read_or_written(tmp_path: Path, source: str, out: str) -> None:
    """Nor does the answer say whether there is anything."""
    with service(tmp_path) as client:
        files = tmp_path / "files"
        (tmp_path / "secret.txt").write_text(PHONE)
        (files / "in.txt").write_text(PHONE)
        (files / "link.txt").symlink_to(tmp_path / "secret.txt")
        (files / "links").mkdir()
        (files / "links" / "a.txt").symlink_to(tmp_path / "secret.txt")
        (files / "linked").symlink_to(tmp_path)
        places = {"tmp": tmp_path, "files": files}
        body = {"input": [source.format(**places)], "output": out.format(**places)}
        answer = client.post("/jobs", json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "path_not_allowed")
        assert not client.get("/jobs").json()["jobs"]


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"types": ["NAME"]}, "unknown_type"),
        ({"policy": "gdpr"}, "key_required"),
        ({"policy": "/etc/hostname"}, "wrong_member"),
        ({"format": "xml"}, "wrong_member"),
        ({"encoding": "utf-16"}, "wrong_job"),
        ({"further": 1}, "unknown_member"),
        ({"input": []}, "wrong_member"),
        ({"input": ["{files}/none.txt"]}, "wrong_job"),
        ({"output": "{files}/in.txt"}, "wrong_job"),
    ],
)
def test_what_cannot_be_done_is_refused_at_once(
    tmp_path: Path, members: dict[str, Any], code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PII_REDACTION_KEY", raising=False)
    with service(tmp_path) as client:
        files = tmp_path / "files"
        (files / "in.txt").write_text(PHONE)
        body = {"input": [f"{files}/in.txt"], "output": f"{files}/out.txt", **members}
        filled = json.loads(json.dumps(body).replace("{files}", str(files)))
        answer = client.post("/jobs", json=filled)
        assert (answer.status_code, answer.json()["code"]) == (422, code)


def test_unknown_jobs_and_results_that_are_not_there(tmp_path: Path) -> None:
    with service(tmp_path) as client:
        for call in (client.get, client.delete):
            assert call("/jobs/none").json()["code"] == "no_such_job"
        assert client.get("/jobs/none/result").status_code == 404


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Jobs wait behind their first shard until it is set."""
    opened, add = threading.Event(), sinks.FileSink.add

    def waits(self: sinks.FileSink, shard: Any) -> None:
        add(self, shard)
        opened.wait(30)

    monkeypatch.setattr(sinks.FileSink, "add", waits)
    yield opened
    opened.set()


def begun(client: TestClient, out: Path) -> None:
    deadline = time.monotonic() + 30
    journal = Path(f"{out}.job") / sinks.JOURNAL
    while time.monotonic() < deadline and not (journal.exists() and journal.read_bytes().count(b"\n") > 1):
        time.sleep(0.01)


def test_a_cancelled_job_leaves_nothing_behind(tmp_path: Path, gate: threading.Event) -> None:
    with service(tmp_path) as client:
        source, out = rows(tmp_path / "files" / "in.jsonl"), tmp_path / "files" / "out.jsonl"
        first = ask(client, source, out).json()["id"]
        second = ask(client, source, tmp_path / "files" / "two.jsonl").json()["id"]
        begun(client, out)
        assert client.get(f"/jobs/{first}/result").json()["code"] == "job_not_done"
        assert client.delete(f"/jobs/{second}").json()["state"] == "cancelled"
        assert client.delete(f"/jobs/{first}").status_code == 202
        gate.set()
        assert until(client, first, "done", "cancelled")["state"] == "cancelled"
        assert sorted(path.name for path in (tmp_path / "files").iterdir()) == ["in.jsonl"]


def test_a_service_that_ends_goes_on_with_its_jobs_when_it_is_started_anew(
    tmp_path: Path, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = rows(tmp_path / "files" / "in.jsonl"), tmp_path / "files" / "out.jsonl"
    with service(tmp_path) as client:
        job = ask(client, source, out).json()["id"]
        begun(client, out)
        threading.Timer(0.3, gate.set).start()
    assert not out.exists()
    num_shards = len((Path(f"{out}.job") / sinks.JOURNAL).read_bytes().splitlines()) - 1
    assert 0 < num_shards < 5
    done: list[int] = []
    process = batch._process

    def noted(job: Any, inputs: Any, sink: Any, *others: Any) -> int:
        done.append(sink.counts["rows"])
        return process(job, inputs, sink, *others)

    monkeypatch.setattr(batch, "_process", noted)
    with service(tmp_path) as client:
        until(client, job, "done")
        assert client.get(f"/jobs/{job}/result").json()["certificate"]["rows"] == 9
    assert done == [2 * num_shards]
    assert len(out.read_bytes().splitlines()) == 9


def test_more_jobs_than_may_wait_are_refused(tmp_path: Path, gate: threading.Event) -> None:
    with service(tmp_path, max_open=1) as client:
        source = rows(tmp_path / "files" / "in.jsonl")
        assert ask(client, source, tmp_path / "files" / "a.jsonl").status_code == 202
        assert ask(client, source, tmp_path / "files" / "b.jsonl").json()["code"] == "too_many_jobs"
        gate.set()


def test_a_job_whose_input_went_away_fails_and_says_so(tmp_path: Path, gate: threading.Event) -> None:
    with service(tmp_path) as client:
        files = tmp_path / "files"
        first = ask(client, rows(files / "a.jsonl"), files / "oa.jsonl").json()["id"]
        second = ask(client, rows(files / "b.jsonl"), files / "ob.jsonl").json()["id"]
        (files / "b.jsonl").unlink()
        gate.set()
        until(client, first, "done")
        failed = until(client, second, "failed")
        assert "no such file" in failed["error"]
