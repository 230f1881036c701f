"""Both halves of the format: the prompt and answer that a model is trained on, and their reading.

    system     Extract PII as JSON.                        (the default types)
               Extract PII as JSON: PERSON_NAME, LOCATION  (named types)
    user       the text, verbatim
    assistant  {"entities":[{"type":"PERSON_NAME","value":"张三"}]}

An answer is compact JSON in order of appearance. It holds no offsets by default: Qwen2 spends a token on
every digit and models cannot count, so code finds the places (`pii.grounding`). The format has a version
and a fingerprint that travel with a model; serving refuses a model of another one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypedDict

from pii.spans import Span
from pii.taxonomy import shipped

VERSION = 1

AnswerStyle = Literal["value", "with_offsets"]
"""``value``: type and value; ``with_offsets``: start and end too, kept so that its cost can be measured."""

INSTRUCTION = "Extract PII as JSON"
TURN_START, TURN_END = "<|im_start|>", "<|im_end|>"
"""ChatML's control tokens, as in Qwen2, Qwen2.5 and Qwen3."""


class Message(TypedDict):
    """One turn of a conversation, in the form that chat templates and TRL read."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Mention:
    """What a model says of one entity. Offsets only where the style has them; they are not trusted."""

    type: str
    value: str
    start: int | None = None
    end: int | None = None

    def __repr__(self) -> str:
        return f"Mention(type={self.type!r}, num_chars={len(self.value)})"


@dataclass(frozen=True, slots=True)
class Answer:
    """What could be read from a model's answer.

    Attributes:
        mentions: every readable entity, in the order written.
        problem: why reading stopped or what is wrong; empty for a complete answer in the format.
        valid_json: the whole string is one JSON value.
        valid_schema: it is an object whose ``entities`` are all objects with string type and value.
    """

    mentions: tuple[Mention, ...]
    problem: Literal["", "truncated", "not_json", "wrong_schema", "text_around_json"]
    valid_json: bool
    valid_schema: bool


# --- prompt -----------------------------------------------------------------------------------------


def prompt(text: str, types: Sequence[str] | None = None) -> list[Message]:
    """The conversation up to the answer.

    Args:
        text: one window of a document, verbatim.
        types: the requested types in taxonomy order; None or the default types give the short prompt.
    """
    default = types is None or tuple(types) == shipped().default_types
    instruction = f"{INSTRUCTION}." if default else f"{INSTRUCTION}: {', '.join(types or ())}"
    return [{"role": "system", "content": instruction}, {"role": "user", "content": text}]


class Tokenizer(Protocol):
    """The part of a Hugging Face tokenizer that `encode` needs."""

    def __call__(self, text: str, *, add_special_tokens: bool, split_special_tokens: bool) -> Any:
        """Return an object whose ``input_ids`` is a list of token ids."""


def encode(
    tokenizer: Tokenizer, messages: Iterable[Message], *, answer_next: bool
) -> tuple[list[int], list[bool]]:
    """Token ids of a conversation in ChatML, and for each whether it belongs to an assistant's turn.

    Equal to Qwen2's chat template for harmless text. The content of a turn is never read as control
    tokens: a text that spells ``<|im_end|>`` cannot end its turn.

    Args:
        tokenizer: a tokenizer with ChatML's control tokens.
        messages: the turns in order.
        answer_next: True to end with the opening of an assistant's turn (a prompt).

    Returns:
        ``input_ids`` and ``is_answer`` of the same length; the answer includes its ``<|im_end|>``, which
        the model has to learn to write, and not the newline behind it.
    """
    ids: list[int] = []
    is_answer: list[bool] = []

    def append(text: str, *, control: bool, answer: bool) -> None:
        piece = tokenizer(text, add_special_tokens=False, split_special_tokens=not control)["input_ids"]
        ids.extend(piece)
        is_answer.extend([answer] * len(piece))

    for message in messages:
        answer = message["role"] == "assistant"
        append(f"{TURN_START}{message['role']}\n", control=True, answer=False)
        append(message["content"], control=False, answer=answer)
        append(TURN_END, control=True, answer=answer)
        append("\n", control=True, answer=False)
    if answer_next:
        append(f"{TURN_START}assistant\n", control=True, answer=False)
    return ids, is_answer


# --- answer -----------------------------------------------------------------------------------------


def render(text: str, spans: Iterable[Span], style: AnswerStyle = "value") -> str:
    """The answer that a perfect model gives: compact JSON, in order of appearance."""
    entities = []
    for span in sorted(spans):
        entity: dict[str, Any] = {"type": span.type, "value": span.value(text)}
        if style == "with_offsets":
            entity |= {"start": span.start, "end": span.end}
        entities.append(entity)
    return json.dumps({"entities": entities}, ensure_ascii=False, separators=(",", ":"))


def parse(answer: str) -> Answer:
    """Read any string that a model may write. Never raises.

    A complete answer in the format has no problem. Otherwise every readable entity is returned with the
    first problem: cut off in the middle, prose or a code fence around the JSON, another schema, no JSON.
    """
    try:
        value = json.loads(answer)
    except (ValueError, RecursionError):
        return _salvage(answer)
    mentions, well_formed = _mentions(value)
    return Answer(mentions, "" if well_formed else "wrong_schema", True, well_formed)


def _mentions(value: Any) -> tuple[tuple[Mention, ...], bool]:
    entities = value.get("entities") if isinstance(value, dict) else value
    if not isinstance(entities, list):
        return (), False
    read = [_mention(entity) for entity in entities]
    mentions = tuple(mention for mention in read if mention is not None)
    return mentions, isinstance(value, dict) and len(mentions) == len(read)


def _mention(entity: Any) -> Mention | None:
    if not isinstance(entity, dict):
        return None
    kind, value = entity.get("type"), entity.get("value")
    if not isinstance(kind, str) or not isinstance(value, str) or not value:
        return None
    start, end = entity.get("start"), entity.get("end")
    return Mention(kind, value, start if type(start) is int else None, end if type(end) is int else None)


def _salvage(answer: str) -> Answer:
    """Read what is readable of a string that is not one JSON value."""
    opening = answer.find("{")
    if opening < 0:
        return Answer((), "not_json", False, False)
    decoder = json.JSONDecoder()
    try:
        value, _ = decoder.raw_decode(answer, opening)
    except (ValueError, RecursionError):
        pass
    else:
        mentions, well_formed = _mentions(value)
        if well_formed:
            return Answer(mentions, "text_around_json", False, False)
    # The outer object does not end: read the entities one by one until one of them does not.
    array = answer.find("[", opening)
    position = answer.find("{", array) if array >= 0 else -1
    mentions_read: list[Mention] = []
    while position >= 0:
        try:
            entity, end = decoder.raw_decode(answer, position)
        except (ValueError, RecursionError):
            break
        if (mention := _mention(entity)) is not None:
            mentions_read.append(mention)
        position = answer.find("{", end)
    known = bool(mentions_read) or '"entities"' in answer
    return Answer(tuple(mentions_read), "truncated" if known else "not_json", False, False)


# --- grammar ----------------------------------------------------------------------------------------


def grammar(text: str, types: Sequence[str], style: AnswerStyle = "value") -> str:
    """The decoding grammar of one request, in llguidance's dialect of Lark.

    It admits exactly the compact JSON of `render` with the requested types, where every value is a
    verbatim, non-empty slice of the text: a value that is not in the text cannot be written. There is no
    optional whitespace, in which a weak model could loop.

    Source of the syntax: https://github.com/guidance-ai/llguidance/blob/main/docs/syntax.md
    """
    chunks = [json.dumps(char, ensure_ascii=False)[1:-1] for char in text]
    names = " | ".join(json.dumps(name) for name in types)
    offsets = ' ",\\"start\\":" INT ",\\"end\\":" INT' if style == "with_offsets" else ""
    return "\n".join(
        [
            "%llguidance {}",
            r'start: "{\"entities\":[" [entity ("," entity)*] "]}"',
            r'entity: "{\"type\":\"" TYPE "\",\"value\":\"" VALUE "\""' + offsets + r' "}"',
            f"TYPE: {names}",
            # The empty string is a substring of everything, and is no value.
            "VALUE: NONEMPTY & SLICE",
            r"NONEMPTY: /(.|\n)+/",
            f"SLICE: %regex {json.dumps({'substring_chunks': chunks}, ensure_ascii=False)}",
            "INT: /0|[1-9][0-9]{0,6}/",
        ][: 8 if offsets else 7]
    )


# --- identity ---------------------------------------------------------------------------------------


def fingerprint() -> str:
    """SHA-256 over the version and a rendered sample: changes whenever prompt or answer would."""
    text, span = 'A"\\\n张', Span(4, 5, "PERSON_NAME")
    sample = [
        VERSION,
        prompt(text),
        prompt(text, ("PERSON_NAME", "LOCATION")),
        render(text, [span]),
        render(text, [span], "with_offsets"),
        TURN_START,
        TURN_END,
    ]
    return hashlib.sha256(json.dumps(sample).encode()).hexdigest()
