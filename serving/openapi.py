"""What the OpenAPI document says of requests and answers that the routes read and write themselves."""

from __future__ import annotations

from fastapi import FastAPI

from serving.problems import MEDIA_TYPE
from serving.requests import ReadRequest, RedactRequest
from serving.service import Entry

PROBLEMS: dict[int | str, Entry] = {
    status: {"description": description, "content": {MEDIA_TYPE: {}}}
    for status, description in {
        400: "not JSON or not UTF-8",
        413: "the body is too large",
        415: "not application/json",
        422: "a member is wrong; code and place say which",
        503: "loading, too busy or too late; Retry-After says when to come again",
    }.items()
}
"""Responses of the routes that read texts, by status."""


def body_of(schema: type[ReadRequest]) -> Entry:
    """The request body for the OpenAPI document: the routes read it themselves, to bound and check it."""
    described = schema.model_json_schema(ref_template="#/components/schemas/{model}")
    described.pop("$defs", None)
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": described}}}}


def describe_shared(app: FastAPI) -> None:
    """Add to the OpenAPI document what its request bodies refer to."""
    generate = app.openapi

    def openapi() -> Entry:
        described = generate()
        shared = RedactRequest.model_json_schema(ref_template="#/components/schemas/{model}").get("$defs", {})
        described.setdefault("components", {}).setdefault("schemas", {}).update(shared)
        return described

    app.openapi = openapi  # type: ignore[method-assign]
