"""The Python client: typed answers, patience with a busy service, errors that say nothing of a text."""

import asyncio
import email.utils
import inspect
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from pii import client as public
from pii.client import AsyncClient, Client, ClientError, Failed, Refused, Retries, Unavailable, Unreachable
from pii.redaction.keys import ENVIRONMENT
from serving.app import create_app
from serving.extractor import Extractor
from serving.extractor_config import ExtractorConfig
from serving.settings import HttpSettings, ServeConfig
from tests.servers import Server

SEED = "我叫张三，电话13800138000"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ENVIRONMENT, "5e" * 32)
        config = ServeConfig(extractor=ExtractorConfig(detectors="patterns"), http=HttpSettings(restore=True))
        with Server(create_app(config, Extractor.open(config.extractor))) as address:
            yield address


def test_every_call(address: str) -> None:
    with Client(address) as client:
        assert client.is_ready()
        found = client.extract(SEED, types=["PHONE_NUMBER"], offset_unit="utf8")
        assert [(e.type, e.value, e.start) for e in found.entities] == [("PHONE_NUMBER", "13800138000", 21)]
        many = client.extract_many([SEED, "", *["x"] * 100], allow_list=["张三"])
        assert len(many) == 102
        assert not isinstance(many[0], Failed)
        assert [e.subtype for e in many[0].entities] == ["cn_mobile"]
        sealed = client.redact(SEED, policy={"default": {"operator": "encrypt"}})
        assert client.restore(sealed.text).text == SEED
        assert client.restore_many([sealed.text, "x"])[1].num_restored == 0  # type: ignore[union-attr]
        assert [r.text for r in client.redact_many([SEED] * 2)] == [
            "我叫<PERSON_NAME>，电话<PHONE_NUMBER>"
        ] * 2  # type: ignore[union-attr]
        assert "PERSON_NAME" in {kind.name for kind in client.entity_types()}
        assert client.version().codec_version >= 1


def test_every_call_awaited(address: str) -> None:
    async def calls() -> None:
        async with AsyncClient(address) as client:
            assert await client.is_ready()
            assert len((await client.extract(SEED, explain=True)).entities) == 2
            results = await client.extract_many([f"电话1380013{n:04}" for n in range(300)])
            assert [r.entities[0].value for r in results] == [f"1380013{n:04}" for n in range(300)]  # type: ignore[union-attr]
            sealed = await client.redact_many([SEED], policy={"default": {"operator": "encrypt"}})
            assert (await client.restore_many([r.text for r in sealed]))[0].text == SEED  # type: ignore[union-attr]
            assert (await client.restore((await client.redact("x")).text)).text == "x"
            assert await client.entity_types()
            assert await client.version()

    asyncio.run(calls())


def test_both_clients_have_the_same_calls() -> None:
    def calls(kind: type) -> dict[str, Any]:
        named = {n: f for n, f in inspect.getmembers(kind, inspect.isfunction) if not n.startswith("_")}
        return {name: inspect.signature(function) for name, function in named.items()}

    assert calls(Client) == calls(AsyncClient)


def test_public_names_are_listed() -> None:
    assert public.__all__ == sorted(public.__all__)
    assert all(hasattr(public, name) for name in public.__all__)


def test_a_text_that_cannot_be_read_fails_in_its_place(address: str) -> None:
    with Client(address) as client:
        results = client.extract_many([SEED, "张三\ud800"])
        assert isinstance(results[1], Failed)
        assert (results[1].error.code, results[1].error.place) == ("text_not_unicode", "texts[1]")
        with pytest.raises(Refused) as refused:
            client.extract("张三\ud800")
    assert refused.value.problem.code == "text_not_unicode"
    assert "张" not in str(refused.value) + repr(refused.value) + repr(results)


def test_nothing_that_a_person_may_print_shows_a_value(address: str) -> None:
    with Client(address) as client:
        shown = repr(client.extract(SEED)) + repr(
            client.redact("13800138000", policy={"default": {"operator": "keep"}})
        )
    assert "张三" not in shown
    assert "138" not in shown


# --- patience ---------------------------------------------------------------------------------------


class Script(httpx.MockTransport):
    """Answers one after the other; the last one again and again."""

    def __init__(self, *answers: Callable[[], httpx.Response]) -> None:
        self.asked = 0

        def answer(_: httpx.Request) -> httpx.Response:
            self.asked += 1
            return answers[min(self.asked, len(answers)) - 1]()

        super().__init__(answer)


def busy(status: int = 503, **headers: str) -> Callable[[], httpx.Response]:
    problem = {"title": "t", "status": status, "detail": "d", "code": "busy"}
    return lambda: httpx.Response(status, json=problem, headers=headers)


def fine() -> httpx.Response:
    return httpx.Response(200, json={"entities": [], "of": "tomorrow"})


def broken() -> httpx.Response:
    raise httpx.ConnectError("to 13800138000")


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    return waited


def test_it_comes_again_when_the_service_says_so(waits: list[float]) -> None:
    dated = email.utils.formatdate(time.time() + 8, usegmt=True)
    script = Script(
        busy(**{"retry-after": "3"}), busy(429, **{"retry-after": dated}), broken, busy(502), fine
    )
    assert Client("http://x", transport=script).extract("").entities == ()
    assert script.asked == 5
    assert 3 <= waits[0] <= 3.5
    assert 6 <= waits[1] <= 9
    assert all(0 < wait <= 4 for wait in waits[2:])


def test_the_awaited_client_comes_again_too() -> None:
    script = Script(busy(**{"retry-after": "0"}), broken, fine)

    async def call() -> None:
        async with AsyncClient("http://x", transport=script, retries=Retries(first_wait_s=0.01)) as client:
            assert (await client.extract("")).entities == ()

    asyncio.run(call())
    assert script.asked == 3


@pytest.mark.parametrize(
    ("answers", "error", "asked"),
    [
        ([busy()], Unavailable, 5),
        ([busy(**{"retry-after": "3600"})], Unavailable, 1),
        ([broken], Unreachable, 5),
        ([busy(422)], Refused, 1),
        ([busy(500)], Refused, 1),
        ([lambda: httpx.Response(404, text="<html>13800138000")], Refused, 1),
        ([lambda: httpx.Response(200, json={"entities": "13800138000"})], Refused, 1),
    ],
)
def test_when_it_gives_up(waits: list[float], answers: Any, error: type[ClientError], asked: int) -> None:
    script = Script(*answers)
    with pytest.raises(error) as given_up:
        Client("http://x", transport=script).extract("13800138000")
    assert script.asked == asked
    chain = [given_up.value, given_up.value.__cause__]
    assert "138" not in "".join(f"{e} {e!r}" for e in chain if e)


def test_a_service_that_is_away_is_not_ready() -> None:
    assert not Client("http://x", transport=Script(broken)).is_ready()


def test_the_key_goes_with_every_request_and_into_no_repr() -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["authorization"])
        assert json.loads(request.content) == {"text": "张三"}
        return fine()

    client = Client("http://x", api_key="sk-1", transport=httpx.MockTransport(answer))
    client.extract("张三")
    assert seen == ["Bearer sk-1"]
    assert "sk-1" not in repr(client)
