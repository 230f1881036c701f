"""Reading a request: media type, size, encoding, JSON, members; each fault with its own code and place."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from pii.taxonomy import shipped
from serving.problems import Problem

Schema = TypeVar("Schema", bound=BaseModel)

OWN_CODES = frozenset({"text_or_texts", "threshold_or_point", "language_not_supported", "no_patterns"})
"""Kinds of errors of our own validators, which are codes of the service and have a message of their own."""


async def read_body(request: Request, max_bytes: int) -> bytes:
    """The body, refused as soon as it grows beyond the limit."""
    too_large = Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body_too_large", f"the limit is {max_bytes} bytes"
    )
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > max_bytes:
        raise too_large
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise too_large
    return bytes(body)


async def read_json(request: Request, max_bytes: int) -> Any:
    """The body as JSON (RFC 8259: UTF-8, no NaN).

    Raises Problem: 415 ``not_json_media_type``, 413 ``body_too_large``, 400 ``not_utf8`` or ``not_json``.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "not_json_media_type", "send application/json", "content-type"
        )
    body = await read_body(request, max_bytes)
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise Problem(
            HTTPStatus.BAD_REQUEST, "not_utf8", "the body is not UTF-8", f"byte {error.start}"
        ) from None
    except json.JSONDecodeError as error:
        raise Problem(
            HTTPStatus.BAD_REQUEST, "not_json", "the body is not JSON", f"character {error.pos}"
        ) from None
    except (ValueError, RecursionError):
        # A number of thousands of digits, NaN, or brackets nested too deep.
        raise Problem(HTTPStatus.BAD_REQUEST, "not_json", "the body is not JSON that can be read") from None


def _refuse_constant(_: str) -> None:
    raise ValueError("NaN and Infinity are not JSON")


def checked(value: Any, schema: type[Schema]) -> Schema:
    """The members of a body. Raises Problem 422 with the place of the first wrong one."""
    try:
        return schema.model_validate(value)
    except ValidationError as error:
        raise wrong(error, schema) from None


def wrong(error: ValidationError, schema: type[BaseModel], *prefix: str) -> Problem:
    """The first of the errors as Problem 422; `prefix` is where in the request the value stood."""
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    location = (*prefix, *first["loc"])
    code, detail = "wrong_member", f"wrong value ({first['type']})"
    if first["type"] == "extra_forbidden":
        location = location[:-1]
        code, detail = "unknown_member", f"a member that is none of {', '.join(schema.model_fields)}"
    elif first["type"] in OWN_CODES:
        code, detail = first["type"], first["msg"]
    if location[:1] in (("allow_list",), ("deny_list",)):
        # Behind the entry stand names of alternatives that no caller knows.
        location = location[:2]
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, code, detail, _place(location, schema, prefix))


def _place(location: tuple[int | str, ...], schema: type[BaseModel], prefix: tuple[str, ...]) -> str:
    """A location as ``types[1]``; a key that only the caller knows may be anything and is shown as ``?``."""
    known = {*prefix, *_members(schema), *shipped().types}
    place = ""
    for part in location:
        if isinstance(part, int):
            place += f"[{part}]"
        else:
            word = part if part in known else "?"
            place += f".{word}" if place else word
    return place


@functools.cache
def _members(schema: type[BaseModel]) -> frozenset[str]:
    """The names of all members that a schema has, at any depth."""

    def names(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            yield from node.get("properties", {})
            for inner in node.values():
                yield from names(inner)
        elif isinstance(node, list):
            for inner in node:
                yield from names(inner)

    return frozenset(names(schema.model_json_schema()))
