"""Answers that come in pieces: server-sent events in, the same events out with values for placeholders.

A placeholder may be cut anywhere between two events. What could be the beginning of one is held back until
the rest has come, for each text of each choice by itself; nothing else is.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from serving.chat.messages import map_answer
from serving.chat.placeholders import Placeholders

Path = tuple[str | int, ...]


class Held:
    """One text that comes in pieces.

    Args:
        placeholders: those of the chat.
        restored: puts the values into a piece that is complete.
    """

    def __init__(self, placeholders: Placeholders, restored: Callable[[str], str]) -> None:
        self._placeholders, self._restored, self._kept = placeholders, restored, ""

    def feed(self, piece: str) -> str:
        """What can be said after this piece."""
        text = self._kept + piece
        at = text.rfind("[")
        self._kept = text[at:] if at >= 0 and self._placeholders.may_begin(text[at:]) else ""
        return self._restored(text[: len(text) - len(self._kept)])

    def end(self) -> str:
        """What was held back for nothing."""
        rest, self._kept = self._kept, ""
        return self._restored(rest)


class Chunks:
    """The chunks of one answer, in their order."""

    def __init__(self, placeholders: Placeholders) -> None:
        self._placeholders = placeholders
        self._texts: dict[Path, Held] = {}
        self._last: dict[str, Any] = {}

    def restored(self, chunk: dict[str, Any]) -> dict[str, Any]:
        """One ``chat.completion.chunk``; where it ends a choice, with all that was held back for it."""
        self._last = chunk
        choices = chunk.get("choices")
        if not isinstance(choices, list):
            return chunk
        return {**chunk, "choices": [self._choice(choice) for choice in choices]}

    def rest(self) -> dict[str, Any] | None:
        """A chunk with all that is still held back, for an answer that broke off; None where nothing is."""
        choices = [
            {"index": index, "delta": self._ended(index, {}), "finish_reason": None}
            for index in sorted({path[0] for path in self._texts}, key=str)
        ]
        choices = [choice for choice in choices if choice["delta"]]
        return {**self._last, "choices": choices} if choices else None

    def _choice(self, choice: Any) -> Any:
        if not isinstance(choice, dict) or not isinstance(choice.get("delta"), dict):
            return choice
        index = choice.get("index", 0)
        delta = self._delta(choice["delta"], index)
        if choice.get("finish_reason") is not None:
            delta = self._ended(index, delta)
        return {**choice, "delta": delta}

    def _delta(self, delta: dict[str, Any], index: int) -> dict[str, Any]:
        new = {}
        for name, value in delta.items():
            if name == "tool_calls" and isinstance(value, list):
                new[name] = [self._call(call, index, place) for place, call in enumerate(value)]
            else:
                path = (index, name)
                new |= map_answer({name: value}, self._text(path).feed, self._json(path).feed)
        return new

    def _call(self, call: Any, index: int, place: int) -> Any:
        which = call.get("index", place) if isinstance(call, dict) else place
        path = (index, "tool_calls", which)
        done = map_answer({"tool_calls": [call]}, self._text(path).feed, self._json(path).feed)
        return done["tool_calls"][0]

    def _ended(self, index: str | int, delta: dict[str, Any]) -> dict[str, Any]:
        """The delta with the rest of every text of a choice."""
        for path, text in self._texts.items():
            rest = text.end() if path[0] == index else ""
            if rest and path[1] == "tool_calls":
                own = ("function", "arguments") if path[-1] == "json" else ("custom", "input")
                delta = {
                    **delta,
                    "tool_calls": _with_rest(delta.get("tool_calls") or [], path[2], *own, rest),
                }
            elif rest and path[-1] == "json":
                before = (delta.get("function_call") or {}).get("arguments", "")
                delta = {**delta, "function_call": {"arguments": before + rest}}
            elif rest:
                delta = {**delta, str(path[1]): (delta.get(str(path[1])) or "") + rest}
        return delta

    def _text(self, path: Path) -> Held:
        return self._texts.setdefault((*path, "text"), Held(self._placeholders, self._placeholders.restore))

    def _json(self, path: Path) -> Held:
        return self._texts.setdefault(
            (*path, "json"), Held(self._placeholders, self._placeholders.restore_json)
        )


def _with_rest(calls: list[Any], index: str | int, kind: str, member: str, rest: str) -> list[Any]:
    """Calls of a delta with a further piece for one of them, which may not stand among them yet."""
    new = {"index": index, kind: {member: rest}}
    for place, call in enumerate(calls):
        if isinstance(call, dict) and call.get("index", place) == index:
            own = call.get(kind) or {}
            new = {**call, kind: {**own, member: (own.get(member) or "") + rest}}
            return [*calls[:place], new, *calls[place + 1 :]]
    return [*calls, new]


async def lines_of(pieces: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """The lines of an event stream without their ends, however the stream is cut into pieces.

    Not `str.splitlines`, which also breaks at characters that may stand in the middle of a JSON string.
    """
    kept = b""
    async for piece in pieces:
        *lines, kept = (kept + piece).split(b"\n")
        for line in lines:
            yield line.removesuffix(b"\r").decode("utf-8", "replace")
    if kept:
        yield kept.decode("utf-8", "replace")


async def restored_events(pieces: AsyncIterator[bytes], placeholders: Placeholders) -> AsyncIterator[str]:
    """The lines of an event stream, each with its line feed, with values for placeholders.

    Args:
        pieces: the upstream's bytes, cut anywhere.
        placeholders: those of the chat.
    """
    chunks = Chunks(placeholders)
    async for line in lines_of(pieces):
        name, _, value = line.partition(":")
        if name != "data":
            # Comments that keep the connection alive, names and ids of events, the blank line that ends one.
            yield line + "\n"
            continue
        value = value.removeprefix(" ")
        if value == "[DONE]":
            if rest := chunks.rest():
                yield _event(rest) + "\n"
            yield line + "\n"
        else:
            yield _restored_data(value, chunks, placeholders)
    if rest := chunks.rest():
        yield _event(rest) + "\n"


def _restored_data(value: str, chunks: Chunks, placeholders: Placeholders) -> str:
    try:
        chunk = json.loads(value)
    except ValueError:
        return f"data: {placeholders.restore(value)}\n"
    if not isinstance(chunk, dict):
        return f"data: {value}\n"
    if "choices" not in chunk:
        # An error in the middle of the stream, or what a server adds of its own.
        return f"data: {placeholders.restore_json(value)}\n"
    return _event(chunks.restored(chunk))


def _event(chunk: dict[str, Any]) -> str:
    # In escapes: half a character, which some servers cut off, cannot be written otherwise.
    return f"data: {json.dumps(chunk)}\n"
