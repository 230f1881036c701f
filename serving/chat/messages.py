"""Where texts of people stand in chat requests and answers (OpenAI's Chat Completions, and what servers add).

https://platform.openai.com/docs/api-reference/chat. A function goes over a request or an answer and builds a
copy in which each text is what `visit` makes of it. What is no text (roles, ids, names of functions, sampling
parameters) stays. Members of a message that are not known are texts if they are strings.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from pii.errors import RequestError

Visit = Callable[[str], str]

_NO_TEXT = frozenset({"role", "id", "type", "tool_call_id", "index", "object"})
"""String members of messages and parts that only the protocol reads."""

_TEXT_PARTS = {"text": "text", "refusal": "refusal", "input_text": "text", "output_text": "text"}
"""Type of a part that can be read → its member with the text."""


class Request:
    """The texts of a chat request.

    Args:
        pass_unreadable: whether parts that nobody can read go through as they are.
    """

    def __init__(self, *, pass_unreadable: bool = False) -> None:
        self._pass_unreadable = pass_unreadable

    def mapped(self, body: dict[str, Any], visit: Visit) -> dict[str, Any]:
        """The request with other texts.

        Raises RequestError: ``no_messages``, ``wrong_message``, ``not_readable``, with the place.
        """
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages:
            raise RequestError("no_messages", "messages", "messages has to be a list of at least one message")
        new = dict(body)
        new["messages"] = [
            self._message(message, visit, f"messages[{index}]") for index, message in enumerate(messages)
        ]
        if isinstance(prediction := body.get("prediction"), dict):
            new["prediction"] = self._message(prediction, visit, "prediction")
        for name in ("user", "safety_identifier", "prompt_cache_key"):
            if isinstance(value := body.get(name), str):
                new[name] = visit(value)
        if isinstance(metadata := body.get("metadata"), dict):
            new["metadata"] = {k: visit(v) if isinstance(v, str) else v for k, v in metadata.items()}
        for name in ("tools", "functions", "response_format"):
            if name in body:
                new[name] = _descriptions(body[name], visit)
        return new

    def _message(self, message: Any, visit: Visit, place: str) -> dict[str, Any]:
        if not isinstance(message, dict):
            raise RequestError("wrong_message", place, "a message has to be an object")
        new: dict[str, Any] = {}
        for name, value in message.items():
            if name == "content" and isinstance(value, list):
                new[name] = [
                    self._part(part, visit, f"{place}.content[{index}]") for index, part in enumerate(value)
                ]
            elif name == "name" and isinstance(value, str):
                new[name] = _plain_name(value, visit)
            else:
                new[name] = _member(name, value, visit, _in_json(visit))
        return new

    def _part(self, part: Any, visit: Visit, place: str) -> Any:
        if isinstance(part, str):
            return visit(part)
        if isinstance(part, dict) and (member := _TEXT_PARTS.get(part.get("type", ""))):
            if isinstance(part.get(member), str):
                return {**part, member: visit(part[member])}
        elif self._pass_unreadable:
            return part
        raise RequestError(
            "not_readable", place, "nobody here can read this part, and the recipe does not let it pass"
        )


def map_answer(message: dict[str, Any], visit: Visit, visit_json: Visit) -> dict[str, Any]:
    """A message of an answer, or a delta of one, with other texts.

    Args:
        message: the message.
        visit: makes new text of old.
        visit_json: the same for texts that are JSON, arguments of functions, perhaps only a piece of it.
    """
    return {name: _member(name, value, visit, visit_json) for name, value in message.items()}


def _member(name: str, value: Any, visit: Visit, visit_json: Visit) -> Any:
    if isinstance(value, str):
        return value if name in _NO_TEXT else visit(value)
    if name == "tool_calls" and isinstance(value, list):
        return [_call(call, visit, visit_json) for call in value]
    if name == "function_call":
        return _function(value, visit_json)
    if name in ("content", "reasoning_details") and isinstance(value, list):
        return [map_answer(part, visit, visit_json) if isinstance(part, dict) else part for part in value]
    return value


def _call(call: Any, visit: Visit, visit_json: Visit) -> Any:
    if not isinstance(call, dict):
        return call
    new = dict(call)
    if "function" in call:
        new["function"] = _function(call["function"], visit_json)
    if isinstance(custom := call.get("custom"), dict) and isinstance(custom.get("input"), str):
        new["custom"] = {**custom, "input": visit(custom["input"])}
    return new


def _function(function: Any, visit_json: Visit) -> Any:
    if isinstance(function, dict) and isinstance(function.get("arguments"), str):
        return {**function, "arguments": visit_json(function["arguments"])}
    return function


def _in_json(visit: Visit) -> Visit:
    """Visits the strings and numbers of a JSON text one by one; a text that is no JSON, as a whole."""

    def inside(value: Any) -> Any:
        if isinstance(value, str):
            return visit(value)
        if isinstance(value, list):
            return [inside(item) for item in value]
        if isinstance(value, dict):
            return {name: inside(item) for name, item in value.items()}
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value if visit(str(value)) == str(value) else visit(str(value))
        return value

    def visit_json(text: str) -> str:
        # Seen whole as well: the name of a member tells what its value is, and what is found once is hidden
        # everywhere.
        whole = visit(text)
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return whole
        new = inside(value)
        return text if new == value else json.dumps(new, ensure_ascii=False)

    return visit_json


def _plain_name(name: str, visit: Visit) -> str:
    """A participant's name may hold letters, digits, dashes and underscores alone."""
    new = visit(name)
    return name if new == name else re.sub(r"[^A-Za-z0-9_-]", "", new)


def _descriptions(value: Any, visit: Visit) -> Any:
    """Definitions of tools and formats: their descriptions are prose, all else is protocol."""
    if isinstance(value, list):
        return [_descriptions(item, visit) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: visit(item) if name == "description" and isinstance(item, str) else _descriptions(item, visit)
        for name, item in value.items()
    }
