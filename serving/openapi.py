"""The OpenAPI document: what the routes, which read and write their bodies themselves, take and give.

`docs/openapi.json` is this document as it is committed; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from pii.answers import ProblemDetails
from serving.examples import EXAMPLES
from serving.problems import MEDIA_TYPE
from serving.service import Entry

_TEMPLATE = "#/components/schemas/{model}"
_requests: set[type[BaseModel]] = set()
_answers: set[type[BaseModel]] = {ProblemDetails}


def _problem(description: str, *, comes_again: bool = False) -> Entry:
    headers = {"Retry-After": {"schema": {"type": "string"}, "description": "seconds"}} if comes_again else {}
    schema = {"$ref": _TEMPLATE.format(model="ProblemDetails")}
    return {"description": description, "headers": headers, "content": {MEDIA_TYPE: {"schema": schema}}}


PROBLEMS: dict[int | str, Entry] = {
    400: _problem("not JSON or not UTF-8"),
    401: _problem("no valid API key, where the service has keys"),
    413: _problem("the body is too large, or the texts are"),
    415: _problem("not application/json"),
    422: _problem("a member is wrong; code and place say which"),
    429: _problem("the key asks too often", comes_again=True),
    503: _problem("loading, too busy or too late", comes_again=True),
}
"""Responses of the routes that read texts, by status."""


def problem_of(status: int, description: str) -> dict[int | str, Entry]:
    """One more problem that a route can answer."""
    return {status: _problem(description)}


def body_of(schema: type[BaseModel], example: str) -> Entry:
    """The request body for the OpenAPI document: the routes read it themselves, to bound and check it.

    Args:
        schema: what the body has to be.
        example: under which name `serving.examples` has requests of it.
    """
    _requests.add(schema)
    content: Entry = {"schema": {"$ref": _TEMPLATE.format(model=schema.__name__)}}
    content["examples"] = {name: {"value": e["request"]} for name, e in EXAMPLES[example].items()}
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


def example_body(example: str) -> Entry:
    """The request body of a route that examples describe better than a schema of ours, which it is not."""
    content = {
        "schema": {"type": "object"},
        "examples": {name: {"value": e["request"]} for name, e in EXAMPLES[example].items()},
    }
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


def answer_of(example: str, *schemas: type[BaseModel]) -> dict[int | str, Entry]:
    """The answer of a route, which is one of these, for the OpenAPI document."""
    _answers.update(schemas)
    options = [{"$ref": _TEMPLATE.format(model=schema.__name__)} for schema in schemas]
    content: Entry = {"schema": options[0] if len(options) == 1 else {"anyOf": options}}
    content["examples"] = {name: {"value": e["answer"]} for name, e in EXAMPLES[example].items()}
    return {200: {"description": "the answer", "content": {"application/json": content}}}


def answer_like(example: str) -> dict[int | str, Entry]:
    """The answer of a route that examples describe better than a schema of ours, which it is not."""
    examples = {name: {"value": e["answer"]} for name, e in EXAMPLES[example].items()}
    return {
        200: {
            "description": "the answer",
            "content": {"application/json": {"schema": {}, "examples": examples}},
        }
    }


def _definitions(schemas: Iterable[type[BaseModel]], mode: Literal["validation", "serialization"]) -> Any:
    named = sorted(schemas, key=lambda schema: schema.__name__)
    return models_json_schema([(schema, mode) for schema in named], ref_template=_TEMPLATE)[1].get(
        "$defs", {}
    )


def describe_shared(app: FastAPI) -> None:
    """Add to the OpenAPI document what its request bodies and answers refer to."""
    generate = app.openapi

    def openapi() -> Entry:
        described = generate()
        shared = {**_definitions(_requests, "validation"), **_definitions(_answers, "validation")}
        described.setdefault("components", {}).setdefault("schemas", {}).update(shared)
        return described

    app.openapi = openapi  # type: ignore[method-assign]
