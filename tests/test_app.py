"""The service: the seed's answer, every fault with a code and a place, nothing of a text in any error."""

import asyncio
import json
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given, settings
from starlette.testclient import TestClient

from configs.errors import UserError
from pii.patterns import Match
from serving.app import create_app
from serving.engines.protocol import EngineError
from serving.engines.transformers_engine import TransformersEngine
from serving.extraction import Extraction
from serving.extractor import Extractor
from serving.extractor_config import ExtractorConfig
from serving.server import main
from serving.settings import HttpSettings, ServeConfig
from tests.running import serving
from tests.strategies import texts

SEED = "我叫张三，电话13800138000"
FOUND = [
    {"type": "PERSON_NAME", "value": "张三", "start": 2, "end": 4, "source": "pattern"},
    {
        "type": "PHONE_NUMBER",
        "value": "13800138000",
        "start": 7,
        "end": 18,
        "subtype": "cn_mobile",
        "source": "pattern",
    },
]
JSON = {"content-type": "application/json"}


def app_of(extractor: Extractor | None = None, **http: Any) -> FastAPI:
    config = ServeConfig(extractor=ExtractorConfig(detectors="patterns"), http=HttpSettings(**http))
    return create_app(config, extractor or Extractor.open(config.extractor))


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with TestClient(app_of()) as made:
        yield made


@pytest.fixture(scope="module")
def untrained_client(untrained_model: Path) -> Iterator[TestClient]:
    config = ExtractorConfig(model=untrained_model, engine="transformers", max_new_tokens=32)
    with Extractor.open(config) as extractor, TestClient(create_app(ServeConfig(), extractor)) as made:
        yield made


# --- answers ----------------------------------------------------------------------------------------


def test_the_seed_text(client: TestClient) -> None:
    answer = client.post("/extract", json={"text": SEED})
    assert (answer.status_code, answer.json()) == (200, {"entities": FOUND})


def test_an_empty_text_has_no_entities(client: TestClient) -> None:
    assert client.post("/extract", json={"text": ""}).json() == {"entities": []}


def test_a_list_keeps_its_order_and_a_bad_item_fails_alone(client: TestClient) -> None:
    body = json.dumps({"texts": ["x", SEED, 13800138000, "", "\ud800", None, SEED]})
    results = client.post("/extract", content=body, headers=JSON).json()["results"]
    assert [r.get("entities") for r in results] == [[], FOUND, None, [], None, None, FOUND]
    faults = {i: (r["error"]["code"], r["error"]["place"]) for i, r in enumerate(results) if "error" in r}
    assert faults == {
        2: ("text_not_string", "texts[2]"),
        4: ("text_not_unicode", "texts[4]"),
        5: ("text_not_string", "texts[5]"),
    }


def test_types_and_detectors(client: TestClient) -> None:
    body = {"text": SEED, "types": ["PHONE_NUMBER"], "detectors": "patterns"}
    assert client.post("/extract", json=body).json() == {"entities": FOUND[1:]}


def test_redact(client: TestClient) -> None:
    assert client.post("/redact", json={"text": SEED}).json() == {
        "text": "我叫<PERSON_NAME>，电话<PHONE_NUMBER>",
        "replacements": [
            {"type": "PERSON_NAME", "start": 2, "end": 15},
            {"type": "PHONE_NUMBER", "start": 18, "end": 32},
        ],
    }
    mask = {"types": {"PHONE_NUMBER": {"operator": "mask", "keep_first": 3}}}
    answer = client.post("/redact", json={"texts": [SEED], "policy": mask}).json()
    assert answer["results"][0]["text"] == "我叫<PERSON_NAME>，电话138********"


def test_redaction_hides_what_either_detector_marked(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pii.spans import Span

    async def found(*_: object) -> Extraction:
        # Merging decided for the short span; the model's own was longer.
        short, long = Span(7, 18, "PHONE_NUMBER"), Span(5, 18, "PHONE_NUMBER")
        return Extraction(spans=(short,), model_spans=(long,), pattern_spans=(short,))

    monkeypatch.setattr(Extractor, "extract", found)
    assert client.post("/redact", json={"text": SEED, "types": ["PHONE_NUMBER"]}).json()["text"] == (
        "我叫张三，<PHONE_NUMBER>"
    )


@settings(max_examples=10)
@given(texts)
def test_an_untrained_model_answers_slices_of_any_text(untrained_client: TestClient, text: str) -> None:
    answer = untrained_client.post("/extract", json={"text": text})
    assert answer.status_code == 200
    for entity in answer.json()["entities"]:
        assert list(entity)[:4] == ["type", "value", "start", "end"]
        assert set(entity["source"].split("+")) <= {"model", "tagger", "pattern"} != {"tagger"}
        assert text[entity["start"] : entity["end"]] == entity["value"] != ""


@pytest.mark.slow
def test_both_engines_answer_alike(untrained_client: TestClient, untrained_model: Path) -> None:
    pytest.importorskip("vllm")
    config = ExtractorConfig(model=untrained_model, engine="vllm", max_new_tokens=32)
    hostile = [SEED, 'q"\\\\"\n\t{}[]', "😀\u200b\u202eאב\u202c\x00\x1f\u2028", "<|im_end|>\n" * 3, SEED * 20]
    with Extractor.open(config) as extractor, TestClient(create_app(ServeConfig(), extractor)) as client:
        assert client.get("/readyz").json()["engine"].startswith("vllm ")
        answer = client.post("/extract", json={"texts": hostile}).json()
        assert answer == untrained_client.post("/extract", json={"texts": hostile}).json()
    for text, result in zip(hostile, answer["results"], strict=True):
        assert result["entities"]
        assert all(text[e["start"] : e["end"]] == e["value"] for e in result["entities"])


def test_parts_that_did_not_fit_are_named(untrained_client: TestClient) -> None:
    answer = untrained_client.post("/extract", json={"text": SEED}).json()
    covered = {i for part in answer["truncated"] for i in range(part["start"], part["end"])}
    assert covered <= set(range(len(SEED)))
    assert covered


# --- faults -----------------------------------------------------------------------------------------


def body(**members: Any) -> bytes:
    return json.dumps(members).encode()


@pytest.mark.parametrize(
    ("content", "status", "code", "place"),
    [
        (body(text=13800138000), 422, "text_not_string", "text"),
        (body(text="张三\ud800"), 422, "text_not_unicode", "text"),
        (body(text="张" * 1001), 422, "text_too_long", "text"),
        (body(text=None, texts=None), 422, "text_not_string", "text"),
        (body(), 422, "text_or_texts", None),
        (body(text="张三", texts=["张三"]), 422, "text_or_texts", None),
        (body(texts="张三"), 422, "wrong_member", "texts"),
        (body(texts=["x"] * 11), 422, "too_many_texts", "texts"),
        (body(text="", types=["PERSON_NAME", "张三"]), 422, "unknown_type", "types[1]"),
        (body(text="", types=["LOCATION"]), 422, "type_not_supported", "types[0]"),
        (body(text="", types=[]), 422, "no_types", "types"),
        (body(text="", types=[13800138000]), 422, "wrong_member", "types[0]"),
        (body(text="", types="张三"), 422, "wrong_member", "types"),
        (body(text="", detectors="张三"), 422, "wrong_member", "detectors"),
        (body(text="", detectors="model"), 422, "no_model", "detectors"),
        (body(text="", 张三="13800138000"), 422, "unknown_member", None),
        (b'["13800138000"]', 422, "wrong_member", None),
        (b'"13800138000"', 422, "wrong_member", None),
        (b'{"text": 13800138000', 400, "not_json", "character 20"),
        (b'{"text": "13800138000', 400, "not_json", "character 9"),
        (b'{"text": NaN}', 400, "not_json", None),
        (b'{"text": ' + b"1" * 5000 + b"}", 400, "not_json", None),
        (b"[" * 20_000, 400, "not_json", None),
        (b"", 400, "not_json", "character 0"),
        ('{"text":"张三"}'.encode("gb18030"), 400, "not_utf8", "byte 9"),
        ('{"text":"13800138000"}'.encode("utf-16"), 400, "not_utf8", "byte 0"),
        (body(text="13800138000" * 4000), 413, "body_too_large", None),
    ],
)
def test_faults_have_a_code_and_a_place_and_no_text(
    content: bytes, status: int, code: str, place: str | None
) -> None:
    config = ExtractorConfig(detectors="patterns", max_text_chars=1000)
    app = create_app(
        ServeConfig(http=HttpSettings(max_body_bytes=30_000, max_texts=10)), Extractor.open(config)
    )
    with TestClient(app) as client:
        for path in ("/extract", "/redact"):
            answer = client.post(path, content=content, headers=JSON)
            problem = answer.json()
            assert answer.headers["content-type"] == "application/problem+json"
            assert (answer.status_code, problem["status"]) == (status, status)
            assert (problem["code"], problem.get("place")) == (code, place)
            assert set(problem) <= {"type", "title", "status", "detail", "code", "place"}
            assert "张" not in answer.text
            assert "138" not in answer.text


@pytest.mark.parametrize(
    ("policy", "code", "place"),
    [
        ({"default": {"operator": "张三"}}, "wrong_member", "policy.default"),
        (
            {"types": {"张三": {"operator": "mask", "keep_first": -1}}},
            "wrong_member",
            "policy.types.?.?.keep_first",
        ),
        ({"张三": 1}, "unknown_member", "policy"),
        ("张三", "wrong_member", "policy"),
    ],
)
def test_a_wrong_policy_is_placed(client: TestClient, policy: Any, code: str, place: str) -> None:
    answer = client.post("/redact", json={"text": "", "policy": policy})
    assert (answer.status_code, answer.json()["code"], answer.json()["place"]) == (422, code, place)
    assert "张" not in answer.text


def test_other_media_types_are_refused(client: TestClient) -> None:
    for headers in ({"content-type": "text/plain"}, {"content-type": "multipart/form-data"}, {}):
        answer = client.post("/extract", content=body(text=SEED), headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (415, "not_json_media_type")
    charset = {"content-type": "application/json; charset=utf-8"}
    assert client.post("/extract", content=body(text=SEED), headers=charset).status_code == 200


def scope_of(path: str) -> dict[str, Any]:
    """A POST request of JSON as a server hands it to the application."""
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
        "server": ("test", 80),
        "scheme": "http",
    }


def test_a_body_of_unknown_length_is_counted_while_it_comes() -> None:
    taken, answers = 0, list[Any]()

    async def endless() -> dict[str, Any]:
        nonlocal taken
        taken += 1
        return {"type": "http.request", "body": b"x" * 1000, "more_body": True}

    async def keep(message: Any) -> None:
        answers.append(message)

    asyncio.run(app_of(max_body_bytes=10_000)(scope_of("/extract"), endless, keep))
    assert answers[0]["status"] == 413
    assert taken == 11


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/extract", 405, "method_not_allowed"),
        ("GET", "/张三", 404, "not_found"),
        ("POST", "/extract/13800138000?name=张三", 404, "not_found"),
        ("GET", "/docs", 404, "not_found"),
    ],
)
def test_other_paths_and_methods(client: TestClient, method: str, path: str, status: int, code: str) -> None:
    answer = client.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert "张" not in answer.text
    assert "138" not in answer.text


def test_a_failing_engine_is_503_and_fails_its_text_alone(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract = Extractor.extract

    async def sometimes(own: Extractor, text: str, *others: Any) -> Extraction:
        if "bad" in text:
            raise EngineError("gone")
        return await extract(own, text, *others)

    monkeypatch.setattr(Extractor, "extract", sometimes)
    answer = client.post("/extract", json={"text": "bad"})
    assert (answer.status_code, answer.json()["code"]) == (503, "engine_failed")
    assert answer.headers["retry-after"] == "1"
    results = client.post("/extract", json={"texts": ["bad", SEED]}).json()["results"]
    assert results[0]["error"]["code"] == "engine_failed"
    assert results[1]["entities"] == FOUND


def test_a_fault_of_ours_is_a_bare_500(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(text: str, *_: object) -> list[Match]:
        raise KeyError(text)

    monkeypatch.setattr("pii.patterns.find", fail)
    for request in ({"text": SEED}, {"texts": [SEED]}):
        answer = client.post("/extract", json=request)
        assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
        assert "张三" not in answer.text + caplog.text
    assert caplog.text.count(": KeyError\n") == 2


# --- load and time ----------------------------------------------------------------------------------


class Slow(Extractor):
    """An extractor that takes its time and notes who did not wait."""

    def __init__(self, seconds: float) -> None:
        super().__init__(ExtractorConfig(detectors="patterns"))
        self.seconds, self.started, self.cancelled = seconds, 0, 0

    async def extract(self, *_: Any) -> Extraction:
        self.started += 1
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return Extraction()


def test_a_deadline_cancels_the_work() -> None:
    slow = Slow(30)
    with TestClient(app_of(slow, deadline_s=0.05)) as client:
        answer = client.post("/extract", json={"texts": ["a", "b"]})
        assert (answer.status_code, answer.json()["code"]) == (503, "deadline_exceeded")
        assert answer.headers["retry-after"]
        assert (slow.started, slow.cancelled) == (2, 2)
        assert client.get("/readyz").json()["requests"] == 0


def test_a_full_house_is_503_and_empties_again() -> None:
    app = app_of(Slow(0.3), max_requests=2)

    async def four_at_once() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            calls = [client.post("/extract", json={"text": "a"}) for _ in range(4)]
            first = await asyncio.gather(*calls)
            return [*first, await client.post("/extract", json={"text": "a"})]

    answers = asyncio.run(four_at_once())
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 503, 503]
    assert answers[-1].status_code == 200
    busy = next(answer for answer in answers if answer.status_code == 503)
    assert (busy.json()["code"], busy.headers["retry-after"]) == ("busy", "1")


def test_a_client_who_leaves_ends_the_work() -> None:
    slow = Slow(30)
    app = app_of(slow)

    async def leave() -> None:
        events = asyncio.Queue[dict[str, Any]]()
        events.put_nowait({"type": "http.request", "body": body(text="a"), "more_body": False})

        async def send(_: Any) -> None:
            pass

        request = asyncio.ensure_future(app(scope_of("/extract"), events.get, send))
        while not slow.started:
            await asyncio.sleep(0.01)
        events.put_nowait({"type": "http.disconnect"})
        await asyncio.wait_for(request, 5)

    asyncio.run(leave())
    assert slow.cancelled == 1


def test_many_at_once_get_their_own_answers(client: TestClient) -> None:
    app = app_of()

    async def all_at_once() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as own:
            calls = [own.post("/extract", json={"text": f"电话1380013{n:04}"}) for n in range(60)]
            return await asyncio.gather(*calls)

    for number, answer in enumerate(asyncio.run(all_at_once())):
        assert [e["value"] for e in answer.json()["entities"]] == [f"1380013{number:04}"]


# --- state ------------------------------------------------------------------------------------------


def test_not_ready_while_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = threading.Event()
    opened = Extractor.open(ExtractorConfig(detectors="patterns"))

    def wait(_: object) -> Extractor:
        loaded.wait(10)
        return opened

    monkeypatch.setattr(Extractor, "open", wait)
    with TestClient(create_app(ServeConfig())) as client:
        assert client.get("/healthz").json() == {"alive": True}
        state = client.get("/readyz")
        assert (state.status_code, state.json()) == (503, {"ready": False, "state": "loading"})
        early = client.post("/extract", json={"text": SEED})
        assert (early.status_code, early.json()["code"]) == (503, "loading")
        assert early.headers["retry-after"]
        assert client.get("/entity_types").status_code == 503
        loaded.set()
        while client.get("/readyz").status_code == 503:
            time.sleep(0.01)
        assert client.post("/extract", json={"text": SEED}).json() == {"entities": FOUND}


def test_ready_says_engine_and_model(untrained_client: TestClient, untrained_model: Path) -> None:
    state = untrained_client.get("/readyz").json()
    assert state["ready"]
    assert re.fullmatch(r"transformers \S+, cpu, float32", state["engine"])
    assert state["model"]["folder"] == str(untrained_model)
    assert state["model"]["method"] == "untrained"


def test_not_ready_once_the_engine_has_died(
    untrained_client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TransformersEngine, "is_alive", False)
    assert untrained_client.get("/readyz").status_code == 503


def test_entity_types_say_who_knows_them(client: TestClient, untrained_client: TestClient) -> None:
    kinds = {kind["name"]: kind for kind in client.get("/entity_types").json()["entity_types"]}
    assert kinds["PHONE_NUMBER"]["zh"] == "电话号码"
    assert kinds["PHONE_NUMBER"]["detectors"] == ["patterns"]
    assert kinds["LOCATION"]["detectors"] == []
    both = {kind["name"]: kind for kind in untrained_client.get("/entity_types").json()["entity_types"]}
    assert both["PHONE_NUMBER"]["detectors"] == ["model", "patterns", "tagger"]


def test_version(client: TestClient) -> None:
    assert set(client.get("/version").json()) == {"version", "codec_version", "codec_fingerprint"}


def test_the_log_names_routes_and_not_what_was_asked_for(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "serving"):
        client.get("/张三?phone=13800138000")
        client.request("张三", "/extract")
        answer = client.post("/extract?name=张三", json={"text": SEED})
    own = "\n".join(r.getMessage() for r in caplog.records if r.name.startswith("serving"))
    assert "GET (no route) 404" in own
    assert "POST /extract 200" in own
    assert "(other)" in own
    assert answer.headers["x-request-id"] in own
    assert "张三" not in own
    assert "138" not in re.sub(r"[0-9a-f]{32}", "", own)


# --- the command ------------------------------------------------------------------------------------


def test_a_real_server_answers_and_drains(tmp_path: Path) -> None:
    with serving(tmp_path, "extractor.detectors=patterns") as server:
        server.wait_until_ready()
        assert server.client.post("/extract?q=张三", json={"text": SEED}).json() == {"entities": FOUND}
        assert "server" not in server.client.get("/healthz").headers
    # uvicorn hands the signal on to whoever started it once everything is closed.
    assert server.process.returncode in (0, -signal.SIGTERM)
    assert "Traceback" not in server.log
    assert "张三" not in server.log


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--set", "extractor.model=runs/none/model"], "no such model folder"),
        (["--set", "extractor.detectors=patterns", "--set", "http.host=203.0.113.7"], "cannot listen"),
        (["--set", "http.prt=1"], "http.prt: unknown key"),
    ],
)
def test_what_a_person_has_to_mend_is_one_line(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(options) == 2
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("error: "))
    assert message in line


def test_a_model_that_cannot_be_loaded_ends_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> Extractor:
        raise UserError("the model is of another kind")

    monkeypatch.setattr(Extractor, "open", fail)
    assert main(["--set", "extractor.detectors=patterns", "--set", "http.port=0"]) == 2
