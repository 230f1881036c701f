"""Whatever is sent: an answer or a refusal within the deadline, and nothing of it in any log or error.

``HOSTILE=10000 pytest -m slow tests/test_hostile.py`` sends as many as one likes.
"""

import itertools
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request
from starlette.testclient import TestClient

from pii.redaction.keys import ENVIRONMENT
from serving.app import create_app
from serving.chat.settings import ChatSettings
from serving.extractor import Extractor
from serving.extractor_config import ExtractorConfig
from serving.settings import HttpSettings, ServeConfig
from tests.hostile import NAME, NUMBER, Hostile, hostile_requests
from tests.logs import all_records
from tests.servers import Server

DEADLINE_S = 60.0


def leaks(written: str) -> bool:
    """Whether the sentinel stands in what was written, escaped or not."""
    plain = re.sub(r"\\u([0-9a-fA-F]{4})", lambda m: chr(int(m[1], 16)), written)
    return NAME in plain or NUMBER in re.sub(r"[\s\-]", "", plain)


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """All records of all loggers of the service, formatted without any care."""
    # The client's own records name what it sends, and are not the service's.
    with all_records(without=("httpx", "httpcore")) as lines:
        yield lines


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    app = FastAPI()

    @app.post("/v1/chat/completions")
    async def completions(request: Request) -> Any:
        body = await request.json()
        return {"choices": [{"index": 0, "message": {"role": "assistant", "content": str(body)[:500]}}]}

    with Server(app) as url:
        yield f"{url}/v1"


def service(upstream: str) -> FastAPI:
    config = ServeConfig(
        extractor=ExtractorConfig(detectors="patterns"),
        chat=ChatSettings(upstream=upstream, on_unreadable="pass"),
        http=HttpSettings(restore=True, deadline_s=DEADLINE_S),
    )
    return create_app(config, Extractor.open(config.extractor))


def send(client: TestClient, request: Hostile) -> int:
    started = time.monotonic()
    answer = client.post(request.path, content=request.content, headers=request.headers)
    assert time.monotonic() - started < DEADLINE_S
    if answer.status_code != 200:
        assert 400 <= answer.status_code < 500 or answer.status_code == 503, (request.path, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        assert not leaks(answer.text + str(dict(answer.headers))), (request.path, answer.json()["code"])
    return answer.status_code


def drive(requests: Iterator[Hostile], upstream: str, monkeypatch: pytest.MonkeyPatch) -> Counter[int]:
    monkeypatch.setenv(ENVIRONMENT, "5e" * 32)
    with TestClient(service(upstream), raise_server_exceptions=False) as client:
        return Counter(send(client, request) for request in requests)


def test_the_stream_is_the_same_every_time_and_holds_what_it_should() -> None:
    first, again = (list(itertools.islice(hostile_requests(3), 200)) for _ in range(2))
    assert first == again
    assert max(len(request.content) for request in first) > 1_000_000
    assert sum(leaks(request.content.decode("utf-8", "replace")) for request in first) > 120
    assert len({request.path for request in first}) == 7


def test_a_sample(
    upstream: str, logged: list[str], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = itertools.islice(hostile_requests(1, line_chars=20_000), 150)
    seen = drive(requests, upstream, monkeypatch)
    assert seen[200] > 20
    assert seen[422] > 20
    assert seen[400] > 10
    assert len(logged) >= 150
    assert not any(leaks(line) for line in (*logged, *capfd.readouterr()))


@pytest.mark.slow
def test_many(
    upstream: str, logged: list[str], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    number = int(os.environ.get("HOSTILE", "500"))
    seen = drive(itertools.islice(hostile_requests(2), number), upstream, monkeypatch)
    assert sum(seen.values()) == number
    assert not any(leaks(line) for line in (*logged, *capfd.readouterr()))
    if number > 1000:
        print(dict(seen))  # noqa: T201


@pytest.mark.slow
def test_schemathesis_finds_nothing(upstream: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests made from the OpenAPI document, right and wrong ones; every answer has to be as it says.

    Not asked for is that whatever fits the schema is accepted: which types the detectors know, whether there
    are scores, what RE2 reads and which parameters an operator needs no schema of ours says.
    """
    pytest.importorskip("schemathesis")
    monkeypatch.setenv(ENVIRONMENT, "5e" * 32)
    with Server(service(upstream)) as url:
        command = [sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json", "--no-color"]
        command += ["--max-examples", "4", "--seed", "1", "--checks", "all"]
        command += ["--exclude-checks", "positive_data_acceptance"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=500, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-6000:]
    (passed,) = re.findall(r"(\d+) generated, (\d+) passed", done.stdout)
    assert int(passed[1]) > 300
