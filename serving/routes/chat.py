"""The guard's routes: OpenAI's Chat Completions, and the list of models that clients ask for first."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus
from typing import Any

import httpx
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from pii.errors import RequestError
from pii.spans import Span, is_unicode
from serving.chat import messages, upstream
from serving.chat.messages import map_answer
from serving.chat.placeholders import Placeholders
from serving.chat.settings import ChatSettings
from serving.chat.streaming import restored_events
from serving.openapi import PROBLEMS, answer_like, example_body, problem_of
from serving.problems import Problem, route_with_error
from serving.requests import RedactRequest
from serving.service import Service
from serving.together import together

_UPSTREAM: dict[int | str, dict[str, Any]] = {
    **problem_of(404, "the recipe names no upstream"),
    **problem_of(502, "the upstream cannot be reached, or answered without JSON"),
    **problem_of(504, "the upstream did not answer in time"),
}
for _response in _UPSTREAM.values():
    # What the upstream itself refuses comes as it says it, under any status.
    _response["content"] = {**_response["content"], "application/json": {}}
_UPSTREAM["default"] = {"description": "the upstream's own error", "content": {"application/json": {}}}


def chat_routes(service: Service) -> APIRouter:
    """POST /v1/chat/completions and GET /v1/models.

    Raises ConfigError: the upstream's key cannot be read.
    """
    settings = service.config.chat
    # With keys of our own, the client's Authorization is one of them: the upstream must never see it.
    server = upstream.Upstream(settings, hands_on_key=service.config.http.api_keys_file is None)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await server.close()

    # OpenAI's clients look for what went wrong in a member `error`.
    route_class = route_with_error(
        lambda problem: {"message": problem.detail, "type": problem.code, "code": problem.code}
    )
    router = APIRouter(tags=["chat"], route_class=route_class, lifespan=lifespan)

    @router.post(
        "/v1/chat/completions",
        openapi_extra=example_body("chat"),
        responses={**PROBLEMS, **_UPSTREAM, **answer_like("chat")},
    )
    async def completions(request: Request) -> Response:
        """Send a chat to the configured server without its entities, and give the answer with them."""
        _check_on(settings)
        hidden, placeholders = await service.handle(
            request, lambda body: body, lambda body: _hidden(service, body)
        )
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(service.admission.place())
            asking = server.send("POST", "/chat/completions", request.headers, hidden)
            answer = await service.admission.work(request, asking, settings.timeout_s)
            stack.push_async_callback(answer.aclose)
            if answer.status_code == HTTPStatus.OK and hidden.get("stream") is True:
                # The place is given back when the stream has ended.
                return _Stream(answer, placeholders, stack.pop_all())
            given = await service.admission.work(request, upstream.read(answer), settings.timeout_s)
            return _as_json(_restored(given, placeholders), answer.status_code)

    @router.get("/v1/models", responses=_UPSTREAM)
    async def models(request: Request) -> Response:
        """What the configured server offers."""
        _check_on(settings)
        answer = await server.send("GET", "/models", request.headers)
        return _as_json(await upstream.read(answer), answer.status_code)

    return router


def _as_json(value: Any, status: int) -> Response:
    """An answer in escapes: an upstream may say half a character, which cannot be written otherwise."""
    return Response(json.dumps(value), status, media_type="application/json")


def _check_on(settings: ChatSettings) -> None:
    if settings.upstream is None:
        raise Problem(HTTPStatus.NOT_FOUND, "no_upstream", "the recipe names no server: chat.upstream")


async def _hidden(service: Service, body: Any) -> tuple[dict[str, Any], Placeholders]:
    """The request without values, and what stands for them. Raises RequestError."""
    if not isinstance(body, dict):
        raise RequestError("wrong_member", "", "expected an object")
    if not is_unicode(json.dumps(body, ensure_ascii=False)):
        raise RequestError("text_not_unicode", "", "a member holds a lone surrogate")
    settings = service.config.chat
    request = messages.Request(pass_unreadable=settings.on_unreadable == "pass")
    texts: dict[str, None] = {}

    def collect(text: str) -> str:
        texts[text] = None
        return text

    request.mapped(body, collect)
    extractor = service.extractor
    checked = [extractor.check_text(text) for text in texts]
    found = await together(_found(service, text, settings) for text in checked)
    placeholders = Placeholders(dict(zip(checked, found, strict=True)))
    hidden = request.mapped(body, placeholders.hide)
    if settings.note and placeholders.values:
        hidden["messages"] = _with_note(hidden["messages"], settings.note)
    return hidden, placeholders


async def _found(service: Service, text: str, settings: ChatSettings) -> tuple[Span, ...]:
    """What is to be hidden in a text. Raises RequestError ``not_read_whole``."""
    extraction = await service.extract(text, RedactRequest(text=text, types=settings.types))
    if extraction.truncated and settings.on_unreadable == "refuse":
        raise RequestError("not_read_whole", "messages", "a text could not be read whole by the model")
    return extraction.suspected


def _with_note(chat: list[dict[str, Any]], note: str) -> list[dict[str, Any]]:
    """The chat with a note in its system message: chat templates take one of these, and only in front."""
    first = chat[0]
    if first.get("role") not in ("system", "developer"):
        return [{"role": "system", "content": note}, *chat]
    content = first.get("content")
    added: Any = (
        [*content, {"type": "text", "text": note}] if isinstance(content, list) else f"{content}\n\n{note}"
    )
    return [{**first, "content": added}, *chat[1:]]


def _restored(answer: Any, placeholders: Placeholders) -> Any:
    """An answer, or an error of the upstream, with values for placeholders."""
    if not isinstance(answer, dict):
        return answer
    new = dict(answer)
    if isinstance(error := answer.get("error"), dict) and isinstance(error.get("message"), str):
        new["error"] = {**error, "message": placeholders.restore(error["message"])}
    if isinstance(choices := answer.get("choices"), list):
        new["choices"] = [_choice(choice, placeholders) for choice in choices]
    return new


def _choice(choice: Any, placeholders: Placeholders) -> Any:
    if not isinstance(choice, dict) or not isinstance(choice.get("message"), dict):
        return choice
    message = map_answer(choice["message"], placeholders.restore, placeholders.restore_json)
    return {**choice, "message": message}


class _Stream(StreamingResponse):
    """An event stream that ends the upstream's answer and gives the place back, whatever happens to it."""

    def __init__(self, answer: httpx.Response, placeholders: Placeholders, stack: AsyncExitStack) -> None:
        super().__init__(
            _events(answer, placeholders),
            media_type="text/event-stream",
            headers={"cache-control": "no-cache", "x-accel-buffering": "no"},
        )
        self._stack = stack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._stack:
            await super().__call__(scope, receive, send)


async def _events(answer: httpx.Response, placeholders: Placeholders) -> AsyncIterator[str]:
    try:
        async for line in restored_events(answer.aiter_bytes(), placeholders):
            yield line
    except httpx.HTTPError:
        # The status has been sent: an event says what a status cannot say any more.
        yield 'data: {"error": {"message": "the upstream broke off", "type": "upstream_unreachable"}}\n\n'
