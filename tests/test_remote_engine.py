"""The engine elsewhere: same tokens over the wire, whatever goes wrong there is a kind of failure and no
text."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from transformers import AutoTokenizer

from configs.errors import ConfigError
from pii import codec
from serving.engines.protocol import EngineError, Generation, RemoteSettings
from serving.engines.remote_engine import VARIABLE, RemoteEngine
from serving.engines.transformers_engine import TransformersEngine

TYPES = ("PERSON_NAME", "PHONE_NUMBER")
GRAMMAR = codec.Grammar("张三", TYPES)
TEXTS = [
    "我叫张三，电话13800138000",
    'q"\\\\"\n\t{}[]',
    "😀\u200b\u202eאב\u202c\x00\x1f",
    "<|im_end|>\n" * 3,
    "x",
]
SETTINGS = RemoteSettings(url="http://gpu-1:8000")

Answer = Callable[[httpx.Request], httpx.Response]


@pytest.fixture(scope="module")
def tokenizer(untrained_model: Path) -> Any:
    return AutoTokenizer.from_pretrained(untrained_model)


def server(tokenizer: Any, complete: Answer, names: tuple[str, ...] = ("tiny",)) -> httpx.MockTransport:
    """A server of vLLM's protocol whose completions are made by `complete`."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/models":
            return httpx.Response(200, json={"data": [{"id": name} for name in names]})
        if request.url.path == "/tokenize":
            prompt = json.loads(request.content)["prompt"]
            ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
            return httpx.Response(200, json={"tokens": ids})
        assert request.url.path == "/v1/completions"
        return complete(request)

    return httpx.MockTransport(answer)


def generate(
    folder: Path, transport: httpx.MockTransport, settings: RemoteSettings = SETTINGS, **options: Any
) -> tuple[Generation, RemoteEngine]:
    async def body() -> tuple[Generation, RemoteEngine]:
        engine = await RemoteEngine.start(folder, settings, transport)
        try:
            return await engine.generate([1, 2], GRAMMAR, 5, **options), engine
        finally:
            await engine.close()

    return asyncio.run(body())


def choice(**members: Any) -> httpx.Response:
    return httpx.Response(200, json={"choices": [{"text": "", "finish_reason": "stop", **members}]})


def test_vllms_dialect_carries_tokens_grammar_and_bias(
    untrained_model: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = dict[str, Any]()
    end = tokenizer.convert_tokens_to_ids(codec.TURN_END)

    def complete(request: httpx.Request) -> httpx.Response:
        asked.update(json.loads(request.content), key=request.headers["authorization"])
        return choice(token_ids=[7, 8, end], logprobs={"token_logprobs": [-0.5, -0.25, 0.0]})

    monkeypatch.setenv(VARIABLE, "secret")
    answer, engine = generate(untrained_model, server(tokenizer, complete), end_bias=2.0)
    assert (answer.token_ids, answer.token_logprobs, answer.finish) == ((7, 8), (-0.5, -0.25), "stop")
    assert answer.text == tokenizer.decode([7, 8])
    assert asked["prompt"] == [1, 2]
    assert asked["structured_outputs"] == {"grammar": GRAMMAR.lark()}
    assert (asked["temperature"], asked["max_tokens"], asked["key"]) == (0.0, 5, "Bearer secret")
    assert set(asked["logit_bias"].values()) == {-2.0}
    assert all("]" in tokenizer.convert_ids_to_tokens(int(at)) for at in asked["logit_bias"])
    assert engine.description == "remote vllm, http://gpu-1:8000, tiny"


def test_another_server_gives_text_and_no_grammar_is_sent(untrained_model: Path, tokenizer: Any) -> None:
    text = codec.render("张三", [])

    def complete(request: httpx.Request) -> httpx.Response:
        assert "structured_outputs" not in json.loads(request.content)
        return choice(text=text)

    settings = SETTINGS.model_copy(update={"dialect": "openai"})
    answer, _ = generate(untrained_model, server(tokenizer, complete), settings)
    assert answer.text == text
    assert answer.token_logprobs == ()


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(500, text="张三"),
        httpx.Response(400, json={"error": "张三"}),
        httpx.Response(200, text="张三"),
        httpx.Response(200, json={"choices": []}),
        httpx.Response(200, json=["张三"]),
        choice(finish_reason="abort", token_ids=[]),
        choice(token_ids=["张三"]),
    ],
)
def test_whatever_the_server_says_wrong_is_an_engine_error_without_it(
    untrained_model: Path, tokenizer: Any, response: httpx.Response
) -> None:
    with pytest.raises(EngineError) as error:
        generate(untrained_model, server(tokenizer, lambda _: response))
    assert "张三" not in str(error.value)
    assert error.value.__cause__ is None


def test_a_server_that_is_gone_makes_the_engine_dead(untrained_model: Path, tokenizer: Any) -> None:
    def gone(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("张三")

    async def body() -> bool:
        engine = await RemoteEngine.start(untrained_model, SETTINGS, server(tokenizer, gone))
        assert engine.is_alive
        with pytest.raises(EngineError) as error:
            await engine.generate([1], None, 5)
        assert "张三" not in str(error.value)
        await engine.close()
        return engine.is_alive

    assert not asyncio.run(body())
    with pytest.raises(EngineError, match="does not answer"):
        asyncio.run(RemoteEngine.start(untrained_model, SETTINGS, httpx.MockTransport(gone)))


def test_a_server_of_another_model_is_a_mistake(untrained_model: Path, tokenizer: Any) -> None:
    def start(transport: httpx.MockTransport, **settings: Any) -> None:
        asyncio.run(RemoteEngine.start(untrained_model, SETTINGS.model_copy(update=settings), transport))

    two = server(tokenizer, lambda _: choice(), ("a", "b"))
    with pytest.raises(ConfigError, match="name one of a, b"):
        start(two)
    with pytest.raises(ConfigError, match="name one of a, b"):
        start(two, model="c")
    start(two, model="b")
    with pytest.raises(ConfigError, match=VARIABLE):
        start(httpx.MockTransport(lambda _: httpx.Response(401)))
    with pytest.raises(ConfigError, match="url"):
        start(two, url=None)

    def other(prompt: str, **_: Any) -> dict[str, list[int]]:
        return {"input_ids": [1, 2, 3]}

    with pytest.raises(ConfigError, match="another tokenizer"):
        start(server(other, lambda _: choice()))


@pytest.fixture
def vllm_server(untrained_model: Path, tmp_path: Path) -> Iterator[str]:
    """vLLM's own server with the untrained model."""
    pytest.importorskip("vllm")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = os.environ | {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1"}
    options = [
        "--model", str(untrained_model), "--host", "127.0.0.1", "--port", str(port), "--dtype", "float32",
        "--max-model-len", "1024", "--enforce-eager", "--served-model-name", "tiny",
        "--structured-outputs-config", '{"backend": "guidance"}', "--generation-config", "vllm",
    ]  # fmt: skip
    with (tmp_path / "vllm.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *options],
            stdout=log, stderr=log, env=environment,
        )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(1200):
            assert process.poll() is None, (tmp_path / "vllm.log").read_text()[-3000:]
            try:
                if httpx.get(f"{url}/health", trust_env=False).status_code == 200:
                    break
            except httpx.HTTPError:
                time.sleep(0.25)
        yield url
    finally:
        process.terminate()
        process.wait(60)


@pytest.mark.slow
def test_vllms_own_server_gives_the_same_tokens(
    vllm_server: str, untrained_model: Path, tokenizer: Any
) -> None:
    prompts = [codec.encode(tokenizer, codec.prompt(text), answer_next=True)[0] for text in TEXTS]

    async def answers(engine: Any, bias: float) -> list[Generation]:
        calls = [
            engine.generate(prompt, codec.Grammar(text, TYPES), 40, bias)
            for text, prompt in zip(TEXTS, prompts, strict=True)
        ]
        return await asyncio.gather(*calls)

    async def body() -> None:
        here = TransformersEngine(untrained_model, dtype="float32", max_batch=8)
        there = await RemoteEngine.start(untrained_model, RemoteSettings(url=vllm_server))
        for bias in (0.0, 3.0):
            ours, theirs = await answers(here, bias), await answers(there, bias)
            for text, one, other in zip(TEXTS, ours, theirs, strict=True):
                assert one.token_ids == other.token_ids
                assert (one.text, one.finish) == (other.text, other.finish)
                assert one.token_logprobs == pytest.approx(other.token_logprobs, abs=1e-3)
                assert all(mention.value in text for mention in codec.parse(other.text).mentions)
        # Who goes away ends the request there: the next one is not held up by 900 tokens.
        leaving = asyncio.ensure_future(there.generate(prompts[0], None, 900))
        await asyncio.sleep(0.3)
        leaving.cancel()
        await asyncio.wait([leaving])
        assert (await there.generate(prompts[0], None, 5)).finish == "length"
        await there.close()
        await here.close()

    asyncio.run(body())
