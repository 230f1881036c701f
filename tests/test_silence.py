"""No text or value of a document leaves by a log, an error or standard error, whatever goes wrong.

One sentinel name and number are driven through every entry point; then everything that came out, but for the
results themselves, is searched for them.
"""

import asyncio
import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from pii import patterns
from pii.errors import RequestError
from serving import extract, redact, runners
from serving.app import create_app
from serving.engines.protocol import EngineError
from serving.engines.running_batch import RunningBatch
from serving.extraction import Extraction
from serving.extractor import Extractor
from serving.extractor_config import ExtractorConfig
from serving.settings import ServeConfig
from serving.silence import QuietFormatter, describe
from tests.logs import all_records

NAME, NUMBER = "欧阳哨兵", "13912345678"
TEXT = f"我叫{NAME}，电话{NUMBER}"


def assert_silent(*outputs: str) -> None:
    for output in outputs:
        # Folded as somebody would search for it: escapes and separators undone.
        plain = output.encode().decode("unicode_escape", errors="ignore")
        for form in (output, plain, re.sub(r"[\s\-]", "", output)):
            assert NAME not in form
            assert NUMBER not in form


@pytest.fixture
def everything_logged() -> Iterator[list[str]]:
    """All records of all loggers, formatted as they would be without any care."""
    with all_records() as lines:
        yield lines


@pytest.fixture(scope="module")
def untrained(untrained_model: Path) -> Iterator[Extractor]:
    config = ExtractorConfig(model=untrained_model, engine="transformers", max_new_tokens=24)
    with Extractor.open(config) as extractor:
        yield extractor


def test_the_search_finds_what_it_looks_for() -> None:
    for leak in (TEXT, json.dumps(TEXT), f"x{NAME}", "139-1234-5678", repr(TEXT)):
        with pytest.raises(AssertionError):
            assert_silent(leak)


# --- the extractor ----------------------------------------------------------------------------------


def test_extraction(
    untrained: Extractor, everything_logged: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    found = asyncio.run(untrained.extract(TEXT))
    assert_silent(repr(found), *everything_logged, *capfd.readouterr())


def test_failing_engine(
    untrained: Extractor,
    everything_logged: list[str],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise ValueError(TEXT)

    monkeypatch.setattr(RunningBatch, "_forward", fail)
    with pytest.raises(EngineError) as error:
        asyncio.run(untrained.extract(TEXT))
    chain = [str(e) for e in (error.value, error.value.__cause__, error.value.__context__)]
    assert_silent(*chain, *everything_logged, *capfd.readouterr())


@pytest.mark.parametrize("text", [TEXT + "\ud800", TEXT * 100, [TEXT], {TEXT: TEXT}])
def test_refused_texts(text: Any) -> None:
    extractor = Extractor.open(ExtractorConfig(detectors="patterns", max_text_chars=200))
    with pytest.raises(RequestError) as error:
        asyncio.run(extractor.extract(text))
    assert_silent(str(error.value), repr(error.value), error.value.place)


def test_refused_types() -> None:
    extractor = Extractor.open(ExtractorConfig(detectors="patterns"))
    with pytest.raises(RequestError) as error:
        asyncio.run(extractor.extract("", [NAME]))
    assert_silent(str(error.value), repr(error.value), error.value.place)


# --- the service ------------------------------------------------------------------------------------

BODIES = [
    json.dumps({"text": TEXT}),
    json.dumps({"texts": [TEXT, 5, TEXT + "\ud800"]}),
    json.dumps({"text": [TEXT]}),
    json.dumps({"text": TEXT + "\ud800"}),
    json.dumps({"text": TEXT, "types": [NAME]}),
    json.dumps({"text": TEXT, "detectors": NAME}),
    json.dumps({"text": TEXT, NAME: NUMBER}),
    json.dumps({"text": TEXT, "policy": {NAME: NUMBER}}),
    json.dumps({"text": TEXT, "policy": {"default": {"operator": NAME}}}),
    json.dumps({"text": TEXT, "policy": {"types": {NAME: {"operator": "mask", "char": NUMBER}}}}),
    json.dumps([TEXT]),
    json.dumps({"text": TEXT})[:-1],
    json.dumps({"text": TEXT}, ensure_ascii=False).encode("gb18030"),
    json.dumps({"text": TEXT * 1_000_000}),
]


@pytest.mark.parametrize("broken", [False, True])
def test_http(
    untrained: Extractor,
    everything_logged: list[str],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    broken: bool,
) -> None:
    def fail(text: str, *_: object) -> None:
        raise LookupError(text)

    if broken:
        monkeypatch.setattr("pii.patterns.find", fail)
    headers = {"content-type": "application/json", "x-request-id": NAME.encode().hex(), "user-agent": NUMBER}
    with TestClient(create_app(ServeConfig(), untrained)) as client:
        errors = []
        for path in ("/extract", "/redact", "/restore", "/analyze", "/anonymize", f"/extract/{NUMBER}"):
            for content in BODIES:
                answer = client.post(path, content=content, headers=headers)
                assert answer.status_code < 500 or broken
                if answer.status_code >= 400:
                    errors.append(answer.text)
                errors.append(str(dict(answer.headers)))
        client.get(f"/{NAME}?{NUMBER}")
        client.get(f"/readyz?name={NAME}")
    ours = [line for line in everything_logged if not line.startswith(("httpx", "httpcore"))]
    assert len(errors) > 2 * len(BODIES)
    assert_silent(*errors, *ours, *capfd.readouterr())


# --- the batch commands -----------------------------------------------------------------------------


@pytest.mark.parametrize("command", [extract.main, redact.main])
def test_batch(
    command: Any,
    tmp_path: Path,
    untrained_model: Path,
    everything_logged: list[str],
    capfd: pytest.CaptureFixture[str],
) -> None:
    rows = [
        json.dumps({"text": TEXT}),
        TEXT,
        json.dumps({"text": [TEXT]}),
        json.dumps({"text": TEXT + "\ud800"}),
        json.dumps([TEXT]),
        json.dumps({NAME: NUMBER}),
        f'{{"text":"{NAME}","text":"{NUMBER}"}}',
    ]
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_bytes(
        "\n".join(rows).encode() + json.dumps({"text": TEXT}, ensure_ascii=False).encode("gb18030")
    )
    options = ["--model", str(untrained_model), "--set", "extractor.engine=transformers"]
    assert command([str(source), "-o", str(out), *options, "--set", "extractor.max_new_tokens=24"]) == 3
    bad = (tmp_path / "out.jsonl.bad.jsonl").read_text()
    assert len(bad.splitlines()) == len(rows) - 1
    assert_silent(bad, *everything_logged, *capfd.readouterr())


def test_batch_with_a_failing_engine(
    tmp_path: Path,
    untrained_model: Path,
    everything_logged: list[str],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise ValueError(TEXT)

    monkeypatch.setattr(RunningBatch, "_forward", fail)
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    options = ["--model", str(untrained_model), "--set", "extractor.engine=transformers"]
    for num_rows, code in ((runners.MAX_FAILURES - 1, 3), (runners.MAX_FAILURES, 1)):
        source.write_text((json.dumps({"text": TEXT}) + "\n") * num_rows)
        assert extract.main([str(source), "-o", str(out), *options]) == code
        assert out.exists() == (code == 3)
        out.unlink(missing_ok=True)
    assert_silent(*everything_logged, *capfd.readouterr())


def test_a_row_that_a_pattern_fails_at_is_put_aside(
    tmp_path: Path,
    everything_logged: list[str],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    find = patterns.find

    def sometimes(text: str, *others: Any) -> Any:
        if "poison" in text:
            raise KeyError(text)
        return find(text, *others)

    monkeypatch.setattr(patterns, "find", sometimes)
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    rows = [TEXT, f"poison {TEXT}", TEXT]
    source.write_text("".join(json.dumps({"text": row}) + "\n" for row in rows))
    assert extract.main([str(source), "-o", str(out), "--detectors", "patterns"]) == 3
    assert len(out.read_text().splitlines()) == 2
    bad = (tmp_path / "out.jsonl.bad.jsonl").read_text()
    assert {"line": 2, "reason": "failed: KeyError"}.items() <= json.loads(bad).items()
    assert_silent(bad, *everything_logged, *capfd.readouterr())


def test_a_defect_of_ours_shows_places_and_no_values(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text(json.dumps({"text": TEXT}) + "\n")
    code = (
        "import sys\n"
        "from serving import extract\n"
        "def fail(own, format, row, *_): raise LookupError(row.slots[0].text)\n"
        "extract.Annotator.write = fail\n"
        f"sys.exit(extract.main([{str(source)!r}, '--detectors', 'patterns']))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 1
    assert b"LookupError" in done.stderr
    assert_silent(done.stderr.decode(), done.stdout.decode())


# --- other people's loggers -------------------------------------------------------------------------


def test_a_librarys_record_keeps_its_template_and_loses_its_arguments() -> None:
    record = logging.LogRecord("vllm.core", logging.ERROR, __file__, 1, "request %s failed", (TEXT,), None)
    assert QuietFormatter().format(record).endswith("ERROR vllm.core: request %s failed")
    ours = logging.LogRecord("serving.app", logging.INFO, __file__, 1, "%d rows", (5,), None)
    assert QuietFormatter().format(ours).endswith("INFO serving.app: 5 rows")


def test_an_exception_keeps_its_places_and_loses_its_message() -> None:
    try:
        raise LookupError(TEXT) from ValueError(TEXT)
    except LookupError as error:
        record = logging.LogRecord("asyncio", logging.ERROR, __file__, 1, "lost", (), sys.exc_info())
        formatted, described = QuietFormatter().format(record), describe(error)
    assert "LookupError" in formatted
    assert "test_silence.py" in formatted
    assert described.startswith("LookupError at tests/test_silence.py:")
    assert_silent(formatted, described)


def test_extractions_show_offsets_and_no_values() -> None:
    found = asyncio.run(Extractor.open(ExtractorConfig(detectors="patterns")).extract(TEXT))
    assert isinstance(found, Extraction)
    assert found.spans
    assert_silent(repr(found), str(found.spans[0]))
