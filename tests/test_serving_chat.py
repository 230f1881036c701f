"""The guard: nothing of a value reaches the upstream, and the client's answer has every one of them."""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from pii.spans import Span
from serving import keys
from serving.app import create_app
from serving.chat.placeholders import Placeholders
from serving.chat.settings import ChatSettings
from serving.chat.streaming import lines_of, restored_events
from serving.examples import EXAMPLES
from serving.extraction import Extraction
from serving.extractor import Extractor
from serving.extractor_config import ExtractorConfig
from serving.settings import HttpSettings, ServeConfig
from tests.servers import Server
from tests.strategies import texts

NAME, NUMBER, MAIL = "欧阳哨兵", "13912345678", "jane.doe@contoso.com"


class Fake:
    """An OpenAI-compatible server that keeps what it gets and answers as it is told."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.headers: list[Any] = []
        self.answer: Any = {}
        self.status = 200
        self.pieces: list[bytes] = []
        self.closed = threading.Event()
        self.app = FastAPI()
        self.app.post("/v1/chat/completions")(self.completions)
        self.app.get("/v1/models")(self.models)

    async def completions(self, request: Request) -> Any:
        self.got.append(await request.body())
        self.headers.append(request.headers)
        asked = json.loads(self.got[-1])
        if asked.get("stream") and self.status in (0, 200):
            return StreamingResponse(self._stream(), media_type="text/event-stream")
        if callable(self.answer):
            return self.answer(asked)
        return JSONResponse(self.answer, self.status)

    async def _stream(self) -> AsyncIterator[bytes]:
        try:
            for piece in self.pieces:
                yield piece
                await asyncio.sleep(0)
            while self.status == 0:
                yield b": waiting\n\n"
                await asyncio.sleep(0.05)
        finally:
            self.closed.set()

    async def models(self) -> Any:
        return {"object": "list", "data": [{"id": "any"}]}


@pytest.fixture
def fake() -> Fake:
    return Fake()


def guard_of(url: str, **settings: Any) -> FastAPI:
    config = ServeConfig(
        extractor=ExtractorConfig(detectors="patterns"),
        chat=ChatSettings(upstream=f"{url}/v1", **settings),
        http=HttpSettings(max_requests=2),
    )
    return create_app(config, Extractor.open(config.extractor))


@pytest.fixture
def guard(fake: Fake) -> Iterator[TestClient]:
    with Server(fake.app) as url, TestClient(guard_of(url)) as client:
        yield client


def say(guard: TestClient, *contents: Any, **members: Any) -> httpx.Response:
    messages = [{"role": "user", "content": content} for content in contents]
    return guard.post("/v1/chat/completions", json={"model": "any", "messages": messages, **members})


def echo(asked: Any) -> JSONResponse:
    """Answers with the last message."""
    message = {"role": "assistant", "content": asked["messages"][-1]["content"]}
    return JSONResponse({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})


def content(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()["choices"][0]["message"]["content"]


def assert_hidden(fake: Fake) -> None:
    for body in fake.got:
        plain = body.decode()
        for form in (plain, json.dumps(json.loads(plain), ensure_ascii=False)):
            for value in (NAME, NUMBER, MAIL):
                assert value not in form


# --- requests and whole answers ---------------------------------------------------------------------


def test_values_are_hidden_on_the_way_and_back_in_the_answer(guard: TestClient, fake: Fake) -> None:
    fake.answer = echo
    text = f"我叫{NAME}，电话{NUMBER}，邮箱 {MAIL}。{NAME}再见"
    assert content(say(guard, text)) == text
    assert json.loads(fake.got[0])["messages"][0]["content"] == (
        "我叫[PERSON_NAME_1]，电话[PHONE_NUMBER_1]，邮箱 [EMAIL_ADDRESS_1]。[PERSON_NAME_1]再见"
    )


def test_what_was_found_once_is_hidden_in_every_message(guard: TestClient, fake: Fake) -> None:
    """A name is recognised by its label, and then everywhere; the same person has the same placeholder."""
    fake.answer = echo
    assert content(
        say(guard, f"{NAME} 是谁？", f"姓名：{NAME}", f"{NUMBER[:3]}-{NUMBER[3:7]}-{NUMBER[7:]} / {NUMBER}")
    )
    assert_hidden(fake)
    sent = [message["content"] for message in json.loads(fake.got[0])["messages"]]
    assert sent == ["[PERSON_NAME_1] 是谁？", "姓名：[PERSON_NAME_1]", "[PHONE_NUMBER_1] / [PHONE_NUMBER_1]"]


def test_parts_tools_arguments_and_metadata_are_read(guard: TestClient, fake: Fake) -> None:
    fake.answer = echo
    arguments = json.dumps({"name": NAME, "phones": [int(NUMBER)], "note": "a\nb"})
    body = {
        "model": "any",
        "user": MAIL,
        "metadata": {"who": MAIL, "n": 1},
        "tools": [{"type": "function", "function": {"name": "call", "description": f"rings {NUMBER}"}}],
        "messages": [
            {"role": "system", "name": "ops", "content": [{"type": "text", "text": f"姓名：{NAME}"}]},
            {
                "role": "assistant",
                "content": None,
                "reasoning_content": f"电话{NUMBER}",
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "call", "arguments": arguments}}
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": f"{MAIL} answered"},
        ],
    }
    assert guard.post("/v1/chat/completions", json=body).status_code == 200
    assert_hidden(fake)
    sent = json.loads(fake.got[0])
    call = json.loads(sent["messages"][1]["tool_calls"][0]["function"]["arguments"])
    assert call == {"name": "[PERSON_NAME_1]", "phones": ["[PHONE_NUMBER_1]"], "note": "a\nb"}
    assert sent["messages"][0]["name"] == "ops"
    assert sent["messages"][2]["tool_call_id"] == "c1"
    assert sent["metadata"] == {"who": "[EMAIL_ADDRESS_1]", "n": 1}


def test_values_in_arguments_of_the_answer_are_written_as_json_wants(guard: TestClient, fake: Fake) -> None:
    placeholders = Placeholders({'a "b"\n': [Span(0, 5, "USERNAME")]})
    written = placeholders.restore_json(json.dumps({"who": "[USERNAME_1]", "also": "x[username_1]"}))
    assert json.loads(written) == {"who": 'a "b"', "also": 'xa "b"'}

    def call(asked: Any) -> JSONResponse:
        function = {"name": "call", "arguments": '{"phone": "[PHONE_NUMBER_1]"}'}
        message = {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": function}]}
        return JSONResponse({"choices": [{"index": 0, "message": message}]})

    fake.answer = call
    answer = say(guard, f"电话{NUMBER}").json()["choices"][0]["message"]
    assert json.loads(answer["tool_calls"][0]["function"]["arguments"]) == {"phone": NUMBER}


def test_a_placeholder_that_the_user_wrote_stays_the_users(guard: TestClient, fake: Fake) -> None:
    fake.answer = echo
    text = f"[PERSON_NAME_1] and [person_name_2] are marks. 姓名：{NAME}"
    assert content(say(guard, text)) == text
    assert "[PERSON_NAME_3]" in json.loads(fake.got[0])["messages"][0]["content"]


def test_the_example_of_the_document(guard: TestClient, fake: Fake) -> None:
    (example,) = EXAMPLES["chat"].values()
    fake.answer = json.loads(
        json.dumps(example["answer"]).replace(json.dumps("张三")[1:-1], "[PERSON_NAME_1]")
    )
    assert guard.post("/v1/chat/completions", json=example["request"]).json() == example["answer"]


def test_the_note_goes_into_the_one_system_message(fake: Fake) -> None:
    fake.answer = echo
    with Server(fake.app) as url, TestClient(guard_of(url, note="Keep marks.")) as guard:
        say(guard, "nothing here")
        say(guard, f"电话{NUMBER}")
        system = {"role": "system", "content": "Be brief."}
        guard.post(
            "/v1/chat/completions",
            json={"messages": [system, {"role": "user", "content": f"电话{NUMBER}"}]},
        )
    sent = [[m["content"] for m in json.loads(body)["messages"]] for body in fake.got]
    assert sent == [
        ["nothing here"],
        ["Keep marks.", "电话[PHONE_NUMBER_1]"],
        ["Be brief.\n\nKeep marks.", "电话[PHONE_NUMBER_1]"],
    ]


# --- who may see what -------------------------------------------------------------------------------


def test_the_clients_key_is_handed_on_unless_the_recipe_has_one(fake: Fake, tmp_path: Any) -> None:
    fake.answer = echo
    own = tmp_path / "key"
    own.write_text("sk-upstream\n")
    headers = {"authorization": "Bearer sk-client", "cookie": "a=b", "openai-project": "p"}
    body = {"messages": [{"role": "user", "content": "hi"}]}
    with Server(fake.app) as url:
        for settings in ({}, {"upstream_key_file": own}):
            with TestClient(guard_of(url, **settings)) as guard:
                guard.post("/v1/chat/completions", json=body, headers=headers)
    assert [h["authorization"] for h in fake.headers] == ["Bearer sk-client", "Bearer sk-upstream"]
    assert all("cookie" not in h and h["openai-project"] == "p" for h in fake.headers)


def test_a_key_of_this_service_never_reaches_the_upstream(fake: Fake, tmp_path: Any) -> None:
    fake.answer = echo
    key = keys.add(tmp_path / "keys.yaml", "ops")
    body = {"messages": [{"role": "user", "content": "hi"}]}
    with Server(fake.app) as url:
        config = ServeConfig(
            extractor=ExtractorConfig(detectors="patterns"),
            chat=ChatSettings(upstream=f"{url}/v1"),
            http=HttpSettings(api_keys_file=tmp_path / "keys.yaml"),
        )
        with TestClient(create_app(config, Extractor.open(config.extractor))) as guard:
            assert guard.post("/v1/chat/completions", json=body).status_code == 401
            headers = {"authorization": f"Bearer {key}"}
            assert guard.post("/v1/chat/completions", json=body, headers=headers).status_code == 200
    assert [("authorization" in h, key in str(h)) for h in fake.headers] == [(False, False)]


def test_images_are_refused_unless_the_recipe_lets_them_pass(fake: Fake) -> None:
    fake.answer = echo
    image = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
    with Server(fake.app) as url:
        with TestClient(guard_of(url)) as guard:
            refused = say(guard, image)
            assert (refused.status_code, refused.json()["code"]) == (422, "not_readable")
            assert refused.json()["place"] == "messages[0].content[0]"
            assert refused.json()["error"]["message"] == refused.json()["detail"]
        with TestClient(guard_of(url, on_unreadable="pass")) as guard:
            assert content(say(guard, image)) == image


def test_a_text_that_was_not_read_whole_is_not_sent(
    guard: TestClient, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def partly(*_: object, **__: object) -> Extraction:
        return Extraction(truncated=((0, 5),))

    monkeypatch.setattr(Extractor, "extract", partly)
    refused = say(guard, "a long text")
    assert (refused.status_code, refused.json()["code"]) == (422, "not_read_whole")
    assert fake.got == []


@pytest.mark.parametrize(
    ("body", "code", "place"),
    [
        ([], "wrong_member", None),
        ({}, "no_messages", "messages"),
        ({"messages": []}, "no_messages", "messages"),
        ({"messages": ["张三"]}, "wrong_message", "messages[0]"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
            "not_readable",
            "messages[0].content[0]",
        ),
        ({"messages": [{"role": "user", "content": "张\ud800"}]}, "text_not_unicode", None),
        ({"messages": [{"role": "user", "content": "a"}], "x": {"y": "张\ud800"}}, "text_not_unicode", None),
    ],
)
def test_wrong_chats_are_refused_and_not_sent(
    guard: TestClient, fake: Fake, body: Any, code: str, place: str | None
) -> None:
    sent = json.dumps(body)
    answer = guard.post("/v1/chat/completions", content=sent, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"], answer.json().get("place")) == (422, code, place)
    assert answer.json()["error"]["code"] == code
    assert "张" not in answer.text
    assert fake.got == []


# --- the upstream's faults --------------------------------------------------------------------------


def test_an_error_of_the_upstream_is_given_with_its_status(guard: TestClient, fake: Fake) -> None:
    fake.status, fake.answer = 429, {"error": {"message": "too much of [PHONE_NUMBER_1]", "type": "limit"}}
    for stream in (False, True):
        answer = say(guard, f"电话{NUMBER}", stream=stream)
        assert answer.status_code == 429
        assert answer.json()["error"] == {"message": f"too much of {NUMBER}", "type": "limit"}


def test_an_upstream_that_is_away_or_talks_no_json(guard: TestClient, fake: Fake) -> None:
    fake.answer = lambda _: PlainTextResponse("nginx", 500)
    answer = say(guard, "hi")
    assert (answer.status_code, answer.json()["code"]) == (502, "upstream_not_json")
    with TestClient(guard_of("http://127.0.0.1:9")) as lonely:
        answer = say(lonely, "hi")
        assert (answer.status_code, answer.json()["code"]) == (502, "upstream_unreachable")
        assert lonely.get("/v1/models").status_code == 502


def test_a_silent_upstream_is_given_up(fake: Fake) -> None:
    def wait(_: Any) -> JSONResponse:
        time.sleep(1)
        return JSONResponse({})

    fake.answer = wait
    with Server(fake.app) as url, TestClient(guard_of(url, timeout_s=0.2)) as guard:
        answer = say(guard, "hi")
        assert answer.status_code in (503, 504)
        assert answer.json()["code"] in ("upstream_timeout", "deadline_exceeded")


def test_without_an_upstream_there_is_no_guard() -> None:
    config = ServeConfig(extractor=ExtractorConfig(detectors="patterns"))
    client = TestClient(create_app(config, Extractor.open(config.extractor)))
    for answer in (say(client, "hi"), client.get("/v1/models")):
        assert (answer.status_code, answer.json()["code"]) == (404, "no_upstream")


def test_models_are_those_of_the_upstream(guard: TestClient) -> None:
    assert guard.get("/v1/models").json()["data"] == [{"id": "any"}]


# --- streams ----------------------------------------------------------------------------------------


def events(*chunks: Any, end: str = "data: [DONE]\n\n") -> bytes:
    return ("".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + end).encode()


def delta(index: int = 0, finish: str | None = None, **members: Any) -> Any:
    return {"choices": [{"index": index, "delta": members, "finish_reason": finish}]}


def read_stream(text: str) -> tuple[dict[int, str], dict[tuple[int, int], str]]:
    """Contents by choice, and arguments by choice and call, as a client puts them together."""
    contents: dict[int, str] = {}
    arguments: dict[tuple[int, int], str] = {}
    for line in text.splitlines():
        if not line.startswith("data: {"):
            continue
        for choice in json.loads(line[6:]).get("choices", []):
            contents[choice["index"]] = contents.get(choice["index"], "") + (
                choice["delta"].get("content") or ""
            )
            for call in choice["delta"].get("tool_calls") or []:
                key = choice["index"], call["index"]
                arguments[key] = arguments.get(key, "") + call["function"].get("arguments", "")
    return contents, arguments


def test_a_stream_is_restored_however_placeholders_are_cut(guard: TestClient, fake: Fake) -> None:
    said = "Hello [PERSON_NAME_1]! [PHONE_NUMBER_1][1] [PERSON_NAME_9] [PERSON_NAME_"
    call = '{"phone": "[PHONE_NUMBER_1]"}'
    for width in (1, 3, 100):
        chunks = [delta(role="assistant", content="")]
        chunks += [delta(content=said[at : at + width]) for at in range(0, len(said), width)]
        chunks += [delta(1, content=said[at : at + width]) for at in range(0, len(said), width)]
        for at in range(0, len(call), width):
            piece = {"index": 0, "function": {"arguments": call[at : at + width]}}
            chunks.append(delta(tool_calls=[piece]))
        chunks += [
            delta(finish="stop"),
            delta(1, finish="stop"),
            {"choices": [], "usage": {"total_tokens": 9}},
        ]
        body = events(*chunks)
        # The bytes are cut elsewhere than the events.
        fake.pieces = [body[at : at + 37] for at in range(0, len(body), 37)]
        answer = say(guard, f"姓名：{NAME}，电话{NUMBER}", stream=True)
        assert answer.headers["content-type"].startswith("text/event-stream")
        contents, arguments = read_stream(answer.text)
        expected = f"Hello {NAME}! {NUMBER}[1] [PERSON_NAME_9] [PERSON_NAME_"
        assert contents == {0: expected, 1: expected}
        assert json.loads(arguments[0, 0]) == {"phone": NUMBER}
        assert answer.text.endswith("data: [DONE]\n\n")
        assert '"total_tokens": 9' in answer.text
    assert_hidden(fake)


def test_a_stream_that_breaks_off_loses_nothing_that_was_said(guard: TestClient, fake: Fake) -> None:
    fake.pieces = [events(delta(content="so [PERSON_NAME_"), end="")]
    contents, _ = read_stream(say(guard, f"姓名：{NAME}", stream=True).text)
    assert contents == {0: "so [PERSON_NAME_"}


def test_text_without_placeholders_is_not_held_back(guard: TestClient, fake: Fake) -> None:
    fake.pieces = [
        events(delta(content="a [x"), delta(content="] b ["), delta(content="c"), delta(finish="stop"))
    ]
    answer = say(guard, f"姓名：{NAME}", stream=True).text
    said = [
        json.loads(line[6:])["choices"][0]["delta"].get("content")
        for line in answer.splitlines()
        if "{" in line
    ]
    assert said == ["a [x", "] b ", "[c", None]


def test_half_a_character_of_the_upstream_goes_through(guard: TestClient, fake: Fake) -> None:
    fake.pieces = [events(delta(content="a\ud83d"), delta(content="\ude00"), delta(finish="stop"))]
    assert r"a\ud83d" in say(guard, "hi", stream=True).text
    half = json.dumps({"choices": [{"index": 0, "message": {"content": "a\ud83d"}}]})
    fake.answer = lambda _: PlainTextResponse(half)
    assert say(guard, "hi").status_code == 200


def test_comments_errors_and_odd_events_go_through(guard: TestClient, fake: Fake) -> None:
    fake.pieces = [
        b": keep-alive\r\n\r\nevent: x\r\n",
        b'data: {"error": {"message": "[PHONE_NUMBER_1]"}}\r\n\r\ndata: 5\n\ndata: [PHONE_NUMBER_1] {\n\n',
    ]
    answer = say(guard, f"电话{NUMBER}", stream=True).text
    assert answer.split("\n\n") == [
        ": keep-alive",
        f'event: x\ndata: {{"error": {{"message": "{NUMBER}"}}}}',
        "data: 5",
        f"data: {NUMBER} {{",
        "",
    ]


def test_a_client_who_leaves_ends_the_upstreams_stream_and_frees_its_place(fake: Fake) -> None:
    fake.status, fake.pieces = 0, [events(delta(content="x"), end="")]
    with Server(fake.app) as url:
        app = guard_of(url)
        with Server(app) as own:
            body = {"stream": True, "messages": [{"role": "user", "content": "hi"}]}
            with httpx.stream("POST", f"{own}/v1/chat/completions", json=body) as answer:
                lines = (
                    answer.iter_lines()
                )  # held: where the iterator is dropped, httpx closes the connection
                next(lines)
                assert app.state.service.admission.num_requests == 1
            assert fake.closed.wait(5)
            for _ in range(100):
                if app.state.service.admission.num_requests == 0:
                    break
                time.sleep(0.05)
            assert app.state.service.admission.num_requests == 0


@given(texts, st.lists(st.integers(1, 9), max_size=30), st.booleans())
def test_any_text_cut_anywhere_comes_out_as_if_it_came_whole(text: str, cuts: list[int], mixed: bool) -> None:
    text = f"{text}[PERSON_NAME_1]{text}[PERSON_NAME_" + ("2" if mixed else "1]")
    placeholders = Placeholders({"姓名：张三": [Span(3, 5, "PERSON_NAME")]})
    pieces, at = [], 0
    for cut in [*cuts, len(text)]:
        pieces.append(text[at : at + cut])
        at += cut
    body = events(*(delta(content=piece) for piece in pieces), delta(finish="stop"))

    async def restored() -> str:
        async def arriving() -> AsyncIterator[bytes]:
            for start in range(0, len(body), 11):
                yield body[start : start + 11]

        return "".join([line async for line in restored_events(arriving(), placeholders)])

    said = "".join(
        json.loads(line[6:])["choices"][0]["delta"].get("content") or ""
        for line in asyncio.run(restored()).split("\n")
        if line.startswith("data: {")
    )
    assert said == placeholders.restore(text)


@given(st.lists(texts.map(lambda t: t.replace("\n", "").replace("\r", ""))), st.integers(1, 9))
def test_lines_end_at_line_feeds_alone(lines: list[str], width: int) -> None:
    body = "".join(f"{line}\r\n" for line in lines).encode()

    async def split() -> list[str]:
        async def arriving() -> AsyncIterator[bytes]:
            for start in range(0, len(body), width):
                yield body[start : start + width]

        return [line async for line in lines_of(arriving())]

    assert asyncio.run(split()) == lines


@pytest.mark.slow
def test_openais_own_client_sees_nothing_but_an_ordinary_server(fake: Fake) -> None:
    openai = pytest.importorskip("openai")
    fake.answer = lambda asked: JSONResponse(
        {
            "id": "c",
            "object": "chat.completion",
            "created": 0,
            "model": "any",
            "choices": [
                {
                    "index": 0,
                    "finish_reason": "stop",
                    "message": {"role": "assistant", "content": "嗨 [PERSON_NAME_1]"},
                }
            ],
        }
    )
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": "any"}
    pieces = [delta(content=piece) for piece in ("嗨 [PER", "SON_NAME_1", "]")]
    fake.pieces = [events(*({**chunk, **piece} for piece in [*pieces, delta(finish="stop")]))]
    messages: Any = [{"role": "user", "content": f"我叫{NAME}"}]
    with Server(fake.app) as url, Server(guard_of(url)) as own:
        client = openai.OpenAI(base_url=f"{own}/v1", api_key="sk-client", max_retries=0)
        whole = client.chat.completions.create(model="any", messages=messages)
        assert whole.choices[0].message.content == f"嗨 {NAME}"
        streamed = client.chat.completions.create(model="any", messages=messages, stream=True)
        assert "".join(c.choices[0].delta.content or "" for c in streamed) == f"嗨 {NAME}"
        with pytest.raises(openai.UnprocessableEntityError) as refused:
            client.chat.completions.create(model="any", messages=[])
        assert refused.value.code == "no_messages"
    assert_hidden(fake)


@pytest.mark.slow
def test_vllms_own_server_behind_the_guard(untrained_model: Path, tmp_path: Path) -> None:
    """A real server that repeats the last message before the random words of an untrained model."""
    pytest.importorskip("vllm")
    template = tmp_path / "chat.jinja"
    template.write_text("{% for message in messages %}{{ message['content'] }}\n{% endfor %}")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(untrained_model)]
    command += [
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--enforce-eager",
        "--chat-template",
        str(template),
    ]
    command += ["--block-size", "32", "--served-model-name", "any", "--dtype", "float32"]
    environment = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
    url = f"http://127.0.0.1:{port}"
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        for _ in range(500):
            assert server.poll() is None, (tmp_path / "log").read_text()[-2000:]
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{url}/health").status_code == 200:
                    break
            time.sleep(0.5)
        with TestClient(guard_of(url)) as guard:
            assert guard.get("/v1/models").json()["data"][0]["id"] == "any"
            options = {"echo": True, "add_generation_prompt": False, "max_tokens": 8, "temperature": 0}
            text = f"我叫{NAME}，电话{NUMBER}"
            whole = content(say(guard, text, **options))
            assert whole.startswith(text)
            streamed, _ = read_stream(say(guard, text, stream=True, **options).text)
            assert streamed == {0: whole}
            refused = say(guard, text, max_tokens=-1)
            assert refused.status_code == 400
            assert refused.json()["error"]["message"]
    finally:
        server.terminate()
        server.wait(30)
    assert NAME not in (tmp_path / "log").read_text()
